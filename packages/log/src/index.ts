/**
 * The partition log: frames, claim, checkpoint and replay over the port `LogStore`. Rules: log-and-ownership.md.
 */

export { Checkpoint, type CheckpointGroup, type CheckpointSource } from './checkpoint.js';
export { type ClaimOptions, type ClaimOutcome, claimPartition, type LogTail, type ReleasedBy } from './claim.js';
export type { LogClock } from './clock.js';
export {
  type DecodedFrame,
  decodeFrame,
  encodeFrame,
  FRAME_FORMAT,
  type Frame,
  type FrameBody,
  type FrameEntry,
  liveEntries,
  type Piece,
} from './frame.js';
export { type LogLimits, logLimitsDefaults } from './limits.js';
export type { LogListener, LostReason } from './listener.js';
export { readAhead } from './load.js';
export { PartitionLog } from './partition-log.js';
export { type LogRecord, unpackRecord } from './record.js';
export { type LogReplaySink, Replay } from './replay.js';
export { type AppendOutcome, type LogRoom, type LogStore, LogStoreUnavailable, type StoredFrame } from './store.js';
