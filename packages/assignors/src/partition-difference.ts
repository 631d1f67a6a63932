// The difference of two lists of partitions: what a rebalance adds, what it takes away.

import type { TopicPartition } from '@muster/protocol';

/** The partitions of `list` that `other` does not have, in the order of `list`. */
export function partitionsMissingFrom(
  list: readonly TopicPartition[],
  other: readonly TopicPartition[],
): TopicPartition[] {
  const byTopic = new Map<string, Set<number>>();
  for (const { topic, partition } of other) {
    const numbers = byTopic.get(topic);
    if (numbers === undefined) {
      byTopic.set(topic, new Set([partition]));
    } else {
      numbers.add(partition);
    }
  }
  return list.filter(({ topic, partition }) => byTopic.get(topic)?.has(partition) !== true);
}
