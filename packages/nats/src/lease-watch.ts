/**
 * Watches the lease store's stream: every key as it stands, then every change, through losses of servers and connections.
 *
 * A push consumer tells changes at once. It lives on one server only: where that goes, it is silent, and a new one cannot
 * be made while the cluster elects leaders. Until then the stream is walked, one message after the other, by asking its
 * leader. The client's own watch is blind for about 12 s in that case (nats.md section 5.1); this one for about 1 s, or as
 * long as the stream itself has no leader.
 *
 * Does not deliver every change: the stream keeps one message for each key, and a revision that is replaced before the
 * consumer has read it is gone. The newest of each key always comes; nobody may count on seeing what was in between.
 *
 * 1. Revisions are delivered in growing order; what was delivered is not delivered again. Only a stream that was made anew
 *    starts over. 2. A hole in the consumer's numbering ends the consumer, and the next starts behind the last entry
 *    delivered. 3. One consumer or one walk at a time; messages of a former consumer are not looked at.
 */

import type { LeaseEntry } from '@muster/cluster';
import type { Msg, NatsConnection } from 'nats';
import { flushWithin } from './bus.js';
import type { ApiAnswer, JetStreamApi } from './jetstream-api.js';
import { API_ERROR, numberIn, textIn } from './jetstream-api.js';
import { isRemoval, readDelivery, readStoredEntry } from './kv-message.js';
import type { Link } from './link.js';
import { linkOf, throwOutside } from './link.js';

/** How often an idle consumer says that it lives. */
const HEARTBEAT_MS = 500;
/** Silence after which a consumer counts as lost: two heartbeats and some. */
const SILENCE_MS = 1_100;
const CHECK_MS = 200;
/** Limit of an API call: short, because a call that a dead server should answer is better made again. */
const CALL_TIMEOUT_MS = 1_000;
const RETRY_PAUSE_MS = 200;
/** How long the server keeps a consumer that nobody listens to, where we could not delete it. */
const ABANDONED_MS = 10_000;
/** Most messages of one walk; the next walk goes on from there. */
const WALK_MAX = 10_000;

/** One consumer: what it has delivered, and when it was last heard. */
type Consumer = { readonly stop: () => void; lastHeardAt: number; lastSeq: number; isLost: boolean };

export class LeaseWatch {
  readonly #nc: NatsConnection;
  readonly #link: Link;
  readonly #api: JetStreamApi;
  readonly #bucket: string;
  readonly #stream: string;
  readonly #onEntry: (entry: LeaseEntry) => void;
  readonly #onReady: () => void;
  /** Revision of the last entry delivered. */
  #lastRevision = 0;
  /** When the stream was made: another time is another stream, whose sequences say nothing about ours. */
  #streamMadeAt: string | undefined;
  #isReady = false;
  #isStopped = false;
  #wake: () => void = () => undefined;

  constructor(
    nc: NatsConnection,
    api: JetStreamApi,
    bucket: string,
    onEntry: (entry: LeaseEntry) => void,
    onReady: () => void,
  ) {
    this.#nc = nc;
    this.#link = linkOf(nc);
    this.#api = api;
    this.#bucket = bucket;
    this.#stream = `KV_${bucket}`;
    this.#onEntry = onEntry;
    this.#onReady = onReady;
  }

  /** Follows the stream until `stop`. Never rejects. */
  async run(): Promise<void> {
    while (!this.#isStopped && !this.#nc.isClosed() && !this.#nc.isDraining()) {
      if (!(await this.#followOnce())) await this.#pause(RETRY_PAUSE_MS);
    }
  }

  /** @returns whether there was a consumer for a while: then the next may be made at once */
  async #followOnce(): Promise<boolean> {
    if (!this.#link.connected || !(await this.#isSameStream())) return false;
    const consumer = await this.#createConsumer();
    if (consumer === undefined) {
      await this.#walk();
      return false;
    }
    await this.#untilLost(consumer);
    consumer.stop();
    return true;
  }

  stop(): void {
    this.#isStopped = true;
    this.#wake();
  }

  async #isSameStream(): Promise<boolean> {
    const info = await this.#api.call(`STREAM.INFO.${this.#stream}`, undefined, CALL_TIMEOUT_MS);
    const madeAt = info.kind === 'ok' ? textIn(info.body, 'created') : undefined;
    if (madeAt === undefined) return false;
    if (madeAt === this.#streamMadeAt) return true;
    this.#streamMadeAt = madeAt;
    this.#lastRevision = 0;
    return true;
  }

  async #createConsumer(): Promise<Consumer | undefined> {
    // Subscribing throws while a connection is being drained.
    if (this.#isStopped || this.#nc.isClosed() || this.#nc.isDraining()) return undefined;
    const deliverTo = this.#link.newInbox();
    let name: string | undefined;
    const subscription = this.#nc.subscribe(deliverTo, {
      callback: (error, message) => {
        if (error === null) this.#onMessage(consumer, message);
        else consumer.isLost = true;
      },
    });
    const stop = () => {
      consumer.isLost = true;
      subscription.unsubscribe();
      if (name !== undefined)
        void this.#api.call(`CONSUMER.DELETE.${this.#stream}.${name}`, undefined, CALL_TIMEOUT_MS);
    };
    const consumer: Consumer = { stop, lastHeardAt: performance.now(), lastSeq: 0, isLost: false };
    const made = await this.#api.call(
      `CONSUMER.CREATE.${this.#stream}`,
      { stream_name: this.#stream, config: this.#consumerConfig(deliverTo) },
      CALL_TIMEOUT_MS,
    );
    if (made.kind !== 'ok' || this.#isStopped) {
      stop();
      return undefined;
    }
    name = textIn(made.body, 'name');
    if (numberIn(made.body, 'num_pending') === 0 && consumer.lastSeq === 0) this.#ready();
    return consumer;
  }

