/**
 * The highest epoch seen of each coordinator partition, per log id (rules C2 and O2): what makes a reply of an earlier
 * owner recognisable. Bounded: a few log ids, a partition each.
 */

import type { Epoch, LogId, Partition } from '@muster/protocol';

/** A log id changes only when an administrator restores or re-creates the log with all nodes down. */
const LOGS_MAX = 8;

export interface SeenEpoch {
  readonly log: LogId;
  readonly epoch: Epoch;
}

export class Epochs {
  readonly #byLog = new Map<LogId, Map<Partition, Epoch>>();
  readonly #latest = new Map<Partition, SeenEpoch>();

  /**
   * Notes the stamp of a reply or notice.
   * @returns false for one of a lower epoch than seen in the same log: it must be skipped
   */
  accept(partition: Partition, log: LogId | undefined, epoch: Epoch | undefined): boolean {
    // Answers of nodes that own nothing (not the coordinator, shutting down) carry no stamp and decide nothing durable.
    if (log === undefined || epoch === undefined) return true;
    const epochs = this.#epochsOf(log);
    const highest = epochs.get(partition);
    if (highest !== undefined && epoch < highest) return false;
    epochs.set(partition, epoch);
    this.#latest.set(partition, { log, epoch });
    return true;
  }

  /** @returns what a request to this partition carries */
  highest(partition: Partition): SeenEpoch | undefined {
    return this.#latest.get(partition);
  }

  #epochsOf(log: LogId): Map<Partition, Epoch> {
    const known = this.#byLog.get(log);
    if (known !== undefined) return known;
    const oldest = this.#byLog.keys().next().value;
    if (this.#byLog.size >= LOGS_MAX && oldest !== undefined) this.#byLog.delete(oldest);
    const fresh = new Map<Partition, Epoch>();
    this.#byLog.set(log, fresh);
    return fresh;
  }
}
