/**
 * Who waits for proof that the partition is still ours (O6, O7). Synchronous.
 *
 * B1 Only the acknowledgement of a try that was sent after the wait began is proof. A frame that turned out durable by a read
 *    is not: it may have landed before, and whoever told may be behind the times.
 */

/** `proven` is called at most once; `lost` instead where the log is lost first. */
export type BarrierWaiter = { proven(): void; lost(): void };

export class Barriers {
  /** Wait for a try that is yet to be sent. */
  #waiting: BarrierWaiter[] = [];
  /** Wait for the acknowledgement of the try in flight. */
  #riding: BarrierWaiter[] = [];

  add(waiter: BarrierWaiter): void {
    this.#waiting.push(waiter);
  }

  /** Whether somebody needs another frame. */
  get wanted(): boolean {
    return this.#waiting.length > 0;
  }

  /** A try goes out: it proves something to all who wait by now. */
  trySent(): void {
    if (this.#waiting.length === 0) return;
    this.#riding.push(...this.#waiting);
    this.#waiting = [];
  }

  /** @returns those to whom the acknowledged try is proof */
  tryAcknowledged(): readonly BarrierWaiter[] {
    const proven = this.#riding;
    this.#riding = [];
    return proven;
  }

  /** The frame is durable, but no try was acknowledged: those who rode on it wait for the next (B1). */
  resolvedByRead(): void {
    this.#waiting = [...this.#riding, ...this.#waiting];
    this.#riding = [];
  }

  /** @returns all who wait, and forgets them */
  drain(): readonly BarrierWaiter[] {
    const all = [...this.#riding, ...this.#waiting];
    this.#riding = [];
    this.#waiting = [];
    return all;
  }
}
