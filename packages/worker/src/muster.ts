/**
 * The entry: one connection to NATS, and from it consumers, members, producers, topics and administration.
 */

import { hostname } from 'node:os';
import { Subjects } from '@muster/protocol';
import { type NatsConnection, nuid } from 'nats';
import { Admin } from './admin.js';
import { checkOptions } from './check-options.js';
import { type Environment, systemClock } from './clock.js';
import { type Codec, jsonCodec } from './codecs.js';
import { type CloseOptions, Consumer } from './consumer.js';
import { CoordinatorClient } from './coordinator-client.js';
import { MusterError } from './errors.js';
import { type ConsumerHealth, type MemberHealth, type OverallVerdict, overallOf } from './health.js';
import { type Logger, silentLogger } from './logger.js';
import { Member, type PlainMemberOptions } from './member.js';
import type { MusterContext } from './muster-context.js';
import { type JetStreamPlace, NatsStreams } from './nats-streams.js';
import { dialNats, type NatsOptions, NatsTransport } from './nats-transport.js';
import type { ConsumerOptions } from './options.js';
import { warnProcessOnce } from './process-warning.js';
import { Producer, type ProducerLimits } from './producer.js';
import type { Streams } from './streams.js';
import { noTelemetry, openTelemetry, type Telemetry } from './telemetry.js';
import type { KeyHash, TopicSpec } from './topic.js';
import { Topics } from './topics.js';
import type { Transport } from './transport.js';

/** Where the cluster is. Everything of nats.js' own options is accepted beside ours: servers, user, authenticator, tls. */
export interface ConnectOptions extends NatsOptions {
  /** Default `default`. */
  readonly cluster?: string;
  /** Shown by the coordinator for every member of this connection. Default `name`, else `muster`. */
  readonly clientId?: string;
  /** A connection of the application's own; it is not closed by `close`. Then no other option of nats.js counts but `inboxPrefix`. */
  readonly connection?: NatsConnection;
  /** Where the streams of the topics are. Default: the JetStream of the servers connected to. */
  readonly jetStream?: JetStreamPlace;
  /** Silent by default. */
  readonly logger?: Logger;
  /** Spans for what is sent and handled, through the global tracer of `@opentelemetry/api`, if that is installed. Default false. */
  readonly openTelemetry?: boolean;
}

export interface ProducerOptions<Value> extends ProducerLimits {
  /** A name from the registry, or a topic given inline. */
  readonly topic: string | TopicSpec;
  /** Default JSON. */
  readonly codec?: Codec<Value>;
  /** Another hash from key to partition than the topic's, such as Kafka's `murmur2`. All producers of a topic must agree. */
  readonly keyHash?: KeyHash;
}

/** How everything made by one connection stands. */
export interface MusterHealth {
  /** All of it in one word. `failed` is for a liveness probe, anything but `ok` for a readiness probe. */
  readonly verdict: OverallVerdict;
  /** Whether there is a connection to NATS at this moment. */
  readonly isConnected: boolean;
  /** The first thing that keeps something from its work, or undefined. */
  readonly problem: string | undefined;
  /** Those that still try to join, too; and those that have failed, until another one of the same group is made. */
  readonly consumers: readonly ConsumerHealth[];
  readonly members: readonly MemberHealth[];
}

/** Failed consumers and members that `health` remembers. */
const FAILED_MAX = 100;

interface Closable {
  readonly isClosed: boolean;
  readonly group?: string;
  /** It is over although nobody closed it. */
  readonly failure?: MusterError | undefined;
  close(options?: CloseOptions): Promise<void>;
}

/**
 * Connects to the NATS system of a cluster. No coordinator needs to be there yet.
 * @returns the connection; throws MusterError CONNECTION_FAILED, INVALID_ARGUMENT
 */
