/**
 * What a group has left to read: in messages and in time, for every partition of its topics, consumed by somebody or not.
 */

import { type DescribeReply, decodeAssignment, decodeSubscription, type TopicPartition } from '@muster/protocol';
import { asMusterError, MusterError, type MusterErrorCode } from './errors.js';
import { Gate } from './gate.js';
import { partitionOfPlace, placeOf } from './lane.js';
import type { MusterContext } from './muster-context.js';
import { partitionFilter } from './topic.js';

const AT_ONCE_MAX = 16;

export interface PartitionLag extends TopicPartition {
  /** The committed offset; -1 for none: then everything in the stream counts as left. */
  readonly offset: number;
  /** Messages at or after the committed offset. */
  readonly lag: number;
  /** How long the oldest of them has been in the stream, in milliseconds; 0 where none is left. */
  readonly lagMs: number;
  /** Who owns it; undefined where nobody does. */
  readonly memberId: string | undefined;
  /** `NONE`, or why it could not be counted. */
  readonly error: MusterErrorCode;
}

/** @returns the lag of every partition of these topics, by topic and partition */
export async function lagOf(
  context: MusterContext,
  topics: Iterable<string>,
  committed: ReadonlyMap<string, number>,
  owners: ReadonlyMap<string, string>,
): Promise<PartitionLag[]> {
  const gate = new Gate(AT_ONCE_MAX);
  const counting: Promise<PartitionLag>[] = [];
  for (const name of [...new Set(topics)].sort()) {
    const topic = await context.topics
      .describe(name)
      .catch((thrown: unknown) => asMusterError(thrown, 'UNKNOWN_TOPIC'));
    const places = topic instanceof MusterError ? committedPartitions(name, committed) : numbersTo(topic.partitions);
    for (const partition of places) {
      const place = placeOf(name, partition);
      const offset = committed.get(place) ?? -1;
      const known = { topic: name, partition, offset, memberId: owners.get(place) };
      counting.push(
        topic instanceof MusterError
          ? Promise.resolve({ ...known, lag: 0, lagMs: 0, error: topic.code })
          : counted(context, gate, known, topic.stream, partitionFilter(topic, partition)),
      );
    }
  }
  return await Promise.all(counting);
}

async function counted(
  { streams, environment }: MusterContext,
  gate: Gate,
  known: Omit<PartitionLag, 'lag' | 'lagMs' | 'error'>,
  stream: string,
  subject: string,
): Promise<PartitionLag> {
  const from = { stream, subject, startOffset: Math.max(0, known.offset) };
  await gate.enter();
  try {
    const lag = await streams.countFrom(from);
    const oldest = lag === 0 ? undefined : await streams.firstFrom(from);
    const lagMs = oldest === undefined ? 0 : Math.max(0, environment.wallNow() - oldest.timestampMs);
    return { ...known, lag, lagMs, error: 'NONE' };
  } catch (thrown) {
    return { ...known, lag: 0, lagMs: 0, error: asMusterError(thrown, 'STREAM_UNAVAILABLE').code };
  } finally {
    gate.leave();
  }
}

/** @returns the topics its members subscribe to, and who owns which partition */
export function consumersOf(group: DescribeReply): {
  readonly topics: ReadonlySet<string>;
  readonly owners: ReadonlyMap<string, string>;
} {
  const topics = new Set<string>();
  const owners = new Map<string, string>();
  if (group.protocolType !== 'consumer') return { topics, owners };
  for (const { memberId, metadata, assignment } of group.members) {
    const subscription = decodeSubscription(metadata);
    if (subscription.kind === 'decoded') for (const topic of subscription.value.topics) topics.add(topic);
    const assigned = assignment.byteLength === 0 ? undefined : decodeAssignment(assignment);
    if (assigned?.kind !== 'decoded') continue;
    for (const { topic, partition } of assigned.value.partitions) owners.set(placeOf(topic, partition), memberId);
  }
  return { topics, owners };
}

function committedPartitions(topic: string, committed: ReadonlyMap<string, number>): number[] {
  const places = [...committed.keys()].map(partitionOfPlace).filter((place) => place.topic === topic);
  return places.map(({ partition }) => partition).sort((a, b) => a - b);
}

function numbersTo(count: number): number[] {
  return Array.from({ length: count }, (_, number) => number);
}
