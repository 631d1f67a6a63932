/**
 * Where a lane begins to read.
 *
 * F1 a committed offset that is still in the stream always wins.
 */

import { MusterError } from './errors.js';
import type { StreamBounds } from './streams.js';

/**
 * Where to begin in a partition without a committed offset: an end of the stream, the first message stored at or after a time
 * (wall clock); `committed` refuses to begin anywhere else.
 */
export type Start = 'earliest' | 'latest' | 'committed' | { readonly timeMs: number };
/** Where to begin when the committed offset is no longer, or not yet, in the stream. */
export type StartFallback = 'earliest' | 'latest' | 'fail';

/** The offset to read first, and whether it still has to be committed to last. */
export interface StartOffset {
  readonly offset: number;
  readonly isNew: boolean;
}

/**
 * @param committed the committed offset, undefined for none
 * @param policy a start at a time comes as the offset it means
 * @returns where to begin; throws MusterError NO_COMMITTED_OFFSET or OFFSET_OUT_OF_RANGE where the policy says so
 */
export function startOffset(
  place: string,
  committed: number | undefined,
  bounds: StreamBounds,
  policy: { readonly start: 'earliest' | 'latest' | 'committed' | number; readonly fallback: StartFallback },
): StartOffset {
  if (committed === undefined) {
    if (policy.start === 'committed') throw new MusterError('NO_COMMITTED_OFFSET', place);
    // kafka: forgets where "latest" was until the first commit; a rebalance before it then skips messages. Here the
    // decision itself is committed.
    if (typeof policy.start === 'number') return { offset: policy.start, isNew: true };
    return { offset: policy.start === 'earliest' ? bounds.firstOffset : bounds.nextOffset, isNew: true };
  }
  if (committed >= bounds.firstOffset && committed <= bounds.nextOffset) return { offset: committed, isNew: false };
  // Offsets begin at 1; who has committed 0 misses nothing of a stream that has lost nothing.
  if (committed === 0 && bounds.firstOffset === 1) return { offset: 1, isNew: true };
  if (policy.fallback === 'fail') {
    const range = `${bounds.firstOffset} to ${bounds.nextOffset}`;
    throw new MusterError('OFFSET_OUT_OF_RANGE', `${place}: ${committed} is outside ${range}`);
  }
  return { offset: policy.fallback === 'earliest' ? bounds.firstOffset : bounds.nextOffset, isNew: true };
}
