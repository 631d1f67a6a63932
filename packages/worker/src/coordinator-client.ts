/**
 * Requests to the coordinator of a group: finding its partition, sending until there is an answer, hearing its notices.
 *
 * Does not know what an answer means for a member (membership.ts) and never throws for what the network does: every
 * outcome is a value, and every request ends at its deadline at the latest.
 *
 * R1 (C1) an open request is sent again, same id and same bytes, each `resendMs`, at a reconnect and when the
 *    partition changes its owner, until it is answered, expired or aborted. Only a grown epoch changes its head.
 * R2 (C2) a reply of a lower epoch than seen is skipped; the request stays open.
 */

import {
  type ApiName,
  type ErrorName,
  encodeRequest,
  type GroupId,
  type MonotonicMs,
  type Notice,
  type Partition,
  parseNotice,
  partitionOf,
  type ReplyHead,
  type ReplyOf,
  type RequestId,
  type RequestOf,
  requestId,
  type Subjects,
} from '@muster/protocol';
import { backoffMs, type Cancel, type Environment } from './clock.js';
import { Contacts, type Silence } from './contact.js';
import { Discovery, FIND_TOKEN } from './discovery.js';
import { Epochs } from './epochs.js';
import { MusterError } from './errors.js';
import { replyReaders } from './group-apis.js';
import type { Logger } from './logger.js';
import { errorsToRetry, type RequestOutcome, type RequestTimes } from './request.js';
import type { ConnectionEvent, Incoming, Transport, Unsubscribe } from './transport.js';

const BACKOFF_LEAST_MS = 50;
const BACKOFF_MOST_MS = 250;
const OPEN_REQUESTS_MAX = 10_000;

/** A reply whose fields wait, typed, in `settle`. */
type ReadReply =
  | { readonly kind: 'garbled'; readonly detail: string }
  | { readonly kind: 'reply'; readonly head: ReplyHead; readonly error: ErrorName; settle(sentAt: MonotonicMs): void };

interface OpenRequest {
  readonly id: RequestId;
  readonly api: ApiName;
  readonly groupId: GroupId;
  readonly body: object;
  readonly times: RequestTimes;
  bytes: Uint8Array;
  bytesEpoch: number;
  firstSentAt: MonotonicMs | undefined;
  failures: number;
  lastProblem: string;
  cancelTimer: Cancel;
  parse(payload: Uint8Array): ReadReply;
  refuse(error: ErrorName, detail: string): void;
  end(outcome: { kind: 'expired'; lastProblem: string } | { kind: 'aborted' }): void;
}

interface Watcher {
  readonly groupId: GroupId;
  readonly onNotice: (notice: Notice) => void;
  stop: Unsubscribe;
}

export interface CoordinatorClientOptions {
  readonly transport: Transport;
  readonly subjects: Subjects;
  readonly environment: Environment;
  readonly logger: Logger;
}

export class CoordinatorClient {
  readonly subjects: Subjects;
  readonly #transport: Transport;
  readonly #environment: Environment;
  readonly #logger: Logger;
  readonly #epochs = new Epochs();
  readonly #contacts = new Contacts();
  readonly #open = new Map<string, OpenRequest>();
  readonly #watchers = new Set<Watcher>();
  readonly #gathers = new Map<string, (payload: Uint8Array) => void>();
  readonly #inbox: string;
  readonly #release: Unsubscribe[] = [];
  readonly #discovery: Discovery;
  #isClosed = false;

