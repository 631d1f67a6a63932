/**
 * Who owns what in a group, read from the assignments that its members hold.
 */

import { type DescribeReply, decodeAssignment, type TopicPartition } from '@muster/protocol';

export type GroupMember = DescribeReply['members'][number];

/** @returns the partitions of a member; empty where its protocol is not that of stream consumers */
export function partitionsOf(member: GroupMember): readonly TopicPartition[] {
  if (member.assignment.byteLength === 0) return [];
  const decoded = decodeAssignment(member.assignment);
  return decoded.kind === 'decoded' ? decoded.value.partitions : [];
}

/** @returns such as `orders(0,1,2), refunds(4)`, as Kafka writes assignments */
export function assignmentText(partitions: readonly TopicPartition[]): string {
  const byTopic = new Map<string, number[]>();
  for (const { topic, partition } of partitions) byTopic.set(topic, [...(byTopic.get(topic) ?? []), partition]);
  return [...byTopic]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([topic, numbers]) => `${topic}(${numbers.sort((left, right) => left - right).join(',')})`)
    .join(', ');
}
