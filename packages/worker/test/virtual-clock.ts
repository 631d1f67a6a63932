/**
 * A clock that moves only when told, and an environment around it in which chance is fixed.
 */

import { type MonotonicMs, monotonicMs } from '@muster/protocol';
import type { Cancel, Clock, Environment } from '../src/clock.js';

/** What the wall clock says when the virtual one says 0. */
export const WALL_START_MS = 1_700_000_000_000;

interface Timer {
  readonly dueMs: number;
  readonly order: number;
  readonly run: () => void;
}

export class VirtualClock implements Clock {
  readonly #timers = new Set<Timer>();
  #nowMs = 1_000;
  #order = 0;

  now(): MonotonicMs {
    return monotonicMs(this.#nowMs);
  }

  after(ms: number, run: () => void): Cancel {
    this.#order += 1;
    const timer = { dueMs: this.#nowMs + Math.max(0, ms), order: this.#order, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** How many timers are set: what is left over after a close is a leak. */
  get timers(): number {
    return this.#timers.size;
  }

  /** Moves time, running what falls due in order and letting promises settle in between. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await settle();
    while (true) {
      const next = [...this.#timers].sort((a, b) => a.dueMs - b.dueMs || a.order - b.order)[0];
      if (next === undefined || next.dueMs > untilMs) break;
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      this.#timers.delete(next);
      next.run();
      await settle();
    }
    this.#nowMs = untilMs;
    await settle();
  }

  /** Moves time in steps until the condition holds; throws after `withinMs` of virtual time. */
  async until(what: string, condition: () => boolean, withinMs = 120_000): Promise<void> {
    const deadlineMs = this.#nowMs + withinMs;
    await settle();
    while (!condition()) {
      if (this.#nowMs >= deadlineMs) throw new Error(`did not happen within ${withinMs} ms: ${what}`);
      await this.advance(10);
    }
  }

  /** Suspends the process: time passes, no timer runs. */
  jump(ms: number): void {
    this.#nowMs += ms;
  }
}

/** Lets everything that is only waiting for promises go on. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 3; round += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** @returns an environment on a virtual clock, with ids in order and no jitter */
export function virtualEnvironment(): Environment & { readonly clock: VirtualClock } {
  let ids = 0;
  const newId = () => {
    ids += 1;
    return `id${ids}`;
  };
  const clock = new VirtualClock();
  return { clock, wallNow: () => WALL_START_MS + clock.now(), random: () => 0.5, newId };
}