  #consumerConfig(deliverTo: string): object {
    const start =
      this.#lastRevision === 0
        ? { deliver_policy: 'last_per_subject' }
        : { deliver_policy: 'by_start_sequence', opt_start_seq: this.#lastRevision + 1 };
    return {
      ...start,
      deliver_subject: deliverTo,
      filter_subject: `$KV.${this.#bucket}.>`,
      ack_policy: 'none',
      max_deliver: 1,
      replay_policy: 'instant',
      idle_heartbeat: HEARTBEAT_MS * 1_000_000,
      inactive_threshold: ABANDONED_MS * 1_000_000,
      mem_storage: true,
      num_replicas: 1,
    };
  }

  #onMessage(consumer: Consumer, message: Msg): void {
    if (consumer.isLost || this.#isStopped) return;
    consumer.lastHeardAt = performance.now();
    if (message.data.length === 0 && message.headers?.code === 100) {
      // A heartbeat names the last message sent: more than we have is a hole (invariant 2).
      const sent = Number(message.headers.get('Nats-Last-Consumer'));
      if (sent > consumer.lastSeq) this.#lose(consumer);
      return;
    }
    const delivery = readDelivery(message.reply ?? '');
    if (delivery === undefined) return;
    if (delivery.consumerSeq !== consumer.lastSeq + 1) return this.#lose(consumer);
    consumer.lastSeq = delivery.consumerSeq;
    const removed = isRemoval((name) => message.headers?.get(name));
    const key = message.subject.slice(`$KV.${this.#bucket}.`.length);
    this.#deliver({ key, value: removed ? undefined : message.data, revision: delivery.streamSeq });
    if (delivery.pending === 0) this.#ready();
  }

  #lose(consumer: Consumer): void {
    consumer.isLost = true;
    this.#wake();
  }

  async #untilLost(consumer: Consumer): Promise<void> {
    // What was delivered while we were away is gone: after a reconnect the next consumer brings it.
    const forget = this.#link.onChange((connected) => {
      if (!connected) this.#lose(consumer);
    });
    while (!this.#isStopped && !consumer.isLost) {
      await this.#pause(CHECK_MS);
      if (performance.now() - consumer.lastHeardAt <= SILENCE_MS) continue;
      // Perhaps it was us who did not listen: what waits in the socket is read before judging.
      await flushWithin(this.#nc, this.#link, CALL_TIMEOUT_MS);
      if (performance.now() - consumer.lastHeardAt > SILENCE_MS) this.#lose(consumer);
    }
    forget();
  }

  async #walk(): Promise<void> {
    for (let count = 0; count < WALK_MAX && !this.#isStopped; count += 1) {
      const request = { seq: this.#lastRevision + 1, next_by_subj: `$KV.${this.#bucket}.>` };
      const answer: ApiAnswer = await this.#api.call(`STREAM.MSG.GET.${this.#stream}`, request, CALL_TIMEOUT_MS);
      if (this.#isStopped) return;
      if (answer.kind === 'error' && answer.code === API_ERROR.messageNotFound) return this.#ready();
      const entry = answer.kind === 'ok' ? readStoredEntry(this.#bucket, answer.body) : undefined;
      if (entry === undefined) return;
      this.#deliver(entry);
    }
  }

  #deliver(entry: LeaseEntry): void {
    if (entry.revision <= this.#lastRevision) return;
    this.#lastRevision = entry.revision;
    this.#guarded(() => this.#onEntry(entry));
  }

  #ready(): void {
    if (this.#isReady || this.#isStopped) return;
    this.#isReady = true;
    this.#guarded(this.#onReady);
  }

  #guarded(run: () => void): void {
    try {
      run();
    } catch (error) {
      throwOutside(error);
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
