/**
 * Where the offsets of a group would go, partition by partition, before anything is written.
 *
 * E1 nothing here commits. E2 every partition has a result of its own. E3 what lies outside of the stream is brought to its end.
 */

import type { TopicPartition } from '@muster/protocol';
import { asMusterError, MusterError, type MusterErrorCode } from './errors.js';
import { placeOf } from './lane.js';
import type { MusterContext } from './muster-context.js';
import { offsetOfPosition } from './positions.js';
import type { TopicSpec } from './topic.js';

/** A partition and an offset of it: that of the next message to read. */
export interface PartitionOffset extends TopicPartition {
  readonly offset: number;
}

/** Where to. `shift` moves from the committed offset; `duration` is a time before now; `group` copies another group's. */
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
    const wanted = await wantedOffset(context, topic, partition, target, before, copied);
    if (wanted === undefined) return refused('NO_COMMITTED_OFFSET');
    const { firstOffset, nextOffset } = await context.streams.bounds(topic.stream);
    const after = Math.min(Math.max(wanted, firstOffset), nextOffset);
    return { ...place, before, after, isClamped: after !== wanted, error: 'NONE' };
  } catch (thrown) {
    return refused(asMusterError(thrown, 'STREAM_UNAVAILABLE').code);
  }
}

async function wantedOffset(
  { streams, environment }: MusterContext,
  topic: TopicSpec,
  partition: number,
  target: ResetTarget,
  before: number | undefined,
  copied: ReadonlyMap<string, number>,
): Promise<number | undefined> {
  switch (target.to) {
    case 'earliest':
    case 'latest':
      return await offsetOfPosition(streams, topic, partition, target.to);
    case 'time':
      return await offsetOfPosition(streams, topic, partition, { timeMs: target.timeMs });
    case 'duration':
      return await offsetOfPosition(streams, topic, partition, { timeMs: environment.wallNow() - target.durationMs });
    case 'offset':
      return target.offset;
    case 'shift':
      return before === undefined ? undefined : before + target.by;
    case 'current':
      return before ?? (await offsetOfPosition(streams, topic, partition, 'latest'));
    default:
      return copied.get(placeOf(topic.name, partition));
  }
}

/**
 * Reads offsets from a file's text: kafka's CSV lines `topic,partition,offset`, or JSON, a list of objects with these fields.
 * Throws MusterError INVALID_ARGUMENT naming the line.
 */
export function parseOffsets(text: string): PartitionOffset[] {
  const isJson = text.trimStart().startsWith('[');
  const rows: unknown[] = isJson ? jsonList(text) : csvRows(text);
  return rows.map((row, at) => {
    const { topic, partition, offset } = { topic: '', partition: -1, offset: -1, ...(row as object) };
    const areNumbers = Number.isInteger(partition) && partition >= 0 && Number.isInteger(offset) && offset >= 0;
    if (typeof topic === 'string' && topic !== '' && areNumbers) return { topic, partition, offset };
    throw new MusterError('INVALID_ARGUMENT', `entry ${at + 1} is not a topic, a partition and an offset`);
  });
}

function jsonList(text: string): unknown[] {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : [];
  } catch (cause) {
    throw new MusterError('INVALID_ARGUMENT', 'the offsets are neither CSV nor JSON', { cause });
  }
}

function csvRows(text: string): unknown[] {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '' && !line.startsWith('#'));
  return lines.map((line) => {
    const cells = line.split(',').map((cell) => cell.trim().replace(/^"(.*)"$/, '$1'));
    // The name of a topic may have commas in it, the numbers do not.
    return { topic: cells.slice(0, -2).join(','), partition: numberIn(cells.at(-2)), offset: numberIn(cells.at(-1)) };
  });
}

function numberIn(cell: string | undefined): number {
  return cell !== undefined && /^\d+$/.test(cell) ? Number(cell) : Number.NaN;
}
