/**
 * One read of a log: a short-lived pull consumer over one subject, from a sequence to a sequence or to the end.
 *
 * Does not judge what is missing, and does not retry. A consumer may live on a replica that lags: the end that it knows is not
 * always the end of the log (K4 is the caller's).
 *
 * 1. Frames are handed on in order; a hole in the consumer's own numbering ends the read as unavailable.
 * 2. Silence ends the read as unavailable, and so does the loss of the connection, at once.
 */

import { LogStoreUnavailable, type StoredFrame } from '@muster/log';
import type { Msg, NatsConnection, Subscription } from 'nats';
import { type JetStreamApi, numberIn, textIn } from './jetstream-api.js';
import { readDelivery } from './kv-message.js';
import { linkOf } from './link.js';

export type LogReadRequest = {
  readonly stream: string;
  readonly subject: string;
  readonly fromSeq: number;
  readonly throughSeq: number;
  readonly onFrame: (frame: StoredFrame) => void;
  /** Longest silence, in ms. */
  readonly idleMs: number;
};

/** A consumer just made on another server is not known to ours yet: asking it finds no responders for a moment. */
const UNKNOWN_PAUSE_MS = 3;
/** Frames asked for at a time: at 256 kB each far below the 64 MiB at which a server cuts a slow client. */
const BATCH = 100;
/** How long the server keeps the consumer where it could not be deleted. */
const ABANDONED_MS = 10_000;
const NANOS = 1_000_000;

/** @throws LogStoreUnavailable */
export async function readLog(nc: NatsConnection, api: JetStreamApi, request: LogReadRequest): Promise<void> {
  const { stream, subject, fromSeq, idleMs } = request;
  const made = await api.call(
    `CONSUMER.CREATE.${stream}`,
    {
      stream_name: stream,
      config: {
        deliver_policy: 'by_start_sequence',
        opt_start_seq: Math.max(1, fromSeq),
        filter_subject: subject,
        ack_policy: 'none',
        replay_policy: 'instant',
        num_replicas: 1,
        mem_storage: true,
        inactive_threshold: ABANDONED_MS * NANOS,
      },
    },
    idleMs,
  );
  if (made.kind === 'unavailable') throw new LogStoreUnavailable(`${subject}: ${made.cause}`);
  if (made.kind === 'error') throw new LogStoreUnavailable(`${subject}: ${made.description}`);
  const consumer = textIn(made.body, 'name');
  if (consumer === undefined) throw new LogStoreUnavailable(`${subject}: the consumer has no name`);
  try {
    if (numberIn(made.body, 'num_pending') === 0) return;
    await new Pull(nc, `${api.prefix}.CONSUMER.MSG.NEXT.${stream}.${consumer}`, request).run();
  } finally {
    void api.call(`CONSUMER.DELETE.${stream}.${consumer}`, undefined, idleMs);
  }
}

class Pull {
  readonly #nc: NatsConnection;
  readonly #next: string;
  readonly #request: LogReadRequest;
  #inbox = '';
  #subscription: Subscription | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopListening: () => void = () => undefined;
  #consumerSeq = 0;
  #leftOfBatch = 0;
  #cause = 'no frame in time';
  #end: (error?: Error) => void = () => undefined;

  /** @param next where messages of the consumer are asked for */
  constructor(nc: NatsConnection, next: string, request: LogReadRequest) {
    this.#nc = nc;
    this.#next = next;
    this.#request = request;
  }

  run(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#end = (error) => {
        this.#close();
        if (error === undefined) resolve();
        else reject(error);
      };
      this.#open();
    });
  }

  #open(): void {
    const link = linkOf(this.#nc);
    if (!link.connected) return this.#unavailable('disconnected');
    this.#inbox = link.newInbox();
    this.#stopListening = link.onChange((connected) => {
      if (!connected) this.#unavailable('disconnected');
    });
    try {
      this.#subscription = this.#nc.subscribe(this.#inbox, {
        callback: (error, message) => {
          if (error !== null) this.#unavailable(error.message);
          else this.#onMessage(message);
        },
      });
      this.#ask();
    } catch (error) {
      // Subscribing and publishing throw while a connection is being drained.
      this.#unavailable(error instanceof Error ? error.message : String(error));
    }
  }

  #ask(): void {
    this.#leftOfBatch = BATCH;
    this.#rearm();
    this.#publishAsk();
  }

  /** Without more time: what stays unknown ends as silence. */
  #askAgain(): void {
    this.#cause = 'the consumer is not known';
    setTimeout(() => {
      if (this.#subscription !== undefined && linkOf(this.#nc).connected) this.#publishAsk();
    }, UNKNOWN_PAUSE_MS);
  }

  #publishAsk(): void {
    const expires = this.#request.idleMs * NANOS;
    this.#nc.publish(this.#next, JSON.stringify({ batch: BATCH, expires }), { reply: this.#inbox });
  }

  #onMessage(message: Msg): void {
    if (this.#subscription === undefined) return;
    const delivery = readDelivery(message.reply ?? '');
    if (delivery === undefined) {
      // A status of the pull: idle, ended early, no such consumer. Whatever it is, the frames did not come.
      if (message.headers?.code === 503) return this.#askAgain();
      return this.#unavailable(`status ${message.headers?.code ?? 'unknown'} ${message.headers?.description ?? ''}`);
    }
    const { streamSeq, consumerSeq, pending } = delivery;
    if (consumerSeq !== this.#consumerSeq + 1) return this.#unavailable('the consumer skipped a frame');
    this.#consumerSeq = consumerSeq;
    if (streamSeq > this.#request.throughSeq) return this.#end();
    try {
      this.#request.onFrame({ seq: streamSeq, bytes: message.data });
    } catch (error) {
      return this.#end(error instanceof Error ? error : new Error(String(error)));
    }
    if (streamSeq === this.#request.throughSeq || pending === 0) return this.#end();
    this.#leftOfBatch -= 1;
    if (this.#leftOfBatch === 0) this.#ask();
    else this.#rearm();
  }

  #rearm(): void {
    if (this.#timer !== undefined) this.#timer.refresh();
    else this.#timer = setTimeout(() => this.#unavailable(this.#cause), this.#request.idleMs);
  }

  #unavailable(cause: string): void {
    this.#end(new LogStoreUnavailable(`${this.#request.subject}: ${cause}`));
  }

  #close(): void {
    this.#stopListening();
    clearTimeout(this.#timer);
    this.#subscription?.unsubscribe();
    this.#subscription = undefined;
    this.#end = () => undefined;
  }
}
