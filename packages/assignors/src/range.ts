// The range assignor: each topic by itself, contiguous runs of partitions in member order.
// Has no memory. Rack-unaware.

import type { Assignment, Assignor, AssignorMember, PartitionCounts } from './assignor.js';
import { staticMembersFirst } from './member-order.js';
import { NOBODY, PartitionSpace } from './partition-space.js';

function assign(partitionCounts: PartitionCounts, members: readonly AssignorMember[]): Assignment {
  const space = new PartitionSpace(partitionCounts, staticMembersFirst(members));
  const ownerOf = new Int32Array(space.partitionCount).fill(NOBODY);
  for (const [topic, subscribers] of space.subscribersOf.entries()) {
    const first = space.firstPartitionOf(topic);
    const partitionCount = space.firstPartitionOf(topic + 1) - first;
    const share = Math.floor(partitionCount / subscribers.length);
    const withOneMore = partitionCount % subscribers.length;
    for (const [place, member] of subscribers.entries()) {
      const start = first + place * share + Math.min(place, withOneMore);
      ownerOf.fill(member, start, start + share + (place < withOneMore ? 1 : 0));
    }
  }
  return space.assignmentFrom(ownerOf);
}

/** `range`: topics with the same partition count and the same subscribers are split alike (co-partitioned). */
export const rangeAssignor: Assignor = { name: 'range', rebalanceProtocols: ['eager'], assign };
