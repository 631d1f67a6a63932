/**
 * What the loop of a membership is asked for while it does something else: another round, to hear of a loss, to join no more.
 *
 * Does none of it, and knows no state (membership.ts).
 *
 * Y1 a demand is never lost: it stays until the loop takes it, and wakes the loop where it waits.
 * Y2 a step on the wire is over as soon as a loss or the end makes its answer worthless; another round alone does not interrupt it.
 */

import type { MusterError } from './errors.js';
import { type Deferred, deferred } from './waiting.js';

export class Demands {
  #rejoin: string | undefined;
  #loss: MusterError | undefined;
  #isOver = false;
  #isEnded = false;
  #step = new AbortController();
  #wake: Deferred<void> = deferred();

  /** There are to be no more rounds. */
  get isOver(): boolean {
    return this.#isOver;
  }
  /** There is a loss that the loop has not heard of yet. */
  get hasLoss(): boolean {
    return this.#loss !== undefined;
  }

  rejoin(reason: string): void {
    this.#rejoin ??= reason;
    this.#wake.resolve();
  }

  /** Ends the step under way. @param loss what was owned is lost; undefined where nothing was */
  interrupt(loss: MusterError | undefined): void {
    this.#loss = loss ?? this.#loss;
    this.#step.abort();
    this.#wake.resolve();
  }

  /** No round after the one under way, which may end. */
  finish(): void {
    this.#isOver = true;
    this.#wake.resolve();
  }

  /** No round any more, and the one under way is over. */
  end(): void {
    this.#isOver = true;
    this.#isEnded = true;
    this.interrupt(undefined);
  }

  /** @returns why the next round begins, and what was lost before it */
  take(): { readonly reason: string | undefined; readonly loss: MusterError | undefined } {
    const loss = this.#loss;
    const reason = this.#rejoin ?? loss?.message;
    this.#loss = undefined;
    this.#rejoin = undefined;
    return { reason, loss };
  }

  /** A step on the wire begins. @returns until when its answer is wanted (Y2) */
  step(): AbortSignal {
    this.#step = new AbortController();
    if (this.#isEnded || this.#loss !== undefined) this.#step.abort();
    return this.#step.signal;
  }

  /** Resolves when there is anything to do. */
  async any(): Promise<void> {
    while (this.#loss === undefined && this.#rejoin === undefined && !this.#isOver) {
      this.#wake = deferred();
      await this.#wake.promise;
    }
  }
}
