/**
 * A clock that stands still until it is told to move. Serves as the clock of a log and of a node.
 *
 * V1 Callbacks run in the order of their deadlines; of equal deadlines the one set first runs first.
 * V2 After each callback every promise that can settle does, before time moves on. Real I/O is not waited for.
 */

import type { Clock } from '@muster/cluster';
import type { LogClock } from '@muster/log';
import { type MonotonicMs, monotonicMs } from '@muster/protocol';

type Alarm = { readonly at: number; readonly run: () => void };

export class VirtualClock implements LogClock, Clock {
  #nowMs: number;
  #wallOffsetMs: number;
  /** Sorted: the next one is first. */
  readonly #alarms: Alarm[] = [];

  /** @param startMs monotonic time at the start; @param wallStartMs wall time at the start */
  constructor(startMs = 0, wallStartMs = 1_700_000_000_000) {
    this.#nowMs = startMs;
    this.#wallOffsetMs = wallStartMs - startMs;
  }

  now(): MonotonicMs {
    return monotonicMs(this.#nowMs);
  }

  wallNow(): number {
    return this.#nowMs + this.#wallOffsetMs;
  }

  after(ms: number, run: () => void): () => void {
    const alarm = { at: this.#nowMs + Math.max(0, ms), run };
    let low = 0;
    let high = this.#alarms.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#alarms[middle]?.at ?? 0) <= alarm.at) low = middle + 1;
      else high = middle;
    }
    this.#alarms.splice(low, 0, alarm);
    return () => {
      const index = this.#alarms.indexOf(alarm);
      if (index >= 0) this.#alarms.splice(index, 1);
    };
  }

  /** Moves the wall clock alone, as an administrator or a suspended machine does. */
  skewWall(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  /** How many callbacks are still to come. */
  get pending(): number {
    return this.#alarms.length;
  }

  /** Lets time pass: runs what falls due, in order, letting promises settle in between (V1, V2). */
  async advance(ms: number): Promise<void> {
    await this.advanceUntil(() => false, ms);
  }

  /**
   * Lets time pass until the condition holds, looked at after each callback, or `ms` have passed.
   * @returns whether the condition holds
   */
  async advanceUntil(condition: () => boolean, ms: number): Promise<boolean> {
    const endMs = this.#nowMs + ms;
    await settle();
    while (!condition()) {
      const next = this.#alarms[0];
      if (next === undefined || next.at > endMs) {
        this.#nowMs = endMs;
        await settle();
        return condition();
      }
      this.#alarms.shift();
      this.#nowMs = Math.max(this.#nowMs, next.at);
      next.run();
      await settle();
    }
    return true;
  }

  /** Jumps ahead without running anything, as a process that was stopped does; what fell due runs at the next `advance`. */
  freeze(ms: number): void {
    this.#nowMs += ms;
  }
}

/** Waits until no promise can settle any more: a macrotask comes after all microtasks. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
