/**
 * The `for await` loops of a consumer, and what they have been given and not settled yet: only so can its time run out (watchdog.ts G3), go
 * to the next loop, or be given up where there is none any more.
 */

import type { Delivery } from './delivery.js';
import { HandlerFailedError } from './errors.js';
import type { Lane } from './lane.js';

const PRUNE_AT_LEAST = 64;

export class HandedOut {
  readonly #deliveries = new Set<Delivery>();
  /** Loops that have not ended. */
  #loops = 0;
  #pruneAt = PRUNE_AT_LEAST;

  /** Never more than twice as many as are open, and a few. */
  get size(): number {
    return this.#deliveries.size;
  }

  /** A loop begins. After another one it begins with what that has not acked: in its partition it is delivered again from there on. */
  begin(): void {
    if (this.#loops === 0) for (const lane of this.#takeBack()) lane.takeBack();
    this.#loops += 1;
  }

  /** A loop has ended, in whatever way. What it was given may still be acked. */
  end(): void {
    this.#loops -= 1;
  }

  add(delivery: Delivery): void {
    this.#deliveries.add(delivery);
    // Now and then, not at every message: a loop that acks in blocks has many open.
    if (this.#deliveries.size < this.#pruneAt) return;
    for (const known of this.#deliveries) {
      if (known.isSettled || known.lane.signal.aborted) this.#deliveries.delete(known);
    }
    this.#pruneAt = 2 * this.#deliveries.size + PRUNE_AT_LEAST;
  }

  /** The consumer closes. A loop that was left before, by `break` or by a throw, acks nothing any more: there is nobody to wait for. */
  giveUpAbandoned(): void {
    if (this.#loops > 0) return;
    for (const delivery of this.#deliveries) if (!delivery.isSettled) delivery.giveUp();
    this.#deliveries.clear();
  }

  /** @returns the lanes with something that is not settled; from here on it is nobody's */
  #takeBack(): ReadonlySet<Lane> {
    const open = [...this.#deliveries].filter(({ isSettled, lane }) => !isSettled && !lane.signal.aborted);
    this.#deliveries.clear();
    return new Set(open.map(({ lane }) => lane));
  }

  /** @returns the delivery whose time is over, with the error that says so; undefined where it is settled meanwhile */
  takeExpired(lane: Lane, offset: number, deadlineMs: number): readonly [Delivery, HandlerFailedError] | undefined {
    for (const delivery of this.#deliveries) {
      if (delivery.lane !== lane || delivery.message.offset !== offset || delivery.isSettled) continue;
      this.#deliveries.delete(delivery);
      const cause = new Error(`not acked for ${deadlineMs} ms`);
      return [delivery, new HandlerFailedError('HANDLER_TIMEOUT', delivery.place, cause)];
    }
    return undefined;
  }
}
