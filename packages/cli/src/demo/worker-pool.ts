/**
 * The worker processes: what each owns by its own reports, and how long a rebalance took.
 */

import type { Child } from './child.js';
import type { Ledger } from './ledger.js';
import type { WorkerReport } from './messages.js';

export type WorkerSeat = {
  readonly name: string;
  readonly child: Child;
  partitions: readonly number[];
  generation: number;
  handled: number;
  isLeaving: boolean;
};

export class WorkerPool {
  readonly #seats: WorkerSeat[] = [];
  readonly #ledger: Ledger;
  readonly #partitionCount: number;
  readonly #onFailure: (name: string, detail: string) => void;
  #losses = 0;
  #changedAt = 0;
  #startedAt = 0;

  constructor(ledger: Ledger, partitionCount: number, onFailure: (name: string, detail: string) => void) {
    this.#ledger = ledger;
    this.#partitionCount = partitionCount;
    this.#onFailure = onFailure;
  }

  /** Starts a worker. @param start makes the process, given what to do with its reports */
  add(name: string, start: (onReport: (report: unknown) => void) => Child): WorkerSeat {
    const child = start((message) => this.#heard(seat, message as WorkerReport));
    const seat: WorkerSeat = { name, child, partitions: [], generation: -1, handled: 0, isLeaving: false };
    this.#seats.push(seat);
    return seat;
  }

  get seats(): readonly WorkerSeat[] {
    return this.#seats;
  }
  /** Workers that are members, or want to be. */
  get active(): readonly WorkerSeat[] {
    return this.#seats.filter(({ child, isLeaving }) => !isLeaving && !child.isGone);
  }
  /** How often a worker has had to give a partition up so far. */
  get losses(): number {
    return this.#losses;
  }
  /** When an assignment last changed, by `performance.now()`. */
  get changedAt(): number {
    return this.#changedAt;
  }

  /** When a worker last had its process up and asked to join, by `performance.now()`. */
  get startedAt(): number {
    return this.#startedAt;
  }

  /** @returns the owner of each partition; undefined where none or more than one worker claims it */
  owners(): readonly (string | undefined)[] {
    const owners = new Array<string | undefined>(this.#partitionCount).fill(undefined);
    const counts = new Array<number>(this.#partitionCount).fill(0);
    for (const { name, partitions } of this.#seats) {
      for (const partition of partitions) {
        owners[partition] = name;
        counts[partition] = (counts[partition] ?? 0) + 1;
      }
    }
    return owners.map((owner, partition) => (counts[partition] === 1 ? owner : undefined));
  }

  /** Whether every partition has one owner, every active worker has its fair share, and all others have nothing. */
  get isSettled(): boolean {
    if (this.owners().includes(undefined)) return false;
    const active = this.active;
    const least = Math.min(Math.floor(this.#partitionCount / active.length), this.#partitionCount);
    return this.#seats.every((seat) =>
      active.includes(seat) ? seat.partitions.length >= least : seat.partitions.length === 0,
    );
  }

  #heard(seat: WorkerSeat, report: WorkerReport): void {
    switch (report.kind) {
      case 'started':
        this.#startedAt = performance.now();
        return;
      case 'assignment':
        seat.partitions = report.partitions;
        seat.generation = report.generation;
        this.#losses += report.lost.length;
        this.#changedAt = performance.now();
        return;
      case 'handled':
        seat.handled += report.messages.length;
        for (const handled of report.messages) this.#ledger.handled(handled);
        return;
      case 'failed':
        return this.#onFailure(seat.name, report.detail);
    }
  }
}
