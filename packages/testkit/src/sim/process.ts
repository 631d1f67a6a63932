/**
 * One simulated process: a clock of its own that drifts and jumps, input that queues up while it is paused, and an end.
 *
 * P1 After a pause what waited as input runs first, then the timers that fell due, as Node.js does (nats.md fact 10). P2 After
 * `kill` nothing of it runs. P3 A machine that was suspended has missed time by its monotonic clock, never by its wall clock.
 */

import type { Clock } from '@muster/cluster';
import { type MonotonicMs, monotonicMs } from '@muster/protocol';
import type { Scheduler } from './scheduler.js';

const WALL_START_MS = 1_700_000_000_000;

export class SimProcess {
  readonly name: string;
  readonly clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #rate: number;
  #isAlive = true;
  #isPaused = false;
  #isDraining = false;
  /** What the monotonic clock has missed, in ms. */
  #missedMs = 0;
  #wallOffsetMs = WALL_START_MS;
  #pausedAt = 0;
  #stopsMonotonic = false;
  readonly #input: (() => void)[] = [];
  #due: (() => void)[] = [];
  #slowMs = 0;
  /** Input waits for its turn, because the process is slow or was until now. */
  #isBehind = false;
  #soundSince: number;

  /** @param rate how fast its clock goes; 1.01 = one percent fast */
  constructor(scheduler: Scheduler, name: string, rate: number) {
    this.#scheduler = scheduler;
    this.name = name;
    this.#rate = rate;
    this.#soundSince = scheduler.now;
    this.clock = {
      now: () => this.#now(),
      wallNow: () => Math.floor(scheduler.now * rate + this.#wallOffsetMs),
      after: (ms, run) => this.#after(ms, run),
    };
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Since when it has run at full speed; undefined while it does not. */
  get soundSince(): number | undefined {
    return this.#isAlive && !this.#isPaused && this.#slowMs === 0 ? this.#soundSince : undefined;
  }

  /** Each input takes so long, in ms: a slow node. */
  get slowMs(): number {
    return this.#slowMs;
  }
  set slowMs(ms: number) {
    if (this.#slowMs > 0) this.#soundSince = this.#scheduler.now;
    this.#slowMs = ms;
  }

  #now(): MonotonicMs {
    const missing = this.#isPaused && this.#stopsMonotonic ? this.#scheduler.now - this.#pausedAt : 0;
    return monotonicMs((this.#scheduler.now - missing) * this.#rate - this.#missedMs);
  }

  #after(ms: number, run: () => void): () => void {
    if (!this.#isAlive) return () => {};
    // setTimeout knows no fractions: a rounding error of a deadline must not become a timer of no time at all.
    const waitMs = ms > 0 ? Math.max(ms, 0.05) : 0;
    const dueAt = this.#now() + waitMs;
    let isOver = false;
    const fire = (): void => {
      if (isOver || !this.#isAlive) return;
      if (this.#isPaused || this.#isDraining) {
        this.#due.push(fire);
        return;
      }
      const leftMs = dueAt - this.#now();
      // Never early, not by a rounding either: whoever waits for a deadline would look, find nothing due, and wait for no time at all.
      if (leftMs > 0) {
        cancel = this.#scheduler.after(Math.max(leftMs / this.#rate, 0.01), fire);
        return;
      }
      isOver = true;
      run();
    };
    let cancel = this.#scheduler.after(waitMs / this.#rate, fire);
    return () => {
      isOver = true;
      cancel();
    };
  }

  /** Something has arrived from outside. */
  input(run: () => void): void {
    if (!this.#isAlive) return;
    if (this.#isPaused || this.#isDraining) {
      this.#input.push(run);
      return;
    }
    if (this.#slowMs <= 0 && !this.#isBehind) return run();
    this.#input.push(run);
    if (!this.#isBehind) this.#catchUp();
  }

  /** Takes its time for each piece of input. What has piled up when it is quick again is handled at once. */
  #catchUp(): void {
    this.#isBehind = true;
    this.#scheduler.after(this.#slowMs, () => {
      const isOver = !this.#isAlive || this.#isPaused || this.#isDraining;
      const next = isOver ? undefined : this.#input.shift();
      this.#isBehind = false;
      if (next === undefined) return;
      next();
      if (this.#input.length > 0) this.#catchUp();
    });
  }

  /** The simulation's own time, for checkers: no clock of this process. */
  time(): number {
    return this.#scheduler.now;
  }

  /** @param stopsMonotonic the whole machine sleeps: the monotonic clock stands still, too (P3) */
  pause(stopsMonotonic = false): void {
    if (this.#isPaused || !this.#isAlive) return;
    this.#isPaused = true;
    this.#stopsMonotonic = stopsMonotonic;
    this.#pausedAt = this.#scheduler.now;
  }

  resume(): void {
    if (!this.#isPaused) return;
    if (this.#stopsMonotonic) this.#missedMs += (this.#scheduler.now - this.#pausedAt) * this.#rate;
    this.#isPaused = false;
    this.#soundSince = this.#scheduler.now;
    this.#isDraining = true;
    this.#drain();
  }

  /** Moves the wall clock, as an administrator or a time server does. */
  jumpWall(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  /** P2 */
  kill(): void {
    this.#isAlive = false;
    this.#input.length = 0;
    this.#due = [];
  }

  /** P1: one piece of input at a time, then the timers. */
  #drain(): void {
    this.#scheduler.after(0, () => {
      if (!this.#isAlive || this.#isPaused) {
        this.#isDraining = false;
        return;
      }
      const next = this.#input.shift();
      if (next !== undefined) {
        next();
        return this.#drain();
      }
      this.#isDraining = false;
      const due = this.#due;
      this.#due = [];
      for (const fire of due) this.#scheduler.after(0, fire);
    });
  }
}