export async function connect(options: ConnectOptions = {}): Promise<Muster> {
  checkOptions('connect', options);
  const {
    cluster = 'default',
    clientId,
    connection,
    jetStream,
    logger = silentLogger,
    openTelemetry: isTraced,
    ...nats
  } = options;
  const environment: Environment = {
    clock: systemClock,
    wallNow: Date.now,
    random: Math.random,
    newId: () => nuid.next(),
    warn: warnProcessOnce,
  };
  const telemetry = isTraced === true ? await openTelemetry(logger) : noTelemetry;
  const live = connection ?? (await dialNats(nats));
  const inbox = nats.inboxPrefix === undefined ? {} : { inboxPrefix: nats.inboxPrefix };
  const transport = new NatsTransport(live, { isOwn: connection === undefined, ...inbox });
  const streams = new NatsStreams(live, transport, environment, jetStream);
  const ports = { transport, streams, environment, logger, telemetry };
  return new Muster({ cluster, clientId: clientId ?? nats.name ?? 'muster', clientHost: hostname(), ...ports });
}

export class Muster {
  readonly cluster: string;
  /** The topic registry. */
  readonly topics: Topics;
  readonly #transport: Transport;
  readonly #context: MusterContext;
  /** What is open, and what has failed since it started: that must not vanish from `health`. */
  readonly #open = new Set<Closable>();
  #isGone = false;
  #closing: Promise<void> | undefined;

  /** Use `connect`; tests pass ports of their own. */
  constructor(parts: {
    readonly cluster: string;
    readonly clientId: string;
    /** Default: empty. */
    readonly clientHost?: string;
    readonly transport: Transport;
    readonly streams: Streams;
    readonly environment: Environment;
    readonly logger: Logger;
    readonly telemetry?: Telemetry;
  }) {
    const {
      cluster,
      clientId,
      clientHost = '',
      transport,
      streams,
      environment,
      logger,
      telemetry = noTelemetry,
    } = parts;
    const subjects = new Subjects(cluster);
    this.cluster = cluster;
    this.topics = new Topics({ streams, clock: environment.clock, cluster, subjects });
    this.#transport = transport;
    transport.onConnection(({ kind }) => {
      if (kind === 'closed') this.#isGone = true;
    });
    const client = new CoordinatorClient({ transport, subjects, environment, logger });
    this.#context = { client, streams, topics: this.topics, environment, logger, clientId, clientHost, telemetry };
  }

