/**
 * The release rule of one actor: no output leaves before every record the actor decided before it is durable.
 *
 * It does not write records and does not know the log: it counts them. One gate lives for one reign over the partition;
 * when ownership is lost the gate is dropped and a new reign makes a new one. Synchronous, runs inside a turn or inside
 * the acknowledgement of a frame.
 *
 * G1 outputs leave in the order in which they were pushed
 * G2 an output leaves only when all records appended before its push() are durable
 * G3 without records in flight an output leaves inside push(); an actor that only reads never waits
 * G4 unknown outcome of an append (rule L2): nobody calls durable(), so nothing leaves
 * G5 after drop() nothing leaves any more
 * G6 at most heldMax outputs are held; no array exists while none is
 */

import { NumberedQueue } from './numbered-queue.js';

export class ReplyGate<Output> {
  readonly #release: (output: Output) => void;
  readonly #heldMax: number;
  /** Held outputs, each with the count of records that must be durable before it leaves. */
  readonly #held = new NumberedQueue<Output>();
  /** Records appended and records durable, counted since nothing was last in flight or held. */
  #appended = 0;
  #durable = 0;
  #dropped = false;

  /**
   * @param release sends one output; it should not throw (see durable())
   * @param heldMax most outputs held at once
   * @throws RangeError when heldMax is not a positive safe integer
   */
  constructor(release: (output: Output) => void, heldMax: number) {
    if (!Number.isSafeInteger(heldMax) || heldMax < 1) throw new RangeError('heldMax must be >= 1');
    this.#release = release;
    this.#heldMax = heldMax;
  }

  /** How many outputs wait for records. */
  get held(): number {
    return this.#held.count;
  }

  /** How many records of this actor are in the log queue or in flight. */
  get inFlight(): number {
    return this.#appended - this.#durable;
  }

  /** Whether push() would refuse now. Ask before a turn that may append: its reply must not be the one refused. */
  get full(): boolean {
    return this.#mustHold && this.#held.count >= this.#heldMax;
  }

  /** Whether ownership was lost: the actor takes no more turns. */
  get dropped(): boolean {
    return this.#dropped;
  }

  /**
   * So many records of this actor were put into the log queue. Call it before the outputs of the same turn are pushed.
   *
   * @throws RangeError when count is not a safe integer from 0; Error after drop()
   */
  appended(count: number): void {
    requireCount(count);
    this.#requireOwned();
    this.#appended += count;
  }

  /**
   * Releases the output now, or holds it behind the records appended so far.
   *
   * @returns false when heldMax outputs are held: the output was not taken and the caller answers overload
   * @throws Error after drop(): a turn without ownership is a broken invariant, and silence would hide it
   */
  push(output: Output): boolean {
    this.#requireOwned();
    if (!this.#mustHold) {
      this.#release(output);
      return true;
    }
    if (this.#held.count >= this.#heldMax) return false;
    this.#held.push(output, this.#appended);
    return true;
  }

  /**
   * So many of the oldest records in flight became durable: releases what waited for them, in order.
   * After drop() it does nothing: the acknowledgement of a frame may well come later than the loss of ownership.
   *
   * @throws RangeError when count is not a safe integer from 0 or more than is in flight; and, after all due outputs were
   * offered to `release`, the first error that `release` threw
   */
  durable(count: number): void {
    requireCount(count);
    if (this.#dropped) return;
    if (count > this.inFlight) throw new RangeError(`${count} records durable, ${this.inFlight} in flight`);
    this.#durable += count;
    let failure: { readonly error: unknown } | undefined;
    // `release` may push, append or drop: the queue is looked at anew each time.
    while ((this.#held.oldestNumber ?? Number.POSITIVE_INFINITY) <= this.#durable) {
      const output = this.#held.shift() as Output;
      try {
        this.#release(output);
      } catch (error) {
        failure ??= { error };
      }
    }
    if (!this.#mustHold) {
      this.#appended = 0;
      this.#durable = 0;
    }
    if (failure !== undefined) throw failure.error;
  }

  /**
   * Ownership is lost: forgets the records in flight and hands back what was held, oldest first, none of it released.
   * A second drop() hands back nothing.
   */
  drop(): Output[] {
    this.#dropped = true;
    this.#appended = 0;
    this.#durable = 0;
    return this.#held.drain();
  }

  /** Also while older outputs are being released: a push from inside `release` must not overtake them. */
  get #mustHold(): boolean {
    return this.#appended > this.#durable || this.#held.count > 0;
  }

  #requireOwned(): void {
    if (this.#dropped) throw new Error('the gate was dropped: ownership is lost');
  }
}

function requireCount(count: number): void {
  if (!Number.isSafeInteger(count) || count < 0) throw new RangeError(`count of records: ${count}`);
}
