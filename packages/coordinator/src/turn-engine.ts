/**
 * The node's turn loop and timer wheel, driven by real time; and the watch over its own pauses.
 *
 * E1: after a pause the queued input comes first, timers later (O11): a pause is noticed before the wheel is turned, and the
 * wheel stands still until `unpause`.
 */

import { TimerWheel, TurnLoop } from '@muster/actor';
import type { Clock } from '@muster/cluster';
import type { MonotonicMs } from '@muster/protocol';
import type { GroupTimerOf } from './group-actor.js';
import { nodeLimits } from './limits.js';

export type TurnEngineOptions = {
  readonly clock: Clock;
  /** Runs later, after pending input. */
  readonly defer: (run: () => void) => void;
  readonly onSliceEnd: () => void;
  readonly onThrow: (error: unknown) => void;
  /** The process stood still between two ticks. */
  readonly onStall: (stalledMs: number, since: MonotonicMs) => void;
};

export class TurnEngine {
  readonly loop: TurnLoop;
  readonly wheel: TimerWheel<GroupTimerOf>;
  readonly #options: TurnEngineOptions;
  #lastTick: { readonly now: MonotonicMs; readonly wallNow: number };
  #cancel: () => void = () => {};

  constructor(options: TurnEngineOptions) {
    const { clock, defer, onSliceEnd, onThrow } = options;
    this.#options = options;
    this.#lastTick = { now: clock.now(), wallNow: clock.wallNow() };
    this.wheel = new TimerWheel({ tickMs: nodeLimits.tickMs });
    this.loop = new TurnLoop({
      messagesPerVisit: nodeLimits.messagesPerVisit,
      sliceMs: nodeLimits.sliceMs,
      now: () => clock.now(),
      defer,
      onSliceEnd,
      onThrow: (_who, error) => onThrow(error),
    });
    this.#arm();
  }

  stop(): void {
    this.#cancel();
  }

  #arm(): void {
    this.#cancel = this.#options.clock.after(nodeLimits.tickMs, () => {
      this.#arm();
      this.#tick();
    });
  }

  #tick(): void {
    const { clock, onStall } = this.#options;
    const now = clock.now();
    const wallNow = clock.wallNow();
    const since = this.#lastTick.now;
    const gapMs = now - since;
    // A suspended machine may stop the monotonic clock, but never the wall clock.
    const suspendedMs = wallNow - this.#lastTick.wallNow - gapMs;
    this.#lastTick = { now, wallNow };
    if (gapMs > nodeLimits.stallMs || suspendedMs > nodeLimits.stallMs) onStall(Math.max(gapMs, suspendedMs), since);
    this.wheel.advance(now, (timer, handle) => timer.actor.fired(timer, handle));
  }
}