  /**
   * Joins a group as a consumer of topics. Resolves when it is a member and its first round has ended, perhaps with no partition yet:
   * `consumer.assigned()` waits for one.
   * Throws MusterError: INVALID_ARGUMENT, UNKNOWN_TOPIC, TIMEOUT after `joinTimeoutMs`, or what the coordinator refused the member with.
   */
  async consumer<Value = unknown>(options: ConsumerOptions<Value>): Promise<Consumer<Value>> {
    this.#requireOpen();
    checkOptions('consumer', options);
    const consumer = new Consumer<Value>(this.#context, options, options.codec ?? jsonCodec<Value>());
    await this.#start(consumer);
    return consumer;
  }

  /** Joins a group as a plain member. Resolves with the first assignment; throws as `consumer`. */
  async member(options: PlainMemberOptions): Promise<Member> {
    this.#requireOpen();
    checkOptions('member', options);
    const member = new Member(this.#context, options);
    await this.#start(member);
    return member;
  }

  /** @returns a producer for one topic; throws MusterError UNKNOWN_TOPIC, STREAM_UNAVAILABLE */
  async producer<Value = unknown>(options: ProducerOptions<Value>): Promise<Producer<Value>> {
    this.#requireOpen();
    checkOptions('producer', options);
    const { topic: wanted, codec = jsonCodec<Value>(), keyHash, ...limits } = options;
    if (typeof wanted !== 'string') await this.topics.require([wanted]);
    const registered = await this.topics.describe(typeof wanted === 'string' ? wanted : wanted.name);
    const topic = keyHash === undefined ? registered : { ...registered, keyHash };
    const { streams, environment, telemetry, logger } = this.#context;
    if (topic.keyHash !== registered.keyHash) {
      const problem = `keys go by ${topic.keyHash} here, by ${registered.keyHash} where others send: a key may have two partitions`;
      logger.warn('a producer has another keyHash than its topic', { topic: topic.name, problem });
      if (logger === silentLogger) environment.warn?.(`producer of topic ${topic.name}: ${problem}`);
    }
    // Closed while the topic was looked up: nobody would close this one any more.
    this.#requireOpen();
    const producer = new Producer({ topic, codec, streams, environment, telemetry, logger, limits });
    this.#track(producer);
    return producer;
  }

  /** @returns the administration of the cluster's groups; `timeoutMs` bounds each of its calls, default 15,000 */
  admin(options: { readonly timeoutMs?: number } = {}): Admin {
    this.#requireOpen();
    return new Admin(this.#context, options);
  }

  /** @returns how the connection and everything made from it stand: also what still tries to join, and why it does not get on */
  health(): MusterHealth {
    const open = [...this.#open].filter(({ isClosed, failure }) => !isClosed || failure !== undefined);
    const consumers = open.filter((part) => part instanceof Consumer).map((consumer) => consumer.health());
    const members = open.filter((part) => part instanceof Member).map((member) => member.health());
    const isConnected = this.#transport.isConnected();
    const ofPartitions = consumers.flatMap(({ partitions }) => partitions);
    const first = [...consumers, ...members, ...ofPartitions].find((health) => health.problem !== undefined)?.problem;
    const isClosing = this.#closing !== undefined;
    const verdict = this.#isGone && !isClosing ? 'failed' : overallOf(isConnected && !isClosing, consumers, members);
    return { verdict, isConnected, problem: this.#connectionProblem(isConnected) ?? first, consumers, members };
  }

  /**
   * Closes everything made here, each within `timeoutMs`, then the connection if it was opened here. Throws nothing but MusterError
   * INVALID_ARGUMENT for an option that there is none of; then nothing is closed.
   */
  async close(options: CloseOptions = {}): Promise<void> {
    checkOptions('close', options);
    this.#closing ??= this.#close(options);
    await this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(options: CloseOptions): Promise<void> {
    await Promise.all([...this.#open].map((part) => part.close(options)));
    this.#open.clear();
    this.#context.client.close();
    await this.#transport.close();
  }

  /** @returns what has failed and is replaced by this one */
  #track(part: Closable): Closable | undefined {
    for (const known of this.#open) if (known.isClosed && known.failure === undefined) this.#open.delete(known);
    const failed = [...this.#open].filter(({ failure }) => failure !== undefined);
    const replaced = failed.find((known) => known.group === part.group && known.constructor === part.constructor);
    const tooMany = failed.slice(0, Math.max(0, failed.length - FAILED_MAX));
    for (const forgotten of new Set(replaced === undefined ? tooMany : [replaced, ...tooMany])) {
      this.#open.delete(forgotten);
      void forgotten.close();
    }
    this.#open.add(part);
    return replaced;
  }

  /** What does not even start has told its caller and is forgotten; what it was to replace is still missing then. */
  async #start(part: Closable & { start(): Promise<void> }): Promise<void> {
    // Known before it has joined, so that `close` ends one that still tries.
    const replaced = this.#track(part);
    try {
      await part.start();
    } catch (thrown) {
      this.#open.delete(part);
      if (replaced !== undefined && this.#closing === undefined) this.#open.add(replaced);
      throw thrown;
    }
  }

  #connectionProblem(isConnected: boolean): string | undefined {
    if (this.#closing !== undefined) return 'it is closed';
    if (this.#isGone) return 'the connection to NATS is closed for good: connect again';
    return isConnected ? undefined : 'there is no connection to NATS at the moment';
  }

  #requireOpen(): void {
    if (this.#closing !== undefined) throw new MusterError('CLOSED', 'the connection');
  }
}
