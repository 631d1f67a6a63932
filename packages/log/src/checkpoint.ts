/**
 * A checkpoint: the durable state of the partition's groups, written again so that everything older can be purged.
 *
 * Lazy: a group's state is asked for when its frame is built, one bounded frame at a time, live frames in between.
 *
 * C1 (K1) A group is asked for only while no frame is in flight and every durable record has been reported, and whatever of it still
 *    waits goes before it in the same frame. So its state never stands in the log before a record that it contains.
 * C2 While a group's state is only partly written, its live records wait: an older state never follows a newer record.
 * C3 (K2) Only the end marker makes the checkpoint count. `coversFrom` is the sequence after the last frame before the
 *    checkpoint, or the first part of a live record that was only partly written then, so that a purge keeps whole sets (L5).
 * C4 (K3) The purge comes after the end marker is durable, below `coversFrom`; the end marker itself stays, so the subject
 *    never gets empty. When it runs late, or never, the end marker still tells a loader what to forget.
 */

import type { GroupId } from '@muster/protocol';
import type { LogAccess } from './append.js';
import { Backoff } from './backoff.js';
import { ENTRY_OVERHEAD_BYTES, type FrameEntry, type Piece } from './frame.js';
import type { LogLimits } from './limits.js';
import type { RecordQueue } from './queue.js';
import { type LogRecord, type Packer, pieceBytes } from './record.js';
import { LogStoreUnavailable } from './store.js';

/** A group that a checkpoint writes again. `records` is called when its turn comes; none = it is gone meanwhile. */
export type CheckpointGroup = { readonly group: GroupId; records(): readonly LogRecord[] };

/**
 * Where a checkpoint gets the state from: every group that has any, once; in an order of the source's choice. What `records` gives
 * must be the state as of the last record that was appended.
 */
export type CheckpointSource = Iterable<CheckpointGroup>;

/** What the next frame of a checkpoint carries. */
export type CheckpointFill =
  | { readonly kind: 'entries'; readonly live: readonly FrameEntry[]; readonly entries: readonly FrameEntry[] }
  /** More of the next group waits than fits into a frame: a frame of records first. */
  | { readonly kind: 'blocked' }
  /** Everything is written, the end marker is due. */
  | { readonly kind: 'written' };

/** Even where room is short, less than this is not worth a purge (K3). */
const URGENT_BYTES_MIN = 64 * 1024;

export class Checkpoint {
  readonly coversFrom: number;
  readonly #groups: Iterator<CheckpointGroup>;
  readonly #pack: Packer;
  /** The group that comes next, not asked for yet. */
  #next: CheckpointGroup | undefined;
  #group: GroupId | undefined;
  #pieces: Piece[] = [];
  #at = 0;
  #bytes = 0;

  constructor(source: CheckpointSource, coversFrom: number, pack: Packer) {
    this.#groups = source[Symbol.iterator]();
    this.coversFrom = coversFrom;
    this.#pack = pack;
  }

  /** The group whose state is only partly written: its live records wait (C2). */
  get held(): GroupId | undefined {
    return this.#isWriting ? this.#group : undefined;
  }

