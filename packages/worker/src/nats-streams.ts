/**
 * The stream port on real JetStream (nats.js 2). Turns what nats.js throws into MusterErrors, holds no policy.
 */

import {
  AckPolicy,
  DeliverPolicy,
  DiscardPolicy,
  ErrorCode,
  type JetStreamClient,
  type JetStreamManager,
  type KV,
  type NatsConnection,
  NatsError,
  nanos,
  headers as natsHeaders,
  ReplayPolicy,
  RetentionPolicy,
  type SeqMsgRequest,
  StorageType,
} from 'nats';
import type { Environment } from './clock.js';
import { MusterError, messageOf } from './errors.js';
import { NatsReader } from './nats-reader.js';
import type { StreamSubjects } from './stream-shape.js';
import type {
  Bucket,
  Headers,
  PublishOutcome,
  ReaderConfig,
  ReaderEvents,
  StreamBounds,
  StreamConfig,
  StreamReader,
  Streams,
} from './streams.js';
import type { Transport } from './transport.js';

const API_TIMEOUT_MS = 5_000;
/** An ephemeral consumer whose worker is gone ends after this time. */
const READER_INACTIVE_MS = 60_000;
const NO_SUCH_STREAM = 10_059;
const NO_SUCH_KEY = 10_037;
const WRONG_LAST_SEQUENCE = 10_071;
/** Answered with 500 although no other attempt can help: more replicas than servers. */
const REPLICAS_NOT_SUPPORTED = 10_074;

/**
 * Which JetStream holds topics and their registry, where it is not that of the servers connected to: another domain behind a leaf
 * node, or an import of another account under a prefix of its own. One of both.
 */
export interface JetStreamPlace {
  /** Name of the JetStream domain. */
  readonly domain?: string;
  /** Subjects under which the API is to be found, such as `$JS.hub.API`. */
  readonly apiPrefix?: string;
}

export class NatsStreams implements Streams {
  readonly #connection: NatsConnection;
  readonly #transport: Transport;
  readonly #environment: Environment;
  readonly #place: JetStreamPlace;
  readonly #client: JetStreamClient;
  #manager: Promise<JetStreamManager> | undefined;

  constructor(connection: NatsConnection, transport: Transport, environment: Environment, place: JetStreamPlace = {}) {
    this.#connection = connection;
    this.#transport = transport;
    this.#environment = environment;
    this.#place = place;
    this.#client = connection.jetstream({ ...place, timeout: API_TIMEOUT_MS });
  }

