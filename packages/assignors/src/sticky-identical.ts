// Sticky assignment when all members subscribe to the same topics (assignors.md 6.3).
// Does not handle different subscriptions (sticky-different.ts), does not withhold anything (cooperative-sticky.ts).
//
// I1: every partition gets an owner; sizes differ by at most one.
// I2: as many partitions stay as any balanced assignment allows: with own_i partitions owned by member i,
//     sum of min(own_i, least) + min(extras, members with own_i > least).
// Cost: n log n for n partitions, and the members once.

import type { Ownership } from './ownership.js';
import { NOBODY, type PartitionSpace } from './partition-space.js';

/** Who could still get partitions after everybody kept what it may. */
interface Openings {
  /** Members below the least size, by member number. */
  readonly under: number[];
  /** Members with exactly the least size that may take one more, by member number. */
  readonly candidates: number[];
}

/** By partition number the new owner. Members are walked by number, which is member id order. */
export function assignIdentical(space: PartitionSpace, ownership: Ownership): Int32Array {
  const newOwnerOf = new Int32Array(space.partitionCount).fill(NOBODY);
  const sizes = new Int32Array(space.members.length);
  const openings = keepOwned(space, ownership, newOwnerOf, sizes);
  deal(space, newOwnerOf, sizes, openings);
  return newOwnerOf;
}

function keepOwned(space: PartitionSpace, ownership: Ownership, newOwnerOf: Int32Array, sizes: Int32Array): Openings {
  const memberCount = space.members.length;
  const least = Math.floor(space.partitionCount / memberCount);
  const most = Math.ceil(space.partitionCount / memberCount);
  const extras = space.partitionCount % memberCount;
  const under: number[] = [];
  const candidates: number[] = [];
  let extrasUsed = 0;
  for (const [member, owned] of ownedLists(space, ownership).entries()) {
    // kafka: keeps the lowest partition numbers over all topics, not the first topics whole.
    owned.sort((left, right) => space.partitionWithinTopic(left) - space.partitionWithinTopic(right) || left - right);
    let kept = least;
    if (owned.length < least) {
      kept = owned.length;
      under.push(member);
    } else if (owned.length >= most && extrasUsed < extras) {
      kept = most;
      extrasUsed++;
    } else if (extrasUsed < extras) {
      candidates.push(member);
    }
    for (const partition of owned.slice(0, kept)) {
      newOwnerOf[partition] = member;
    }
    sizes[member] = kept;
  }
  return { under, candidates: extrasUsed < extras ? candidates : [] };
}

/** By member number the partitions it owned. */
function ownedLists(space: PartitionSpace, ownership: Ownership): number[][] {
  const lists: number[][] = space.members.map(() => []);
  for (let partition = 0; partition < space.partitionCount; partition++) {
    lists[ownership.ownerOf[partition] ?? NOBODY]?.push(partition);
  }
  return lists;
}

/** Deals what nobody kept: in turn to those below the least size, then one each to the candidates. */
function deal(space: PartitionSpace, newOwnerOf: Int32Array, sizes: Int32Array, openings: Openings): void {
  const least = Math.floor(space.partitionCount / space.members.length);
  let under = openings.under;
  let stillUnder: number[] = [];
  let turn = 0;
  let candidate = 0;
  for (let partition = 0; partition < space.partitionCount; partition++) {
    if (newOwnerOf[partition] !== NOBODY) continue;
    if (turn === under.length) {
      under = stillUnder;
      stillUnder = [];
      turn = 0;
    }
    const filling = under[turn++];
    const member = filling ?? openings.candidates[candidate++];
    if (member === undefined) {
      throw new Error(`partition ${partition} of ${space.partitionCount} has no member left to go to`);
    }
    newOwnerOf[partition] = member;
    const size = (sizes[member] ?? 0) + 1;
    sizes[member] = size;
    if (filling !== undefined && size < least) {
      stillUnder.push(member);
    } else if (filling !== undefined) {
      openings.candidates.push(member);
    }
  }
}
