/**
 * Asks again until something is ready or a deadline has passed.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { Readiness } from './readiness.js';

const ASK_AGAIN_MS = 40;

/** Answers the last reason for waiting when `timeoutMs` are over. What `check` throws goes to the caller at once. */
export async function waitUntil(check: () => Promise<Readiness>, timeoutMs: number): Promise<Readiness> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const readiness = await check();
    if (readiness.kind === 'ready' || performance.now() >= deadlineMs) return readiness;
    await delay(ASK_AGAIN_MS);
  }
}
