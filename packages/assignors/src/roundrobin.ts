// The roundrobin assignor: all partitions of all topics dealt in turn around one ring of members.
// Has no memory; with different subscriptions it promises no balance.

import type { Assignment, Assignor, AssignorMember, PartitionCounts } from './assignor.js';
import { staticMembersFirst } from './member-order.js';
import { NOBODY, PartitionSpace } from './partition-space.js';

function assign(partitionCounts: PartitionCounts, members: readonly AssignorMember[]): Assignment {
  const space = new PartitionSpace(partitionCounts, staticMembersFirst(members));
  const ownerOf = new Int32Array(space.partitionCount).fill(NOBODY);
  // One pointer for the whole run: a topic goes on where the one before it stopped.
  let pointer = 0;
  for (let partition = 0; partition < space.partitionCount; partition++) {
    const topic = space.topicOfPartition(partition);
    // Ends: a topic has a number only when somebody subscribes to it (N2).
    while (space.topicsOf[pointer]?.has(topic) === false) {
      pointer = (pointer + 1) % members.length;
    }
    ownerOf[partition] = pointer;
    pointer = (pointer + 1) % members.length;
  }
  return space.assignmentFrom(ownerOf);
}

/** `roundrobin`: with identical subscriptions the totals of any two members differ by at most one. */
export const roundRobinAssignor: Assignor = { name: 'roundrobin', rebalanceProtocols: ['eager'], assign };
