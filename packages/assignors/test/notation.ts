// The notation of the worked examples: "C0 (t0 t1) own t0-0 t1-2 @5; C1#i1 (t0)" and "C0 t0-0 t0-1; C1". A bare number is
// a partition of t0, #i1 an instance id, @5 a generation (1 when something is owned, none otherwise).

import { decodeAssignment, encodeStickyUserData, encodeSubscription, type TopicPartition } from '@muster/protocol';
import type { Assignor, PartitionCounts, RebalanceProtocol } from '../src/assignor.js';
import { type JoinMember, runAssignor } from '../src/leader.js';

export type Lists = Record<string, string[]>;

const words = (text: string | undefined): string[] => (text ?? '').split(' ').filter((word) => word !== '');
const parts = (text: string): string[] =>
  text
    .split(';')
    .map((part) => part.trim())
    .filter((part) => part !== '');

export const nameOf = ({ topic, partition }: TopicPartition): string => `${topic}-${partition}`;

function partitionOf(word: string): TopicPartition {
  const [topic, partition] = word.includes('-') ? word.split('-') : ['t0', word];
  return { topic: topic ?? '', partition: Number(partition) };
}

/** "t0:3 t1:2" */
export function countsOf(text: string): PartitionCounts {
  return new Map(words(text).map((word) => [word.split(':')[0] ?? '', Number(word.split(':')[1])]));
}

/** "C0 t0-0 1; C1": by member the sorted names of its partitions. */
export function listsOf(text: string): Lists {
  return Object.fromEntries(
    parts(text).map((part) => {
      const [memberId, ...partitions] = words(part);
      return [memberId ?? '', partitions.map((word) => nameOf(partitionOf(word))).sort()];
    }),
  );
}

/** Members whose bytes carry their ownership both as owned partitions and as sticky user data. */
export function membersOf(text: string): JoinMember[] {
  return parts(text).map((part) => {
    const match = /^([^#\s]+)(?:#(\S+))? \(([^)]*)\)(?: own([^@]*))?(?:@(-?\d+))?$/.exec(part);
    if (match === null) throw new Error(`not a member: ${part}`);
    const ownedPartitions = words(match[4]).map(partitionOf);
    const isNew = match[4] === undefined;
    const generation = match[5] === undefined ? (isNew ? -1 : 1) : Number(match[5]);
    const userData = isNew ? null : encodeStickyUserData({ partitions: ownedPartitions, generation });
    // cooperative-sticky takes generation and partitions from the subscription whenever it has a generation.
    const metadata = encodeSubscription({ topics: words(match[3]), userData, ownedPartitions, generation });
    return { memberId: match[1] ?? '', groupInstanceId: match[2] ?? null, metadata };
  });
}

/** Runs through the bytes and back: by member the sorted names of its partitions. */
export function run(
  assignor: Assignor,
  counts: PartitionCounts,
  members: readonly JoinMember[],
  rebalanceProtocol: RebalanceProtocol = 'eager',
): Lists {
  const answer = runAssignor(assignor, members, counts, rebalanceProtocol);
  if (answer.kind === 'refused') throw new Error(JSON.stringify(answer.refusal));
  return Object.fromEntries(
    [...answer.assignments].map(([memberId, bytes]) => {
      const decoded = decodeAssignment(bytes);
      if (decoded.kind === 'malformed') throw new Error(decoded.reason);
      return [memberId, decoded.value.partitions.map(nameOf).sort()];
    }),
  );
}
