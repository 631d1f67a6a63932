/**
 * Gives every ready actor its turns: a few messages, then the next one; after a few milliseconds the event loop.
 *
 * It knows neither messages nor mailboxes, reads no clock and arms no timer by itself: both are given to it.
 *
 * T1 a runnable is in the ready queue at most once
 * T2 the queue is first in, first out: between two visits of a runnable every other one that was ready gets exactly one
 * T3 a slice ends with the visit that passes sliceMs; the rest waits for the next slice, which comes through `defer`
 * T4 at most one slice is asked for at a time, and none while nothing is ready
 * T5 onSliceEnd runs once after every slice in which something was visited
 * T6 whatever throws (a runnable, onThrow, onSliceEnd), the others stay ready and the next slice is asked for
 */

/** Something that has messages to handle: an actor. */
export interface Runnable {
  /**
   * Handles at most so many messages.
   *
   * @returns true when more wait: the loop comes back after the other ready ones had their visit
   */
  runTurns(messagesMax: number): boolean;
}

export type TurnLoopOptions = {
  /** Messages of one actor before the next ready actor has its visit. */
  readonly messagesPerVisit: number;
  /** Milliseconds of one slice before the event loop has its turn. 0 = one visit per slice. */
  readonly sliceMs: number;
  /** Monotonic clock in milliseconds. */
  readonly now: () => number;
  /** Runs the function later, after pending I/O; never synchronously. `setImmediate` in a node. */
  readonly defer: (run: () => void) => void;
  /** After a slice: here the node flushes log frames. */
  readonly onSliceEnd: () => void;
  /**
   * A runnable threw. The loop does not put it back into the queue by itself, since nobody knows what it still has to do:
   * the handler quarantines it, or schedules it again. It is ready nevertheless when it was scheduled during the visit.
   */
  readonly onThrow: (who: Runnable, error: unknown) => void;
};

export class TurnLoop {
  readonly #options: TurnLoopOptions;
  /** A set keeps the order of insertion, also for what is added while it is iterated: queue and T1 in one structure. */
  readonly #ready = new Set<Runnable>();
  #sliceAsked = false;
  #inSlice = false;
  /** Whose visit it is, and whether it was scheduled meanwhile: it goes behind whoever became ready during the visit (T2). */
  #visited: Runnable | undefined;
  #visitedAgain = false;

  /** @throws RangeError when messagesPerVisit is not a positive safe integer or sliceMs is negative or NaN */
  constructor(options: TurnLoopOptions) {
    if (!Number.isSafeInteger(options.messagesPerVisit) || options.messagesPerVisit < 1) {
      throw new RangeError('messagesPerVisit must be >= 1');
    }
    if (!(options.sliceMs >= 0)) throw new RangeError('sliceMs must be >= 0');
    this.#options = options;
  }

  /** How many runnables wait for a visit. */
  get readyCount(): number {
    return this.#ready.size;
  }

  /** Puts the runnable at the end of the ready queue, unless it is in it. Cheap enough to call for every message. */
  schedule(runnable: Runnable): void {
    if (runnable === this.#visited) {
      this.#visitedAgain = true;
      return;
    }
    this.#ready.add(runnable);
    if (!this.#inSlice) this.#askForSlice();
  }

  #askForSlice(): void {
    if (this.#sliceAsked) return;
    this.#sliceAsked = true;
    this.#options.defer(this.#slice);
  }

  /** One closure for the life of the loop. A call that was not asked for does nothing. */
  readonly #slice = (): void => {
    if (!this.#sliceAsked) return;
    this.#sliceAsked = false;
    this.#inSlice = true;
    try {
      this.#visitUntilSliceEnds();
    } finally {
      try {
        this.#options.onSliceEnd();
      } finally {
        this.#inSlice = false;
        if (this.#ready.size > 0) this.#askForSlice();
      }
    }
  };

  #visitUntilSliceEnds(): void {
    const { messagesPerVisit, sliceMs, now, onThrow } = this.#options;
    const startMs = now();
    for (const runnable of this.#ready) {
      this.#ready.delete(runnable);
      this.#visited = runnable;
      this.#visitedAgain = false;
      let more = false;
      let failure: { readonly error: unknown } | undefined;
      try {
        more = runnable.runTurns(messagesPerVisit);
      } catch (error) {
        failure = { error };
      }
      this.#visited = undefined;
      if (more || this.#visitedAgain) this.#ready.add(runnable);
      if (failure !== undefined) onThrow(runnable, failure.error);
      if (now() - startMs >= sliceMs) return;
    }
  }
}
