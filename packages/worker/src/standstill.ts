/**
 * Notices that the process itself stood still, suspended or with its event loop blocked, for longer than a session may: what it believes
 * of its membership is then as old as that.
 *
 * Read from the clock, not from a timer: a process that goes on runs its queue before its timers.
 */

import type { Cancel, Clock } from './clock.js';

const TICK_MS = 1_000;

export class Standstill {
  readonly #clock: Clock;
  readonly #limitMs: number;
  readonly #onEnd: () => void;
  #aliveAtMs: number;
  #cancel: Cancel = () => {};

  /** @param onEnd called at the first timer after a standstill */
  constructor(clock: Clock, limitMs: number, onEnd: () => void) {
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#onEnd = onEnd;
    this.#aliveAtMs = clock.now();
  }

  /** Whether no timer has run for longer than the limit. */
  get isOn(): boolean {
    return this.#clock.now() - this.#aliveAtMs > this.#limitMs;
  }

  start(): void {
    this.#aliveAtMs = this.#clock.now();
    this.#arm();
  }

  stop(): void {
    this.#cancel();
  }

  #arm(): void {
    this.#cancel = this.#clock.after(TICK_MS, () => {
      this.#arm();
      const stoodStill = this.isOn;
      this.#aliveAtMs = this.#clock.now();
      if (stoodStill) this.#onEnd();
    });
  }
}
