/**
 * A reader on real JetStream: an ephemeral pull consumer in memory, without acks, of one subject.
 *
 * N1 consumer sequences without a gap, or the reader fails: what is handed out is complete and in order.
 * N2 one pull request at a time, bounded in messages and bytes.
 * N3 silence of two idle heartbeats while a pull is open, a lost connection or an end of the consumer fail the reader.
 */

import { type ConsumerInfo, type JetStreamManager, type Msg, type NatsConnection, nanos } from 'nats';
import type { Cancel, Environment } from './clock.js';
import { MusterError } from './errors.js';
import type { Headers, ReaderEvents, StreamReader } from './streams.js';

const PULL_EXPIRES_MS = 30_000;
const IDLE_HEARTBEAT_MS = 2_000;
const PULL_BYTES = 4 * 1024 * 1024;

export interface NatsReaderOptions {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  readonly apiPrefix: string;
  readonly environment: Environment;
  readonly inbox: string;
  readonly info: ConsumerInfo;
  readonly events: ReaderEvents;
}

export class NatsReader implements StreamReader {
  readonly behind: number;
  readonly #options: NatsReaderOptions;
  readonly #subscription: { unsubscribe(): void };
  readonly #nextSubject: string;
  #delivered = 0;
  #wanted = 0;
  #pulled = 0;
  #pullNumber = 0;
  #cancelWatchdog: Cancel = () => {};
  #isClosed = false;

  constructor(options: NatsReaderOptions) {
    this.#options = options;
    this.behind = options.info.num_pending;
    this.#nextSubject = `${options.apiPrefix}.CONSUMER.MSG.NEXT.${options.info.stream_name}.${options.info.name}`;
    this.#subscription = options.connection.subscribe(`${options.inbox}.*`, {
      callback: (error, message) => {
        if (this.#isClosed) return;
        if (error !== null) this.fail(error.message);
        else if (message.reply?.startsWith('$JS.ACK.')) this.#onMessage(message, message.reply);
        else this.#onStatus(message);
      },
    });
  }

  pull(count: number): void {
    this.#wanted += count;
    if (this.#pulled === 0) this.#request();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelWatchdog();
    const { connection, manager, info } = this.#options;
    if (connection.isClosed()) return;
    this.#subscription.unsubscribe();
    // Kindness only: an abandoned consumer ends by itself.
    manager.consumers.delete(info.stream_name, info.name).catch(() => {});
  }

  /** Ends the reader: what follows could be incomplete. */
  fail(reason: string): void {
    this.#end(new MusterError('STREAM_UNAVAILABLE', reason));
  }

  /** @returns whether a subject is one that this reader publishes or listens to */
  uses(subject: string): boolean {
    return subject === this.#nextSubject || subject === `${this.#options.inbox}.*`;
  }

  /** The server does not allow what this reader needs. */
  deny(operation: string, subject: string): void {
    this.#end(new MusterError('TOPIC_AUTHORIZATION_FAILED', `NATS permissions deny ${operation} on ${subject}`));
  }

  #end(error: MusterError): void {
    if (this.#isClosed) return;
    this.close();
    this.#options.events.onFailed(error);
  }

  #request(): void {
    if (this.#wanted === 0 || this.#isClosed) return;
    this.#pulled = this.#wanted;
    this.#wanted = 0;
    this.#pullNumber += 1;
    const { connection, inbox } = this.#options;
    const bytes = Math.max(PULL_BYTES, (connection.info?.max_payload ?? 0) + 64 * 1024);
    const body = {
      batch: this.#pulled,
      max_bytes: bytes,
      expires: nanos(PULL_EXPIRES_MS),
      idle_heartbeat: nanos(IDLE_HEARTBEAT_MS),
    };
    this.#watch();
    try {
      connection.publish(this.#nextSubject, JSON.stringify(body), { reply: `${inbox}.${this.#pullNumber}` });
    } catch (error) {
      this.fail(String(error));
    }
  }

  #onMessage(message: Msg, reply: string): void {
    const info = deliveryOf(reply);
    if (info.deliverySequence !== this.#delivered + 1) {
      this.fail(`message ${this.#delivered + 1} of the consumer is missing`);
      return;
    }
    this.#delivered += 1;
    this.#pulled = Math.max(0, this.#pulled - 1);
    if (this.#pulled === 0) this.#cancelWatchdog();
    else this.#watch();
    this.#options.events.onMessage({
      offset: info.streamSequence,
      subject: message.subject,
      payload: message.data,
      headers: headersOf(message),
      timestampMs: info.timestampMs,
      behind: info.pending,
    });
    if (this.#pulled === 0) this.#request();
  }

  #onStatus(message: Msg): void {
    if (!message.subject.endsWith(`.${this.#pullNumber}`)) return;
    const code = message.headers?.code ?? 0;
    const description = message.headers?.description ?? '';
    if (code === 100) {
      this.#watch();
    } else if (code === 404 || code === 408 || (code === 409 && /batch completed|maxbytes/i.test(description))) {
      // The pull is over; what it did not bring is asked for again.
      this.#wanted += this.#pulled;
      this.#pulled = 0;
      this.#request();
    } else {
      this.fail(`${code} ${description}`);
    }
  }

  #watch(): void {
    this.#cancelWatchdog();
    this.#cancelWatchdog = this.#options.environment.clock.after(2 * IDLE_HEARTBEAT_MS + 500, () =>
      this.fail('nothing heard for two idle heartbeats'),
    );
  }
}

/**
 * What the reply subject of a delivered message says:
 * `$JS.ACK.<stream>.<consumer>.<times>.<stream seq>.<consumer seq>.<ns>.<pending>`, newer servers with domain and account
 * before the stream and a token behind.
 */
function deliveryOf(reply: string) {
  const tokens = reply.split('.');
  const at = tokens.length === 9 ? 4 : 6;
  return {
    streamSequence: Number(tokens[at + 1]),
    deliverySequence: Number(tokens[at + 2]),
    timestampMs: Math.floor(Number(tokens[at + 3]) / 1_000_000),
    pending: Number(tokens[at + 4]),
  };
}

/** @returns the application's headers: those of NATS itself stay out */
function headersOf(message: Msg): Headers {
  const { headers } = message;
  if (headers === undefined) return {};
  const own: Record<string, string> = {};
  for (const [name, values] of headers) {
    const value = values[0];
    if (value !== undefined && !name.startsWith('Nats-')) own[name] = value;
  }
  return own;
}
