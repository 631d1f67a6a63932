/**
 * Waiting for the first round of a member, bounded: a cluster without coordinators is an error and not silence.
 */

import type { Clock } from './clock.js';
import { MusterError } from './errors.js';
import type { Membership } from './membership.js';
import { withinMs } from './waiting.js';

/** Resolves when the first round has ended or the membership is over. Throws MusterError TIMEOUT, after `onTimeout`. */
export async function untilJoined(
  membership: Membership,
  clock: Clock,
  timeoutMs: number,
  onTimeout: () => Promise<void>,
): Promise<void> {
  const outcome = await withinMs(clock, timeoutMs, membership.firstStable);
  if (outcome.kind === 'done') return;
  const why =
    membership.problem ?? 'the coordinator answers, but the group has come to no assignment: do its members rejoin?';
  await onTimeout();
  throw new MusterError('TIMEOUT', `not joined within ${timeoutMs} ms: ${why}`);
}
