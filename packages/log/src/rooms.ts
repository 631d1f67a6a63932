/**
 * How many bytes go where in a frame, derived from the limits and from what the store accepts.
 */

import { ENTRY_OVERHEAD_BYTES, FRAME_OVERHEAD_BYTES, PIECE_OVERHEAD_BYTES } from './frame.js';
import { FRAME_BYTES_LEAST, type LogLimits } from './limits.js';

export type Rooms = {
  /** For all entries of a frame of records. */
  readonly frame: number;
  /** For all entries of a frame of a checkpoint; a full part of a record always fits. */
  readonly checkpoint: number;
  /** For the pieces of one group in one frame (L4). */
  readonly group: number;
  /** For the bytes of one piece; a larger record goes in parts (L5). */
  readonly part: number;
};

/**
 * @param storeBytesMax largest frame that the store accepts
 * @throws RangeError where frames would be too small to hold a part
 */
export function roomsOf(limits: LogLimits, storeBytesMax: number): Rooms {
  const frameBytes = Math.min(limits.frameBytesMax, storeBytesMax);
  if (frameBytes < FRAME_BYTES_LEAST) {
    throw new RangeError(`frames of ${frameBytes} bytes are too small: at least ${FRAME_BYTES_LEAST}`);
  }
  const frame = frameBytes - FRAME_OVERHEAD_BYTES;
  const group = Math.min(limits.groupBytesPerFrameMax, frame - ENTRY_OVERHEAD_BYTES);
  const checkpoint = Math.max(
    Math.min(limits.checkpointFrameBytesMax - FRAME_OVERHEAD_BYTES, frame),
    group + ENTRY_OVERHEAD_BYTES,
  );
  return { frame, checkpoint, group, part: group - PIECE_OVERHEAD_BYTES };
}
