/**
 * The clock of one process of a simulated system: time is everybody's, timers stand still while the process is paused.
 *
 * 1. A timer that comes due during a pause runs after it, in the order in which timers came due. 2. After `stop` none runs.
 */

import type { Clock } from '@muster/cluster';
import type { MonotonicMs } from '@muster/protocol';

export class ProcessClock implements Clock {
  readonly #clock: Clock;
  readonly #live = new Set<() => void>();
  readonly #due: (() => void)[] = [];
  #isFrozen = false;
  #isStopped = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): MonotonicMs {
    return this.#clock.now();
  }

  wallNow(): number {
    return this.#clock.wallNow();
  }

  after(ms: number, run: () => void): () => void {
    if (this.#isStopped) return () => undefined;
    let isOver = false;
    const fire = (): void => {
      if (isOver || this.#isStopped) return;
      if (this.#isFrozen) {
        this.#due.push(fire);
        return;
      }
      isOver = true;
      this.#live.delete(cancel);
      run();
    };
    const cancelTimer = this.#clock.after(ms, fire);
    const cancel = (): void => {
      isOver = true;
      this.#live.delete(cancel);
      cancelTimer();
    };
    this.#live.add(cancel);
    return cancel;
  }

  freeze(): void {
    this.#isFrozen = true;
  }

  thaw(): void {
    this.#isFrozen = false;
    for (const fire of this.#due.splice(0)) fire();
  }

  /** The process is gone: nothing of it runs any more. */
  stop(): void {
    this.#isStopped = true;
    for (const cancel of [...this.#live]) cancel();
    this.#due.length = 0;
  }
}
