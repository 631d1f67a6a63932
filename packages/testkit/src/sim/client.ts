/**
 * Requests of a simulated client: sent again with the same id until they are answered (C1), answers of lower epochs skipped (C2).
 *
 * It speaks the wire protocol itself, so that tests see what every node says; the worker library has its own client.
 */

import {
  type ApiName,
  type ErrorName,
  encodeRequest,
  epoch as epochOf,
  type GroupId,
  groupApis,
  type LogId,
  type Notice,
  type Partition,
  parseNotice,
  parseReply,
  partitionOf,
  type ReplyOf,
  type RequestOf,
  requestId,
  type Subjects,
} from '@muster/protocol';
import type { History } from './history.js';
import type { Delivery, Network, Peer } from './network.js';
import type { Verdicts } from './verdicts.js';

/** Errors after which the same request is sent again. */
const retried: ReadonlySet<ErrorName> = new Set([
  'COORDINATOR_LOAD_IN_PROGRESS',
  'COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR',
  'THROTTLING_QUOTA_EXCEEDED',
]);

export type ClientReply<Api extends ApiName> = {
  readonly error: ErrorName;
  readonly fields: ReplyOf[Api] | undefined;
  /** When the request was first sent, and when the node sent this answer. */
  readonly askedAt: number;
  readonly answeredAt: number;
  readonly epoch: number;
};

export type ClientParts = {
  readonly network: Network;
  readonly peer: Peer;
  readonly subjects: Subjects;
  readonly logId: LogId;
  readonly partitionCount: number;
  readonly verdicts: Verdicts;
  readonly history: History;
  readonly acceptsLowerEpochs: boolean;
  readonly resendMs: number;
};

type Open = { readonly send: () => void; readonly end: () => void; readonly api: ApiName; readonly askedAt: number };

export class SimClient {
  readonly #parts: ClientParts;
  readonly #epochs = new Map<Partition, number>();
  readonly #open = new Map<string, Open>();
  readonly #onReply = new Map<string, (message: Delivery) => void>();
  readonly #name: string;
  #requests = 0;

  constructor(parts: ClientParts) {
    this.#parts = parts;
    this.#name = parts.peer.process.name;
    parts.network.subscribe(parts.peer, `_INBOX.${this.#name}.*`, undefined, (message) => {
      this.#onReply.get(message.subject.slice(this.#name.length + 8))?.(message);
    });
    parts.peer.listeners.add((connected) => {
      if (connected) for (const open of [...this.#open.values()]) open.send();
    });
  }

  /** Requests that wait for an answer, oldest first. */
  get open(): readonly { readonly api: ApiName; readonly askedAt: number }[] {
    return [...this.#open.values()];
  }

  /** Asks until there is an answer. @returns how to stop asking */
  ask<Api extends ApiName>(api: Api, body: RequestOf[Api], onReply: (reply: ClientReply<Api>) => void): () => void {
    const { network, peer, resendMs } = this.#parts;
    this.#requests += 1;
    const token = `${this.#requests}`;
    const partition = partitionOf(body.groupId, this.#parts.partitionCount);
    const askedAt = network.scheduler.now;
    const firstEpoch = this.#epochs.get(partition) ?? 0;
    let cancel = (): void => {};
    const end = (): void => {
      cancel();
      this.#open.delete(token);
      this.#onReply.delete(token);
    };
    const send = (): void => {
      cancel();
      cancel = peer.process.clock.after(resendMs, send);
      this.#publish(api, partition, body, token);
    };
    const later = (ms: number): void => {
      cancel();
      cancel = peer.process.clock.after(ms, send);
    };
    this.#open.set(token, { send, end, api, askedAt });
    this.#onReply.set(token, (message) => {
      if (message.noResponders) {
        this.#hint(body.groupId, partition);
        return later(120);
      }
      const reply = this.#read(api, partition, body.groupId, message);
      if (reply === undefined) return;
      if (retried.has(reply.error)) return later(100);
      end();
      if (api === 'join' && firstEpoch > 0 && reply.epoch > firstEpoch && reply.error === 'NONE') {
        this.#parts.history.mark('a join parked across a failover');
      }
      onReply({ ...reply, askedAt, answeredAt: message.sentAt });
    });
    send();
    return end;
  }

  /** Hears the notices of a group and of its partition. */
  watch(group: GroupId, onNotice: (notice: Notice) => void): void {
    const { network, peer, subjects, partitionCount, logId } = this.#parts;
    const partition = partitionOf(group, partitionCount);
    const hear = ({ payload }: Delivery): void => {
      const notice = parseNotice(payload);
      if (notice === undefined || notice.log !== logId || !this.#accepts(partition, notice.epoch, group)) return;
      if (notice.kind === 'coordinator') for (const open of [...this.#open.values()]) open.send();
      onNotice(notice);
    };
    network.subscribe(peer, subjects.groupEvents(partition, group), undefined, hear);
    network.subscribe(peer, subjects.partitionEvents(partition), undefined, hear);
  }

  /** Gives everything up. */
  close(): void {
    for (const open of [...this.#open.values()]) open.end();
  }

  #publish<Api extends ApiName>(api: Api, partition: Partition, body: RequestOf[Api], token: string): void {
    const { network, peer, subjects, logId } = this.#parts;
    const seen = this.#epochs.get(partition);
    const head = {
      id: requestId(`${this.#name}.${token}`),
      deadlineMs: 60_000,
      ...(seen === undefined ? {} : { epoch: epochOf(seen), log: logId }),
    };
    const subject = subjects.group(partition, body.groupId, api);
    network.publish(peer, subject, encodeRequest(head, body), `_INBOX.${this.#name}.${token}`, true);
  }

  /** C5 */
  #hint(groupId: GroupId, partition: Partition): void {
    const { network, peer, subjects } = this.#parts;
    this.#requests += 1;
    const head = { id: requestId(`${this.#name}.${this.#requests}`), deadlineMs: 1_000 };
    const body = { groupId, suspectEpoch: this.#epochs.get(partition) ?? null };
    network.publish(peer, subjects.find, encodeRequest(head, body), `_INBOX.${this.#name}.find`, false);
  }

  #read<Api extends ApiName>(
    api: Api,
    partition: Partition,
    group: GroupId,
    message: Delivery,
  ): Omit<ClientReply<Api>, 'askedAt' | 'answeredAt'> | undefined {
    const parsed = parseReply<unknown>(groupApis[api], message.payload);
    if (parsed.kind === 'garbled') return undefined;
    const epoch = parsed.head.epoch ?? 0;
    if (!this.#accepts(partition, epoch, group)) return undefined;
    if (parsed.error === 'KAFKA_STORAGE_ERROR') this.#parts.history.mark('a new group was refused for want of room');
    this.#parts.history.note(
      group,
      () => `${message.from} answers ${this.#name} ${api}: ${parsed.error} (epoch ${epoch})`,
    );
    // The schema of the same API has just read it.
    return { error: parsed.error, fields: parsed.fields as ReplyOf[Api] | undefined, epoch };
  }

  /** C2 */
  #accepts(partition: Partition, epoch: number, group: GroupId): boolean {
    const seen = this.#epochs.get(partition) ?? 0;
    if (epoch < seen) this.#parts.history.mark('an answer of an earlier reign arrived');
    if (epoch < seen && !this.#parts.acceptsLowerEpochs) return false;
    this.#parts.verdicts.check(
      'stale-answer-never-accepted',
      epoch >= seen,
      group,
      () => `${this.#name} took an answer of epoch ${epoch} after ${seen}`,
    );
    this.#epochs.set(partition, Math.max(seen, epoch));
    return true;
  }
}