  /** Bytes of the frames written so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Counts a frame of the checkpoint that became durable. */
  written(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Takes what the next frame of the checkpoint carries, and from the queue what has to go before it (C1). */
  fill(room: number, queue: Pick<RecordQueue, 'takeAll'>): CheckpointFill {
    const live: FrameEntry[] = [];
    const entries: FrameEntry[] = [];
    const filled = (): CheckpointFill => ({ kind: 'entries', live, entries });
    let left = room;
    for (;;) {
      if (!this.#isWriting) {
        this.#next ??= this.#pull();
        if (this.#next === undefined) return live.length + entries.length > 0 ? filled() : { kind: 'written' };
        const { group } = this.#next;
        const waiting = queue.takeAll(group, left - ENTRY_OVERHEAD_BYTES);
        if (waiting === undefined) return live.length + entries.length > 0 ? filled() : { kind: 'blocked' };
        if (waiting.pieces.length > 0) {
          live.push({ group, pieces: waiting.pieces });
          left -= waiting.bytes + ENTRY_OVERHEAD_BYTES;
        }
        this.#begin(this.#next);
        continue;
      }
      const { pieces, bytes } = this.#take(left - ENTRY_OVERHEAD_BYTES);
      if (pieces.length > 0 && this.#group !== undefined) entries.push({ group: this.#group, pieces });
      left -= bytes + ENTRY_OVERHEAD_BYTES;
      if (this.#isWriting) return filled();
    }
  }

  get #isWriting(): boolean {
    return this.#at < this.#pieces.length;
  }

  #pull(): CheckpointGroup | undefined {
    const next = this.#groups.next();
    return next.done === true ? undefined : next.value;
  }

  #begin(next: CheckpointGroup): void {
    this.#next = undefined;
    this.#group = next.group;
    this.#pieces = next.records().flatMap(this.#pack);
    this.#at = 0;
  }

  #take(room: number): { pieces: Piece[]; bytes: number } {
    const from = this.#at;
    let bytes = 0;
    for (; this.#at < this.#pieces.length; this.#at += 1) {
      const piece = this.#pieces[this.#at];
      if (piece === undefined || bytes + pieceBytes(piece) > room) break;
      bytes += pieceBytes(piece);
    }
    return { pieces: this.#pieces.slice(from, this.#at), bytes };
  }
}

/**
 * When a checkpoint is worth its bytes.
 *
 * Live frames earn credit, checkpoint frames spend it. A checkpoint is due when the credit has reached both 8 MiB (K3: a purge
 * holds up the whole stream for a moment) and the size of the last checkpoint. So at the moment when one is due, all
 * checkpoints before it together have cost at most what the live frames brought: write amplification at most 2. One
 * checkpoint overdraws by at most what the live state grew since the last; the next waits until that is earned back. The log
 * holds at most about three times the live state, which bounds the load.
 */
export class CheckpointMeter {
  readonly #leastBytes: number;
  #creditBytes: number;
  #lastBytes: number;

  /**
   * @param loadedBytes size of the log as it was loaded
   * @param lastBytes size of the newest checkpoint in it, 0 where there is none
   */
  constructor(limits: LogLimits, loadedBytes: number, lastBytes: number) {
    this.#leastBytes = limits.checkpointBytesMin;
    this.#creditBytes = loadedBytes - lastBytes;
    this.#lastBytes = lastBytes;
  }

  /** Counts a live frame that became durable. */
  earn(bytes: number): void {
    this.#creditBytes += bytes;
  }

  /** Counts a checkpoint that became durable. */
  spend(bytes: number): void {
    this.#creditBytes -= bytes;
    this.#lastBytes = bytes;
  }

  /** @param isUrgent the stream runs full: a checkpoint is due as soon as it frees a fair share of what it writes (L7) */
  isDue(isUrgent: boolean): boolean {
    if (isUrgent) return this.#creditBytes >= Math.max(URGENT_BYTES_MIN, this.#lastBytes / 4);
    return this.#creditBytes >= Math.max(this.#leastBytes, this.#lastBytes);
  }
}

/** Purges below `seq` (C4). What fails for good is left to the purge of the next checkpoint. Never rejects. */
export async function purgeBelow(access: LogAccess, seq: number): Promise<'purged' | 'left'> {
  const backoff = new Backoff(access.clock, access.limits, access.newNonce);
  for (let tries = 1; tries <= access.limits.purgeTriesMax; tries += 1) {
    try {
      await access.store.purgeBelow(access.partition, seq);
      return 'purged';
    } catch (error) {
      if (!(error instanceof LogStoreUnavailable)) return 'left';
      await backoff.wait();
    }
  }
  return 'left';
}
