/**
 * Drives one frame to a known outcome. Used by the claim and by the partition log; holds no state between frames.
 *
 * A1 (L2) A read never proves that an append did not land. While the outcome is unknown the identical frame (bytes, nonce,
 *    expected sequence) is sent again, until there is an acknowledgement or a refusal.
 * A2 (L2) A refusal is told apart by the last frame, read from the stream leader until it is at or above the sequence that
 *    the refusal named: our nonce = durable, anything else = another has taken over.
 * A3 (L3) Busy and full are no outcomes: the same expectation again, with backoff and jitter.
 * A4 A sequence below one that was acknowledged comes from a deposed leader, or from a log that lost frames: only time tells.
 */

import { assertNever, type MonotonicMs, type Partition } from '@muster/protocol';
import { Backoff } from './backoff.js';
import type { LogClock } from './clock.js';
import { decodeFrame, type Frame } from './frame.js';
import type { LogLimits } from './limits.js';
import { type AppendOutcome, type LogStore, LogStoreUnavailable, type StoredFrame } from './store.js';

/** What every step on one partition's log needs. */
export type LogAccess = {
  readonly store: LogStore;
  readonly clock: LogClock;
  readonly partition: Partition;
  readonly limits: LogLimits;
  readonly newNonce: () => string;
};

/** A frame that is about to be sent. */
export type SealedFrame = { readonly bytes: Uint8Array; readonly nonce: string; readonly expectedSeq: number };

/** Who sends the frame, and may stop sending it. */
export interface FrameSender {
  /** Looked at after every wait; `true` ends the sending with the outcome still unknown. */
  readonly stopped: boolean;
  /** A try goes out now. */
  trying(): void;
  /** A try ended without deciding the frame. */
  undecided(why: 'refused' | 'busy' | 'full' | 'unknown', detail: string): void;
}

/** How the sending of a frame ended. */
export type Settled =
  /** Durable. `provenAt` = send time of the acknowledged try; none where a read told (a reader may be behind the times). */
  | { readonly kind: 'durable'; readonly seq: number; readonly provenAt: MonotonicMs | undefined }
  /** Not the last frame, and never will be. `last` is. */
  | { readonly kind: 'displaced'; readonly last: ReadFrame }
  /** The log holds what no node of ours writes, or lost acknowledged frames. */
  | { readonly kind: 'broken'; readonly detail: string }
  /** The sender has stopped; the frame may still land. */
  | { readonly kind: 'stopped'; readonly detail: string };

/** A frame of the log, decoded, and as it stands there. */
export type ReadFrame = StoredFrame & { readonly frame: Frame };

/** Sends the frame until its outcome is known (A1 to A4) or the sender stops. Never rejects. */
export async function settleFrame(access: LogAccess, sealed: SealedFrame, sender: FrameSender): Promise<Settled> {
  const { store, clock, partition, limits } = access;
  const backoff = new Backoff(clock, limits, access.newNonce);
  let regressedSince: MonotonicMs | undefined;
  for (;;) {
    const sentAt = clock.now();
    sender.trying();
    const outcome = await store.append(partition, sealed.bytes, sealed.expectedSeq);
    if (outcome.kind === 'stored') return { kind: 'durable', seq: outcome.seq, provenAt: sentAt };
    if (sender.stopped) return { kind: 'stopped', detail: describe(outcome) };
    sender.undecided(outcome.kind, describe(outcome));
    if (outcome.kind === 'refused') {
      if (outcome.lastSeq === undefined || outcome.lastSeq > sealed.expectedSeq) {
        return tellRefusalApart(access, sealed, outcome.lastSeq ?? sealed.expectedSeq + 1, sender);
      }
      regressedSince ??= sentAt;
      if (clock.now() - regressedSince >= limits.regressionMs) {
        return { kind: 'broken', detail: `the log ends at ${outcome.lastSeq}, below ${sealed.expectedSeq}` };
      }
    }
    await backoff.wait();
    if (sender.stopped) return { kind: 'stopped', detail: describe(outcome) };
  }
}

/** Reads the last frame until it is at or above `leastSeq`, and compares nonces (A2). */
async function tellRefusalApart(
  access: LogAccess,
  sealed: SealedFrame,
  leastSeq: number,
  sender: FrameSender,
): Promise<Settled> {
  const read = await readLast(access, leastSeq, sender);
  if (read.kind !== 'last') return read;
  if (read.last === undefined) return { kind: 'broken', detail: 'the log is empty after a refusal' };
  if (read.last.frame.nonce !== sealed.nonce) return { kind: 'displaced', last: read.last };
  return { kind: 'durable', seq: read.last.seq, provenAt: undefined };
}

/** The last frame of a log, undefined where the log is empty. */
export type LastRead =
  | { readonly kind: 'last'; readonly last: ReadFrame | undefined }
  | { readonly kind: 'broken'; readonly detail: string }
  | { readonly kind: 'stopped'; readonly detail: string };

/** Reads the last frame until there is one at or above `leastSeq` (0 = any, also none), or the sender stops. */
export async function readLast(
  access: LogAccess,
  leastSeq: number,
  sender: { readonly stopped: boolean },
): Promise<LastRead> {
  const { store, clock, partition, limits } = access;
  const backoff = new Backoff(clock, limits, access.newNonce);
  for (;;) {
    const stored = await tryLast(store, partition);
    if (stored.kind === 'stored' && (stored.frame?.seq ?? 0) >= leastSeq) return decodeLast(stored.frame);
    const detail = stored.kind === 'stored' ? `the reader is behind sequence ${leastSeq}` : stored.cause;
    if (sender.stopped) return { kind: 'stopped', detail };
    await backoff.wait();
    if (sender.stopped) return { kind: 'stopped', detail };
  }
}

type TriedLast =
  | { readonly kind: 'stored'; readonly frame: StoredFrame | undefined }
  | { readonly kind: 'unavailable'; readonly cause: string };

async function tryLast(store: LogStore, partition: Partition): Promise<TriedLast> {
  try {
    return { kind: 'stored', frame: await store.last(partition) };
  } catch (error) {
    if (error instanceof LogStoreUnavailable) return { kind: 'unavailable', cause: error.message };
    throw error;
  }
}

function decodeLast(stored: StoredFrame | undefined): LastRead {
  if (stored === undefined) return { kind: 'last', last: undefined };
  const decoded = decodeFrame(stored.bytes);
  if (!decoded.ok) return { kind: 'broken', detail: `frame ${stored.seq}: ${decoded.reason}` };
  return { kind: 'last', last: { ...stored, frame: decoded.frame } };
}

function describe(outcome: AppendOutcome): string {
  switch (outcome.kind) {
    case 'stored':
      return `stored at ${outcome.seq}`;
    case 'refused':
      return `refused, the last sequence is ${outcome.lastSeq ?? 'not named'}`;
    case 'busy':
      return 'another write is in flight';
    case 'full':
      return 'the store is full';
    case 'unknown':
      return outcome.cause;
    default:
      return assertNever(outcome);
  }
}
