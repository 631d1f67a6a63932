/**
 * The producer: key to partition, pipelined acks, the same message id until there is an ack.
 *
 * P1 a message is stored once within the stream's duplicate window, however often it had to be sent.
 * P2 the messages of a partition keep their order (partition-sender.ts says how far, and at what price).
 * P3 bounded: messages in flight, messages waiting, their bytes, time.
 */

import { setMaxListeners } from 'node:events';
import { checkOptions } from './check-options.js';
import type { Environment } from './clock.js';
import { CLOSE_TIMEOUT_MS } from './closing.js';
import type { Codec } from './codecs.js';
import { asMusterError, MusterError, messageOf } from './errors.js';
import { Gate } from './gate.js';
import type { Logger } from './logger.js';
import { PartitionSender } from './partition-sender.js';
import type { Streams } from './streams.js';
import type { Telemetry } from './telemetry.js';
import {
  hasKeyInSubject,
  KEY_HEADER,
  type Key,
  keyTokens,
  messageSubject,
  partitionOfKey,
  type TopicSpec,
} from './topic.js';
import { withinMs } from './waiting.js';

export interface OutgoingMessage<Value> {
  /** Without a key the partitions take turns. */
  readonly key?: Key;
  readonly value: Value;
  readonly headers?: Readonly<Record<string, string>>;
  /** The same id is stored once; without it, one is made for this call. */
  readonly messageId?: string;
  /** Instead of the key's partition. */
  readonly partition?: number;
}

export interface Stored {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** A message of the same id was stored before. */
  readonly duplicate: boolean;
}

export interface ProducerLimits {
  /** Messages on their way at a time. Default 1,000. */
  readonly maxInFlight?: number;
  /** Of these, of one partition. Default 256; 1 keeps the order whatever happens. */
  readonly maxInFlightPerPartition?: number;
  /** Messages that may wait for their turn. Default 10,000; then `send` refuses with QUEUE_FULL. */
  readonly maxWaiting?: number;
  /** How long one `send` may take. Default 30,000 ms. */
  readonly deliveryTimeoutMs?: number;
}

/** Of all that is in flight or waits, beside their number. kafka: buffer.memory; here it is a guard against running out of memory. */
const PENDING_BYTES_MAX = 256 * 1024 * 1024;

/** Made once: a send looks every field up in it, nothing more. */
const messageFields: ReadonlySet<string> = new Set<keyof OutgoingMessage<unknown>>([
  'key',
  'value',
  'headers',
  'messageId',
  'partition',
]);
/** What is meant by fields that others have. */
const meant: ReadonlyMap<string, string> = new Map([
  ['messages', 'one message for each send: { key, value }'],
  ['topic', 'the topic is that of the producer'],
  ['acks', 'a send always waits for the ack of JetStream'],
  ['timeout', 'the producer has deliveryTimeoutMs'],
  ['timestamp', 'JetStream gives the time'],
  ['id', 'messageId'],
  ['msgID', 'messageId'],
  ['messageID', 'messageId'],
  ['messageid', 'messageId'],
]);

export class Producer<Value> {
  readonly topic: TopicSpec;
  readonly #codec: Codec<Value>;
  readonly #streams: Streams;
  readonly #environment: Environment;
  readonly #telemetry: Telemetry;
  readonly #limits: Required<ProducerLimits>;
  readonly #inFlight: Gate;
  readonly #senders = new Map<number, PartitionSender>();
  readonly #pending = new Set<Promise<unknown>>();
  readonly #closing = new AbortController();
  readonly #givenUp = new AbortController();
  readonly #logger: Logger;
  /** Sends that failed since the last flush. */
  #failed = 0;
  #pendingBytes = 0;
  #turn: number;

  constructor(options: {
    readonly topic: TopicSpec;
    readonly codec: Codec<Value>;
    readonly streams: Streams;
    readonly environment: Environment;
    readonly telemetry: Telemetry;
    readonly logger: Logger;
    readonly limits: ProducerLimits;
  }) {
    // One listener for each message in flight: their number is no leak.
    setMaxListeners(0, this.#givenUp.signal);
    this.topic = options.topic;
    this.#logger = options.logger;
    this.#codec = options.codec;
    this.#streams = options.streams;
    this.#environment = options.environment;
    this.#telemetry = options.telemetry;
    this.#limits = {
      maxInFlight: options.limits.maxInFlight ?? 1_000,
      maxInFlightPerPartition: options.limits.maxInFlightPerPartition ?? 256,
      maxWaiting: options.limits.maxWaiting ?? 10_000,
      deliveryTimeoutMs: options.limits.deliveryTimeoutMs ?? 30_000,
    };
    this.#inFlight = new Gate(this.#limits.maxInFlight);
    this.#turn = Math.floor(this.#environment.random() * this.topic.partitions);
  }

  get isClosed(): boolean {
    return this.#closing.signal.aborted && this.#pending.size === 0;
  }

