/**
 * How soon the next round follows one that gave no assignment: the first few at once, then each after a little more.
 */

import { backoffMs, type Environment } from './clock.js';
import { pause } from './waiting.js';

const BACKOFF_LEAST_MS = 50;
const BACKOFF_MOST_MS = 1_000;
/** Rounds in a row without an assignment that go at once. */
const ROUNDS_AT_ONCE = 3;

export class RoundPacing {
  readonly #environment: Environment;
  #roundsWithout = 0;

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  /** A round gave an assignment. */
  succeeded(): void {
    this.#roundsWithout = 0;
  }

  /** A round gave none. Resolves when the next may begin, or the signal aborts. */
  async afterEmpty(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#environment;
    this.#roundsWithout += 1;
    const attempt = this.#roundsWithout - ROUNDS_AT_ONCE;
    if (attempt > 0) await pause(clock, backoffMs(attempt, BACKOFF_LEAST_MS, BACKOFF_MOST_MS, random), signal);
  }
}
