/**
 * Every bound of a partition log, in one place: sizes of frames and parts, times of retries, when a checkpoint is due.
 */

export type LogLimits = {
  /** Largest frame, encoded; a smaller `frameBytesMax` of the store wins. */
  readonly frameBytesMax: number;
  /** Most of one group in one frame (L4); a larger record goes in parts (L5). */
  readonly groupBytesPerFrameMax: number;
  /** Largest frame of a checkpoint: what a live frame may have to wait for. */
  readonly checkpointFrameBytesMax: number;
  /** Largest record: none above it is appended, the loader refuses to assemble more (L3). */
  readonly recordBytesMax: number;
  /** A checkpoint, and with it a purge, is not due before so many bytes (K3). */
  readonly checkpointBytesMin: number;
  /** A frame unresolved for so long suspends the partition (O6, O12). */
  readonly stallMs: number;
  /** A release gives up after so long without any progress (O9). */
  readonly releaseGiveUpMs: number;
  /** First and longest pause between two tries; each is stretched by up to a half of itself (L2, L3). */
  readonly backoffMs: number;
  readonly backoffMaxMs: number;
  /**
   * For so long a store may name a last sequence below an acknowledged one before the log counts as broken. A deposed stream
   * leader does so for up to 14 s (nats.md 4.4); a stream that was restored or emptied does so for ever.
   */
  readonly regressionMs: number;
  /** So many loads in a row may find the same hole before it counts as damage and not as a purge (K4). */
  readonly loadGapsMax: number;
  /** Tries of one purge; the next checkpoint purges what one left. */
  readonly purgeTriesMax: number;
};

export const logLimitsDefaults = {
  frameBytesMax: 256 * 1024,
  groupBytesPerFrameMax: 64 * 1024,
  checkpointFrameBytesMax: 68 * 1024,
  recordBytesMax: 16 * 1024 * 1024,
  checkpointBytesMin: 8 * 1024 * 1024,
  stallMs: 500,
  releaseGiveUpMs: 1_000,
  backoffMs: 10,
  backoffMaxMs: 500,
  regressionMs: 30_000,
  loadGapsMax: 4,
  purgeTriesMax: 5,
} as const satisfies LogLimits;

/** Smallest frame that a store must accept, in bytes. */
export const FRAME_BYTES_LEAST = 2_048;
