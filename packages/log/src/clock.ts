/**
 * Time as the log needs it: a monotonic clock and bounded waiting. Real in a node, virtual in tests and simulation.
 */

import type { MonotonicMs } from '@muster/protocol';

export interface LogClock {
  now(): MonotonicMs;
  /** Calls back once after `ms`; returns how to cancel it. */
  after(ms: number, run: () => void): () => void;
}
