// The cooperative-sticky assignor: the sticky plan, minus every partition that its owner has not given up yet.
// Ownership is what the subscription lists, because a cooperative member keeps its partitions while it rejoins.
//
// S1: a partition is never given to a member while another still owns it; the owner loses it in this rebalance, rejoins,
//     and the next rebalance gives it away.

import { decodeCooperativeStickyUserData, encodeCooperativeStickyUserData, NO_GENERATION } from '@muster/protocol';
import type { Assignment, Assignor, AssignorMember, PartitionCounts, PreviousAssignment } from './assignor.js';
import type { Claim } from './ownership.js';
import { NOBODY } from './partition-space.js';
import { planSticky } from './sticky.js';

/** The generation of the subscription when it has one (version 2 and later), else that of the user data. */
function claimOf(member: AssignorMember): Claim {
  const { ownedPartitions, generation, userData } = member.subscription;
  return {
    partitions: ownedPartitions,
    generation: generation > NO_GENERATION ? generation : decodeCooperativeStickyUserData(userData),
  };
}

function assign(partitionCounts: PartitionCounts, members: readonly AssignorMember[]): Assignment {
  const { space, ownership, newOwnerOf } = planSticky(partitionCounts, members, claimOf);
  // differs from kafka: one rule for identical and different subscriptions. Kafka's rule for different ones gives a
  // partition at once to a member whose stale claim lost against its true owner.
  for (const [partition, newOwner] of newOwnerOf.entries()) {
    const owner = ownership.ownerOf[partition] ?? NOBODY;
    const isTransferring = owner !== NOBODY && owner !== newOwner;
    if (isTransferring || ownership.doublyClaimed[partition] === 1) {
      newOwnerOf[partition] = NOBODY;
    }
  }
  return space.assignmentFrom(newOwnerOf);
}

function userData(previous: PreviousAssignment | undefined): Uint8Array {
  return encodeCooperativeStickyUserData(previous?.generation ?? NO_GENERATION);
}

/** `cooperative-sticky`: as balanced and sticky as `sticky`, reached in one or two rebalances that stop only what moves. */
export const cooperativeStickyAssignor: Assignor = {
  name: 'cooperative-sticky',
  rebalanceProtocols: ['cooperative', 'eager'],
  assign,
  userData,
};
