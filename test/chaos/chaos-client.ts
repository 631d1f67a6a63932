/**
 * Requests about groups, sent as the worker library sends them: again until answered, with hints where nobody listens, replies of
 * an earlier reign skipped (rules C1, C2, C5). Bare, so that thousands of members fit into one process.
 *
 * Does not know what an answer means. Every request with its answer goes into the history.
 */

import type { NatsBus } from '@muster/nats';
import type { ApiName, Epoch, ErrorName, LogId, Partition, ReplyOf, RequestOf, Subjects } from '@muster/protocol';
import { encodeRequest, groupApis, parseNotice, parseReply, partitionOf, requestId } from '@muster/protocol';
import { nuid } from 'nats';
import { type HistoryWriter, nowMs, type RequestEvent } from './history.js';

export type Answered<Api extends ApiName> = {
  readonly error: ErrorName | 'NO_ANSWER';
  readonly fields: ReplyOf[Api] | undefined;
  readonly waitMs: number;
};

export type Told = Partial<Pick<RequestEvent, 'committed' | 'fetched' | 'joined' | 'joinedAs'>>;

type Open = {
  readonly api: ApiName;
  readonly body: { readonly groupId: RequestOf[ApiName]['groupId'] };
  readonly partition: Partition;
  readonly subject: string;
  readonly id: string;
  readonly at: number;
  readonly seenEpoch: number;
  readonly resendMs: number;
  readonly deadlineMs: number;
  payload: Uint8Array;
  payloadEpoch: number;
  failures: number;
  timer: NodeJS.Timeout | undefined;
  readonly expiry: NodeJS.Timeout;
  settle(error: ErrorName | 'NO_ANSWER', head: { node: string; epoch: number }, payload: Uint8Array | undefined): void;
};

const BACKOFF_LEAST_MS = 50;
const BACKOFF_MOST_MS = 250;
const HINT_INTERVAL_MS = 250;
const notHereNotNow: ReadonlySet<ErrorName> = new Set([
  'COORDINATOR_LOAD_IN_PROGRESS',
  'COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR',
  'THROTTLING_QUOTA_EXCEEDED',
]);

export class ChaosClient {
  readonly #bus: NatsBus;
  readonly #subjects: Subjects;
  readonly #partitionCount: number;
  readonly #history: HistoryWriter;
  readonly #inbox = `_INBOX.${nuid.next()}`;
  readonly #open = new Map<string, Open>();
  readonly #epochs = new Map<Partition, { readonly epoch: Epoch; readonly log: LogId }>();
  readonly #hintedAt = new Map<Partition, number>();

  constructor(bus: NatsBus, subjects: Subjects, partitionCount: number, history: HistoryWriter) {
    this.#bus = bus;
    this.#subjects = subjects;
    this.#partitionCount = partitionCount;
    this.#history = history;
    bus.subscribe(`${this.#inbox}.*`, ({ subject, payload }) => {
      const open = this.#open.get(subject.slice(this.#inbox.length + 1));
      if (open !== undefined) this.#onReply(open, payload);
    });
    bus.subscribe(`${subjects.prefix}.ev.*`, ({ subject, payload }) => {
      const notice = parseNotice(payload);
      const partition = Number(subject.slice(subjects.prefix.length + 4));
      if (notice?.kind === 'coordinator') this.#resend((open) => open.partition === partition);
    });
    bus.onConnection((connected) => {
      if (connected) this.#resend(() => true);
    });
  }

