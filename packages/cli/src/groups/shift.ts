/**
 * Shifting offsets by messages. The partitions of a topic share the sequence of their stream: so many sequence numbers back would
 * be a twelfth of that in messages where there are twelve partitions.
 */

import type { TopicPartition } from '@muster/protocol';
import type { PartitionOffset } from '@muster/worker';
import type { Session } from '../session.js';
import { eachAtOnce, manager, messageCount, registered, subjectOf } from '../stream-facts.js';

type Bounds = { readonly first: number; readonly next: number };

/**
 * @param messages so many messages of the partition forward, back if negative; beyond an end it stops there
 * @param onProgress hears after each partition how many are done
 * @returns the committed offsets of these partitions, moved; partitions without one, or of no known topic, are missing
 */
export async function shiftedOffsets(
  session: Session,
  group: string,
  places: readonly TopicPartition[] | undefined,
  messages: number,
  onProgress: (done: number) => void,
): Promise<PartitionOffset[]> {
  const committed = await session.admin.fetchOffsets(group, places ?? null);
  const topics = await registered(session, [...new Set(committed.map(({ topic }) => topic))]);
  const jetstream = await manager(session);
  const bounds = new Map<string, Bounds>();
  for (const { stream } of topics.values()) {
    const { state } = await jetstream.streams.info(stream);
    bounds.set(stream, { first: Math.max(1, state.first_seq), next: state.last_seq + 1 });
  }
  const moved: PartitionOffset[] = [];
  let done = 0;
  await eachAtOnce(committed, async ({ topic, partition, offset }) => {
    const spec = topics.get(topic);
    const ends = spec === undefined ? undefined : bounds.get(spec.stream);
    if (spec !== undefined && ends !== undefined && partition < spec.partitions) {
      const countFrom = (from: number) => messageCount(jetstream, spec.stream, subjectOf(spec, partition), from);
      moved.push({ topic, partition, offset: await shifted(offset, messages, ends, countFrom) });
    }
    done += 1;
    onProgress(done);
  });
  return moved;
}

async function shifted(
  offset: number,
  messages: number,
  ends: Bounds,
  countFrom: (offset: number) => Promise<number>,
): Promise<number> {
  if (messages === 0) return offset;
  const left = (await countFrom(Math.min(Math.max(offset, ends.first), ends.next))) - messages;
  return left <= 0 ? ends.next : await lastOffsetWith(left, ends, countFrom);
}

/**
 * Found by halving: JetStream counts what is left from an offset on, so that it takes as many questions as the sequence has
 * binary digits.
 * @returns the highest offset with at least `wanted` messages at or after it; the lowest there is where none has so many
 */
export async function lastOffsetWith(
  wanted: number,
  ends: Bounds,
  countFrom: (offset: number) => Promise<number>,
): Promise<number> {
  let low = ends.first;
  let high = ends.next;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if ((await countFrom(middle)) >= wanted) low = middle;
    else high = middle;
  }
  return low;
}
