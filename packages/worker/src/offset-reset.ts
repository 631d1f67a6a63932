/**
 * Where the offsets of a group would go, partition by partition, before anything is written.
 *
 * E1 nothing here commits. E2 every partition has a result of its own. E3 what lies outside of the stream is brought to its end.
 */

import type { TopicPartition } from '@muster/protocol';
import { asMusterError, type MusterErrorCode } from './errors.js';
import { placeOf } from './lane.js';
import type { MusterContext } from './muster-context.js';
import { shiftedOffset } from './offset-shift.js';
import { offsetOfPosition } from './positions.js';
import type { Streams } from './streams.js';
import { partitionFilter, type TopicSpec } from './topic.js';

/** A partition and an offset of it: that of the next message to read. */
export interface PartitionOffset extends TopicPartition {
  readonly offset: number;
  /** What was committed beside it; workers of this library note there what is left behind. Left out: none. */
  readonly metadata?: string;
}

/** Where to. `shift` moves by so many messages of the partition from the committed offset, back if negative; `duration` is a time before now; `group` copies another group's. */
export type ResetTarget =
  | { readonly to: 'earliest' | 'latest' | 'current' }
  | { readonly to: 'offset'; readonly offset: number }
  | { readonly to: 'shift'; readonly by: number }
  | { readonly to: 'time'; readonly timeMs: number }
  | { readonly to: 'duration'; readonly durationMs: number }
  | { readonly to: 'group'; readonly group: string }
  | { readonly to: 'offsets'; readonly offsets: readonly PartitionOffset[] };

export interface OffsetReset extends TopicPartition {
  /** Undefined where nothing was committed. */
  readonly before: number | undefined;
  /** Undefined beside an error. */
  readonly after: number | undefined;
  /** The target lay outside of the stream and was brought to its nearer end. */
  readonly isClamped: boolean;
  readonly error: MusterErrorCode;
}

/** @returns the plan for one partition; `copied` are the offsets of the other group or of the list */
export async function planReset(
  context: MusterContext,
  place: TopicPartition,
  target: ResetTarget,
  before: number | undefined,
  copied: ReadonlyMap<string, number>,
): Promise<OffsetReset> {
  const { topic: name, partition } = place;
  const refused = (error: MusterErrorCode): OffsetReset => {
    return { ...place, before, after: undefined, isClamped: false, error };
  };
  try {
    const topic = await context.topics.describe(name);
    if (partition >= topic.partitions) return refused('UNKNOWN_TOPIC_OR_PARTITION');
    if (target.to === 'shift') return await shifted(context, topic, place, target.by, before);
    const wanted = await wantedOffset(context, topic, partition, target, before, copied);
    if (wanted === undefined) return refused('NO_COMMITTED_OFFSET');
    const { firstOffset, nextOffset } = await context.streams.bounds(topic.stream);
    const after = Math.min(Math.max(wanted, firstOffset), nextOffset);
    return { ...place, before, after, isClamped: after !== wanted, error: 'NONE' };
  } catch (thrown) {
    return refused(asMusterError(thrown, 'STREAM_UNAVAILABLE').code);
  }
}

async function shifted(
  { streams }: MusterContext,
  topic: TopicSpec,
  place: TopicPartition,
  by: number,
  before: number | undefined,
): Promise<OffsetReset> {
  if (before === undefined)
    return { ...place, before, after: undefined, isClamped: false, error: 'NO_COMMITTED_OFFSET' };
  const bounds = await streams.bounds(topic.stream);
  const subject = partitionFilter(topic, place.partition);
  const { offset, isClamped } = await shiftedOffset(streams, { stream: topic.stream, subject, bounds }, before, by);
  return { ...place, before, after: offset, isClamped, error: 'NONE' };
}

async function wantedOffset(
  { streams, environment }: MusterContext,
  topic: TopicSpec,
  partition: number,
  target: Exclude<ResetTarget, { readonly to: 'shift' }>,
  before: number | undefined,
  copied: ReadonlyMap<string, number>,
): Promise<number | undefined> {
  switch (target.to) {
    case 'earliest':
      return await offsetOfPosition(streams, topic, partition, 'earliest');
    case 'latest':
      return await endOf(streams, topic, partition);
    case 'time':
      return await offsetOfPosition(streams, topic, partition, { timeMs: target.timeMs });
    case 'duration':
      return await offsetOfPosition(streams, topic, partition, { timeMs: environment.wallNow() - target.durationMs });
    case 'offset':
      return target.offset;
    case 'current':
      return before ?? (await endOf(streams, topic, partition));
    default:
      return copied.get(placeOf(topic.name, partition));
  }
}

/**
 * The stream's next offset would do as well, and lies behind it wherever other partitions have newer messages: people would take it for
 * an offset that is not there yet.
 * @returns the offset after the last message of the partition; the stream's next one where it has none
 */
async function endOf(streams: Streams, topic: TopicSpec, partition: number): Promise<number> {
  const last = await streams.lastOf({ stream: topic.stream, subject: partitionFilter(topic, partition) });
  return last === undefined ? await offsetOfPosition(streams, topic, partition, 'latest') : last.offset + 1;
}