  /** Sends until answered or `deadlineMs` have passed. @param told what of body and answer goes into the history */
  ask<Api extends ApiName>(
    api: Api,
    body: RequestOf[Api],
    options: { readonly deadlineMs: number; readonly resendMs: number },
    told: (fields: ReplyOf[Api] | undefined, error: string) => Told = () => ({}),
  ): Promise<Answered<Api>> {
    const partition = partitionOf(body.groupId, this.#partitionCount);
    const at = nowMs();
    const id = requestId(nuid.next());
    return new Promise((resolve) => {
      const open: Open = {
        api,
        body,
        partition,
        subject: this.#subjects.group(partition, body.groupId, api),
        id,
        at,
        seenEpoch: this.#epochs.get(partition)?.epoch ?? 0,
        ...options,
        payload: new Uint8Array(),
        payloadEpoch: -1,
        failures: 0,
        timer: undefined,
        expiry: setTimeout(() => open.settle('NO_ANSWER', { node: '', epoch: 0 }, undefined), options.deadlineMs),
        settle: (error, { node, epoch }, payload) => {
          clearTimeout(open.timer);
          clearTimeout(open.expiry);
          this.#open.delete(id);
          const fields = payload === undefined ? undefined : readFields(api, payload);
          const done = nowMs();
          this.#history.write({
            kind: 'request',
            at,
            done,
            api,
            group: body.groupId,
            member: 'memberId' in body ? body.memberId : '',
            generation: 'generationId' in body ? body.generationId : -1,
            error,
            partition,
            node,
            epoch,
            seenEpoch: open.seenEpoch,
            ...told(fields, error),
          });
          resolve({ error, fields, waitMs: done - at });
        },
      };
      this.#open.set(id, open);
      this.#send(open);
    });
  }

  #send(open: Open): void {
    const seen = this.#epochs.get(open.partition);
    const epoch = seen?.epoch ?? 0;
    if (epoch > open.payloadEpoch) {
      open.payload = encodeRequest({ id: requestId(open.id), deadlineMs: open.deadlineMs, ...seen }, open.body);
      open.payloadEpoch = epoch;
    }
    this.#later(open, open.resendMs);
    this.#bus.publish(open.subject, open.payload, `${this.#inbox}.${open.id}`);
  }

  #later(open: Open, ms: number): void {
    clearTimeout(open.timer);
    open.timer = setTimeout(() => this.#send(open), ms);
  }

  #onReply(open: Open, payload: Uint8Array): void {
    if (payload.byteLength === 0) {
      this.#hint(open);
      return this.#retry(open);
    }
    const reply = parseReply<unknown>(groupApis[open.api], payload);
    if (reply.kind === 'garbled') return;
    const { node = '', epoch, log } = reply.head;
    if (epoch !== undefined && log !== undefined) {
      const highest = this.#epochs.get(open.partition);
      if (highest !== undefined && epoch < highest.epoch) {
        this.#history.write({ kind: 'skipped', at: nowMs(), partition: open.partition, epoch });
        return;
      }
      this.#epochs.set(open.partition, { epoch, log });
    }
    if (notHereNotNow.has(reply.error)) return this.#retry(open);
    open.settle(reply.error, { node, epoch: epoch ?? 0 }, payload);
  }

  #retry(open: Open): void {
    const most = Math.min(BACKOFF_MOST_MS, BACKOFF_LEAST_MS * 2 ** open.failures);
    open.failures += 1;
    this.#later(open, BACKOFF_LEAST_MS + Math.random() * (most - BACKOFF_LEAST_MS));
  }

  #hint(open: Open): void {
    const now = performance.now();
    const last = this.#hintedAt.get(open.partition);
    if (last !== undefined && now - last < HINT_INTERVAL_MS) return;
    this.#hintedAt.set(open.partition, now);
    const suspectEpoch = this.#epochs.get(open.partition)?.epoch ?? null;
    const head = { id: requestId(nuid.next()), deadlineMs: 1_000 };
    this.#bus.publish(this.#subjects.find, encodeRequest(head, { groupId: open.body.groupId, suspectEpoch }));
  }

  #resend(which: (open: Open) => boolean): void {
    for (const open of [...this.#open.values()]) {
      if (!which(open)) continue;
      open.failures = 0;
      this.#send(open);
    }
  }
}

function readFields<Api extends ApiName>(api: Api, payload: Uint8Array): ReplyOf[Api] | undefined {
  const parsed = parseReply<unknown>(groupApis[api], payload);
  // The schema of the same API has just read it.
  return parsed.kind === 'reply' ? (parsed.fields as ReplyOf[Api] | undefined) : undefined;
}
