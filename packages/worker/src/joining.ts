/**
 * Waiting for the first round of a member, bounded: a cluster without coordinators is an error and not silence.
 */

import type { MonotonicMs } from '@muster/protocol';
import type { Clock } from './clock.js';
import { asMusterError, MusterError } from './errors.js';
import type { Membership } from './membership.js';
import { pause, withinMs } from './waiting.js';

const ASK_AGAIN_MS = 250;
/** Why there may be no assignment although the coordinator answers. */
const NO_ROUND =
  'the coordinator answers, but the group has come to no assignment: the first round of an empty group waits for ' +
  'group.initial.rebalance.delay (3 s by default), every other until its members have joined again: do its members rejoin?';

/**
 * Asks JetStream what has to be known before joining, again where it cannot answer: after the loss of a server it has no leader for some
 * seconds. Any other refusal, and the last one when the time is up or nobody waits any more, is thrown.
 */
export async function untilAnswered(
  clock: Clock,
  timeoutMs: number,
  ask: () => Promise<unknown>,
  waiting: { isOver(): boolean; onProblem(problem: string, silentForMs: number): void },
): Promise<void> {
  const startedAt = clock.now();
  for (;;) {
    try {
      await ask();
      return;
    } catch (thrown) {
      const { code, message } = asMusterError(thrown, 'STREAM_REFUSED');
      const silentForMs = clock.now() - startedAt;
      if (code !== 'STREAM_UNAVAILABLE' || waiting.isOver() || silentForMs >= timeoutMs) throw thrown;
      waiting.onProblem(message, silentForMs);
    }
    await pause(clock, ASK_AGAIN_MS);
  }
}

/**
 * Resolves when the first round has ended or the membership is over. Throws MusterError TIMEOUT, after `onTimeout`.
 * @param startedAt when the `timeoutMs` began
 */
export async function untilJoined(
  membership: Membership,
  clock: Clock,
  timeoutMs: number,
  onTimeout: () => Promise<void>,
  startedAt: MonotonicMs = clock.now(),
): Promise<void> {
  const leftMs = Math.max(0, timeoutMs - (clock.now() - startedAt));
  const outcome = await withinMs(clock, leftMs, membership.firstStable);
  if (outcome.kind === 'done') return;
  const why = membership.problem ?? NO_ROUND;
  await onTimeout();
  throw new MusterError('TIMEOUT', `not joined within ${timeoutMs} ms: ${why}`);
}
