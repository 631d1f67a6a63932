/**
 * Shifting an offset by messages of its partition. kafka: shift-by counts messages, and there offsets are. Here the partitions of a topic
 * share the sequence of their stream: so many sequence numbers back would be a twelfth of that in messages where there are twelve
 * partitions.
 */

import type { StreamBounds, Streams } from './streams.js';

/** A subject of a stream, and where the stream begins and ends. */
export interface ShiftPlace {
  readonly stream: string;
  readonly subject: string;
  readonly bounds: Pick<StreamBounds, 'firstOffset' | 'nextOffset'>;
}

/**
 * @param messages so many messages forward, or back if negative; beyond an end of the stream it stops there
 * @returns the offset, and whether an end has cut the way short
 */
export async function shiftedOffset(
  streams: Pick<Streams, 'countFrom'>,
  { stream, subject, bounds }: ShiftPlace,
  offset: number,
  messages: number,
): Promise<{ readonly offset: number; readonly isClamped: boolean }> {
  const { firstOffset, nextOffset } = bounds;
  const from = Math.min(Math.max(offset, firstOffset), nextOffset);
  if (messages === 0) return { offset: from, isClamped: from !== offset };
  const countFrom = (startOffset: number) => streams.countFrom({ stream, subject, startOffset });
  const wanted = (await countFrom(from)) - messages;
  if (wanted <= 0) return { offset: nextOffset, isClamped: wanted < 0 };
  if (messages < 0 && (await countFrom(firstOffset)) < wanted) return { offset: firstOffset, isClamped: true };
  return { offset: await lastOffsetWith(wanted, bounds, countFrom), isClamped: false };
}

/**
 * By halving: JetStream counts what is left from an offset on, so that it takes as many questions as the sequence has binary digits.
 * @returns the highest offset with at least `wanted` messages at or after it: that of the message itself
 */
async function lastOffsetWith(
  wanted: number,
  { firstOffset, nextOffset }: ShiftPlace['bounds'],
  countFrom: (offset: number) => Promise<number>,
): Promise<number> {
  let low = firstOffset;
  let high = nextOffset;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if ((await countFrom(middle)) >= wanted) low = middle;
    else high = middle;
  }
  return low;
}