  constructor(options: CoordinatorClientOptions) {
    this.subjects = options.subjects;
    this.#transport = options.transport;
    this.#environment = options.environment;
    this.#logger = options.logger;
    this.#inbox = this.#transport.newInbox();
    this.#discovery = new Discovery({
      environment: this.#environment,
      publish: (payload, token) => {
        this.#transport.publish(this.subjects.find, payload, `${this.#inbox}.${token}`);
      },
      epochOf: (partition) => this.#epochs.highest(partition)?.epoch,
      onCount: () => {
        for (const watcher of this.#watchers) this.#subscribe(watcher);
        this.#resend(() => true);
      },
    });
    this.#release.push(this.#transport.subscribe(`${this.#inbox}.*`, (message) => this.#onMessage(message)));
    this.#release.push(this.#transport.onConnection((event) => this.#onConnection(event)));
  }

  /** How many coordinator partitions the cluster has; undefined until the first answer. */
  get partitionCount(): number | undefined {
    return this.#discovery.partitionCount;
  }

  /** @returns since when and why nobody answers for a group; undefined where somebody does, or nothing was asked */
  silenceOf(groupId: GroupId): Silence | undefined {
    return this.#contacts.of(groupId);
  }

  /** What was found before somebody began to watch does not count. */
  forgetSilenceOf(groupId: GroupId): void {
    this.#contacts.reached(groupId);
  }

  /** @returns the coordinator partition of a group; undefined until the cluster has said how many it has */
  partitionOf(groupId: GroupId): Partition | undefined {
    const { partitionCount } = this.#discovery;
    return partitionCount === undefined ? undefined : partitionOf(groupId, partitionCount);
  }

  /** Asks any node how many partitions the cluster has. @returns undefined where none answers in time */
  discover(timeoutMs: number): Promise<number | undefined> {
    return this.#discovery.discover(timeoutMs);
  }

  /**
   * Asks the coordinator of `body.groupId`.
   * @returns the answer, or that none came in time; throws MusterError CLOSED or QUEUE_FULL
   */
  request<Api extends ApiName>(
    api: Api,
    body: RequestOf[Api] & { readonly groupId: GroupId },
    times: RequestTimes,
  ): Promise<RequestOutcome<ReplyOf[Api]>> {
    if (this.#isClosed) return Promise.reject(new MusterError('CLOSED'));
    if (times.signal?.aborted) return Promise.resolve({ kind: 'aborted' });
    if (this.#open.size >= OPEN_REQUESTS_MAX) {
      return Promise.reject(new MusterError('QUEUE_FULL', `${OPEN_REQUESTS_MAX} requests are open`));
    }
    const read = replyReaders[api];
    return new Promise((resolve) => {
      const { clock } = this.#environment;
      const onAbort = () => open.end({ kind: 'aborted' });
      const cancelDeadline = clock.after(times.deadlineMs, () =>
        open.end({ kind: 'expired', lastProblem: open.lastProblem }),
      );
      const finish = (outcome: RequestOutcome<ReplyOf[Api]>) => {
        if (!this.#open.delete(open.id)) return;
        open.cancelTimer();
        cancelDeadline();
        times.signal?.removeEventListener('abort', onAbort);
        resolve(outcome);
      };
      const open: OpenRequest = {
        id: requestId(this.#environment.newId()),
        api,
        groupId: body.groupId,
        body,
        times,
        bytes: new Uint8Array(0),
        bytesEpoch: -1,
        firstSentAt: undefined,
        failures: 0,
        lastProblem: 'no answer',
        cancelTimer: () => {},
        parse: (payload) => {
          const reply = read(payload);
          if (reply.kind === 'garbled') return reply;
          const { head, error, fields } = reply;
          const settle = (sentAt: MonotonicMs) =>
            finish({ kind: 'answered', error, detail: head.detail, fields, sentAt });
          return { kind: 'reply', head, error, settle };
        },
        refuse: (error, detail) => finish({ kind: 'answered', error, detail, fields: undefined, sentAt: clock.now() }),
        end: finish,
      };
      times.signal?.addEventListener('abort', onAbort, { once: true });
      this.#open.set(open.id, open);
      this.#send(open);
    });
  }

  /**
   * Hears the notices of a group and of its partition. Losing one loses nothing (rule C1).
   * @returns how to stop
   */
  watch(groupId: GroupId, onNotice: (notice: Notice) => void): Unsubscribe {
    const watcher: Watcher = { groupId, onNotice, stop: () => {} };
    this.#watchers.add(watcher);
    this.#subscribe(watcher);
    return () => {
      this.#watchers.delete(watcher);
      watcher.stop();
    };
  }

  /**
   * Sends one message to every node; each may answer. Neither resent nor ended here: that is the caller's loop.
   * @returns how to stop listening for answers
   */
  gather(subject: string, payload: Uint8Array, onReply: (payload: Uint8Array) => void): Unsubscribe {
    const token = this.#environment.newId();
    this.#gathers.set(token, onReply);
    this.#transport.publish(subject, payload, `${this.#inbox}.${token}`);
    return () => this.#gathers.delete(token);
  }

  /** Ends every open request as aborted and stops listening. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#discovery.close();
    for (const release of this.#release) release();
    for (const open of [...this.#open.values()]) open.end({ kind: 'aborted' });
    for (const watcher of this.#watchers) watcher.stop();
    this.#watchers.clear();
    this.#gathers.clear();
  }

  #subscribe(watcher: Watcher): void {
    const { groupId } = watcher;
    const partition = this.partitionOf(groupId);
    watcher.stop();
    // The first answer tells how many partitions there are; it comes back here.
    if (partition === undefined) return;
    const hear = ({ payload }: Incoming) => {
      const notice = parseNotice(payload);
      if (notice === undefined || this.#isClosed) return;
      if (!this.#epochs.accept(partition, notice.log, notice.epoch)) return;
      if (notice.kind === 'coordinator') this.#resend((open) => this.partitionOf(open.groupId) === partition);
      watcher.onNotice(notice);
    };
    const stopGroup = this.#transport.subscribe(this.subjects.groupEvents(partition, groupId), hear);
    const stopPartition = this.#transport.subscribe(this.subjects.partitionEvents(partition), hear);
    watcher.stop = () => {
      stopGroup();
      stopPartition();
    };
  }

  #send(open: OpenRequest): void {
    open.cancelTimer();
    const { clock } = this.#environment;
    const partition = this.partitionOf(open.groupId);
    if (partition === undefined) {
      this.#discovery.findRarely(open.groupId);
      this.#failed(open, `no coordinator answers on ${this.subjects.prefix}: is a node of this cluster running?`);
      open.cancelTimer = clock.after(BACKOFF_MOST_MS, () => this.#send(open));
      return;
    }
    open.firstSentAt ??= clock.now();
    this.#encode(open, partition);
    const bytesMax = this.#transport.payloadBytesMax() ?? Number.POSITIVE_INFINITY;
    // The server would cut the connection for it.
    if (open.bytes.byteLength > bytesMax) {
      return open.refuse(
        'MESSAGE_TOO_LARGE',
        `the request takes ${open.bytes.byteLength} bytes, the server ${bytesMax}`,
      );
    }
    const subject = this.subjects.group(partition, open.groupId, open.api);
    // The timer first: an answer may come before publish returns.
    open.cancelTimer = clock.after(open.times.resendMs, () => this.#sendAgain(open));
    this.#transport.publish(subject, open.bytes, `${this.#inbox}.${open.id}`);
  }

  #sendAgain(open: OpenRequest): void {
    // T1: whoever took a JoinGroup or SyncGroup parks it while it waits for the other members.
    const isParked = (open.api === 'join' || open.api === 'sync') && this.#transport.isConnected();
    if (isParked) this.#contacts.reached(open.groupId);
    else this.#failed(open, 'the coordinator does not answer');
    this.#send(open);
  }

  #failed(open: OpenRequest, problem: string): void {
    open.lastProblem = this.#transport.isConnected() ? problem : 'there is no connection to NATS at the moment';
    this.#contacts.failed(open.groupId, this.#environment.clock.now(), open.lastProblem);
  }

  #encode(open: OpenRequest, partition: Partition): void {
    const seen = this.#epochs.highest(partition);
    const epoch = seen?.epoch ?? 0;
    if (open.bytesEpoch >= epoch) return;
    const deadlineMs = Math.max(1, Math.ceil(open.times.deadlineMs));
    open.bytes = encodeRequest({ id: open.id, deadlineMs, ...seen }, open.body);
    open.bytesEpoch = epoch;
  }

  #onMessage(message: Incoming): void {
    const token = message.subject.slice(this.#inbox.length + 1);
    const gather = this.#gathers.get(token);
    if (gather !== undefined) {
      if (!message.noResponders) gather(message.payload);
      return;
    }
    if (token === FIND_TOKEN) {
      if (!message.noResponders) this.#discovery.onFound(message.payload);
      return;
    }
    const open = this.#open.get(token);
    if (open === undefined) return;
    if (message.noResponders) this.#onNoResponders(open);
    else this.#onReply(open, message.payload);
  }

  #onReply(open: OpenRequest, payload: Uint8Array): void {
    const reply = open.parse(payload);
    if (reply.kind === 'garbled') {
      open.lastProblem = `an unreadable answer: ${reply.detail}`;
      this.#logger.warn('unreadable answer of a coordinator', { api: open.api, detail: reply.detail });
      return;
    }
    const partition = this.partitionOf(open.groupId);
    if (partition !== undefined && !this.#epochs.accept(partition, reply.head.log, reply.head.epoch)) {
      this.#logger.debug('answer of an earlier owner skipped', { api: open.api, epoch: reply.head.epoch });
      return;
    }
    if (errorsToRetry.has(reply.error)) {
      this.#failed(open, `the coordinator is not ready: ${reply.error}`);
      this.#retryLater(open, reply.head.retryAfterMs);
      return;
    }
    this.#contacts.reached(open.groupId);
    reply.settle(open.firstSentAt ?? this.#environment.clock.now());
  }

  #onNoResponders(open: OpenRequest): void {
    this.#failed(open, `nobody coordinates the group on ${this.subjects.prefix}: is a node of this cluster running?`);
    const partition = this.partitionOf(open.groupId);
    if (partition !== undefined) this.#discovery.hint(partition, open.groupId);
    this.#retryLater(open, undefined);
  }

  #retryLater(open: OpenRequest, retryAfterMs: number | undefined): void {
    const { clock, random } = this.#environment;
    const jitteredMs = BACKOFF_LEAST_MS + backoffMs(open.failures, BACKOFF_LEAST_MS, BACKOFF_MOST_MS, random);
    open.failures += 1;
    open.cancelTimer();
    open.cancelTimer = clock.after(retryAfterMs ?? Math.min(BACKOFF_MOST_MS, jitteredMs), () => this.#send(open));
  }

  #resend(which: (open: OpenRequest) => boolean): void {
    for (const open of [...this.#open.values()]) {
      if (!which(open)) continue;
      open.failures = 0;
      this.#send(open);
    }
  }

  #onConnection(event: ConnectionEvent): void {
    if (event.kind === 'connected') {
      this.#discovery.forgetPause();
      this.#resend(() => true);
    }
    if (event.kind !== 'denied') return;
    this.#logger.error('NATS permissions deny', { operation: event.operation, subject: event.subject });
    for (const open of [...this.#open.values()]) {
      const partition = this.partitionOf(open.groupId);
      if (partition === undefined || this.subjects.group(partition, open.groupId, open.api) !== event.subject) continue;
      open.refuse('GROUP_AUTHORIZATION_FAILED', `NATS permissions deny ${event.operation} on ${event.subject}`);
    }
  }
}
