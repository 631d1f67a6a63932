/**
 * At most so many at a time; the others wait in order. Used for handlers across lanes and for publishes in flight.
 */

import { deferred } from './waiting.js';

export class Gate {
  readonly #limit: number;
  readonly #waiting: (() => void)[] = [];
  #inside = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Resolves when there is room. Every `enter` needs its `leave`. */
  async enter(): Promise<void> {
    if (this.#inside < this.#limit) {
      this.#inside += 1;
      return;
    }
    const turn = deferred();
    this.#waiting.push(() => turn.resolve());
    await turn.promise;
  }

  leave(): void {
    const next = this.#waiting.shift();
    // The place passes on without becoming free in between.
    if (next === undefined) this.#inside -= 1;
    else next();
  }
}
