/**
 * What the owner of a partition hears from its log.
 */

import type { GroupId } from '@muster/protocol';

/** Why a log is not ours any more, or cannot be trusted. */
export type LostReason = 'fenced' | 'broken' | 'released' | 'closed';

/** Called synchronously; may call back into the log. */
export interface LogListener {
  /** The `count` oldest undurable records of this group became durable. */
  durable(group: GroupId, count: number): void;
  /** A frame has been unresolved for longer than `stallMs`: the partition has to suspend (O6, O12). */
  stalled(): void;
  /** Memory has to be dropped; the last call. */
  lost(reason: LostReason, detail: string): void;
  /** The store takes nothing more; the frame in flight is tried again until it does (L3). */
  full(): void;
}
