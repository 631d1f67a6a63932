/**
 * The lease store port on one JetStream stream, which `nats kv` shows as a bucket.
 *
 * Does not decide what an outcome means (rules O3, O4) and never writes twice for one call: after `unknown` the write may
 * have landed, may land later, or never.
 *
 * 1. Every write is conditional. 2. Reads ask the stream leader, never a replica (nats.md fact 6). 3. A write refused as
 * "in flight" (10164) has certainly not been stored: only that is tried again here.
 */

import type { LeaseEntry, LeaseOutcome, LeaseStore } from '@muster/cluster';
import { LeaseStoreUnavailable } from '@muster/cluster';
import type { NatsConnection } from 'nats';
import { headers } from 'nats';
import { API_ERROR, JetStreamApi, numberIn, readApiAnswer } from './jetstream-api.js';
import { bucketWriteSubject } from './jetstream-place.js';
import { keySubject, readStoredEntry } from './kv-message.js';
import type { LeaseStreamOptions } from './lease-stream.js';
import { ensureLeaseStream, LeaseStreamError, leaseBucket } from './lease-stream.js';
import { LeaseWatch } from './lease-watch.js';
import { checkSubject } from './link.js';
import { inboxOf } from './request-inbox.js';
import { tooOldFor } from './server-requirements.js';

export type LeaseStoreOptions = LeaseStreamOptions & {
  /** Limit of one write or read, in ms. Default 2,000. */
  readonly timeoutMs?: number;
};

const TIMEOUT_MS_DEFAULT = 2_000;
/** Pause after "in flight": a write takes 0.5 ms on three replicas; some jitter so that two do not meet again and again. */
const IN_FLIGHT_PAUSE_MS = { min: 2, spread: 8 } as const;

/**
 * Makes or checks the stream, and opens the store on it.
 * @throws LeaseStreamError where the stream is missing, differs, could not be looked at, or the server is too old for it
 */
export async function openLeaseStore(nc: NatsConnection, options: LeaseStoreOptions): Promise<JetStreamLeaseStore> {
  const tooOld = tooOldFor(nc.info?.version, options.replicas);
  if (tooOld !== undefined) throw new LeaseStreamError('SERVER_TOO_OLD', tooOld);
  await ensureLeaseStream(new JetStreamApi(nc), options);
  return new JetStreamLeaseStore(nc, options);
}

export class JetStreamLeaseStore implements LeaseStore {
  readonly #nc: NatsConnection;
  readonly #api: JetStreamApi;
  readonly #bucket: string;
  readonly #timeoutMs: number;

  /** Expects the stream to be there: `openLeaseStore` sees to that. */
  constructor(nc: NatsConnection, options: { readonly cluster: string; readonly timeoutMs?: number }) {
    this.#nc = nc;
    this.#api = new JetStreamApi(nc);
    this.#bucket = leaseBucket(options.cluster);
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS_DEFAULT;
  }

  /** @throws RangeError for a key that is none: the caller's mistake */
  write(key: string, value: Uint8Array, expectedRevision: number): Promise<LeaseOutcome> {
    const subject = keySubject(this.#bucket, key);
    return this.#write(bucketWriteSubject(this.#api.prefix, subject), value, expectedRevision);
  }

  async read(key: string): Promise<LeaseEntry | undefined> {
    const subject = keySubject(this.#bucket, key);
    const path = `STREAM.MSG.GET.KV_${this.#bucket}`;
    const answer = await this.#api.call(path, { last_by_subj: subject }, this.#timeoutMs);
    switch (answer.kind) {
      case 'ok': {
        const entry = readStoredEntry(this.#bucket, answer.body);
        if (entry === undefined) throw new LeaseStoreUnavailable(`the answer for ${subject} is not readable`);
        return entry;
      }
      case 'error':
        if (answer.code === API_ERROR.messageNotFound) return undefined;
        throw new LeaseStoreUnavailable(`${subject}: ${answer.description}`);
      case 'unavailable':
        throw new LeaseStoreUnavailable(`${subject}: ${answer.cause}`);
    }
  }

  /** Resolves at once; it goes on trying for ever where the stream cannot be watched now. */
  watch(onEntry: (entry: LeaseEntry) => void, onReady: () => void): Promise<{ stop(): void }> {
    const watch = new LeaseWatch(this.#nc, this.#api, this.#bucket, onEntry, onReady);
    void watch.run();
    return Promise.resolve({ stop: () => watch.stop() });
  }

  async #write(subject: string, value: Uint8Array, expectedRevision: number): Promise<LeaseOutcome> {
    checkSubject(subject);
    const condition = headers();
    condition.set('Nats-Expected-Last-Subject-Sequence', String(expectedRevision));
    const giveUpAt = performance.now() + this.#timeoutMs;
    for (;;) {
      const leftMs = Math.max(1, giveUpAt - performance.now());
      const answer = await inboxOf(this.#nc).ask(subject, value, leftMs, condition);
      if (answer.kind !== 'reply') return { kind: 'unknown', cause: answer.kind };
      const ack = readApiAnswer(answer.payload);
      switch (ack.kind) {
        case 'ok': {
          const revision = numberIn(ack.body, 'seq');
          if (revision !== undefined) return { kind: 'written', revision };
          return { kind: 'unknown', cause: 'the acknowledgement has no sequence' };
        }
        case 'unavailable':
          return { kind: 'unknown', cause: ack.cause };
        case 'error':
          if (ack.code === API_ERROR.wrongLastSequence) return { kind: 'refused' };
          if (ack.code !== API_ERROR.writeInFlight) return { kind: 'unknown', cause: ack.description };
      }
      const pauseMs = IN_FLIGHT_PAUSE_MS.min + Math.random() * IN_FLIGHT_PAUSE_MS.spread;
      if (performance.now() + pauseMs >= giveUpAt) return { kind: 'unknown', cause: 'another write is in flight' };
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}
