/**
 * Hands out messages of all lanes, the lanes taking turns: to handlers that run side by side, or to one `for await` loop.
 *
 * D1 a lane that is handed out exclusively gives nothing more until it is returned: order within a partition.
 * D2 a slow lane keeps nobody else waiting.
 * D3 nothing is handed out while ownership is in doubt, read from the clock at that moment.
 */

import type { Delivery } from './delivery.js';
import type { Lane } from './lane.js';

export interface DispatchOptions {
  /** Whether work may begin now. */
  mayDeliver(): boolean;
}

export class Dispatch {
  readonly #options: DispatchOptions;
  /** Lanes that may have something, in turn. */
  readonly #readable = new Set<Lane>();
  readonly #busy = new Set<Lane>();
  readonly #waiting: ((delivery: Delivery | undefined) => void)[] = [];
  #isExclusive = true;
  #isClosed = false;

  constructor(options: DispatchOptions) {
    this.#options = options;
  }

  /** Without exclusiveness, the next message of a lane may be handed out before the last one is done. */
  setExclusive(isExclusive: boolean): void {
    this.#isExclusive = isExclusive;
  }

  /** A lane may have something to deliver. */
  offer(lane: Lane): void {
    if (this.#isClosed) return;
    this.#readable.add(lane);
    this.wake();
  }

  /** Hands out what there is to whoever waits. */
  wake(): void {
    while (this.#waiting.length > 0) {
      const delivery = this.#take();
      if (delivery === undefined) return;
      this.#waiting.shift()?.(delivery);
    }
  }

  /** The message of an exclusive lane is done. */
  giveBack(lane: Lane): void {
    this.#busy.delete(lane);
    if (lane.isReadable) this.offer(lane);
  }

  /** @returns the next message, waiting for one; undefined after `close` */
  next(): Promise<Delivery | undefined> {
    if (this.#isClosed) return Promise.resolve(undefined);
    const delivery = this.#waiting.length === 0 ? this.#take() : undefined;
    if (delivery !== undefined) return Promise.resolve(delivery);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Ends all waiting. */
  close(): void {
    this.#isClosed = true;
    this.#readable.clear();
    for (const resolve of this.#waiting.splice(0)) resolve(undefined);
  }

  #take(): Delivery | undefined {
    if (!this.#options.mayDeliver()) return undefined;
    for (const lane of this.#readable) {
      // Out and in again at the end: the lanes take turns.
      this.#readable.delete(lane);
      if (this.#isExclusive && this.#busy.has(lane)) continue;
      const delivery = lane.deliver();
      if (delivery === undefined) continue;
      if (this.#isExclusive) this.#busy.add(lane);
      if (lane.isReadable) this.#readable.add(lane);
      return delivery;
    }
    return undefined;
  }
}
