/**
 * FindCoordinator: how many coordinator partitions a cluster has, and the hint that an owner is silent.
 *
 * Sends no request of a group (coordinator-client.ts).
 *
 * U1 (C5) hints about silent owners are rate-limited per partition and cost no request its place.
 */

import {
  clusterApis,
  type Epoch,
  encodeRequest,
  type GroupId,
  groupId,
  type MonotonicMs,
  type Partition,
  parseReply,
  requestId,
} from '@muster/protocol';
import type { Environment } from './clock.js';
import { deferred, withinMs } from './waiting.js';

/** Answers to FindCoordinator come to this token of the inbox. */
export const FIND_TOKEN = 'find';
const PAUSE_MS = 250;
const HINT_INTERVAL_MS = 250;
const DEADLINE_MS = 1_000;
/** Any group does: the answer names the number of partitions. */
const DISCOVERY_GROUP = groupId('');

export interface DiscoveryOptions {
  readonly environment: Environment;
  publish(payload: Uint8Array, token: string): void;
  /** The highest epoch seen of a partition: a hint says which owner it means. */
  epochOf(partition: Partition): Epoch | undefined;
  /** The number of partitions is known, or another one. */
  onCount(): void;
}

export class Discovery {
  readonly #options: DiscoveryOptions;
  readonly #hintedAt = new Map<Partition, MonotonicMs>();
  readonly #discovered = deferred();
  #partitionCount: number | undefined;
  /** When FindCoordinator was last sent for want of a partition count. */
  #foundAt: MonotonicMs | undefined;
  #isClosed = false;

  constructor(options: DiscoveryOptions) {
    this.#options = options;
  }

  /** Undefined until the first answer. */
  get partitionCount(): number | undefined {
    return this.#partitionCount;
  }

  /** Asks any node how many partitions the cluster has. @returns undefined where none answers in time */
  async discover(timeoutMs: number): Promise<number | undefined> {
    const { clock } = this.#options.environment;
    const deadlineAt = clock.now() + timeoutMs;
    while (this.#partitionCount === undefined && !this.#isClosed) {
      const leftMs = deadlineAt - clock.now();
      if (leftMs <= 0) break;
      this.findRarely(DISCOVERY_GROUP);
      await withinMs(clock, Math.min(leftMs, PAUSE_MS), this.#discovered.promise);
    }
    return this.#partitionCount;
  }

  /** Asks for the number of partitions, unless that was done a moment ago. */
  findRarely(groupId: GroupId): void {
    const now = this.#options.environment.clock.now();
    if (this.#foundAt !== undefined && now - this.#foundAt < PAUSE_MS) return;
    this.#foundAt = now;
    this.#find(groupId);
  }

  /** After a reconnect: what was asked before is lost. */
  forgetPause(): void {
    this.#foundAt = undefined;
  }

  /** Nobody has answered for a partition (U1). */
  hint(partition: Partition, groupId: GroupId): void {
    const now = this.#options.environment.clock.now();
    const last = this.#hintedAt.get(partition);
    if (last !== undefined && now - last < HINT_INTERVAL_MS) return;
    this.#hintedAt.set(partition, now);
    this.#find(groupId, this.#options.epochOf(partition));
  }

  onFound(payload: Uint8Array): void {
    const reply = parseReply(clusterApis.find, payload);
    if (reply.kind === 'garbled' || reply.error !== 'NONE' || reply.fields === undefined) return;
    if (reply.fields.partitionCount < 1 || reply.fields.partitionCount === this.#partitionCount) return;
    this.#partitionCount = reply.fields.partitionCount;
    this.#discovered.resolve();
    this.#options.onCount();
  }

  /** Ends the waiting of `discover`. */
  close(): void {
    this.#isClosed = true;
    this.#discovered.resolve();
  }

  #find(groupId: GroupId, suspectEpoch?: Epoch): void {
    const { environment, publish } = this.#options;
    const head = { id: requestId(environment.newId()), deadlineMs: DEADLINE_MS };
    publish(encodeRequest(head, { groupId, suspectEpoch: suspectEpoch ?? null }), FIND_TOKEN);
  }
}
