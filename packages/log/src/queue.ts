/**
 * The records that wait for a frame, in order per group and fair between groups. Synchronous; knows nothing of sending.
 *
 * Q1 The pieces of a group leave in the order in which they came.
 * Q2 (L4) Frames are filled round-robin by group: a group that was served goes to the back, at most `groupRoom` bytes of
 *    one group go into one frame, and the first group whose next piece does not fit closes the frame and opens the next.
 * Q3 (K1) Before a group's state is written, everything of it that waits leaves at once, or nothing.
 */

import type { GroupId } from '@muster/protocol';
import { ENTRY_OVERHEAD_BYTES, type FrameEntry, type Piece } from './frame.js';
import { pieceBytes } from './record.js';

/** The pieces of one group that wait; those before `head` have left. */
type Line = { readonly group: GroupId; pieces: Piece[]; head: number };

export class RecordQueue {
  /** In the order of service: the first one is next. */
  readonly #lines = new Map<GroupId, Line>();

  /** Puts pieces at the end of their group's line. */
  add(group: GroupId, pieces: readonly Piece[]): void {
    let line = this.#lines.get(group);
    if (line === undefined) {
      line = { group, pieces: [], head: 0 };
      this.#lines.set(group, line);
    }
    for (const piece of pieces) line.pieces.push(piece);
  }

  /** Whether nothing waits. */
  get isEmpty(): boolean {
    return this.#lines.size === 0;
  }

  /**
   * Takes what the next frame carries (Q2).
   * @param room bytes for all entries
   * @param groupRoom bytes for the pieces of one group
   * @param held a group that has to wait: its snapshot is only partly written (checkpoint.ts)
   */
  fill(room: number, groupRoom: number, held?: GroupId): FrameEntry[] {
    const entries: FrameEntry[] = [];
    const served: Line[] = [];
    let left = room;
    for (const line of this.#lines.values()) {
      if (line.group === held) continue;
      const { pieces, bytes } = take(line, Math.min(groupRoom, left - ENTRY_OVERHEAD_BYTES));
      if (pieces.length === 0) break;
      left -= bytes + ENTRY_OVERHEAD_BYTES;
      entries.push({ group: line.group, pieces });
      served.push(line);
    }
    for (const line of served) {
      this.#lines.delete(line.group);
      if (line.head < line.pieces.length) this.#lines.set(line.group, line);
    }
    return entries;
  }

  /**
   * Takes everything of a group that waits (Q3).
   * @returns its pieces, none where none wait; undefined where they need more than `room` bytes: then nothing was taken
   */
  takeAll(group: GroupId, room: number): { readonly pieces: readonly Piece[]; readonly bytes: number } | undefined {
    const line = this.#lines.get(group);
    if (line === undefined) return { pieces: [], bytes: 0 };
    const pieces = line.pieces.slice(line.head);
    let bytes = 0;
    for (const piece of pieces) bytes += pieceBytes(piece);
    if (bytes > room) return undefined;
    this.#lines.delete(group);
    return { pieces, bytes };
  }

  /** Drops everything. */
  clear(): void {
    this.#lines.clear();
  }
}

function take(line: Line, room: number): { pieces: Piece[]; bytes: number } {
  let bytes = 0;
  let end = line.head;
  for (; end < line.pieces.length; end += 1) {
    const piece = line.pieces[end];
    if (piece === undefined || bytes + pieceBytes(piece) > room) break;
    bytes += pieceBytes(piece);
  }
  const pieces = line.pieces.slice(line.head, end);
  line.head = end;
  // What has left is dropped now and then, so that a line that never empties stays small.
  if (line.head > 1_024) {
    line.pieces = line.pieces.slice(line.head);
    line.head = 0;
  }
  return { pieces, bytes };
}
