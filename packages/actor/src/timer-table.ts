/**
 * The timers of one actor by their own keys: (kind, member), on top of the node's one wheel.
 *
 * It does not handle a timer that fired: the node turns the TimerOf it gets from the wheel into a message to the actor,
 * whose handler looks at its state. A wheel handle exists exactly while its key is in the table.
 *
 * K1 a key has at most one timer; setting it again moves that timer
 * K2 keys are pairs, never joined texts: no member id can imitate another key
 * K3 a timer that fired or was cleared leaves nothing behind in the table or in the wheel
 */

import type { TimerHandle, TimerWheel } from './timer-wheel.js';

/** What the wheel hands out when a timer fires. `member` is undefined for a kind that is the whole actor's. */
export type TimerOf<Actor, Kind, Member> = {
  readonly actor: Actor;
  readonly kind: Kind;
  readonly member: Member | undefined;
};

export class TimerTable<Actor, Kind, Member> {
  readonly #wheel: TimerWheel<TimerOf<Actor, Kind, Member>>;
  readonly #actor: Actor;
  readonly #kinds = new Map<Kind, Map<Member | undefined, TimerHandle>>();

  constructor(wheel: TimerWheel<TimerOf<Actor, Kind, Member>>, actor: Actor) {
    this.#wheel = wheel;
    this.#actor = actor;
  }

  /** How many timers are set. */
  get count(): number {
    let count = 0;
    for (const members of this.#kinds.values()) count += members.size;
    return count;
  }

  /**
   * Sets the timer of a key, or moves it.
   *
   * @param member undefined for a kind that is the whole actor's
   * @param deadlineMs on the clock of the wheel
   * @throws RangeError when the wheel is full or the deadline is not a finite safe number; the table is then as before
   */
  set(kind: Kind, member: Member | undefined, deadlineMs: number): void {
    const known = this.#kinds.get(kind)?.get(member);
    if (known !== undefined) {
      this.#wheel.set(known, deadlineMs);
      return;
    }
    const handle = this.#wheel.create({ actor: this.#actor, kind, member });
    try {
      this.#wheel.set(handle, deadlineMs);
    } catch (error) {
      this.#wheel.release(handle);
      throw error;
    }
    let members = this.#kinds.get(kind);
    if (members === undefined) {
      members = new Map();
      this.#kinds.set(kind, members);
    }
    members.set(member, handle);
  }

  /** Clears the timer of a key; nothing happens when it is not set. */
  clear(kind: Kind, member: Member | undefined): void {
    const members = this.#kinds.get(kind);
    const handle = members?.get(member);
    if (members === undefined || handle === undefined) return;
    this.#wheel.release(handle);
    members.delete(member);
    if (members.size === 0) this.#kinds.delete(kind);
  }

  /** Clears every timer of the actor: it is unloaded. */
  clearAll(): void {
    for (const members of this.#kinds.values()) {
      for (const handle of members.values()) this.#wheel.release(handle);
    }
    this.#kinds.clear();
  }

  /** The deadline in milliseconds of a key's timer, or undefined when it is not set. */
  deadlineOf(kind: Kind, member: Member | undefined): number | undefined {
    const handle = this.#kinds.get(kind)?.get(member);
    return handle === undefined ? undefined : this.#wheel.deadlineOf(handle);
  }

  /**
   * The wheel fired this timer: the key is free again. To be called in the wheel's `fire`, before the actor hears of it; a
   * call that comes later spares the key when it was set again in between.
   */
  fired(timer: TimerOf<Actor, Kind, Member>, handle: TimerHandle): void {
    if (this.#kinds.get(timer.kind)?.get(timer.member) === handle) this.clear(timer.kind, timer.member);
  }
}
