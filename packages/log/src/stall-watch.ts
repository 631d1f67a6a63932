/**
 * Notices that a frame has been in flight for too long. One timer for all frames, re-armed when it fires: nothing per frame.
 */

import type { MonotonicMs } from '@muster/protocol';
import type { LogClock } from './clock.js';

export class StallWatch {
  readonly #clock: LogClock;
  readonly #stallMs: number;
  readonly #onStall: () => void;
  #startedAt: MonotonicMs | undefined;
  #cancel: (() => void) | undefined;

  /** @param onStall called once for each frame that is in flight for `stallMs` */
  constructor(clock: LogClock, stallMs: number, onStall: () => void) {
    this.#clock = clock;
    this.#stallMs = stallMs;
    this.#onStall = onStall;
  }

  /** A frame goes out. */
  started(): void {
    this.#startedAt = this.#clock.now();
    if (this.#cancel === undefined) this.#arm(this.#stallMs);
  }

  /** The frame is settled. */
  ended(): void {
    this.#startedAt = undefined;
  }

  /** No frame will go out any more. */
  stop(): void {
    this.#startedAt = undefined;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #arm(afterMs: number): void {
    this.#cancel = this.#clock.after(afterMs, () => {
      this.#cancel = undefined;
      if (this.#startedAt === undefined) return;
      const ageMs = this.#clock.now() - this.#startedAt;
      if (ageMs < this.#stallMs) return this.#arm(this.#stallMs - ageMs);
      this.#startedAt = undefined;
      this.#onStall();
    });
  }
}
