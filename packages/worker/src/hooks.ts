/**
 * Calling a hook of the application: awaited, for a bounded time, and a failure that names it.
 */

import type { Clock } from './clock.js';
import { MusterError, messageOf } from './errors.js';
import type { Logger } from './logger.js';
import { withinMs } from './waiting.js';

/** All waits for a hook are this long: one that hangs must not hold up the group for ever. */
export interface HookTimes {
  readonly clock: Clock;
  readonly hookTimeoutMs: number;
  readonly logger: Logger;
}

/** Throws MusterError HOOK_FAILED with what the hook has thrown as its cause; one that takes too long is left behind and said. */
export async function callHook(
  name: string,
  call: () => Promise<void> | void,
  { clock, hookTimeoutMs, logger }: HookTimes,
): Promise<void> {
  try {
    // Through a promise, so that a hook that throws at once fails like one that rejects.
    const outcome = await withinMs(clock, hookTimeoutMs, Promise.resolve().then(call));
    if (outcome.kind !== 'done') logger.error('a hook takes too long: going on without it', { name, hookTimeoutMs });
  } catch (thrown) {
    throw new MusterError('HOOK_FAILED', `${name}: ${messageOf(thrown)}`, { cause: thrown });
  }
}