  async openReader(config: ReaderConfig, events: ReaderEvents): Promise<StreamReader> {
    const manager = await this.#managed();
    const info = await this.#addConsumer(manager, config);
    let stopListening = () => {};
    const reader = new NatsReader({
      connection: this.#connection,
      manager,
      apiPrefix: this.#client.apiPrefix,
      environment: this.#environment,
      inbox: this.#transport.newInbox(),
      info,
      events: {
        onMessage: events.onMessage,
        onFailed: (error) => {
          stopListening();
          events.onFailed(error);
        },
      },
    });
    // A pull that was under way when the connection broke is lost, and nobody would say so before its idle heartbeats.
    stopListening = this.#transport.onConnection((event) => {
      if (event.kind === 'connected' || event.kind === 'closed') reader.fail('the connection was lost');
      else if (event.kind === 'denied' && reader.uses(event.subject)) reader.deny(event.operation, event.subject);
    });
    return {
      behind: reader.behind,
      pull: (count) => reader.pull(count),
      close: () => {
        stopListening();
        reader.close();
      },
    };
  }

  async publish(message: {
    readonly subject: string;
    readonly payload: Uint8Array;
    readonly messageId: string;
    readonly headers: Headers;
    readonly timeoutMs: number;
  }): Promise<PublishOutcome> {
    if (!this.#transport.isConnected()) return { kind: 'unavailable', reason: 'not connected' };
    try {
      const headers = natsHeaders();
      for (const [name, value] of Object.entries(message.headers)) headers.set(name, value);
      const options = { msgID: message.messageId, timeout: message.timeoutMs, headers };
      const ack = await this.#client.publish(message.subject, message.payload, options);
      return { kind: 'stored', stream: ack.stream, offset: ack.seq, duplicate: ack.duplicate };
    } catch (thrown) {
      const { retriable } = streamError(thrown);
      return { kind: retriable ? 'unavailable' : 'refused', reason: this.#reasonOf(thrown, message.payload) };
    }
  }

  /** @returns why a message was not stored, without the text of a code: who throws it adds that */
  #reasonOf(thrown: unknown, payload: Uint8Array): string {
    if (!(thrown instanceof NatsError) || thrown.code !== ErrorCode.MaxPayloadExceeded) return reasonOf(thrown);
    const most = this.#connection.info?.max_payload;
    return `a value of ${payload.byteLength} bytes with its headers is too large: max_payload of the server is ${most} bytes`;
  }

  async bounds(stream: string): Promise<StreamBounds> {
    const manager = await this.#managed();
    const { state, created } = await throwing(manager.streams.info(stream));
    // An empty stream says 0 on some versions; its first message gets 1.
    return { firstOffset: Math.max(1, state.first_seq), nextOffset: state.last_seq + 1, created };
  }

  async countFrom(config: ReaderConfig): Promise<number> {
    const manager = await this.#managed();
    const info = await this.#addConsumer(manager, config);
    manager.consumers.delete(info.stream_name, info.name).catch(() => {});
    return info.num_pending;
  }

  async offsetAt(at: { readonly stream: string; readonly subject: string; readonly timeMs: number }): Promise<number> {
    const manager = await this.#managed();
    const info = await throwing(
      manager.consumers.add(at.stream, {
        ...readerConfig(this.#environment.newId(), at.subject),
        deliver_policy: DeliverPolicy.StartTime,
        opt_start_time: new Date(at.timeMs).toISOString(),
      }),
    );
    manager.consumers.delete(info.stream_name, info.name).catch(() => {});
    // Where the consumer stands before it has delivered anything; older servers do not look at the subject for that.
    const from = { stream: at.stream, subject: at.subject, startOffset: info.delivered.stream_seq + 1 };
    return (await this.firstFrom(from))?.offset ?? (await this.bounds(at.stream)).nextOffset;
  }

  async firstFrom(config: ReaderConfig) {
    const manager = await this.#managed();
    // The one request of this API that nats.js has no type for: the next message of a subject from a sequence on.
    const query: SeqMsgRequest & { readonly next_by_subj: string } = {
      seq: Math.max(1, config.startOffset),
      next_by_subj: config.subject,
    };
    try {
      const found = await manager.streams.getMessage(config.stream, query);
      return { offset: found.seq, subject: found.subject, timestampMs: found.time.getTime() };
    } catch (thrown) {
      if (apiCode(thrown) === NO_SUCH_KEY) return undefined;
      throw streamError(thrown);
    }
  }

  async lastOf(of: { readonly stream: string; readonly subject: string }) {
    const manager = await this.#managed();
    const found = await orMissing(manager.streams.getMessage(of.stream, { last_by_subj: of.subject }), undefined);
    return found === undefined ? undefined : { offset: found.seq };
  }

  async subjectsOf(stream: string): Promise<StreamSubjects | undefined> {
    const manager = await this.#managed();
    const info = await orMissing(manager.streams.info(stream), undefined);
    if (info === undefined) return undefined;
    const { subjects: takesIn = [], subject_transform: transform } = info.config;
    if (transform === undefined) return { takesIn };
    return { takesIn, transform: { src: transform.src ?? '', dest: transform.dest ?? '' } };
  }

  async createStream(config: StreamConfig): Promise<void> {
    const manager = await this.#managed();
    await throwing(
      manager.streams.add({
        name: config.name,
        subjects: [...config.subjects],
        num_replicas: config.replicas,
        storage: config.storage === 'file' ? StorageType.File : StorageType.Memory,
        retention: RetentionPolicy.Limits,
        discard: DiscardPolicy.Old,
        max_age: nanos(config.maxAgeMs),
        max_bytes: config.maxBytes === 0 ? -1 : config.maxBytes,
        duplicate_window: nanos(config.duplicateWindowMs),
      }),
    );
  }

  async deleteStream(name: string): Promise<boolean> {
    const manager = await this.#managed();
    try {
      return await manager.streams.delete(name);
    } catch (thrown) {
      if (apiCode(thrown) === NO_SUCH_STREAM) return false;
      throw streamError(thrown);
    }
  }

  bucket(name: string): Bucket {
    return new NatsBucket(this.#client, name);
  }

  #addConsumer(manager: JetStreamManager, config: ReaderConfig) {
    return throwing(
      manager.consumers.add(config.stream, {
        ...readerConfig(this.#environment.newId(), config.subject),
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: Math.max(1, config.startOffset),
      }),
    );
  }

  #managed(): Promise<JetStreamManager> {
    this.#manager ??= this.#connection.jetstreamManager({
      ...this.#place,
      timeout: API_TIMEOUT_MS,
      checkAPI: false,
    });
    return throwing(this.#manager);
  }
}

/** A reader keeps nothing on disk and acknowledges nothing. */
function readerConfig(name: string, subject: string) {
  return {
    name,
    ack_policy: AckPolicy.None,
    filter_subject: subject,
    replay_policy: ReplayPolicy.Instant,
    mem_storage: true,
    num_replicas: 1,
    inactive_threshold: nanos(READER_INACTIVE_MS),
  };
}

