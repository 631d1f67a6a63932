/**
 * What happens when a handler throws: one policy, written down, with an end.
 */

import { backoffMs, type Environment } from './clock.js';
import { HandlerFailedError, messageOf } from './errors.js';
import type { Logger } from './logger.js';
import type { Message } from './message.js';
import { pause } from './waiting.js';

/**
 * `stop` (default): the consumer ends with HANDLER_FAILED; the message is not committed and comes again.
 * `skip`: the message counts as handled. `retry`: again after a growing pause, the lane waiting; then `lastly`.
 */
export type FailurePolicy =
  | { readonly kind: 'stop' }
  | { readonly kind: 'skip' }
  | {
      readonly kind: 'retry';
      /** Attempts in all, at least 1. */
      readonly attempts: number;
      /** Default 200 ms, doubling up to `backoffMaxMs` (default 30,000). */
      readonly backoffMs?: number;
      readonly backoffMaxMs?: number;
      /** Default `stop`. */
      readonly lastly?: 'stop' | 'skip';
    };

export type HandlingResult =
  | { readonly kind: 'handled' | 'skipped' | 'aborted' }
  | { readonly kind: 'failed'; readonly error: HandlerFailedError };

/** Runs a handler under the policy. Never throws. */
export async function handleUnderPolicy<Value>(
  message: Message<Value>,
  handler: (message: Message<Value>) => Promise<void> | void,
  policy: FailurePolicy,
  environment: Environment,
  logger: Logger,
): Promise<HandlingResult> {
  const attempts = policy.kind === 'retry' ? Math.max(1, policy.attempts) : 1;
  const { topic, partition, offset, signal } = message;
  for (let attempt = 1; ; attempt += 1) {
    try {
      await handler(message);
      return { kind: 'handled' };
    } catch (thrown) {
      // A handler that heeds its signal usually throws: that is no failure, the message is somebody else's now.
      if (signal.aborted) return { kind: 'aborted' };
      logger.warn('handler failed', { topic, partition, offset, attempt, attempts, error: messageOf(thrown) });
      if (attempt >= attempts) {
        const last = policy.kind === 'retry' ? (policy.lastly ?? 'stop') : policy.kind;
        if (last === 'skip') return { kind: 'skipped' };
        return { kind: 'failed', error: new HandlerFailedError('HANDLER_FAILED', message, thrown) };
      }
    }
    if (policy.kind === 'retry') {
      const { backoffMs: leastMs = 200, backoffMaxMs: mostMs = 30_000 } = policy;
      await pause(environment.clock, backoffMs(attempt - 1, leastMs, mostMs, environment.random), signal);
    }
    if (signal.aborted) return { kind: 'aborted' };
  }
}
