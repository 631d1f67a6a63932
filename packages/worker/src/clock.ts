/**
 * Time and chance as the worker needs them. Real in production, virtual in tests; nothing else reads a clock.
 */

import { type MonotonicMs, monotonicMs } from '@muster/protocol';

/** Undoes what was scheduled. Calling it late or twice does nothing. */
export type Cancel = () => void;

/** A monotonic clock with one-shot timers. Never the wall clock: it may jump. */
export interface Clock {
  now(): MonotonicMs;
  /** Calls back once after `ms` milliseconds. */
  after(ms: number, run: () => void): Cancel;
}

/** setTimeout counts 31 bits; it takes anything longer for 1 ms. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The clock of this process. */
export const systemClock: Clock = {
  now: () => monotonicMs(performance.now()),
  after: (ms, run) => {
    if (ms <= TIMER_MS_MAX) {
      const timer = setTimeout(run, ms);
      return () => clearTimeout(timer);
    }
    let cancel: Cancel = () => {};
    const timer = setTimeout(() => {
      cancel = systemClock.after(ms - TIMER_MS_MAX, run);
    }, TIMER_MS_MAX);
    return () => {
      clearTimeout(timer);
      cancel();
    };
  },
};

/** What differs between production and a test, in one place. */
export interface Environment {
  readonly clock: Clock;
  /** Wall clock in milliseconds: only to compare with the times that JetStream gives messages. */
  readonly wallNow: () => number;
  /** Uniform in [0, 1): jitter, so that clients do not come back in step. */
  readonly random: () => number;
  /** A new id, unique in the system and fit for one subject token. */
  readonly newId: () => string;
  /** Says something to the people behind the process where nobody else listens. Default: nothing. */
  readonly warn?: (text: string) => void;
}

/**
 * Delay before attempt `attempt` (from 0): doubles from `leastMs` up to `mostMs`, the upper half of it random.
 * @returns milliseconds
 */
export function backoffMs(attempt: number, leastMs: number, mostMs: number, random: () => number): number {
  const ceilingMs = Math.min(mostMs, leastMs * 2 ** Math.min(attempt, 16));
  return ceilingMs / 2 + (random() * ceilingMs) / 2;
}