  /**
   * Sends one message; calls may overlap, their messages of one partition are stored in the order of the calls (P2).
   * @returns where it was stored; throws MusterError TIMEOUT (perhaps stored: the same messageId may be sent again),
   *   STREAM_REFUSED, QUEUE_FULL, INVALID_ARGUMENT, CLOSED
   */
  send(message: OutgoingMessage<Value>): Promise<Stored> {
    const sending = this.#send(message);
    // Not every caller waits for its send; `flush` does, and what failed is never silent.
    const settled: Promise<void> = sending.then(
      () => {},
      (thrown: unknown) => this.#onFailed(thrown),
    );
    this.#pending.add(settled);
    void settled.then(() => this.#pending.delete(settled));
    return sending;
  }

  /** Waits until every send has ended, one way or the other. @returns how many have failed since the last flush */
  async flush(): Promise<number> {
    while (this.#pending.size > 0) await Promise.all([...this.#pending]);
    const failed = this.#failed;
    this.#failed = 0;
    return failed;
  }

  /**
   * Takes no more messages and waits for those under way, at most `timeoutMs` (default 30,000); what has no answer by then is refused
   * with CLOSED: perhaps it is stored. Throws nothing but MusterError INVALID_ARGUMENT for an option that there is none of.
   */
  async close(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    checkOptions('close', options);
    this.#closing.abort();
    await withinMs(this.#environment.clock, options.timeoutMs ?? CLOSE_TIMEOUT_MS, this.flush());
    this.#givenUp.abort();
    await this.flush();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #send(message: OutgoingMessage<Value>): Promise<Stored> {
    if (this.#closing.signal.aborted) throw new MusterError('CLOSED', `the producer of ${this.topic.name}`);
    requireMessage(message);
    const deadlineAtMs = this.#environment.clock.now() + this.#limits.deliveryTimeoutMs;
    const partition = message.partition ?? this.#partitionFor(message.key);
    const subject = messageSubject(this.topic, partition, message.key);
    const payload = this.#encode(message.value);
    this.#requireRoom(payload.byteLength);
    const messageId = message.messageId ?? this.#environment.newId();
    const traced = { topic: this.topic.name, partition, headers: this.#headersOf(message) };
    this.#pendingBytes += payload.byteLength;
    try {
      const outcome = await this.#telemetry.send(traced, (headers) =>
        this.#senderOf(partition).submit({ subject, payload, headers, messageId, deadlineAtMs }),
      );
      return { topic: this.topic.name, partition, offset: outcome.offset, duplicate: outcome.duplicate };
    } finally {
      this.#pendingBytes -= payload.byteLength;
    }
  }

  /** P3: in number and in bytes. One message always goes, whatever it takes. */
  #requireRoom(bytes: number): void {
    const { maxInFlight, maxWaiting } = this.#limits;
    const areTooMany = this.#pending.size >= maxInFlight + maxWaiting;
    if (!areTooMany && (this.#pendingBytes === 0 || this.#pendingBytes + bytes <= PENDING_BYTES_MAX)) return;
    const waiting = areTooMany ? `${this.#pending.size} messages` : `${this.#pendingBytes} bytes`;
    throw new MusterError('QUEUE_FULL', `${waiting} are waiting for topic ${this.topic.name}`);
  }

  #onFailed(thrown: unknown): void {
    this.#failed += 1;
    const { code, message } = asMusterError(thrown, 'UNKNOWN_SERVER_ERROR');
    this.#logger.warn('a message was not stored', { topic: this.topic.name, code, error: message });
  }

  #encode(value: Value): Uint8Array {
    try {
      return this.#codec.encode(value);
    } catch (thrown) {
      throw new MusterError(
        'INVALID_ARGUMENT',
        `codec ${this.#codec.name} cannot encode the value: ${messageOf(thrown)}`,
        {
          cause: thrown,
        },
      );
    }
  }

  #headersOf(message: OutgoingMessage<Value>): Readonly<Record<string, string>> {
    for (const [name, value] of Object.entries<unknown>(message.headers ?? {})) {
      if (typeof value === 'string') continue;
      throw new MusterError('INVALID_ARGUMENT', `header ${JSON.stringify(name)} is a text, not ${typeof value}`);
    }
    if (message.key === undefined || hasKeyInSubject(this.topic)) return message.headers ?? {};
    return { ...message.headers, [KEY_HEADER]: keyTokens(message.key).join('.') };
  }

  #partitionFor(key: Key | undefined): number {
    if (key !== undefined) return partitionOfKey(this.topic, key);
    this.#turn = (this.#turn + 1) % this.topic.partitions;
    return this.#turn;
  }

  #senderOf(partition: number): PartitionSender {
    const known = this.#senders.get(partition);
    if (known !== undefined) return known;
    const sender = new PartitionSender({
      streams: this.#streams,
      environment: this.#environment,
      inFlightMax: this.#limits.maxInFlightPerPartition,
      gate: this.#inFlight,
      giveUp: this.#givenUp.signal,
    });
    this.#senders.set(partition, sender);
    return sender;
  }
}

/** Throws MusterError INVALID_ARGUMENT naming a field that no message has: what is not read must not look as if it were. */
function requireMessage(message: unknown): void {
  if (typeof message !== 'object' || message === null) {
    throw new MusterError('INVALID_ARGUMENT', `send takes one message { key, value }, not ${typeof message}`);
  }
  for (const field in message) {
    if (messageFields.has(field)) continue;
    const hint = meant.has(field) ? ` (${meant.get(field)})` : '';
    const known = [...messageFields].join(', ');
    throw new MusterError('INVALID_ARGUMENT', `send: a message has no field ${field}${hint}; it has ${known}`);
  }
  if (!('value' in message)) throw new MusterError('INVALID_ARGUMENT', 'send: a message needs a value');
}
