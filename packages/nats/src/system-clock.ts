/**
 * Time and randomness of this machine. The only place of the nodes that reads them; everything else is handed the ports.
 */

import { randomBytes, randomUUID } from 'node:crypto';
import type { Clock, Random } from '@muster/cluster';
import type { MonotonicMs } from '@muster/protocol';
import { monotonicMs } from '@muster/protocol';

/** Longest delay of a timer of Node.js, in ms; a longer one would fire at once. */
const TIMER_MS_MAX = 2_147_483_647;

export class SystemClock implements Clock {
  now(): MonotonicMs {
    return monotonicMs(performance.now());
  }

  wallNow(): number {
    return Date.now();
  }

  after(ms: number, run: () => void): () => void {
    let timer: NodeJS.Timeout;
    const wait = (leftMs: number): void => {
      const nowMs = Math.min(Math.max(leftMs, 0), TIMER_MS_MAX);
      timer = setTimeout(() => (leftMs > nowMs && nowMs === TIMER_MS_MAX ? wait(leftMs - nowMs) : run()), nowMs);
    };
    wait(ms);
    return () => clearTimeout(timer);
  }
}

export class SystemRandom implements Random {
  /** @returns 16 characters of `A-Z a-z 0-9 _ -`: 96 random bits */
  id(): string {
    return randomBytes(12).toString('base64url');
  }

  uuid(): string {
    return randomUUID();
  }

  next(): number {
    return Math.random();
  }
}
