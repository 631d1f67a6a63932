/**
 * A frame: one message of a partition log, and how it looks in bytes.
 *
 * Does not know what a record means, nor which frame may follow which (that is replay.ts).
 *
 * F1 (L1) A frame carries who wrote it (epoch, node, incarnation), a nonce of its own, and sequence and nonce of its
 *    predecessor. The nonce alone decides whether the frame landed.
 * F2 Bytes that are not exactly a frame of a known format are damage, never half a frame.
 */

import {
  assertNever,
  decode,
  type Epoch,
  encode,
  type GroupId,
  type Incarnation,
  isEpoch,
  isGroupId,
  isIncarnation,
  isNodeId,
  type NodeId,
} from '@muster/protocol';

/** Version of the layout below; a loader refuses any other. */
export const FRAME_FORMAT = 1;

/** Room for everything in a frame but its entries, in bytes: three names of 64, two nonces of 64, numbers. */
export const FRAME_OVERHEAD_BYTES = 512;
/** Room for the group id and the array heads of one entry, in bytes. */
export const ENTRY_OVERHEAD_BYTES = 280;
/** Room for what surrounds the bytes of one piece, in bytes. */
export const PIECE_OVERHEAD_BYTES = 96;
/** Most parts of one record. */
export const PARTS_MAX = 65_535;

/** A whole record, or part `index` (from 1) of `count` of a record that is too large for one frame (L5). */
export type Piece =
  | { readonly kind: 'whole'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'part';
      readonly set: string;
      readonly index: number;
      readonly count: number;
      readonly bytes: Uint8Array;
    };

/** Pieces of one group, in order. */
export type FrameEntry = { readonly group: GroupId; readonly pieces: readonly Piece[] };

export type FrameBody =
  /** Starts the reign of the frame's epoch (O1). */
  | { readonly kind: 'claim' }
  /** What the groups of the partition decided. */
  | { readonly kind: 'records'; readonly entries: readonly FrameEntry[] }
  /** Nothing: proof of ownership (O3, O6, O7). */
  | { readonly kind: 'barrier' }
  /** Ends the reign: nothing of this epoch follows (O9). */
  | { readonly kind: 'release'; readonly target: NodeId | null }
  /**
   * Durable state written again; means nothing without the end marker (K2). `live` comes first: what the groups had decided and not
   * written yet, so that their state stands behind all that it contains (K1).
   */
  | { readonly kind: 'checkpoint'; readonly live: readonly FrameEntry[]; readonly entries: readonly FrameEntry[] }
  /** Everything that lives has a record at or above `coversFrom`. `bytes` = size of the frames of the checkpoint. */
  | { readonly kind: 'checkpoint-end'; readonly coversFrom: number; readonly bytes: number };

export type Frame = {
  readonly epoch: Epoch;
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  readonly nonce: string;
  /** 0 and the empty text where the subject was empty. */
  readonly previousSeq: number;
  readonly previousNonce: string;
  readonly body: FrameBody;
};

/** On the wire, a checkpoint frame that also carries live records is of a kind of its own. */
const LIVE_AND_CHECKPOINT = 'live-and-checkpoint';

/** @returns what the frame carries for the first time; a checkpoint's entries are there again */
export function liveEntries(body: FrameBody): readonly FrameEntry[] {
  if (body.kind === 'records') return body.entries;
  return body.kind === 'checkpoint' ? body.live : [];
}

/** @returns the bytes of a frame */
export function encodeFrame(frame: Frame): Uint8Array {
  const { epoch, node, incarnation, nonce, previousSeq, previousNonce, body } = frame;
  return encode([
    FRAME_FORMAT,
    epoch,
    node,
    incarnation,
    nonce,
    previousSeq,
    previousNonce,
    body.kind === 'checkpoint' && body.live.length > 0 ? LIVE_AND_CHECKPOINT : body.kind,
    bodyToWire(body),
  ]);
}

function bodyToWire(body: FrameBody): unknown {
  switch (body.kind) {
    case 'claim':
    case 'barrier':
      return null;
    case 'release':
      return body.target;
    case 'records':
      return body.entries.map(entryToWire);
    case 'checkpoint': {
      const entries = body.entries.map(entryToWire);
      return body.live.length === 0 ? entries : [body.live.map(entryToWire), entries];
    }
    case 'checkpoint-end':
      return [body.coversFrom, body.bytes];
    default:
      return assertNever(body);
  }
}

