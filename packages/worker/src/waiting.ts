/**
 * Waiting that always ends: by an event, a deadline or a signal. Nothing here rejects, so nothing can go unhandled.
 */

import type { Clock } from './clock.js';

/** A promise with its resolver beside it. Resolving twice does nothing. */
export interface Deferred<Value> {
  readonly promise: Promise<Value>;
  resolve(value: Value): void;
}

/** @returns an unresolved deferred */
export function deferred<Value = void>(): Deferred<Value> {
  let resolve: (value: Value) => void = () => {};
  const promise = new Promise<Value>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/**
 * Waits for a promise, at most `ms` milliseconds and only until the signal aborts.
 * @returns what the promise gave, or why the waiting ended; a rejection of the promise passes through
 */
export function withinMs<Value>(
  clock: Clock,
  ms: number,
  promise: Promise<Value>,
  signal?: AbortSignal,
): Promise<{ readonly kind: 'done'; readonly value: Value } | { readonly kind: 'timeout' | 'aborted' }> {
  if (signal?.aborted) {
    promise.catch(() => {});
    return Promise.resolve({ kind: 'aborted' });
  }
  return new Promise((resolve, reject) => {
    const onAbort = () => finish({ kind: 'aborted' });
    const cancel = clock.after(ms, () => finish({ kind: 'timeout' }));
    const release = () => {
      cancel();
      signal?.removeEventListener('abort', onAbort);
    };
    const finish = (outcome: { kind: 'done'; value: Value } | { kind: 'timeout' | 'aborted' }) => {
      release();
      resolve(outcome);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    promise.then(
      (value) => finish({ kind: 'done', value }),
      (error: unknown) => {
        release();
        reject(error);
      },
    );
  });
}

/** Sleeps `ms` milliseconds or until the signal aborts. */
export async function pause(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  await withinMs(clock, ms, new Promise<never>(() => {}), signal);
}

/** Something that happens again and again, and that any number of callers may wait for: who gives up waiting leaves nothing behind. */
export class Occasion {
  readonly #clock: Clock;
  readonly #waiting = new Set<Deferred<void>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  happens(): void {
    for (const waiting of this.#waiting) waiting.resolve();
  }

  /** Waits for the next time, at most `ms` milliseconds and only until the signal aborts. */
  async next(ms: number, signal?: AbortSignal): Promise<'done' | 'timeout' | 'aborted'> {
    const turn = deferred();
    this.#waiting.add(turn);
    const { kind } = await withinMs(this.#clock, ms, turn.promise, signal);
    this.#waiting.delete(turn);
    return kind;
  }
}
