/**
 * The port of the partition log: one ordered, conditionally writable subject per coordinator partition.
 *
 * Adapters: JetStream (package nats) and memory with faults (testkit); both pass the same contract suite. An adapter tries
 * once and tells what it knows; deciding what an outcome means is the log's business (rules L2, L3).
 */

import type { Partition } from '@muster/protocol';

/** What is known after one try to append. */
export type AppendOutcome =
  /** Acknowledged: durable at this sequence. */
  | { readonly kind: 'stored'; readonly seq: number }
  /** Wrong last sequence (10071). `lastSeq` is the sequence that the stream leader named, where it named one. */
  | { readonly kind: 'refused'; readonly lastSeq: number | undefined }
  /** Another conditional write of this subject is still in flight at the leader (10164): the same again, later (L3). */
  | { readonly kind: 'busy' }
  /** The stream is full (10077): nothing was written; more of it will not be either until there is room. */
  | { readonly kind: 'full' }
  /** Nothing is known: it may have landed, may land later, or never (L2). */
  | { readonly kind: 'unknown'; readonly cause: string };

/** A message of the log as the stream keeps it. */
export type StoredFrame = { readonly seq: number; readonly bytes: Uint8Array };

/** A read that could not be served now: no leader, no connection, timeout. The same read may be tried again. */
export class LogStoreUnavailable extends Error {
  override readonly name = 'LogStoreUnavailable';
}

export interface LogStore {
  /** Largest frame that the store accepts, in bytes. */
  readonly frameBytesMax: number;

  /**
   * One conditional append: stored only if the last sequence of the partition's subject is still `expectedSeq` (0 = empty).
   * Settles within the adapter's timeout; never rejects.
   */
  append(partition: Partition, bytes: Uint8Array, expectedSeq: number): Promise<AppendOutcome>;

  /**
   * The last frame of the partition as the stream leader says, or undefined where there is none. May be stale (a deposed
   * leader answers too): only a conditional append proves freshness.
   * @throws LogStoreUnavailable
   */
  last(partition: Partition): Promise<StoredFrame | undefined>;

  /**
   * Reads frames in order from the first one at or above `fromSeq` up to and including `throughSeq`. A frame may have been
   * purged meanwhile: then it is missing, which is for the caller to judge (K4).
   * @param onFrame called for each frame in order
   * @throws LogStoreUnavailable
   */
  read(partition: Partition, fromSeq: number, throughSeq: number, onFrame: (frame: StoredFrame) => void): Promise<void>;

  /**
   * Removes the partition's frames below `seq` (K3). One purge at a time per stream is the adapter's care.
   * @throws LogStoreUnavailable
   */
  purgeBelow(partition: Partition, seq: number): Promise<void>;
}

/** What a store tells about its room (L7), apart from the log itself. */
export interface LogRoom {
  /**
   * How full the stream of the partition is: the share of its `max_bytes` in use, 0 where it has no such limit. May be some
   * seconds old.
   * @throws LogStoreUnavailable
   */
  fullness(partition: Partition): Promise<number>;
}
