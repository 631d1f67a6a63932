/**
 * From what people mean by a place in a partition to an offset.
 */

import { MusterError } from './errors.js';
import { placeOf, requireOffset } from './lane.js';
import type { Streams } from './streams.js';
import { partitionFilter, type TopicSpec } from './topic.js';

/** An offset, an end of the stream, or the first message stored at or after a time (wall clock, milliseconds). */
export type Position = number | 'earliest' | 'latest' | { readonly timeMs: number };

/**
 * @returns the offset; for a time after the last message, that of the next one
 * Throws MusterError OFFSET_OUT_OF_RANGE, INVALID_ARGUMENT, STREAM_REFUSED, STREAM_UNAVAILABLE.
 */
export async function offsetOfPosition(
  streams: Streams,
  topic: TopicSpec,
  partition: number,
  to: Position,
): Promise<number> {
  if (typeof to === 'object') {
    if (!Number.isFinite(to.timeMs)) throw new MusterError('INVALID_ARGUMENT', `${to.timeMs} is no time`);
    const subject = partitionFilter(topic, partition);
    return await streams.offsetAt({ stream: topic.stream, subject, timeMs: to.timeMs });
  }
  const { firstOffset, nextOffset } = await streams.bounds(topic.stream);
  if (to === 'earliest') return firstOffset;
  if (to === 'latest') return nextOffset;
  requireOffset(to);
  if (to >= firstOffset && to <= nextOffset) return to;
  const range = `${firstOffset} to ${nextOffset}`;
  throw new MusterError('OFFSET_OUT_OF_RANGE', `${placeOf(topic.name, partition)}: ${to} is outside ${range}`);
}
