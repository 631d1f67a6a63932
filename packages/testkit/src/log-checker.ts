/**
 * Judges everything that ever landed in a partition log, independently of the code that wrote and loads it.
 *
 * Finds: a broken chain, epochs that fall or are shared by two writers, frames of a fenced owner. And folds the live records of
 * the whole history, purged or not, checkpoints left aside, into the state that a load has to bring back.
 */

import { decodeFrame, type Frame, liveEntries, type Piece, unpackRecord } from '@muster/log';
import type { GroupId, Partition } from '@muster/protocol';
import { applyRecord, type OwnedState, type OwnedValue } from './log-owner.js';
import type { LandedAppend } from './memory-log-store.js';

export type LogVerdict = {
  /** What is wrong; empty = nothing. */
  readonly problems: readonly string[];
  /** What the live records of the whole history come to. */
  readonly state: OwnedState;
  /** Numbers of all live records that landed whole. */
  readonly landed: ReadonlySet<number>;
  readonly liveBytes: number;
  readonly checkpointBytes: number;
};

type Tail = { readonly seq: number; readonly frame: Frame };

/** Judges the frames of one partition in the order in which they landed. */
export function checkLandedLog(appends: readonly LandedAppend[], partition: Partition): LogVerdict {
  const problems: string[] = [];
  const state = new Map<GroupId, Map<string, OwnedValue>>();
  const landed = new Set<number>();
  const parts = new Map<string, Uint8Array[]>();
  let liveBytes = 0;
  let checkpointBytes = 0;
  let last: Tail | undefined;
  for (const { partition: of, seq, bytes } of appends) {
    if (of !== partition) continue;
    const decoded = decodeFrame(bytes);
    if (!decoded.ok) {
      problems.push(`${seq}: ${decoded.reason}`);
      continue;
    }
    const { frame } = decoded;
    problems.push(...chainProblems(last, seq, frame));
    last = { seq, frame };
    const isCheckpoint = frame.body.kind === 'checkpoint' || frame.body.kind === 'checkpoint-end';
    if (isCheckpoint) checkpointBytes += bytes.length;
    else liveBytes += bytes.length;
    for (const { group, pieces } of liveEntries(frame.body)) {
      for (const piece of pieces) {
        const whole = assemble(parts, piece);
        const record = whole === undefined ? undefined : unpackRecord(whole);
        if (record === undefined) continue;
        landed.add(Number(record[1]));
        applyRecord(state, group, record, seq);
      }
    }
  }
  return { problems, state, landed, liveBytes, checkpointBytes };
}

function chainProblems(last: Tail | undefined, seq: number, frame: Frame): string[] {
  const problems: string[] = [];
  const previous = last === undefined ? { seq: 0, nonce: '' } : { seq: last.seq, nonce: last.frame.nonce };
  if (frame.previousSeq !== previous.seq || frame.previousNonce !== previous.nonce) {
    problems.push(`${seq}: names ${frame.previousSeq} as predecessor, it is ${previous.seq}`);
  }
  if (frame.body.kind === 'claim') {
    if (frame.epoch <= (last?.frame.epoch ?? 0)) problems.push(`${seq}: epoch ${frame.epoch} does not rise`);
  } else if (last === undefined || frame.epoch !== last.frame.epoch || frame.incarnation !== last.frame.incarnation) {
    problems.push(`${seq}: a frame of ${frame.incarnation} in the reign of another`);
  } else if (last.frame.body.kind === 'release') {
    problems.push(`${seq}: a frame after a release`);
  }
  return problems;
}

function assemble(parts: Map<string, Uint8Array[]>, piece: Piece): Uint8Array | undefined {
  if (piece.kind === 'whole') return piece.bytes;
  const set = parts.get(piece.set) ?? [];
  parts.set(piece.set, set);
  set.push(piece.bytes);
  return set.length === piece.count ? new Uint8Array(Buffer.concat(set)) : undefined;
}

/** @returns a state as plain text, for comparing two of them: group -> key -> number */
export function describeState(state: OwnedState): Record<string, Record<string, number>> {
  const described: Record<string, Record<string, number>> = {};
  for (const group of [...state.keys()].sort()) {
    const values = [...(state.get(group) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
    described[group] = Object.fromEntries(values.map(([key, value]) => [key, value.id]));
  }
  return described;
}
