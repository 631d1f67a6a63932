// The sticky assignor (eager): balanced, and members keep what they had as far as balance allows.
// Ownership travels in user data, because an eager member has given up everything before it joins.

import { decodeStickyUserData, encodeStickyUserData } from '@muster/protocol';
import type { Assignment, Assignor, AssignorMember, PartitionCounts, PreviousAssignment } from './assignor.js';
import { byMemberId } from './member-order.js';
import { type Claim, type Ownership, resolveOwnership } from './ownership.js';
import { PartitionSpace } from './partition-space.js';
import { assignDifferent } from './sticky-different.js';
import { assignIdentical } from './sticky-identical.js';

/** The common part of both sticky assignors: who should own what, and who did. */
export interface StickyPlan {
  readonly space: PartitionSpace;
  readonly ownership: Ownership;
  /** By partition number the member that should own it. */
  readonly newOwnerOf: Int32Array;
}

/** Plans a sticky assignment; `claimOf` says where a member's claim to its partitions is found. */
export function planSticky(
  partitionCounts: PartitionCounts,
  members: readonly AssignorMember[],
  claimOf: (member: AssignorMember) => Claim,
): StickyPlan {
  const ordered = byMemberId(members);
  const space = new PartitionSpace(partitionCounts, ordered);
  const ownership = resolveOwnership(space, ordered.map(claimOf));
  const assign = subscribeAlike(ordered) ? assignIdentical : assignDifferent;
  return { space, ownership, newOwnerOf: assign(space, ownership) };
}

/** kafka: equal as sets, topics that do not exist included. */
function subscribeAlike(members: readonly AssignorMember[]): boolean {
  const first = new Set(members[0]?.subscription.topics);
  return members.every((member) => {
    const topics = new Set(member.subscription.topics);
    return topics.size === first.size && member.subscription.topics.every((topic) => first.has(topic));
  });
}

function assign(partitionCounts: PartitionCounts, members: readonly AssignorMember[]): Assignment {
  const plan = planSticky(partitionCounts, members, (member) => decodeStickyUserData(member.subscription.userData));
  return plan.space.assignmentFrom(plan.newOwnerOf);
}

/** kafka: null until the first assignment. */
function userData(previous: PreviousAssignment | undefined): Uint8Array | null {
  return previous === undefined ? null : encodeStickyUserData(previous);
}

/** `sticky`: eager; keeps what it can from the previous assignment that members send as user data. */
export const stickyAssignor: Assignor = { name: 'sticky', rebalanceProtocols: ['eager'], assign, userData };
