/**
 * What JetStream itself says of partitions: where they end, how many messages they have. Changes nothing; every partition has a result of
 * its own.
 */

import type { TopicPartition } from '@muster/protocol';
import { asMusterError, type MusterErrorCode } from './errors.js';
import { eachAtMost } from './gate.js';
import type { MusterContext } from './muster-context.js';
import { partitionFilter, type TopicSpec } from './topic.js';

/** Partitions that are asked about at a time. */
export const PARTITIONS_AT_ONCE = 16;

export interface PartitionEnd extends TopicPartition {
  /** The offset after the last message of the partition; undefined where it has none, or beside an error. */
  readonly endOffset: number | undefined;
  readonly error: MusterErrorCode;
}

export interface PartitionCount extends TopicPartition {
  /** Messages at or after the offset asked for; 0 beside an error. */
  readonly messages: number;
  readonly error: MusterErrorCode;
}

/** The partitions of a topic share the sequence of their stream: the distance of two offsets is no number of messages. */
export async function endsOf(context: MusterContext, places: readonly TopicPartition[]): Promise<PartitionEnd[]> {
  const ask = async (topic: TopicSpec, partition: number) => {
    const subject = partitionFilter(topic, partition);
    const last = await context.streams.lastOf({ stream: topic.stream, subject });
    return last === undefined ? undefined : last.offset + 1;
  };
  const answers = await eachPlace(context, places, ask);
  return answers.map(({ place, value, error }) => ({ ...place, endOffset: value, error }));
}

export async function countsOf(
  context: MusterContext,
  places: readonly (TopicPartition & { readonly fromOffset?: number })[],
): Promise<PartitionCount[]> {
  const ask = async (topic: TopicSpec, partition: number, at: number) => {
    const subject = partitionFilter(topic, partition);
    const startOffset = places[at]?.fromOffset ?? 0;
    return await context.streams.countFrom({ stream: topic.stream, subject, startOffset });
  };
  const answers = await eachPlace(context, places, ask);
  return answers.map(({ place, value, error }) => ({ ...place, messages: value ?? 0, error }));
}

async function eachPlace<Value>(
  { topics }: MusterContext,
  places: readonly TopicPartition[],
  ask: (topic: TopicSpec, partition: number, at: number) => Promise<Value>,
): Promise<{ place: TopicPartition; value: Value | undefined; error: MusterErrorCode }[]> {
  return await eachAtMost(PARTITIONS_AT_ONCE, places, async ({ topic: name, partition }, at) => {
    const place = { topic: name, partition };
    try {
      const topic = await topics.describe(name);
      const isThere = Number.isInteger(partition) && partition >= 0 && partition < topic.partitions;
      if (!isThere) return { place, value: undefined, error: 'UNKNOWN_TOPIC_OR_PARTITION' };
      return { place, value: await ask(topic, partition, at), error: 'NONE' };
    } catch (thrown) {
      return { place, value: undefined, error: asMusterError(thrown, 'STREAM_UNAVAILABLE').code };
    }
  });
}
