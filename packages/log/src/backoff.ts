/**
 * Pauses between tries: doubling, bounded, with jitter (L2, L3).
 *
 * The jitter comes from the source of nonces, so that a simulation needs one seed only.
 */

import type { LogClock } from './clock.js';
import type { LogLimits } from './limits.js';

export class Backoff {
  readonly #clock: LogClock;
  readonly #longestMs: number;
  readonly #newNonce: () => string;
  #nextMs: number;

  constructor(clock: LogClock, limits: LogLimits, newNonce: () => string) {
    this.#clock = clock;
    this.#nextMs = limits.backoffMs;
    this.#longestMs = limits.backoffMaxMs;
    this.#newNonce = newNonce;
  }

  /** Waits for the next pause: the present length stretched by up to a half of itself. */
  wait(): Promise<void> {
    const pauseMs = this.#nextMs * (1 + fraction(this.#newNonce()) / 2);
    this.#nextMs = Math.min(this.#nextMs * 2, this.#longestMs);
    return new Promise((resolve) => {
      this.#clock.after(pauseMs, resolve);
    });
  }
}

/** @returns a number in [0, 1) that depends on every character of the text (FNV-1a) */
function fraction(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return (hash >>> 0) / 0x1_0000_0000;
}
