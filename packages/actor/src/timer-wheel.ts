/**
 * All timers of a node in one hierarchical wheel on typed arrays; moving a timer to a later deadline is one write.
 *
 * It reads no clock and arms no host timer: advance() is told the time, nextDueMs() says when to come back. It does not
 * look at what a timer means: the owner it hands out is opaque. Not for several threads. Synchronous.
 *
 * Level l has 32 slots of 32^l ticks each. A timer is filed at the lowest level at which it and the current tick share the
 * block above, so every timer of a lower level is due before every timer of a higher one, and the lowest occupied slot of
 * the lowest occupied level comes first: empty ticks cost nothing, however far the clock jumps. Eleven levels cover every
 * tick that a safe integer can name, so there is no overflow list. The arrays grow by doubling and are not given back.
 *
 * W1 a timer never fires before its deadline, and at the latest in the first advance() that is one tick past it
 * W2 within one advance() timers fire in the order of their deadlines; equal deadlines in the order of their handles' slots
 * W3 a timer fires at most once per advance(): one that is set while an advance() runs, with a deadline that has passed,
 *    fires in the next, so callbacks that keep setting due timers cannot hold the caller
 * W4 a cleared or released timer never fires; a handle that was released stays invalid when its place is used again
 * W5 a filed timer's slot starts at or before its due tick; it is looked at again when that slot comes up (lazy re-arm)
 * W6 the time of advance() never goes back: an earlier one counts as the latest seen
 */

declare const brand: unique symbol;
/** Names one timer of one wheel from create() to release(). Opaque; never 0. */
export type TimerHandle = number & { readonly [brand]: 'TimerHandle' };

export type TimerWheelOptions = {
  /** Resolution in milliseconds, a positive integer: a timer fires less than this late. */
  readonly tickMs: number;
  /** Most timers created and not released; at most (and by default) 2^24. */
  readonly timersMax?: number;
};

const SLOT_BITS = 5;
const SLOTS = 1 << SLOT_BITS;
const LEVELS = 11;
/** The list of timers that were due when they were set; it follows the lists of the slots. */
const OVERDUE = LEVELS * SLOTS;
/** Values of #listOf beside the number of a list. */
const UNSET = -1;
const FIRING = -2;
/** End of a list. */
const NIL = -1;
/** A handle is generation * 2^24 + index; the first generations fit V8's small integers. */
const INDEX_BITS = 24;
const INDEX_MASK = (1 << INDEX_BITS) - 1;
const GENERATION_STEP = 2 ** INDEX_BITS;
const FIRST_CAPACITY = 64;

export class TimerWheel<Owner> {
  readonly #tickMs: number;
  readonly #timersMax: number;
  readonly #deadlineMsMax: number;
  /** Every slot that starts at or before this tick has been emptied. */
  #tick = 0;
  /** The tick up to which a running advance() fires; -1 when none runs. */
  #advanceTick = -1;

  /** Per level one bit for each occupied slot. */
  readonly #occupied = new Int32Array(LEVELS);
  readonly #heads = new Int32Array(OVERDUE + 1).fill(NIL);

  // Per timer, by index. A free one keeps the negative of its next handle in #handles and the next free index in #next.
  #next = new Int32Array(FIRST_CAPACITY);
  #previous = new Int32Array(FIRST_CAPACITY);
  #listOf = new Int16Array(FIRST_CAPACITY);
  #deadlineMs = new Float64Array(FIRST_CAPACITY);
  /** While filed: a deadline above this needs no other slot (W5). */
  #lazyAboveMs = new Float64Array(FIRST_CAPACITY);
  #handles = new Float64Array(FIRST_CAPACITY);
  readonly #owners: (Owner | undefined)[] = [];
  #firstFree = NIL;
  #createdCount = 0;
  #setCount = 0;