function entryToWire(entry: FrameEntry): unknown {
  return [entry.group, entry.pieces.map(pieceToWire)];
}

function pieceToWire(piece: Piece): unknown {
  return piece.kind === 'whole' ? piece.bytes : [piece.set, piece.index, piece.count, piece.bytes];
}

/** A frame, or what is wrong with the bytes. */
export type DecodedFrame =
  | { readonly ok: true; readonly frame: Frame }
  | { readonly ok: false; readonly reason: string };

/** @returns the frame of some bytes, or why they are none (F2) */
export function decodeFrame(bytes: Uint8Array): DecodedFrame {
  const decoded = decode(bytes);
  if (!decoded.ok) return damage(`no msgpack: ${decoded.reason}`);
  const wire = decoded.value;
  if (!Array.isArray(wire) || wire.length === 0) return damage('no frame');
  if (wire[0] !== FRAME_FORMAT) return damage(`format ${String(wire[0])}, this node reads format ${FRAME_FORMAT}`);
  if (wire.length !== 9) return damage(`${wire.length} fields instead of 9`);
  const [, epoch, node, incarnation, nonce, previousSeq, previousNonce, kind, wireBody] = wire as unknown[];
  if (!isEpoch(epoch) || !isNodeId(node) || !isIncarnation(incarnation)) return damage('the writer is malformed');
  if (!isNonce(nonce) || !isSequence(previousSeq) || typeof previousNonce !== 'string') {
    return damage('nonce or predecessor is malformed');
  }
  const body = bodyFromWire(kind, wireBody);
  if (body === undefined) return damage(`the body of kind ${JSON.stringify(kind)} is malformed`);
  return { ok: true, frame: { epoch, node, incarnation, nonce, previousSeq, previousNonce, body } };
}

function damage(reason: string): DecodedFrame {
  return { ok: false, reason };
}

function bodyFromWire(kind: unknown, wire: unknown): FrameBody | undefined {
  switch (kind) {
    case 'claim':
    case 'barrier':
      return { kind };
    case 'release':
      return wire === null || isNodeId(wire) ? { kind, target: wire } : undefined;
    case 'records': {
      const entries = entriesFromWire(wire);
      return entries === undefined ? undefined : { kind, entries };
    }
    case 'checkpoint': {
      const entries = entriesFromWire(wire);
      return entries === undefined ? undefined : { kind, live: [], entries };
    }
    case LIVE_AND_CHECKPOINT: {
      if (!Array.isArray(wire)) return undefined;
      const [live, entries] = (wire as unknown[]).map(entriesFromWire);
      return live === undefined || entries === undefined ? undefined : { kind: 'checkpoint', live, entries };
    }
    case 'checkpoint-end': {
      if (!Array.isArray(wire)) return undefined;
      const [coversFrom, bytes] = wire as unknown[];
      return isSequence(coversFrom) && isSequence(bytes) ? { kind, coversFrom, bytes } : undefined;
    }
    default:
      return undefined;
  }
}

function entriesFromWire(wire: unknown): FrameEntry[] | undefined {
  if (!Array.isArray(wire)) return undefined;
  const entries: FrameEntry[] = [];
  for (const item of wire as unknown[]) {
    if (!Array.isArray(item)) return undefined;
    const [group, wirePieces] = item as unknown[];
    if (!isGroupId(group) || !Array.isArray(wirePieces)) return undefined;
    const pieces: Piece[] = [];
    for (const wirePiece of wirePieces as unknown[]) {
      const piece = pieceFromWire(wirePiece);
      if (piece === undefined) return undefined;
      pieces.push(piece);
    }
    entries.push({ group, pieces });
  }
  return entries;
}

function pieceFromWire(wire: unknown): Piece | undefined {
  if (wire instanceof Uint8Array) return { kind: 'whole', bytes: wire };
  if (!Array.isArray(wire)) return undefined;
  const [set, index, count, bytes] = wire as unknown[];
  if (!isNonce(set) || !isSequence(index) || !isSequence(count) || !(bytes instanceof Uint8Array)) return undefined;
  if (index < 1 || index > count || count > PARTS_MAX) return undefined;
  return { kind: 'part', set, index, count, bytes };
}

/** @returns whether the value can be a nonce: 1 to 64 characters */
export function isNonce(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= 64;
}

function isSequence(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
