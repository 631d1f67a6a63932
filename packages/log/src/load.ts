/**
 * Loads a partition: reads its log from the first frame to the own claim, again where it must.
 *
 * D1 (K4) A load ends only at the frame with the nonce of the own claim. A frame missing below it: read again, it was purged
 *    meanwhile or the reader lags. Another claim above it: superseded.
 * D2 A hole that stays where it is, with frames below it still there, is no purge: purges take from below. That is damage.
 * D3 What was read ahead of the claim counts as read. The chain tells whether the rest fits on it; where it does not, all of it
 *    is read again.
 */

import type { Epoch } from '@muster/protocol';
import { type LogAccess, type ReadFrame, readLast } from './append.js';
import { Backoff } from './backoff.js';
import { type LogReplaySink, Replay } from './replay.js';
import { LogStoreUnavailable } from './store.js';

export type LoadOutcome =
  | { readonly kind: 'loaded'; readonly frames: number; readonly bytes: number; readonly checkpointBytes: number }
  | { readonly kind: 'superseded'; readonly detail: string }
  | { readonly kind: 'unavailable'; readonly cause: string }
  | { readonly kind: 'broken'; readonly detail: string };

/** The claim at which the load has to end, and the frame that it was put on. */
export type OwnClaim = {
  readonly seq: number;
  readonly bytes: Uint8Array;
  readonly nonce: string;
  readonly epoch: Epoch;
  readonly base: ReadFrame | undefined;
};

/** A sequence above all others: forgetting below it forgets everything. */
const ABOVE_ALL = Number.MAX_SAFE_INTEGER;

/**
 * Reads the log to its present end while somebody else still owns it, so that a claim soon after has little left to read (D3).
 * Proves nothing about ownership.
 * @returns what was read, for `ClaimOptions.ahead` together with the same sink; undefined where the log could not be read
 */
export async function readAhead(access: LogAccess, sink: LogReplaySink): Promise<Replay | undefined> {
  const newest = await readLast(access, 0, { stopped: true });
  if (newest.kind !== 'last' || newest.last === undefined) return undefined;
  const replay = new Replay(sink, access.limits.recordBytesMax);
  const cause = await readInto(access, newest.last.seq, replay);
  const isWhole = cause === undefined && replay.state.kind === 'reading' && replay.last?.seq === newest.last.seq;
  return isWhole ? replay : undefined;
}

/** Reads the log into the sink (D1 to D3). `deadline.stopped` is looked at between two passes, not within one. */
export async function loadLog(
  access: LogAccess,
  claim: OwnClaim,
  sink: LogReplaySink,
  deadline: { readonly stopped: boolean },
  ahead?: Replay,
): Promise<LoadOutcome> {
  const backoff = new Backoff(access.clock, access.limits, access.newNonce);
  if (ahead !== undefined) takeKnown(ahead, claim);
  let hole: { missing: number; times: number } | undefined;
  for (let pass = 1; ; pass += 1) {
    if (pass > 1) sink.forgetBelow(ABOVE_ALL);
    const replay = (pass === 1 ? ahead : undefined) ?? new Replay(sink, access.limits.recordBytesMax);
    const readCause = await readInto(access, claim.seq, replay);
    const { state, last } = replay;
    if (state.kind === 'reading' && last?.seq === claim.seq) {
      if (last.frame.nonce !== claim.nonce)
        return { kind: 'broken', detail: `frame ${claim.seq} is not the own claim` };
      return { kind: 'loaded', frames: replay.frames, bytes: replay.bytes, checkpointBytes: replay.checkpointBytes };
    }
    if (replay === ahead) continue;
    if (state.kind === 'broken') return state;
    if (state.kind === 'hole') {
      hole = { missing: state.missing, times: hole?.missing === state.missing ? hole.times + 1 : 1 };
      if (hole.times >= access.limits.loadGapsMax) {
        return { kind: 'broken', detail: `frame ${state.missing} is missing` };
      }
    }
    const cause =
      readCause ?? (state.kind === 'hole' ? `frame ${state.missing} is missing` : 'the own claim is missing');
    const newest = await readLast(access, claim.seq, deadline);
    if (newest.kind === 'broken') return newest;
    if (newest.kind === 'stopped') return { kind: 'unavailable', cause };
    if (newest.last !== undefined && newest.last.frame.epoch > claim.epoch) {
      return { kind: 'superseded', detail: `epoch ${newest.last.frame.epoch} of ${newest.last.frame.node}` };
    }
    if (deadline.stopped) return { kind: 'unavailable', cause };
    await backoff.wait();
  }
}

/** The last two frames have passed through our hands: where nothing lies between them and what was read ahead, no read is needed (D3). */
function takeKnown(ahead: Replay, { base, seq, bytes }: OwnClaim): void {
  if (base !== undefined && base.frame.previousSeq === ahead.last?.seq) ahead.take(base);
  if (base !== undefined && base.seq === ahead.last?.seq) ahead.take({ seq, bytes });
}

/** @returns why the read ended early, undefined where it did not */
async function readInto(access: LogAccess, throughSeq: number, replay: Replay): Promise<string | undefined> {
  try {
    const fromSeq = (replay.last?.seq ?? 0) + 1;
    if (fromSeq > throughSeq) return undefined;
    await access.store.read(access.partition, fromSeq, throughSeq, (frame) => replay.take(frame));
    return undefined;
  } catch (error) {
    if (error instanceof LogStoreUnavailable) return error.message;
    throw error;
  }
}
