// Who owned what before this rebalance, out of what the members claim (assignors.md 6.1).
// Does not judge whether an owner may keep a partition.
//
// W1: at most one owner per partition: the only claimant of the highest generation among its claimants.
// W2: claimed by several at that generation: nobody owns it, and it counts as doubly claimed.
// W3: owners and double claims do not depend on the order of the members.

import type { TopicPartition } from '@muster/protocol';
import { NO_GENERATION } from '@muster/protocol';
import { NOBODY, type PartitionSpace } from './partition-space.js';

/** What one member says it owns, and as of which generation. */
export interface Claim {
  readonly partitions: readonly TopicPartition[];
  readonly generation: number;
}

export interface Ownership {
  /** By partition number: the member that owned it, or NOBODY. */
  readonly ownerOf: Int32Array;
  /** By partition number: 1 when several members claim it at the same highest generation. */
  readonly doublyClaimed: Uint8Array;
  /**
   * By partition number: a member that claimed it at a generation below the highest one seen in this group, or NOBODY.
   * The latest such generation wins, among equals the first member.
   */
  readonly previousOwnerOf: Int32Array;
}

/** `claims[m]` is the claim of member number m. */
export function resolveOwnership(space: PartitionSpace, claims: readonly Claim[]): Ownership {
  // differs from kafka: the other member's generation comes from the same source as the member's own, a claim of a
  // partition that its topic does not have is dropped, and three claims give one answer in every order ([R] in 6.1).
  const ownerOf = new Int32Array(space.partitionCount).fill(NOBODY);
  const doublyClaimed = new Uint8Array(space.partitionCount);
  const previousOwnerOf = new Int32Array(space.partitionCount).fill(NOBODY);
  const claimedAt = new Int32Array(space.partitionCount).fill(NO_GENERATION);
  const previousAt = new Int32Array(space.partitionCount).fill(NO_GENERATION);
  const lastClaimant = new Int32Array(space.partitionCount).fill(NOBODY);
  const highest = claims.reduce((generation, claim) => Math.max(generation, claim.generation), NO_GENERATION);
  for (const [member, { partitions, generation }] of claims.entries()) {
    for (const claimed of partitions) {
      const partition = space.numberOf(claimed);
      // The same partition twice in one list is one claim.
      if (partition === undefined || lastClaimant[partition] === member) continue;
      const claimedBefore = lastClaimant[partition] !== NOBODY;
      const otherGeneration = claimedAt[partition] ?? NO_GENERATION;
      lastClaimant[partition] = member;
      if (!claimedBefore || generation > otherGeneration) {
        ownerOf[partition] = member;
        doublyClaimed[partition] = 0;
        claimedAt[partition] = generation;
      } else if (generation === otherGeneration) {
        ownerOf[partition] = NOBODY;
        doublyClaimed[partition] = 1;
      }
      const isHint = previousOwnerOf[partition] === NOBODY || generation > (previousAt[partition] ?? NO_GENERATION);
      if (generation < highest && isHint) {
        previousOwnerOf[partition] = member;
        previousAt[partition] = generation;
      }
    }
  }
  return { ownerOf, doublyClaimed, previousOwnerOf };
}
