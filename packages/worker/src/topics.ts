/**
 * The topic registry: what a cluster's topics are, in a key-value bucket that every worker reads.
 *
 * An entry is written once: partition count, hash and subjects of a topic never change (topic.ts T2). That also makes
 * what was read once good to keep for a while.
 */

import { decodeToken, encodeToken, type MonotonicMs, type Subjects, utf8Decode, utf8Encode } from '@muster/protocol';
import { checkArguments } from './check-arguments.js';
import { checkOptions } from './check-options.js';
import type { Clock } from './clock.js';
import { asMusterError, MusterError } from './errors.js';
import { type StreamSubjects, shapeOfSubjects, shapeOfTransform } from './stream-shape.js';
import type { Bucket, StreamConfig, Streams } from './streams.js';
import { checkTopic, covers, type KeyHash, partitionFilter, streamSubjects, type TopicSpec } from './topic.js';

/** A topic deleted and made anew under the same name is noticed after this time. */
const KNOWN_FOR_MS = 30_000;
const KNOWN_MAX = 10_000;

/** What to create. Everything but name and partitions has a default. */
export interface TopicOptions extends Partial<Omit<StreamConfig, 'name' | 'subjects'>> {
  readonly name: string;
  readonly partitions: number;
  /** Default `MUSTER_<cluster>_T_<name>`. */
  readonly stream?: string;
  /** Default `muster.<cluster>.t.<name>.{partition}.{key}`. */
  readonly subject?: string;
  /** Default `fnv1a`. */
  readonly keyHash?: KeyHash;
}

/** A stream that exists already, made into a topic. Nothing of the stream is changed. */
export interface AdoptOptions {
  readonly name: string;
  readonly stream: string;
  /** Where the partition stands in the stream's subjects, such as `orders.{partition}.{key}`. */
  readonly subject: string;
  readonly partitions: number;
  /** How those who publish choose the partition. Default `fnv1a`: what a server mapping with `partition()` does. */
  readonly keyHash?: KeyHash;
  /** Of the registry, where it does not exist yet. Default 1. */
  readonly replicas?: number;
}

/** Consumers asked for at a time while an adopted stream is counted. */
const COUNTS_AT_ONCE_MAX = 16;

export class Topics {
  readonly #streams: Streams;
  readonly #clock: Clock;
  readonly #cluster: string;
  readonly #subjects: Subjects;
  readonly #bucket: Bucket;
  readonly #known = new Map<string, { readonly spec: TopicSpec; readonly untilMs: number }>();

  constructor(options: {
    readonly streams: Streams;
    readonly clock: Clock;
    readonly cluster: string;
    readonly subjects: Subjects;
  }) {
    this.#streams = options.streams;
    this.#clock = options.clock;
    this.#cluster = options.cluster;
    this.#subjects = options.subjects;
    this.#bucket = options.streams.bucket(`MUSTER_${options.cluster}_TOPICS`);
  }

