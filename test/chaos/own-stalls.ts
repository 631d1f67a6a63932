/**
 * Tells when a participant's own event loop stood still: what it was late with is not the cluster's fault.
 */

import { type HistoryEvent, nowMs } from './history.js';

const STALL_MS = 500;
const LOOK_MS = 100;

/** Watches until the process ends. */
export function watchOwnStalls(who: string, write: (stall: Extract<HistoryEvent, { kind: 'stall' }>) => void): void {
  let last = performance.now();
  setInterval(() => {
    const now = performance.now();
    const lateMs = now - last - LOOK_MS;
    last = now;
    if (lateMs > STALL_MS) write({ kind: 'stall', at: nowMs(), who, ms: lateMs });
  }, LOOK_MS).unref();
}
