/**
 * What a `for await` loop has been given and not settled yet: only so can its time run out (watchdog.ts G3).
 */

import type { Delivery } from './delivery.js';
import { HandlerFailedError, MusterError } from './errors.js';
import type { Lane } from './lane.js';

export class HandedOut {
  readonly #deliveries = new Set<Delivery>();

  add(delivery: Delivery): void {
    for (const known of this.#deliveries) {
      if (known.isSettled || known.lane.signal.aborted) this.#deliveries.delete(known);
    }
    this.#deliveries.add(delivery);
  }

  /** The loop that they went to is over: what it has not acked is handled by nobody. */
  giveUpAll(): void {
    for (const delivery of this.#deliveries) if (!delivery.isSettled) delivery.giveUp();
    this.#deliveries.clear();
  }

  /** @returns the delivery whose time is over, with the error that says so; undefined where it is settled meanwhile */
  takeExpired(lane: Lane, offset: number, deadlineMs: number): readonly [Delivery, HandlerFailedError] | undefined {
    for (const delivery of this.#deliveries) {
      if (delivery.lane !== lane || delivery.message.offset !== offset || delivery.isSettled) continue;
      this.#deliveries.delete(delivery);
      const cause = new MusterError('HANDLER_TIMEOUT', `not acked for ${deadlineMs} ms`);
      return [delivery, new HandlerFailedError('HANDLER_TIMEOUT', delivery.place, cause)];
    }
    return undefined;
  }
}
