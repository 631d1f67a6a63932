// Sticky assignment when members subscribe to different topics (assignors.md 6.4).
// Does not promise the fewest movements, does not withhold anything (cooperative-sticky.ts).
//
// D1: only subscribers get a partition; every partition gets an owner.
// D2: at the end no member could take a partition from another that has more than one more.
// D3: it ends: every move goes from a member with s partitions to one with fewer than s - 1, so the sum of the squares
//     of the sizes falls by at least 2 with each, and it is a positive whole number.
//
// differs from kafka: there is no "go back if the balance score did not improve" (step 9) and no "is it balanced" scan
// (step 8). Both are decided by D3: a move of that kind always lowers the score, and a pass without one is balanced.

import { Movements } from './movements.js';
import type { Ownership } from './ownership.js';
import { NOBODY, type PartitionSpace } from './partition-space.js';

/** By partition number the new owner. Among members of the same size the lower number, the lower id, goes first. */
export function assignDifferent(space: PartitionSpace, ownership: Ownership): Int32Array {
  const distribution = new Distribution(space, ownership);
  const unassigned = distribution.assignFree();
  // A subscription that shrank has already taken something from its owner; then everything may move at once.
  if (!distribution.revocationRequired) {
    distribution.improve(unassigned.filter((partition) => distribution.isInPlay(partition)));
  }
  distribution.improve(distribution.order.filter((partition) => distribution.isInPlay(partition)));
  return distribution.ownerOf;
}

class Distribution {
  readonly ownerOf: Int32Array;
  /** All partitions, those with the fewest potential owners first. */
  readonly order: readonly number[];
  readonly revocationRequired: boolean;
  readonly #space: PartitionSpace;
  readonly #previousOwnerOf: Int32Array;
  readonly #sizes: Int32Array;
  readonly #movements: Movements;
  /** By topic number the least loaded subscriber, valid while `#sizesVersion` is the one it was found at. */
  readonly #leastLoaded: Int32Array;
  readonly #leastLoadedAt: Float64Array;
  #sizesVersion = 0;

  constructor(space: PartitionSpace, ownership: Ownership) {
    this.#space = space;
    this.#previousOwnerOf = ownership.previousOwnerOf;
    this.#sizes = new Int32Array(space.members.length);
    this.#movements = new Movements(space);
    this.#leastLoaded = new Int32Array(space.topicCount).fill(NOBODY);
    this.#leastLoadedAt = new Float64Array(space.topicCount).fill(-1);
    this.order = inOrderOfPotential(space);
    this.ownerOf = Int32Array.from(ownership.ownerOf);
    let revocationRequired = false;
    for (let partition = 0; partition < space.partitionCount; partition++) {
      const owner = this.ownerOf[partition] ?? NOBODY;
      if (owner === NOBODY) continue;
      if (this.#subscribes(owner, partition)) {
        this.#resize(owner, 1);
      } else {
        this.ownerOf[partition] = NOBODY;
        revocationRequired = true;
      }
    }
    this.revocationRequired = revocationRequired;
  }

  /** Gives each partition without an owner to its least loaded subscriber; answers those partitions. */
  assignFree(): number[] {
    const free = this.order.filter((partition) => this.ownerOf[partition] === NOBODY);
    for (const partition of free) {
      const member = this.#leastLoadedFor(partition);
      this.ownerOf[partition] = member;
      this.#resize(member, 1);
    }
    return free;
  }

  /** Whether the partition could belong to somebody else. */
  isInPlay(partition: number): boolean {
    return (this.#space.subscribersOf[this.#space.topicOfPartition(partition)]?.length ?? 0) > 1;
  }

  /** Moves partitions of the list to smaller members until none can go to one that is smaller by more than one. */
  improve(partitions: readonly number[]): void {
    let moved = true;
    while (moved) {
      moved = false;
      for (const partition of partitions) {
        const target = this.#betterOwnerFor(partition);
        if (target !== NOBODY) {
          this.#move(partition, target);
          moved = true;
        }
      }
    }
  }

  #betterOwnerFor(partition: number): number {
    const size = this.#sizeOf(this.ownerOf[partition] ?? NOBODY);
    const previous = this.#previousOwnerOf[partition] ?? NOBODY;
    // A previous owner that no longer subscribes cannot have it back (D1).
    if (previous !== NOBODY && size > this.#sizeOf(previous) + 1 && this.#subscribes(previous, partition)) {
      return previous;
    }
    const leastLoaded = this.#leastLoadedFor(partition);
    return this.#sizeOf(leastLoaded) < size - 1 ? leastLoaded : NOBODY;
  }

  #move(wanted: number, target: number): void {
    const owner = this.ownerOf[wanted] ?? NOBODY;
    const partition = this.#movements.insteadOf(wanted, owner, target);
    this.#movements.record(partition, owner, target);
    this.ownerOf[partition] = target;
    this.#resize(owner, -1);
    this.#resize(target, 1);
  }

  #leastLoadedFor(partition: number): number {
    const topic = this.#space.topicOfPartition(partition);
    if (this.#leastLoadedAt[topic] === this.#sizesVersion) {
      return this.#leastLoaded[topic] ?? NOBODY;
    }
    let best = NOBODY;
    let bestSize = Number.POSITIVE_INFINITY;
    for (const member of this.#space.subscribersOf[topic] ?? []) {
      const size = this.#sizeOf(member);
      if (size < bestSize) {
        best = member;
        bestSize = size;
      }
    }
    this.#leastLoaded[topic] = best;
    this.#leastLoadedAt[topic] = this.#sizesVersion;
    return best;
  }

  #subscribes(member: number, partition: number): boolean {
    return this.#space.topicsOf[member]?.has(this.#space.topicOfPartition(partition)) === true;
  }

  #sizeOf(member: number): number {
    return this.#sizes[member] ?? 0;
  }

  #resize(member: number, by: number): void {
    this.#sizes[member] = this.#sizeOf(member) + by;
    this.#sizesVersion++;
  }
}

function inOrderOfPotential(space: PartitionSpace): number[] {
  const potential = (topic: number): number => space.subscribersOf[topic]?.length ?? 0;
  const topics = Array.from({ length: space.topicCount }, (_, topic) => topic);
  topics.sort((left, right) => potential(left) - potential(right) || left - right);
  const order: number[] = [];
  for (const topic of topics) {
    for (let partition = space.firstPartitionOf(topic); partition < space.firstPartitionOf(topic + 1); partition++) {
      order.push(partition);
    }
  }
  return order;
}