  /**
   * Creates the stream and registers the topic; a topic that exists with the same shape is fine.
   * @returns the topic; throws MusterError INVALID_ARGUMENT, TOPIC_EXISTS (with another shape), STREAM_REFUSED,
   *   STREAM_UNAVAILABLE
   */
  async create(options: TopicOptions): Promise<TopicSpec> {
    checkOptions('topics.create', options);
    const spec = this.#specOf(options);
    const replicas = options.replicas ?? 1;
    const existing = await this.#read(spec.name);
    if (existing !== undefined) {
      const same = this.#sameOrRefuse(existing, spec);
      // Its stream may be gone: somebody was interrupted while he deleted the topic.
      if ((await this.#streams.subjectsOf(spec.stream)) !== undefined) return same;
    }
    // The stream first: a registered topic can always be read.
    await this.#streams.createStream({
      name: spec.stream,
      subjects: streamSubjects(spec),
      replicas,
      storage: options.storage ?? 'file',
      maxAgeMs: options.maxAgeMs ?? 0,
      maxBytes: options.maxBytes ?? 0,
      duplicateWindowMs: options.duplicateWindowMs ?? 120_000,
    });
    return existing ?? (await this.#register(spec, replicas));
  }

  /**
   * Registers a topic over a stream that exists. Refused where the stream does not take in every partition's subject, or has
   * messages of the template outside of the partitions.
   * @returns the topic; throws MusterError UNKNOWN_STREAM, PARTITION_COUNT_MISMATCH, TOPIC_EXISTS, INVALID_ARGUMENT,
   *   STREAM_REFUSED, STREAM_UNAVAILABLE
   */
  async adopt(options: AdoptOptions): Promise<TopicSpec> {
    checkOptions('topics.adopt', options);
    const { name, stream, subject, partitions, keyHash = 'fnv1a', replicas = 1 } = options;
    const said = checkTopic({ name, stream, subject, partitions, keyHash });
    const spec = { ...said, ...publishedAs(said, await this.#subjectsOf(said)) };
    await this.#checkStream(spec);
    return await this.#register(spec, replicas);
  }

  /** @returns the topic; throws MusterError UNKNOWN_TOPIC, STREAM_UNAVAILABLE */
  async describe(name: string): Promise<TopicSpec> {
    const known = this.#known.get(name);
    if (known !== undefined && this.#clock.now() < known.untilMs) return known.spec;
    checkArguments('topics.describe', { name });
    const spec = await this.#read(name);
    if (spec === undefined) throw new MusterError('UNKNOWN_TOPIC', name);
    this.#remember(spec, this.#clock.now());
    return spec;
  }

  /**
   * Asks the registry and JetStream themselves, whatever is remembered.
   * @returns the topic; undefined where it or its stream is not there. Throws MusterError STREAM_UNAVAILABLE
   */
  async lookUp(name: string): Promise<TopicSpec | undefined> {
    const known = this.#known.get(name);
    const isInline = known?.untilMs === Number.POSITIVE_INFINITY;
    const spec = isInline ? known?.spec : await this.#read(name);
    if (spec === undefined) this.#known.delete(name);
    else if (!isInline) this.#remember(spec, this.#clock.now());
    return spec === undefined || (await this.#streams.subjectsOf(spec.stream)) === undefined ? undefined : spec;
  }

  /** @returns partition counts; topics that do not exist are missing from it */
  async partitionCounts(names: readonly string[]): Promise<Map<string, number>> {
    const found = await this.describeAll(names);
    return new Map([...found].map(([name, { partitions }]) => [name, partitions]));
  }

  /** @returns the topics by name; those that do not exist are missing from it. Throws MusterError STREAM_UNAVAILABLE */
  async describeAll(names: readonly string[]): Promise<Map<string, TopicSpec>> {
    checkArguments('topics.describeAll', { names });
    const found = new Map<string, TopicSpec>();
    for (const name of names) {
      try {
        found.set(name, await this.describe(name));
      } catch (thrown) {
        if (!(thrown instanceof MusterError) || thrown.code !== 'UNKNOWN_TOPIC') throw thrown;
      }
    }
    return found;
  }

  /** @returns all topics by name */
  async list(): Promise<TopicSpec[]> {
    const specs: TopicSpec[] = [];
    for (const [token, bytes] of await this.#bucket.entries()) {
      if (decodeToken(token) !== undefined) specs.push(parseTopic(bytes));
    }
    return specs.sort((left, right) => (left.name < right.name ? -1 : 1));
  }

  /**
   * Deletes the topic with its stream and all messages. Throws MusterError UNKNOWN_TOPIC, STREAM_UNAVAILABLE; then it may be called again:
   * the entry goes last, so that nobody loses the way to a stream that is still there.
   */
  async delete(name: string): Promise<void> {
    checkArguments('topics.delete', { name });
    const spec = await this.#read(name);
    if (spec === undefined) throw new MusterError('UNKNOWN_TOPIC', name);
    this.#known.delete(name);
    await this.#streams.deleteStream(spec.stream);
    await this.#bucket.delete(encodeToken(name));
  }

  /**
   * Checks a topic that was given inline against the registry and the stream, so that no two members share out different partitions.
   * Throws MusterError PARTITION_COUNT_MISMATCH, TOPIC_EXISTS (another shape), UNKNOWN_STREAM, STREAM_UNAVAILABLE.
   */
  async verify(spec: TopicSpec): Promise<void> {
    try {
      const registered = await this.#read(spec.name);
      if (registered !== undefined && registered.partitions !== spec.partitions) {
        const difference = `${spec.name} is registered with ${registered.partitions}, not ${spec.partitions}`;
        throw new MusterError('PARTITION_COUNT_MISMATCH', difference);
      }
      if (registered !== undefined) this.#sameOrRefuse(registered, spec);
      await this.#checkSubjects(spec);
    } catch (thrown) {
      // What was refused must not stand for the name from now on; what somebody else has declared must. No answer is no refusal.
      const isRefused = asMusterError(thrown, 'STREAM_REFUSED').code !== 'STREAM_UNAVAILABLE';
      if (isRefused && this.#known.get(spec.name)?.spec === spec) this.#known.delete(spec.name);
      throw thrown;
    }
  }

  /**
   * Every topic is there: by name in the registry, inline as `verify` says; those are used from here on. Throws as `describe` and `verify`,
   * and INVALID_ARGUMENT; then nothing has changed.
   */
  async require(topics: readonly (string | TopicSpec)[]): Promise<void> {
    const inline: TopicSpec[] = [];
    for (const topic of topics) {
      if (typeof topic === 'string') await this.describe(topic);
      else {
        inline.push(checkTopic(topic));
        await this.verify(topic);
      }
    }
    this.declare(inline);
  }

  /** Uses topics that are given instead of registered, for as long as this object lives. */
  declare(specs: readonly TopicSpec[]): void {
    for (const spec of specs) this.#known.set(spec.name, { spec: checkTopic(spec), untilMs: Number.POSITIVE_INFINITY });
  }

  async #register(spec: TopicSpec, replicas: number): Promise<TopicSpec> {
    if (await this.#bucket.create(encodeToken(spec.name), utf8Encode(JSON.stringify(spec)), replicas)) return spec;
    const winner = await this.#read(spec.name);
    if (winner === undefined) throw new MusterError('STREAM_UNAVAILABLE', `topic ${spec.name} vanished while created`);
    return this.#sameOrRefuse(winner, spec);
  }

  /** @returns the subject filters of the partitions, which the stream takes in all of */
  async #checkSubjects(spec: TopicSpec): Promise<string[]> {
    const subjects = await this.#subjectsOf(spec);
    publishedAs(spec, subjects);
    const filters = Array.from({ length: spec.partitions }, (_, partition) => partitionFilter(spec, partition));
    if (subjects.transform !== undefined) return filters;
    const { takesIn } = subjects;
    const missing = filters.find((filter) => !takesIn.some((subject) => covers(subject, filter)));
    if (missing === undefined) return filters;
    const looks = shapeOfSubjects(takesIn);
    const advice = looks === undefined ? '' : `; it looks like ${looks.subject} in ${looks.partitions} partitions`;
    const why = `stream ${spec.stream} takes in ${takesIn.join(', ')}, not ${missing}${advice}`;
    throw new MusterError('PARTITION_COUNT_MISMATCH', `${spec.name}: ${why}`);
  }

  async #subjectsOf(spec: TopicSpec): Promise<StreamSubjects> {
    const subjects = await this.#streams.subjectsOf(spec.stream);
    if (subjects === undefined) throw new MusterError('UNKNOWN_STREAM', spec.stream);
    return subjects;
  }

  async #checkStream(spec: TopicSpec): Promise<void> {
    const filters = await this.#checkSubjects(spec);
    const count = (subject: string) => this.#streams.countFrom({ stream: spec.stream, subject, startOffset: 0 });
    // The whole first: what is stored meanwhile can only make the parts larger.
    const [whole = ''] = streamSubjects(spec);
    const total = await count(whole);
    let counted = 0;
    for (let at = 0; at < filters.length && counted < total; at += COUNTS_AT_ONCE_MAX) {
      const counts = await Promise.all(filters.slice(at, at + COUNTS_AT_ONCE_MAX).map(count));
      counted += counts.reduce((sum, part) => sum + part, 0);
    }
    if (counted >= total) return;
    const why = `${total - counted} messages of ${whole} belong to no partition below ${spec.partitions}`;
    throw new MusterError('PARTITION_COUNT_MISMATCH', `${spec.name}: ${why}`);
  }

  #specOf(options: TopicOptions): TopicSpec {
    const token = encodeToken(options.name);
    return checkTopic({
      name: options.name,
      stream: options.stream ?? `MUSTER_${this.#cluster}_T_${token}`,
      subject: options.subject ?? `${this.#subjects.prefix}.t.${token}.{partition}.{key}`,
      partitions: options.partitions,
      keyHash: options.keyHash ?? 'fnv1a',
    });
  }

  #sameOrRefuse(existing: TopicSpec, wanted: TopicSpec): TopicSpec {
    for (const field of ['partitions', 'stream', 'subject', 'keyHash'] as const) {
      if (existing[field] === wanted[field]) continue;
      const difference = `${wanted.name} has ${field} ${existing[field]}, not ${wanted[field]}`;
      throw new MusterError('TOPIC_EXISTS', difference);
    }
    return existing;
  }

  #remember(spec: TopicSpec, now: MonotonicMs): void {
    const oldest = this.#known.keys().next().value;
    if (this.#known.size >= KNOWN_MAX && oldest !== undefined) this.#known.delete(oldest);
    this.#known.set(spec.name, { spec, untilMs: now + KNOWN_FOR_MS });
  }

  async #read(name: string): Promise<TopicSpec | undefined> {
    const bytes = await this.#bucket.get(encodeToken(name));
    return bytes === undefined ? undefined : parseTopic(bytes);
  }
}