  /** Timers of the list that fires now; kept to be used again. */
  readonly #batch: number[] = [];
  readonly #byDeadline = (a: number, b: number): number =>
    (this.#deadlineMs[a] as number) - (this.#deadlineMs[b] as number) || a - b;

  /** @throws RangeError when tickMs or timersMax is not a positive safe integer, or timersMax is above 2^24 */
  constructor(options: TimerWheelOptions) {
    const { tickMs, timersMax = GENERATION_STEP } = options;
    if (!Number.isSafeInteger(tickMs) || tickMs < 1) throw new RangeError('tickMs must be an integer >= 1');
    if (!Number.isSafeInteger(timersMax) || timersMax < 1 || timersMax > GENERATION_STEP) {
      throw new RangeError('timersMax must be from 1 to 2^24');
    }
    this.#tickMs = tickMs;
    this.#timersMax = timersMax;
    this.#deadlineMsMax = Number.MAX_SAFE_INTEGER - tickMs;
  }

  /** How many timers exist (created and not released). */
  get createdCount(): number {
    return this.#createdCount;
  }

  /** How many timers are set. */
  get setCount(): number {
    return this.#setCount;
  }

  /**
   * Makes a timer, not set.
   *
   * @param owner handed to `fire`
   * @throws RangeError when timersMax timers exist
   */
  create(owner: Owner): TimerHandle {
    if (this.#createdCount >= this.#timersMax) throw new RangeError(`more than ${this.#timersMax} timers`);
    let index = this.#firstFree;
    let handle: TimerHandle;
    if (index === NIL) {
      index = this.#owners.length;
      if (index === this.#next.length) this.#grow();
      handle = timerHandle(GENERATION_STEP + index);
      this.#owners.push(owner);
    } else {
      this.#firstFree = this.#next[index] as number;
      handle = timerHandle(-(this.#handles[index] as number));
      this.#owners[index] = owner;
    }
    this.#handles[index] = handle;
    this.#listOf[index] = UNSET;
    this.#createdCount += 1;
    return handle;
  }

  /**
   * Sets the timer, or moves it when it is set. A deadline in the past fires at the next advance().
   *
   * @param deadlineMs on the clock of advance()
   * @throws Error when the handle was released; RangeError when the deadline is not a finite safe number
   */
  set(handle: TimerHandle, deadlineMs: number): void {
    const index = this.#indexOf(handle);
    if (index === NIL) throw new Error('the timer was released');
    if (!(Math.abs(deadlineMs) <= this.#deadlineMsMax)) throw new RangeError(`deadline: ${deadlineMs}`);
    const list = this.#listOf[index] as number;
    this.#deadlineMs[index] = deadlineMs;
    if (list === UNSET) this.#setCount += 1;
    // Not lazy inside advance(): a timer that fired, was set, and is moved back into the past must wait for the next (W3).
    else if (deadlineMs > (this.#lazyAboveMs[index] as number) && this.#advanceTick === -1) return;
    else if (list !== FIRING) this.#unlink(index, list);
    const dueTick = this.#dueTick(deadlineMs);
    if (dueTick <= this.#tick || dueTick <= this.#advanceTick) {
      this.#link(index, OVERDUE, Number.NEGATIVE_INFINITY);
    } else {
      this.#file(index, dueTick);
    }
  }

  /** Unsets the timer; nothing happens when it is not set or was released. */
  clear(handle: TimerHandle): void {
    const index = this.#indexOf(handle);
    if (index !== NIL) this.#unset(index);
  }

  /**
   * Clears the timer and ends its life: the handle is invalid from now on, its place may serve another timer.
   *
   * @throws Error when the handle was released before
   */
  release(handle: TimerHandle): void {
    const index = this.#indexOf(handle);
    if (index === NIL) throw new Error('the timer was released');
    this.#unset(index);
    const following = handle + GENERATION_STEP;
    this.#handles[index] = -(Number.isSafeInteger(following) ? following : GENERATION_STEP + index);
    this.#owners[index] = undefined;
    this.#next[index] = this.#firstFree;
    this.#firstFree = index;
    this.#createdCount -= 1;
  }

  /** Whether the timer will fire; false also for a released handle. */
  isSet(handle: TimerHandle): boolean {
    const index = this.#indexOf(handle);
    return index !== NIL && this.#listOf[index] !== UNSET;
  }

  /** The deadline in milliseconds of a timer that is set, else undefined. */
  deadlineOf(handle: TimerHandle): number | undefined {
    const index = this.#indexOf(handle);
    return index !== NIL && this.#listOf[index] !== UNSET ? this.#deadlineMs[index] : undefined;
  }

  /**
   * Fires every timer for which the first tick at or after its deadline has come (W1 to W3). A timer is unset before
   * `fire` is called for it; `fire` may create, set, clear and release any timer.
   *
   * @throws Error when called from inside `fire`; RangeError when nowMs is not a finite safe number; and what `fire` throws:
   * the timers that were not reached then fire at the next advance()
   */
  advance(nowMs: number, fire: (owner: Owner, handle: TimerHandle) => void): void {
    if (this.#advanceTick !== -1) throw new Error('advance() inside advance()');
    if (!(Math.abs(nowMs) <= Number.MAX_SAFE_INTEGER)) throw new RangeError(`now: ${nowMs}`);
    const lastTick = Math.max(this.#tick, Math.floor(nowMs / this.#tickMs));
    this.#advanceTick = lastTick;
    try {
      this.#fireList(OVERDUE, fire);
      for (let list = this.#firstSlot(); list !== NIL; list = this.#firstSlot()) {
        const startTick = this.#startOf(list);
        if (startTick > lastTick) break;
        this.#tick = startTick;
        this.#occupied[list >> SLOT_BITS] =
          (this.#occupied[list >> SLOT_BITS] as number) & ~(1 << (list & (SLOTS - 1)));
        this.#fireList(list, fire);
      }
      this.#tick = lastTick;
    } finally {
      this.#advanceTick = -1;
    }
  }

  /**
   * The time of the next advance() that can have something to do, in milliseconds; undefined when no timer is set. A lower
   * bound: timers may be due later (far or moved ones are then only filed anew), never earlier.
   */
  nextDueMs(): number | undefined {
    if (this.#heads[OVERDUE] !== NIL) return this.#tick * this.#tickMs;
    const list = this.#firstSlot();
    return list === NIL ? undefined : this.#startOf(list) * this.#tickMs;
  }

  /** Empties one list: fires what is due at the current tick in the order of deadlines, files the rest anew. */
  #fireList(list: number, fire: (owner: Owner, handle: TimerHandle) => void): void {
    const batch = this.#batch;
    const currentMs = this.#tick * this.#tickMs;
    let index = this.#heads[list] as number;
    this.#heads[list] = NIL;
    while (index !== NIL) {
      const following = this.#next[index] as number;
      const deadlineMs = this.#deadlineMs[index] as number;
      if (deadlineMs > currentMs) {
        this.#file(index, this.#dueTick(deadlineMs));
      } else {
        this.#listOf[index] = FIRING;
        batch.push(index);
      }
      index = following;
    }
    if (batch.length > 1) batch.sort(this.#byDeadline);
    let reached = 0;
    try {
      while (reached < batch.length) {
        const due = batch[reached] as number;
        reached += 1;
        // Else an earlier callback of this batch cleared, released or moved it.
        if (this.#listOf[due] !== FIRING) continue;
        this.#unset(due);
        fire(this.#owners[due] as Owner, timerHandle(this.#handles[due] as number));
      }
    } finally {
      for (; reached < batch.length; reached += 1) {
        const left = batch[reached] as number;
        if (this.#listOf[left] === FIRING) this.#link(left, OVERDUE, Number.NEGATIVE_INFINITY);
      }
      batch.length = 0;
    }
  }

  /** Files a timer whose due tick is still to come. */
  #file(index: number, dueTick: number): void {
    // Powers of two: these products are exact, and at the highest level both sides are 0.
    let level = 0;
    let blocksPerTick = 1 / SLOTS;
    while (Math.floor(dueTick * blocksPerTick) !== Math.floor(this.#tick * blocksPerTick)) {
      level += 1;
      blocksPerTick /= SLOTS;
    }
    const slotsPerTick = blocksPerTick * SLOTS;
    const slotNumber = Math.floor(dueTick * slotsPerTick);
    const slot = slotNumber % SLOTS;
    this.#occupied[level] = (this.#occupied[level] as number) | (1 << slot);
    this.#link(index, level * SLOTS + slot, (slotNumber / slotsPerTick - 1) * this.#tickMs);
  }

  #link(index: number, list: number, lazyAboveMs: number): void {
    const head = this.#heads[list] as number;
    this.#next[index] = head;
    this.#previous[index] = NIL;
    if (head !== NIL) this.#previous[head] = index;
    this.#heads[list] = index;
    this.#listOf[index] = list;
    this.#lazyAboveMs[index] = lazyAboveMs;
  }

  #unlink(index: number, list: number): void {
    const next = this.#next[index] as number;
    const previous = this.#previous[index] as number;
    if (next !== NIL) this.#previous[next] = previous;
    if (previous !== NIL) {
      this.#next[previous] = next;
    } else {
      this.#heads[list] = next;
      if (next === NIL && list !== OVERDUE) {
        const level = list >> SLOT_BITS;
        this.#occupied[level] = (this.#occupied[level] as number) & ~(1 << (list & (SLOTS - 1)));
      }
    }
  }

  #unset(index: number): void {
    const list = this.#listOf[index] as number;
    if (list === UNSET) return;
    if (list !== FIRING) this.#unlink(index, list);
    this.#listOf[index] = UNSET;
    this.#setCount -= 1;
  }

  /** The list of the occupied slot that starts first, or NIL. All occupied slots lie ahead of the current tick. */
  #firstSlot(): number {
    for (let level = 0; level < LEVELS; level += 1) {
      const bits = this.#occupied[level] as number;
      if (bits !== 0) return level * SLOTS + (31 - Math.clz32(bits & -bits));
    }
    return NIL;
  }

  /** The tick at which an occupied slot starts. */
  #startOf(list: number): number {
    const slotTicks = SLOTS ** (list >> SLOT_BITS);
    const blockTicks = slotTicks * SLOTS;
    return Math.floor(this.#tick / blockTicks) * blockTicks + (list & (SLOTS - 1)) * slotTicks;
  }

  /**
   * The first tick at or after a deadline. Up to 2^53 a correctly rounded quotient never falls onto an integer it has
   * passed; only the division of a subnormal deadline may give 0, and W1 forbids tick 0 for that one too.
   */
  #dueTick(deadlineMs: number): number {
    const tick = Math.ceil(deadlineMs / this.#tickMs);
    return tick * this.#tickMs < deadlineMs ? tick + 1 : tick;
  }

  /** The index of a timer that exists, or NIL. */
  #indexOf(handle: TimerHandle): number {
    const index = handle & INDEX_MASK;
    return this.#handles[index] === handle ? index : NIL;
  }

  #grow(): void {
    const capacity = this.#next.length * 2;
    this.#next = grown(this.#next, new Int32Array(capacity));
    this.#previous = grown(this.#previous, new Int32Array(capacity));
    this.#listOf = grown(this.#listOf, new Int16Array(capacity));
    this.#deadlineMs = grown(this.#deadlineMs, new Float64Array(capacity));
    this.#lazyAboveMs = grown(this.#lazyAboveMs, new Float64Array(capacity));
    this.#handles = grown(this.#handles, new Float64Array(capacity));
  }
}

/** The one place that makes a handle. */
function timerHandle(value: number): TimerHandle {
  return value as TimerHandle;
}

function grown<A extends { set(from: A): void }>(from: A, to: A): A {
  to.set(from);
  return to;
}
