/**
 * The mailbox of one actor: a FIFO bounded in count and in bytes.
 *
 * It does not answer anybody and does not wake the actor: who offers a message does both. It never measures a message,
 * it believes the size that comes with it.
 *
 * M1 messages leave in the order in which they were accepted
 * M2 nothing is dropped: a message is refused (false), or it waits until take() or clear() hands it out, once
 * M3 count <= countMax and bytes <= bytesMax at all times; a message larger than bytesMax is therefore never accepted,
 *    not even by an empty mailbox
 * M4 an empty mailbox owns no array
 */

import { NumberedQueue } from './numbered-queue.js';

export type MailboxLimits = {
  /** Most messages that may wait. */
  readonly countMax: number;
  /** Most bytes that may wait, and so the largest message there can be. */
  readonly bytesMax: number;
};

export class Mailbox<M> {
  readonly #limits: MailboxLimits;
  readonly #queue = new NumberedQueue<M>();
  #bytes = 0;

  /**
   * @param limits kept by reference, so that many actors share one object
   * @throws RangeError when a limit is not a positive safe integer
   */
  constructor(limits: MailboxLimits) {
    if (!Number.isSafeInteger(limits.countMax) || limits.countMax < 1) throw new RangeError('countMax must be >= 1');
    if (!Number.isSafeInteger(limits.bytesMax) || limits.bytesMax < 1) throw new RangeError('bytesMax must be >= 1');
    this.#limits = limits;
  }

  /** How many messages wait. */
  get count(): number {
    return this.#queue.count;
  }

  /** Sum of the sizes of the messages that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Slots allocated now; for metrics and for the memory budget of an idle actor. */
  get capacity(): number {
    return this.#queue.capacity;
  }

  /**
   * Accepts a message, or refuses it because a limit would be passed.
   *
   * @param bytes size of the message as it counts against bytesMax, from 0
   * @returns false when the mailbox is full: the caller answers the sender at once, with a retry hint
   * @throws RangeError when bytes is not a safe integer from 0
   */
  offer(message: M, bytes: number): boolean {
    if (!Number.isSafeInteger(bytes) || bytes < 0) throw new RangeError(`bytes of a message: ${bytes}`);
    if (this.#queue.count >= this.#limits.countMax || this.#bytes + bytes > this.#limits.bytesMax) return false;
    this.#queue.push(message, bytes);
    this.#bytes += bytes;
    return true;
  }

  /** Takes the oldest message out; undefined when the mailbox is empty (so `undefined` makes a poor message). */
  take(): M | undefined {
    this.#bytes -= this.#queue.oldestNumber ?? 0;
    return this.#queue.shift();
  }

  /** Takes everything out, oldest first: the caller owes each of them an answer. */
  clear(): M[] {
    this.#bytes = 0;
    return this.#queue.drain();
  }
}
