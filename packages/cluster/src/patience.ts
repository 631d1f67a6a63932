/**
 * Bounded patience with a lease store that cannot be served now: the start of a node is no moment to give up at once.
 */

import type { Clock } from './ports.js';
import { LeaseStoreUnavailable } from './ports.js';

const pauseMs = 200;

/**
 * Tries until it succeeds, or `patienceMs` have passed.
 * @throws what `attempt` throws, at once unless it is a LeaseStoreUnavailable
 */
export async function patiently<T>(clock: Clock, patienceMs: number, attempt: () => Promise<T>): Promise<T> {
  const giveUpAt = clock.now() + patienceMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof LeaseStoreUnavailable) || clock.now() + pauseMs > giveUpAt) throw error;
    }
    await new Promise<void>((resolve) => {
      clock.after(pauseMs, resolve);
    });
  }
}
