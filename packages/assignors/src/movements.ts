// Which partitions moved between which members in one run of the improvement loop, so that a partition of the same
// topic that went the opposite way is moved back instead of moving another one (assignors.md 6.4 step 7).
//
// V1: a recorded partition is owned by the target of its record; its source is the owner it had before the run.
// V2: a partition that is back with its source has no record.

import { NOBODY, type PartitionSpace } from './partition-space.js';

export class Movements {
  readonly #space: PartitionSpace;
  /** By partition number: its owner before the run when it is recorded, else NOBODY. */
  readonly #sourceOf: Int32Array;
  /** Key of (topic, source, target) to the partitions that moved so, in order of movement. */
  readonly #moved = new Map<string, Set<number>>();

  constructor(space: PartitionSpace) {
    this.#space = space;
    this.#sourceOf = new Int32Array(space.partitionCount).fill(NOBODY);
  }

  /**
   * The partition to move in place of `partition` from `owner` to `target`: one of the same topic that went from
   * `target` to `owner`, if there is one. Either way it belongs to `owner` (V1).
   *
   * differs from kafka: Kafka looks for a movement back to the owner *before the run*, whose partition may belong to a
   * third member. Such a move need not help the balance, and the proof that the loop ends (D3) would not hold.
   */
  insteadOf(partition: number, owner: number, target: number): number {
    const opposite = this.#moved.get(this.#key(partition, target, owner));
    if (opposite !== undefined) {
      for (const first of opposite) return first;
    }
    return partition;
  }

  record(partition: number, owner: number, target: number): void {
    const before = this.#sourceOf[partition] ?? NOBODY;
    const source = before === NOBODY ? owner : before;
    if (before !== NOBODY) {
      const key = this.#key(partition, source, owner);
      const moved = this.#moved.get(key);
      moved?.delete(partition);
      if (moved?.size === 0) {
        this.#moved.delete(key);
      }
    }
    if (source === target) {
      this.#sourceOf[partition] = NOBODY;
      return;
    }
    this.#sourceOf[partition] = source;
    const key = this.#key(partition, source, target);
    const moved = this.#moved.get(key);
    if (moved === undefined) {
      this.#moved.set(key, new Set([partition]));
    } else {
      moved.add(partition);
    }
  }

  #key(partition: number, source: number, target: number): string {
    return `${this.#space.topicOfPartition(partition)},${source},${target}`;
  }
}
