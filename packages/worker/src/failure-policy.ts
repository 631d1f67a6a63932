/**
 * What happens when a handler fails: one policy, written down, with an end.
 *
 * Does not decide where a message goes in the end (runner.ts does what `last` says).
 *
 * P1 a handler fails by throwing or by running out of its time.
 * P2 one that ran out of time is not tried again: it may still be running, and two of them would break the order.
 * P3 a failure after the ownership has ended is none: the message is somebody else's.
 * P4 nobody waits for a pause between two attempts: a hand-over ends it, and the next owner gets the message.
 */

import { backoffMs, type Environment } from './clock.js';
import { type FailedPlace, HandlerFailedError, MusterError, messageOf } from './errors.js';
import type { Logger } from './logger.js';
import { pause, withinMs } from './waiting.js';

/** The message goes into another topic, with headers that say where from and why; then it counts as handled. */
export interface DeadLetterPolicy {
  readonly kind: 'dead-letter';
  /** Name of a registered topic. */
  readonly topic: string;
  /**
   * How long JetStream may refuse to answer before the consumer ends with DEAD_LETTER_FAILED. Default: for as long as the partition is
   * owned, the partition waiting.
   */
  readonly timeoutMs?: number;
}

/** `stop`: the consumer ends with the error. `skip`: the message counts as handled. */
export type LastResort = 'stop' | 'skip' | DeadLetterPolicy;

/**
 * `stop` (default): the consumer ends with HANDLER_FAILED; the message is not committed and comes again.
 * `skip`: the message counts as handled. `dead-letter`: it goes into another topic. `retry`: again after a growing pause, the
 * lane waiting; then `lastly`.
 */
export type FailurePolicy =
  | { readonly kind: 'stop' }
  | { readonly kind: 'skip' }
  | DeadLetterPolicy
  | {
      readonly kind: 'retry';
      /** Attempts in all, at least 1. */
      readonly attempts: number;
      /** Default 200 ms, doubling up to `backoffMaxMs` (default 30,000). */
      readonly backoffMs?: number;
      readonly backoffMaxMs?: number;
      /** Default `stop`. */
      readonly lastly?: LastResort;
    };

export interface Attempt {
  /** Where the failure is, for the error: asked when it happens, because a batch moves on. */
  place(): FailedPlace;
  readonly signal: AbortSignal;
  /** Aborts when the group waits for this attempt. */
  readonly handover: AbortSignal;
  run(attempt: number): Promise<void> | void;
  /** The time is over: the handler should stop. */
  expire(reason: MusterError): void;
}

export type HandlingResult =
  | { readonly kind: 'handled' | 'aborted' }
  | {
      readonly kind: 'failed';
      readonly error: HandlerFailedError;
      readonly attempts: number;
      readonly last: LastResort;
    };

export interface HandlingOptions {
  readonly policy: FailurePolicy;
  readonly environment: Environment;
  readonly logger: Logger;
  /** How long one call of the handler may take. */
  readonly deadlineMs: number;
  /** The consumer is closed: a handler that still runs is waited for no longer. */
  readonly closed: AbortSignal;
}

/** Runs a handler under the policy. Never throws. */
export async function handleUnderPolicy(attempt: Attempt, options: HandlingOptions): Promise<HandlingResult> {
  const { policy, environment, logger } = options;
  const attempts = policy.kind === 'retry' ? Math.max(1, policy.attempts) : 1;
  const { signal, handover } = attempt;
  for (let count = 1; ; count += 1) {
    const error = await once(attempt, count, options);
    if (error === undefined) return { kind: 'handled' };
    if (error === 'closed') return { kind: 'aborted' };
    // A handler that heeds its signal usually throws: that is no failure, the message is somebody else's now.
    if (signal.aborted) return { kind: 'aborted' };
    const { topic, partition, offset, code, message } = error;
    logger.warn('handler failed', { topic, partition, offset, attempt: count, attempts, code, error: message });
    if (count >= attempts || code === 'HANDLER_TIMEOUT') {
      return { kind: 'failed', error, attempts: count, last: lastResort(policy) };
    }
    if (policy.kind === 'retry') {
      const { backoffMs: leastMs = 200, backoffMaxMs: mostMs = 30_000 } = policy;
      await pause(environment.clock, backoffMs(count - 1, leastMs, mostMs, environment.random), handover);
    }
    if (signal.aborted || handover.aborted) return { kind: 'aborted' };
  }
}

/** @returns what a policy ends in */
export function lastResort(policy: FailurePolicy): LastResort {
  if (policy.kind === 'retry') return policy.lastly ?? 'stop';
  return policy.kind === 'dead-letter' ? policy : policy.kind;
}

/** @returns the topics that failed messages may go to */
export function deadLetterTopics(...resorts: readonly LastResort[]): string[] {
  return resorts.flatMap((resort) => (typeof resort === 'string' ? [] : [resort.topic]));
}

/** A dead letter into a topic that its consumer reads would fail and be written again for ever. Throws MusterError INVALID_ARGUMENT. */
export function requireNoLoop(
  policies: { readonly onFailure: FailurePolicy; readonly onDecodeFailure: LastResort },
  subscribed: readonly string[],
): void {
  const resorts = { onFailure: lastResort(policies.onFailure), onDecodeFailure: policies.onDecodeFailure };
  for (const [option, resort] of Object.entries(resorts)) {
    const own = deadLetterTopics(resort).find((topic) => subscribed.includes(topic));
    if (own === undefined) continue;
    const why = 'its dead letters would come back to it for ever; give another topic';
    throw new MusterError('INVALID_ARGUMENT', `${option}: this consumer of ${own} reads that topic itself: ${why}`);
  }
}

async function once(
  attempt: Attempt,
  count: number,
  { environment, deadlineMs, closed }: HandlingOptions,
): Promise<HandlerFailedError | 'closed' | undefined> {
  try {
    const running: unknown = attempt.run(count);
    // `eachMessage: ({ value }) => list.push(value)` returns a number: what cannot be awaited is a handler that has ended.
    if (!isThenable(running)) return undefined;
    const outcome = await withinMs(environment.clock, deadlineMs, Promise.resolve(running), closed);
    if (outcome.kind === 'done') return undefined;
    if (outcome.kind === 'aborted') return 'closed';
    // Not an error of the same code: its general text would be said twice.
    const cause = new Error(`it has been running for ${deadlineMs} ms`);
    const error = new HandlerFailedError('HANDLER_TIMEOUT', attempt.place(), cause);
    // A period of ownership that ended meanwhile has told the handler already.
    if (!attempt.signal.aborted) attempt.expire(error);
    return error;
  } catch (thrown) {
    return new HandlerFailedError('HANDLER_FAILED', attempt.place(), thrown);
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

/** @returns the text of a failure for a header: one line, bounded */
export function failureText(error: MusterError): string {
  return messageOf(error.cause ?? error)
    .replace(/[\r\n]+/g, ' ')
    .slice(0, 500);
}
