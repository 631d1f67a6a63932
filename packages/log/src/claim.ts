/**
 * Takes a partition: appends a claim of this process to its log, then loads the log up to that claim.
 *
 * Does not decide who should own a partition, nor when; it only makes sure that at most one does.
 *
 * O1 Ownership exists only through a claim that this incarnation appended. The epoch is the one after the last frame's, and
 *    at least `epochFloor + 1` (O2: a log that was restored starts above the epochs of the old one).
 * CL1 (L2) The outcome of a claim is resolved like that of any frame: the identical claim again, until the deadline.
 * CL2 Frames of the predecessor that slip in between reading and claiming only mean: again, on top of them. A claim of another
 *    above what was read means: superseded, the caller backs off.
 */

import { type Epoch, epoch, type Incarnation, type MonotonicMs, type NodeId, type Partition } from '@muster/protocol';
import { type LogAccess, type ReadFrame, readLast, settleFrame } from './append.js';
import { CheckpointMeter } from './checkpoint.js';
import type { LogClock } from './clock.js';
import { encodeFrame } from './frame.js';
import type { LogLimits } from './limits.js';
import type { LogListener } from './listener.js';
import { loadLog } from './load.js';
import { PartitionLog } from './partition-log.js';
import type { LogReplaySink, Replay } from './replay.js';
import type { LogStore } from './store.js';

export type ClaimOptions = {
  readonly store: LogStore;
  readonly clock: LogClock;
  readonly partition: Partition;
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  /** @returns a fresh random text of 1 to 64 characters */
  readonly newNonce: () => string;
  /** Gets the records of the log while it is loaded. */
  readonly sink: LogReplaySink;
  /** Hears of the log from its first frame on; not called before the claim has succeeded. */
  readonly listener: LogListener;
  readonly limits: LogLimits;
  /** How long claim and load may take together; a read under way is not cut short. */
  readonly deadlineMs: number;
  /** The claimed epoch lies above this. */
  readonly epochFloor?: number;
  /** Asked about the last frame before a claim is put on top of it; no = superseded. Not asked where the log is empty. */
  readonly mayClaim?: (tail: LogTail) => boolean;
  /** What `readAhead` has read into the same sink: the load goes on from there. */
  readonly ahead?: Replay;
};

/** Who wrote the last frame of a log. */
export type LogTail = {
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  readonly epoch: Epoch;
  /** Set where the frame is a release: its writer will write no more. */
  readonly released: { readonly target: NodeId | undefined } | undefined;
};

/** Who gave the partition away with its last frame, and to whom. */
export type ReleasedBy = { readonly node: NodeId; readonly target: NodeId | null };

export type ClaimOutcome =
  | {
      readonly kind: 'claimed';
      readonly log: PartitionLog;
      readonly loadedFrames: number;
      readonly loadedBytes: number;
      /** Set where the predecessor's last frame was a release: it serves nothing any more, no grace is needed (O5). */
      readonly releasedBy?: ReleasedBy;
      readonly claimMs: number;
      readonly loadMs: number;
    }
  /** Another claim stands above ours, or above what we read; or `mayClaim` said no. */
  | { readonly kind: 'superseded'; readonly detail: string }
  /** The store did not answer in time. Our claim may stand, or still land: whoever owned the partition is or will be fenced. */
  | { readonly kind: 'unavailable'; readonly cause: string }
  /** The log is damaged (L1): nobody may serve the partition. */
  | { readonly kind: 'broken'; readonly detail: string };

type StandingClaim = {
  readonly kind: 'standing';
  readonly seq: number;
  readonly bytes: Uint8Array;
  readonly nonce: string;
  readonly epoch: Epoch;
  readonly base: ReadFrame | undefined;
  readonly provenAt: MonotonicMs | undefined;
};

