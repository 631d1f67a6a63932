/**
 * Whether a claim may be put on top of what stands at the end of a log. Asked before the claim is written: nobody fences a writer
 * whose lease is live (W2 of ownership.ts, O4). Synchronous, decides nothing else.
 *
 * CR1 (O9): after a release to another node that node has its time; afterwards, and after a release to nobody, it is anybody's.
 * CR2: the last writer's word is enough, by a release or by an offer of that very reign; so is a reign of this process itself.
 * CR3 (O4): anybody else must be gone by the leases. Of a process that no lease has told of, that is not known.
 */

import type { Incarnation, NodeId } from '@muster/protocol';
import type { KnownOwner } from './known-owners.js';
import type { LogTail } from './partition-host.js';
import type { View } from './view.js';

export type ClaimKnowledge = {
  readonly self: NodeId;
  readonly incarnation: Incarnation;
  readonly view: Pick<View, 'get' | 'isGone'>;
  /** Who has offered the partition to us, if somebody has. */
  readonly offeredBy: KnownOwner | undefined;
  /** For how long the partition has been seen without an owner. */
  readonly orphanMs: number;
  /** How long the target of a release has before others. */
  readonly targetsTimeMs: number;
};

/** @returns whether the log of this tail may be claimed; `unknown` where only the lease of its writer can tell (CR3) */
export function claimRight(tail: LogTail, knowledge: ClaimKnowledge): 'yes' | 'no' | 'unknown' {
  const { self, incarnation, view, offeredBy, orphanMs, targetsTimeMs } = knowledge;
  if (tail.released !== undefined) {
    const { target } = tail.released;
    const isAnothers = target !== undefined && target !== self && view.get(target)?.state === 'alive';
    return isAnothers && orphanMs < targetsTimeMs ? 'no' : 'yes';
  }
  const isOffered = tail.incarnation === offeredBy?.incarnation && tail.epoch === offeredBy.epoch;
  // Our own earlier reign: given up, or released without the Release having landed.
  const isOurs = tail.node === self && tail.incarnation === incarnation;
  if (isOffered || isOurs) return 'yes';
  const isGone = view.isGone(tail.node, tail.incarnation);
  if (isGone === undefined) return 'unknown';
  return isGone ? 'yes' : 'no';
}
