/**
 * What proves that this node may serve a partition: a renewal of its lease, or an append to the partition's log, that was
 * acknowledged and whose sending is not too long ago (O3). Monotonic time of this process only.
 *
 * It is looked at, never waited for: a process that was paused runs its queued requests before its timers.
 */

import type { MonotonicMs, Partition } from '@muster/protocol';
import type { PartitionHost } from './partition-host.js';
import type { Clock } from './ports.js';
import type { ClusterSettings } from './settings.js';

export type ProofSources = {
  readonly clock: Clock;
  readonly settings: ClusterSettings;
  readonly host: Pick<PartitionHost, 'proofSentAt' | 'prove'>;
  /** Send time of the youngest acknowledged renewal of our lease. */
  readonly leaseProofSentAt: () => MonotonicMs | undefined;
};

export class Proof {
  readonly #sources: ProofSources;

  constructor(sources: ProofSources) {
    this.#sources = sources;
  }

  /** Whether the lease proves it for every partition. */
  get ofLease(): boolean {
    const { leaseProofSentAt, settings } = this.#sources;
    return this.#isYounger(leaseProofSentAt(), settings.proofMaxAgeMs);
  }

  /** @returns whether lease or log proves it for this partition */
  of(partition: Partition): boolean {
    const { host, settings } = this.#sources;
    return this.ofLease || this.#isYounger(host.proofSentAt(partition), settings.proofMaxAgeMs);
  }

  /** Sees to it that the log will prove it where the lease may not for much longer: a stalled lease store alone suspends nobody. */
  refresh(partition: Partition): void {
    const { host, settings, leaseProofSentAt } = this.#sources;
    const halfLifeMs = settings.proofMaxAgeMs / 2;
    const isYoung =
      this.#isYounger(leaseProofSentAt(), halfLifeMs) || this.#isYounger(host.proofSentAt(partition), halfLifeMs / 2);
    if (!isYoung) host.prove(partition);
  }

  #isYounger(sentAt: MonotonicMs | undefined, ageMs: number): boolean {
    return sentAt !== undefined && this.#sources.clock.now() - sentAt < ageMs;
  }
}
