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

/** Runs for each item, at most `limit` at a time. @returns the results in the order of the items; throws the first failure */
export async function eachAtMost<Item, Result>(
  limit: number,
  items: readonly Item[],
  run: (item: Item, at: number) => Promise<Result>,
): Promise<Result[]> {
  const gate = new Gate(limit);
  return await Promise.all(
    items.map(async (item, at) => {
      await gate.enter();
      try {
        return await run(item, at);
      } finally {
        gate.leave();
      }
    }),
  );
}