class NatsBucket implements Bucket {
  readonly #client: JetStreamClient;
  readonly #name: string;

  constructor(client: JetStreamClient, name: string) {
    this.#client = client;
    this.#name = name;
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const kv = await this.#bound();
    if (kv === undefined) return undefined;
    const entry = await orMissing(kv.get(key), null);
    return entry === null || entry.operation !== 'PUT' ? undefined : entry.value;
  }

  async create(key: string, value: Uint8Array, replicas: number): Promise<boolean> {
    const options = { replicas, history: 1, allow_direct: false, timeout: API_TIMEOUT_MS };
    const kv = await throwing(this.#client.views.kv(this.#name, options));
    try {
      await kv.create(key, value);
      return true;
    } catch (thrown) {
      if (apiCode(thrown) === WRONG_LAST_SEQUENCE) return false;
      throw streamError(thrown);
    }
  }

  async entries(): Promise<ReadonlyMap<string, Uint8Array>> {
    const found = new Map<string, Uint8Array>();
    const kv = await this.#bound();
    if (kv === undefined) return found;
    const keys = await orMissing(this.#keysOf(kv), []);
    for (const key of keys) {
      const entry = await orMissing(kv.get(key), null);
      if (entry?.operation === 'PUT') found.set(key, entry.value);
    }
    return found;
  }

  async delete(key: string): Promise<void> {
    const kv = await this.#bound();
    if (kv !== undefined) await orMissing(kv.purge(key), undefined);
  }

  async #keysOf(kv: KV): Promise<string[]> {
    const keys: string[] = [];
    for await (const key of await kv.keys()) keys.push(key);
    return keys;
  }

  /** @returns the bucket, or undefined where nobody has made it yet */
  #bound(): Promise<KV | undefined> {
    const options = { bindOnly: true, timeout: API_TIMEOUT_MS };
    return orMissing(this.#client.views.kv(this.#name, options), undefined);
  }
}

/** Awaits a JetStream call and throws MusterErrors. */
async function throwing<Value>(call: Promise<Value>): Promise<Value> {
  try {
    return await call;
  } catch (thrown) {
    throw streamError(thrown);
  }
}

/** The same, with a substitute for a stream or key that does not exist. */
async function orMissing<Value, Substitute>(call: Promise<Value>, substitute: Substitute): Promise<Value | Substitute> {
  try {
    return await call;
  } catch (thrown) {
    const code = apiCode(thrown);
    if (code === NO_SUCH_STREAM || code === NO_SUCH_KEY) return substitute;
    throw streamError(thrown);
  }
}

function apiCode(thrown: unknown): number | undefined {
  return thrown instanceof NatsError ? thrown.api_error?.err_code : undefined;
}

/** What nats.js says when the server, its leader or the way to it is missing for the moment. */
const passingCodes: ReadonlySet<string> = new Set([
  ErrorCode.NoResponders,
  ErrorCode.Timeout,
  ErrorCode.Disconnect,
  ErrorCode.Cancelled,
  ErrorCode.ConnectionClosed,
  ErrorCode.ConnectionDraining,
  ErrorCode.ConnectionRefused,
  ErrorCode.ConnectionTimeout,
]);

/** JetStream's own 5xx answers and everything about the connection are worth another try; the rest is a refusal. */
function streamError(thrown: unknown): MusterError {
  if (thrown instanceof NatsError && thrown.isPermissionError()) {
    return new MusterError('TOPIC_AUTHORIZATION_FAILED', messageOf(thrown), { cause: thrown });
  }
  if (apiCode(thrown) === NO_SUCH_STREAM)
    return new MusterError('UNKNOWN_STREAM', messageOf(thrown), { cause: thrown });
  const isPassing =
    thrown instanceof NatsError &&
    (thrown.api_error === undefined ? passingCodes.has(thrown.code) : isPassingAnswer(thrown.api_error));
  return new MusterError(isPassing ? 'STREAM_UNAVAILABLE' : 'STREAM_REFUSED', reasonOf(thrown), { cause: thrown });
}

function isPassingAnswer({ code, err_code: what }: { readonly code: number; readonly err_code?: number }): boolean {
  return code >= 500 && what !== REPLICAS_NOT_SUPPORTED;
}

function reasonOf(thrown: unknown): string {
  const isNobody = thrown instanceof NatsError && thrown.code === ErrorCode.NoResponders;
  return isNobody
    ? 'nobody listens (503): does the stream exist, has it a leader, is JetStream enabled?'
    : messageOf(thrown);
}
