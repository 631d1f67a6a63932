/**
 * Records as the log keeps them: opaque arrays, packed once, cut into parts where they are too large for one frame.
 *
 * R1 (L5) Parts take effect together at the last one. A set that is not complete is ignored.
 * R2 Parts of a set lie in frames of one reign, in order; parts of other sets, also of the same group, may lie between.
 */

import { decode, encode, type GroupId } from '@muster/protocol';
import { PARTS_MAX, PIECE_OVERHEAD_BYTES, type Piece } from './frame.js';

/** Opaque to the log: a versioned array made by the group package. */
export type LogRecord = readonly unknown[];

/** Packs a record into the pieces of which it is appended; throws RangeError where no loader would take it. */
export type Packer = (record: LogRecord) => Piece[];

/**
 * Packs a record and cuts it into pieces of at most `partBytesMax` bytes.
 * @param recordBytesMax what a loader takes; the owner sees to it before it decides anything (L3), this is the last line
 * @param newSet makes the name of a set of parts
 * @throws RangeError where the record is larger, or would need more than 65,535 parts
 */
export function packRecord(
  record: LogRecord,
  partBytesMax: number,
  recordBytesMax: number,
  newSet: () => string,
): Piece[] {
  const bytes = encode(record);
  if (bytes.length > recordBytesMax) {
    throw new RangeError(`a record of ${bytes.length} bytes, at most ${recordBytesMax} are loaded again`);
  }
  if (bytes.length <= partBytesMax) return [{ kind: 'whole', bytes }];
  const count = Math.ceil(bytes.length / partBytesMax);
  if (count > PARTS_MAX) throw new RangeError(`a record of ${bytes.length} bytes needs ${count} parts`);
  const set = newSet();
  const pieces: Piece[] = [];
  for (let index = 1; index <= count; index += 1) {
    const part = bytes.subarray((index - 1) * partBytesMax, index * partBytesMax);
    pieces.push({ kind: 'part', set, index, count, bytes: part });
  }
  return pieces;
}

/** @returns the record of some bytes, or undefined where they are no array */
export function unpackRecord(bytes: Uint8Array): LogRecord | undefined {
  const decoded = decode(bytes);
  return decoded.ok && Array.isArray(decoded.value) ? (decoded.value as unknown[]) : undefined;
}

/** @returns the room that a piece takes in a frame, in bytes */
export function pieceBytes(piece: Piece): number {
  return piece.bytes.length + PIECE_OVERHEAD_BYTES;
}

/** @returns whether a record is complete with this piece */
export function completesRecord(piece: Piece): boolean {
  return piece.kind === 'whole' || piece.index === piece.count;
}

type OpenSet = { readonly group: GroupId; readonly count: number; readonly parts: Uint8Array[]; bytes: number };

/** What a piece brings: the bytes of a whole record, nothing yet, or damage. */
export type Assembled =
  | { readonly kind: 'record'; readonly bytes: Uint8Array }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'damaged'; readonly detail: string };

const nothing: Assembled = { kind: 'nothing' };

/** Puts parts together again while a log is read. */
export class PartAssembler {
  readonly #recordBytesMax: number;
  readonly #open = new Map<string, OpenSet>();

  constructor(recordBytesMax: number) {
    this.#recordBytesMax = recordBytesMax;
  }

  /** Takes the next piece of the log. */
  add(group: GroupId, piece: Piece): Assembled {
    if (piece.kind === 'whole') return { kind: 'record', bytes: piece.bytes };
    const set = piece.index === 1 ? this.#start(group, piece.set, piece.count) : this.#open.get(piece.set);
    // The first parts are gone or were never there: the set cannot become complete (R1).
    if (set === undefined) return nothing;
    if (set.group !== group || set.count !== piece.count || set.parts.length !== piece.index - 1) {
      return { kind: 'damaged', detail: `part ${piece.index} of ${piece.count} of set ${piece.set} is out of place` };
    }
    set.parts.push(piece.bytes);
    set.bytes += piece.bytes.length;
    if (set.bytes > this.#recordBytesMax) {
      return { kind: 'damaged', detail: `set ${piece.set} is larger than ${this.#recordBytesMax} bytes` };
    }
    if (piece.index < piece.count) return nothing;
    this.#open.delete(piece.set);
    return { kind: 'record', bytes: joined(set) };
  }

  /** Forgets the sets that are open: whoever was writing them has been replaced (R2). */
  abandonOpen(): void {
    this.#open.clear();
  }

  #start(group: GroupId, name: string, count: number): OpenSet {
    const set: OpenSet = { group, count, parts: [], bytes: 0 };
    this.#open.set(name, set);
    return set;
  }
}

function joined(set: OpenSet): Uint8Array {
  const bytes = new Uint8Array(set.bytes);
  let at = 0;
  for (const part of set.parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
