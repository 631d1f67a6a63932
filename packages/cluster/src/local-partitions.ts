/**
 * What each partition is on this node: nothing, on its way in or out, served, suspended, quarantined. A table and its counts; what
 * moves an entry from one state to another is ownership.ts.
 *
 * LP1: every change passes through `become`, so that the counts are always those of the table.
 */

import type { Epoch, MonotonicMs, NodeId, Partition } from '@muster/protocol';
import { partition as partitionOf } from '@muster/protocol';

/** `epoch` = of our claim; `since` = when we got it; `servingSince` = when it was last claimed or resumed. */
export type Local =
  | { readonly kind: 'none' }
  | { readonly kind: 'claiming' }
  /** `isOffered`: its next owner is reading the log ahead. */
  | {
      readonly kind: 'owned';
      readonly epoch: Epoch;
      readonly since: MonotonicMs;
      readonly servingSince: MonotonicMs;
      isOffered: boolean;
    }
  | { readonly kind: 'suspended'; readonly epoch: Epoch; readonly since: MonotonicMs; isResuming: boolean }
  | { readonly kind: 'releasing'; readonly target: NodeId | undefined }
  | { readonly kind: 'quarantined'; readonly detail: string };

export type LocalCounts = Readonly<Record<Local['kind'], number>>;

export const none: Local = { kind: 'none' };

export class LocalPartitions {
  readonly #locals: Local[];
  readonly #counts: Record<Local['kind'], number>;

  constructor(partitionCount: number) {
    this.#locals = Array.from({ length: partitionCount }, () => none);
    this.#counts = { none: partitionCount, claiming: 0, owned: 0, suspended: 0, releasing: 0, quarantined: 0 };
  }

  get counts(): LocalCounts {
    return this.#counts;
  }

  /** Whether anything is ours, or on its way in or out. */
  get isBusy(): boolean {
    const { claiming, owned, suspended, releasing } = this.#counts;
    return claiming + owned + suspended + releasing > 0;
  }

  /** @returns the state of the partition, undefined where there is no such partition */
  get(partition: Partition): Local | undefined {
    return this.#locals[partition];
  }

  /** @returns all partitions with their states, in order */
  *all(): Generator<readonly [Partition, Local]> {
    for (const [index, local] of this.#locals.entries()) yield [partitionOf(index), local];
  }

  /** @returns what this node owns, suspended or not, with the epoch of its claim */
  owned(): readonly (readonly [Partition, Epoch])[] {
    const owned: (readonly [Partition, Epoch])[] = [];
    for (const [partition, local] of this.all()) {
      if (local.kind === 'owned' || local.kind === 'suspended') owned.push([partition, local.epoch]);
    }
    return owned;
  }

  /** LP1. @throws RangeError where there is no such partition */
  become(partition: Partition, local: Local): void {
    const before = this.#locals[partition];
    if (before === undefined) throw new RangeError(`there is no partition ${partition}`);
    this.#counts[before.kind] -= 1;
    this.#counts[local.kind] += 1;
    this.#locals[partition] = local;
  }
}
