/**
 * Checks the chain of a log while it is read and hands its records to the sink. Synchronous; reading is load.ts's business.
 *
 * P1 (L1) Every frame names sequence and nonce of its predecessor. Only the first frame read has none to check against: what
 *    lay before may be purged. A wrong nonce is damage; a missing frame is a hole, and a purge on its way leaves one too.
 * P2 Epochs change only at a claim, and only upwards; within one epoch there is one writer; nothing follows a release but a
 *    claim (O9).
 * P3 (L5) A record counts at its last part; sets that a predecessor left open never become complete.
 * P4 (K2) Only the end marker of a checkpoint makes the sink forget.
 */

import { assertNever, type GroupId } from '@muster/protocol';
import { decodeFrame, type Frame, type FrameEntry } from './frame.js';
import { type LogRecord, PartAssembler, unpackRecord } from './record.js';
import type { StoredFrame } from './store.js';

/** Where the records of a log go while it is loaded. */
export interface LogReplaySink {
  /** A record, in the order of the log. `seq` = the frame in which it became complete. */
  record(seq: number, group: GroupId, record: LogRecord): void;
  /**
   * Forget every group, and every offset, whose newest record lies below `seq` (K2). A load that starts again says so with
   * a sequence above everything: forget all.
   */
  forgetBelow(seq: number): void;
}

/** What one pass over the log has found so far. */
export type ReplayState =
  | { readonly kind: 'reading' }
  /** Sequence `missing` is not there, although a later frame is. */
  | { readonly kind: 'hole'; readonly missing: number }
  | { readonly kind: 'broken'; readonly detail: string };

export class Replay {
  readonly #sink: LogReplaySink;
  readonly #parts: PartAssembler;
  #state: ReplayState = { kind: 'reading' };
  #last: { readonly seq: number; readonly frame: Frame } | undefined;
  #frames = 0;
  #bytes = 0;
  #checkpointBytes = 0;

  constructor(sink: LogReplaySink, recordBytesMax: number) {
    this.#sink = sink;
    this.#parts = new PartAssembler(recordBytesMax);
  }

  get state(): ReplayState {
    return this.#state;
  }
  /** The newest frame that was taken. */
  get last(): { readonly seq: number; readonly frame: Frame } | undefined {
    return this.#last;
  }
  get frames(): number {
    return this.#frames;
  }
  get bytes(): number {
    return this.#bytes;
  }
  /** Size of the newest finished checkpoint, 0 where there is none. */
  get checkpointBytes(): number {
    return this.#checkpointBytes;
  }

  /** Takes the next frame of the log; after a hole or damage it takes nothing more. */
  take(stored: StoredFrame): void {
    if (this.#state.kind !== 'reading') return;
    const decoded = decodeFrame(stored.bytes);
    if (!decoded.ok) {
      this.#state = { kind: 'broken', detail: `frame ${stored.seq}: ${decoded.reason}` };
      return;
    }
    const misfit = this.#last === undefined ? undefined : misfitOf(this.#last, stored.seq, decoded.frame);
    if (misfit !== undefined) {
      this.#state = misfit;
      return;
    }
    this.#last = { seq: stored.seq, frame: decoded.frame };
    this.#frames += 1;
    this.#bytes += stored.bytes.length;
    this.#apply(stored.seq, decoded.frame);
  }

  #apply(seq: number, { body }: Frame): void {
    switch (body.kind) {
      case 'claim':
        this.#parts.abandonOpen();
        return;
      case 'barrier':
      case 'release':
        return;
      case 'records':
        for (const entry of body.entries) this.#applyEntry(seq, entry);
        return;
      case 'checkpoint':
        for (const entry of [...body.live, ...body.entries]) this.#applyEntry(seq, entry);
        return;
      case 'checkpoint-end':
        this.#checkpointBytes = body.bytes;
        this.#sink.forgetBelow(body.coversFrom);
        return;
      default:
        assertNever(body);
    }
  }

  #applyEntry(seq: number, entry: FrameEntry): void {
    for (const piece of entry.pieces) {
      const assembled = this.#parts.add(entry.group, piece);
      if (assembled.kind === 'nothing') continue;
      const record = assembled.kind === 'record' ? unpackRecord(assembled.bytes) : undefined;
      if (record === undefined) {
        const detail = assembled.kind === 'damaged' ? assembled.detail : 'a record is malformed';
        this.#state = { kind: 'broken', detail: `frame ${seq}: ${detail}` };
        return;
      }
      this.#sink.record(seq, entry.group, record);
    }
  }
}

/** @returns what is wrong with `frame` as the successor of `last`, if anything (P1, P2) */
function misfitOf(
  last: { readonly seq: number; readonly frame: Frame },
  seq: number,
  frame: Frame,
): ReplayState | undefined {
  const broken = (detail: string): ReplayState => ({ kind: 'broken', detail: `frame ${seq}: ${detail}` });
  if (frame.previousSeq > last.seq && frame.previousSeq < seq) return { kind: 'hole', missing: frame.previousSeq };
  if (frame.previousSeq !== last.seq) return broken(`names ${frame.previousSeq} as predecessor instead of ${last.seq}`);
  if (frame.previousNonce !== last.frame.nonce) return broken(`its predecessor ${last.seq} has another nonce`);
  if (frame.body.kind === 'claim') {
    return frame.epoch > last.frame.epoch ? undefined : broken(`claims epoch ${frame.epoch} after ${last.frame.epoch}`);
  }
  const sameWriter =
    frame.epoch === last.frame.epoch && frame.node === last.frame.node && frame.incarnation === last.frame.incarnation;
  if (!sameWriter) return broken('its writer has not claimed the partition');
  return last.frame.body.kind === 'release' ? broken('follows a release') : undefined;
}
