/**
 * The port behind which partitions live: claims, loads, suspends, resumes and releases what package cluster has decided about.
 * Adapter: package coordinator; tests have a scripted one.
 */

import type { Epoch, Incarnation, MonotonicMs, NodeId, Partition } from '@muster/protocol';

/** Who wrote the last frame of a partition's log. */
export type LogTail = {
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  readonly epoch: Epoch;
  /** The last frame is a Release: its writer will write no more. */
  readonly released: { readonly target: NodeId | undefined } | undefined;
};

export type ClaimResult =
  | { readonly kind: 'claimed'; readonly epoch: Epoch }
  /** The check of W2 said no, or another claim was faster. */
  | { readonly kind: 'not-ours'; readonly detail: string }
  | { readonly kind: 'unavailable'; readonly detail: string }
  /** The log cannot be trusted: the partition is quarantined until a person has looked. */
  | { readonly kind: 'broken'; readonly detail: string };

/** What owns the partitions' logs and groups. All of it settles within its own deadlines and never rejects. */
export interface PartitionHost {
  /** Another node is about to give us the partition: reads its log ahead, so that the claim finds little left to read (O9). */
  prepare(partition: Partition): Promise<void>;
  /** Claims, loads and serves. `mayClaim` is asked about the log's tail before the claim is written (W2). */
  claim(partition: Partition, mayClaim: (tail: LogTail) => boolean): Promise<ClaimResult>;
  /** Stops serving at once, keeps memory (O6); time stands still for its groups from `since` on. */
  suspend(partition: Partition, since: MonotonicMs): void;
  /** Proves by an append that the log is still ours, then serves again (O6). */
  resume(partition: Partition): Promise<'resumed' | 'lost'>;
  /** Stops serving, releases to the target with the last append, drops (O9). */
  release(partition: Partition, target: NodeId | undefined): Promise<void>;
  /** Forgets the partition: it is not ours. */
  drop(partition: Partition): void;
  /** Proves by a barrier frame that the log is ours, when no other append will (O3). */
  prove(partition: Partition): void;
  /** Send time of the youngest acknowledged append. */
  proofSentAt(partition: Partition): MonotonicMs | undefined;
}