/**
 * @returns where messages of the topic are published, where the stream computes their partition
 * @throws MusterError PARTITION_COUNT_MISMATCH where it computes another one than the topic says, or none
 */
function publishedAs(spec: TopicSpec, { transform }: StreamSubjects): Pick<TopicSpec, 'publish'> {
  if (transform === undefined) return {};
  const shape = shapeOfTransform(transform);
  const { subject, partitions, publish = null } = shape ?? {};
  if (subject === spec.subject && partitions === spec.partitions && spec.keyHash === 'fnv1a') return { publish };
  const stores = `stream ${spec.stream} stores ${transform.src} as ${transform.dest}`;
  const what =
    shape === undefined ? 'which no subject template says' : `which is ${subject} in ${partitions} partitions by fnv1a`;
  throw new MusterError('PARTITION_COUNT_MISMATCH', `${spec.name}: ${stores}, ${what}`);
}

/** @returns the topic of a registry entry; throws MusterError INVALID_ARGUMENT for anything else */
function parseTopic(bytes: Uint8Array): TopicSpec {
  const entry: unknown = JSON.parse(utf8Decode(bytes));
  if (typeof entry === 'object' && entry !== null && 'name' in entry && 'stream' in entry && 'subject' in entry) {
    const { name, stream, subject } = entry;
    const partitions = 'partitions' in entry ? entry.partitions : undefined;
    const keyHash = 'keyHash' in entry && entry.keyHash === 'murmur2' ? 'murmur2' : 'fnv1a';
    const areTexts = typeof name === 'string' && typeof stream === 'string' && typeof subject === 'string';
    const publish =
      'publish' in entry && (typeof entry.publish === 'string' || entry.publish === null)
        ? { publish: entry.publish }
        : {};
    if (areTexts && typeof partitions === 'number') {
      return checkTopic({ name, stream, subject, partitions, keyHash, ...publish });
    }
  }
  throw new MusterError('INVALID_ARGUMENT', 'an entry of the topic registry is damaged');
}
