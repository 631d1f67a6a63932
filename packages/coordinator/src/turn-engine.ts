/**
 * The turn loop and the timer wheel of a node, driven by real time; and the watch over its own pauses.
 *
 * The wheel is looked at when its next timer may be due, not on every tick.
 *
 * E1: a pause is noticed before the wheel is turned: whoever owns partitions suspends them, and what waited as input is handled
 * before timers that fell due meanwhile (O11). E2: a timer set by a turn is waited for from the end of that slice on.
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
  /** Resolution of the wheel. */
  readonly tickMs?: number;
  readonly onSliceEnd: () => void;
  readonly onThrow: (error: unknown) => void;
  /** The process stood still since then; without it pauses are not watched for. */
  readonly onStall?: (stalledMs: number, since: MonotonicMs) => void;
};

export class TurnEngine {
  readonly loop: TurnLoop;
  readonly wheel: TimerWheel<GroupTimerOf>;
  readonly #options: TurnEngineOptions;
  /** When the wheel is looked at next. */
  #lookAt = Number.POSITIVE_INFINITY;
  #cancelLook: () => void = () => {};
  #cancelWatch: () => void = () => {};
  #lastSeen: { readonly now: MonotonicMs; readonly wallNow: number };

  constructor(options: TurnEngineOptions) {
    const { clock, defer, onSliceEnd, onThrow, tickMs = nodeLimits.tickMs } = options;
    this.#options = options;
    this.#lastSeen = { now: clock.now(), wallNow: clock.wallNow() };
    this.wheel = new TimerWheel({ tickMs });
    this.loop = new TurnLoop({
      messagesPerVisit: nodeLimits.messagesPerVisit,
      sliceMs: nodeLimits.sliceMs,
      now: () => clock.now(),
      defer,
      onSliceEnd: () => {
        onSliceEnd();
        this.waitForTimers();
      },
      onThrow: (_who, error) => onThrow(error),
    });
    if (options.onStall !== undefined) this.#watch();
  }

  /** Timers were set outside a turn, as loading does: they are waited for from now on. */
  waitForTimers(): void {
    const due = this.wheel.nextDueMs();
    if (due === undefined || due >= this.#lookAt) return;
    const { clock } = this.#options;
    this.#cancelLook();
    this.#lookAt = due;
    this.#cancelLook = clock.after(Math.max(0, due - clock.now()), () => {
      this.#lookAt = Number.POSITIVE_INFINITY;
      this.#notePause();
      this.wheel.advance(clock.now(), (timer, handle) => timer.actor.fired(timer, handle));
      this.waitForTimers();
    });
  }

  stop(): void {
    this.#cancelLook();
    this.#cancelWatch();
  }

  #watch(): void {
    this.#cancelWatch = this.#options.clock.after(nodeLimits.watchMs, () => {
      this.#watch();
      this.#notePause();
    });
  }

  #notePause(): void {
    const { clock, onStall } = this.#options;
    if (onStall === undefined) return;
    const now = clock.now();
    const wallNow = clock.wallNow();
    const { now: since, wallNow: wallSince } = this.#lastSeen;
    const gapMs = now - since;
    // A machine that was suspended may have stopped the monotonic clock, but never the wall clock.
    const suspendedMs = wallNow - wallSince - gapMs;
    this.#lastSeen = { now, wallNow };
    if (gapMs > nodeLimits.stallMs || suspendedMs > nodeLimits.stallMs) onStall(Math.max(gapMs, suspendedMs), since);
  }
}