/** Claims a partition and loads its log. Never rejects for what the store does. */
export async function claimPartition(options: ClaimOptions): Promise<ClaimOutcome> {
  const { store, clock, partition, limits, newNonce, deadlineMs } = options;
  const access: LogAccess = { store, clock, partition, limits, newNonce };
  const startedAt = clock.now();
  const sender = {
    get stopped(): boolean {
      return clock.now() - startedAt >= deadlineMs;
    },
    trying(): void {},
    undecided(): void {},
  };
  const claim = await placeClaim(access, options, sender);
  if (claim.kind !== 'standing') return claim;
  const claimedAt = clock.now();
  const loaded = await loadLog(access, claim, options.sink, sender, options.ahead);
  if (loaded.kind !== 'loaded') return loaded;
  const log = new PartitionLog({
    access,
    node: options.node,
    incarnation: options.incarnation,
    epoch: claim.epoch,
    listener: options.listener,
    last: { seq: claim.seq, nonce: claim.nonce },
    provenAt: claim.provenAt,
    meter: new CheckpointMeter(limits, loaded.bytes, loaded.checkpointBytes),
  });
  const releasedBy = releaseOf(claim.base);
  return {
    kind: 'claimed',
    log,
    loadedFrames: loaded.frames,
    loadedBytes: loaded.bytes,
    ...(releasedBy === undefined ? {} : { releasedBy }),
    claimMs: claimedAt - startedAt,
    loadMs: clock.now() - claimedAt,
  };
}

type Sender = Parameters<typeof settleFrame>[2];

async function placeClaim(
  access: LogAccess,
  { node, incarnation, epochFloor = 0, mayClaim }: ClaimOptions,
  sender: Sender,
): Promise<StandingClaim | Exclude<ClaimOutcome, { kind: 'claimed' }>> {
  const first = await readLast(access, 0, sender);
  if (first.kind === 'stopped') return { kind: 'unavailable', cause: first.detail };
  if (first.kind === 'broken') return first;
  const firstEpoch = first.last?.frame.epoch ?? 0;
  let base = first.last;
  for (;;) {
    if (base !== undefined && base.frame.epoch > firstEpoch) {
      return { kind: 'superseded', detail: `epoch ${base.frame.epoch} of ${base.frame.node}` };
    }
    if (base !== undefined && mayClaim?.(tailOf(base)) === false) {
      return { kind: 'superseded', detail: `${base.frame.node} may still own it` };
    }
    const claimEpoch = epoch(Math.max(firstEpoch, epochFloor) + 1);
    const nonce = access.newNonce();
    const expectedSeq = base?.seq ?? 0;
    const bytes = encodeFrame({
      epoch: claimEpoch,
      node,
      incarnation,
      nonce,
      previousSeq: expectedSeq,
      previousNonce: base?.frame.nonce ?? '',
      body: { kind: 'claim' },
    });
    const settled = await settleFrame(access, { bytes, nonce, expectedSeq }, sender);
    switch (settled.kind) {
      case 'durable':
        return {
          kind: 'standing',
          seq: settled.seq,
          bytes,
          nonce,
          epoch: claimEpoch,
          base,
          provenAt: settled.provenAt,
        };
      case 'displaced':
        // The predecessor was quicker, or another claimed: the next round tells by the epoch (CL2).
        base = settled.last;
        if (sender.stopped) return { kind: 'unavailable', cause: 'the partition is written too busily to be claimed' };
        break;
      case 'broken':
        return settled;
      case 'stopped':
        return { kind: 'unavailable', cause: settled.detail };
    }
  }
}

function tailOf({ frame }: ReadFrame): LogTail {
  const { node, incarnation, body } = frame;
  const released = body.kind === 'release' ? { target: body.target ?? undefined } : undefined;
  return { node, incarnation, epoch: frame.epoch, released };
}

function releaseOf(base: ReadFrame | undefined): ReleasedBy | undefined {
  if (base?.frame.body.kind !== 'release') return undefined;
  return { node: base.frame.node, target: base.frame.body.target };
}
