/**
 * When this node may claim a partition that nobody has: after its rank's turn, and not while it has been fenced of late.
 *
 * Does not know who owns what, nor whether a claim would be allowed: that is ownership.ts and the log.
 *
 * T1 (O8): rank r in the placement order claims r times the delay after the partition was first seen without an owner.
 * T2 (O8): after being fenced, no claim for a while, doubling each time that it happens again.
 * T3: a claim that was not made waits for the delay of one rank; it does not end the doubling of T2.
 */

import { type MonotonicMs, monotonicMs, type Partition } from '@muster/protocol';
import type { Clock } from './ports.js';
import type { ClusterSettings } from './settings.js';

type Backoff = { readonly until: MonotonicMs; readonly ms: number | undefined };

export class ClaimTiming {
  readonly #clock: Clock;
  readonly #settings: ClusterSettings;
  readonly #orphanSince = new Map<Partition, MonotonicMs>();
  readonly #backoffs = new Map<Partition, Backoff>();
  /** Found to be nobody's while a claim of it was being refused: the next claim need not wait. */
  readonly #free = new Set<Partition>();

  constructor(clock: Clock, settings: ClusterSettings) {
    this.#clock = clock;
    this.#settings = settings;
  }

  /** The partition has an owner, or cannot be judged now. */
  settled(partition: Partition): void {
    this.#orphanSince.delete(partition);
  }

  /** @returns for how long the partition has been seen without an owner, in ms; 0 where it has not */
  orphanMs(partition: Partition): number {
    const now = this.#clock.now();
    return now - (this.#orphanSince.get(partition) ?? now);
  }

  /** The partition has no owner. @returns whether a node of this rank may claim it now; no rank = never (T1, T2) */
  isDue(partition: Partition, rank: number | undefined): boolean {
    const now = this.#clock.now();
    if (!this.#orphanSince.has(partition)) this.#orphanSince.set(partition, now);
    const backoff = this.#backoffs.get(partition);
    if (backoff !== undefined && now < backoff.until) return false;
    return rank !== undefined && this.orphanMs(partition) >= rank * this.#settings.claimRankDelayMs;
  }

  /** T2. @param wasSettled whoever has kept it for a while is not the one of two that fight over it: the doubling starts anew */
  fenced(partition: Partition, wasSettled: boolean): void {
    const { fencedBackoffMs, fencedBackoffMaxMs } = this.#settings;
    const lastMs = wasSettled ? undefined : this.#backoffs.get(partition)?.ms;
    const ms = Math.min(lastMs === undefined ? fencedBackoffMs : 2 * lastMs, fencedBackoffMaxMs);
    this.#backoffs.set(partition, { until: this.#in(ms), ms });
  }

  /** T3. */
  notMade(partition: Partition): void {
    const isFree = this.#free.delete(partition);
    const ms = this.#backoffs.get(partition)?.ms;
    if (isFree && ms === undefined) return;
    this.#backoffs.set(partition, { until: this.#in(this.#settings.claimRankDelayMs), ms });
  }

  /** The doubt for which a claim was not made, or is about to be refused, is gone: it need not wait (T3). */
  foundFree(partition: Partition): void {
    this.#free.add(partition);
    if (this.#backoffs.get(partition)?.ms === undefined) this.#backoffs.delete(partition);
  }

  #in(ms: number): MonotonicMs {
    return monotonicMs(this.#clock.now() + ms);
  }
}
