/**
 * Asks again until something is ready or a deadline has passed.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { Readiness } from './readiness.js';

const ASK_AGAIN_MS = 40;
/** A group that is being founded is complete within milliseconds; longer than this it stays as it is. */
const MISFOUNDED_AFTER_MS = 2_000;

/** Answers the last reason for waiting when `timeoutMs` are over, or `misfounded` when that has lasted. What `check` throws goes to the caller at once. */
export async function waitUntil(check: () => Promise<Readiness>, timeoutMs: number): Promise<Readiness> {
  const deadlineMs = performance.now() + timeoutMs;
  let misfoundedSinceMs: number | undefined;
  for (;;) {
    const readiness = await check();
    const nowMs = performance.now();
    if (readiness.kind === 'ready' || nowMs >= deadlineMs) return readiness;
    misfoundedSinceMs = readiness.kind === 'misfounded' ? (misfoundedSinceMs ?? nowMs) : undefined;
    if (misfoundedSinceMs !== undefined && nowMs - misfoundedSinceMs >= MISFOUNDED_AFTER_MS) return readiness;
    await delay(ASK_AGAIN_MS);
  }
}
