/**
 * A FIFO of items that each carry one number (a size, a position), in a ring that costs nothing until it is used.
 *
 * It sets no bound: who owns the queue bounds it and knows what to answer when it is full (mailbox, reply gate).
 *
 * Q1 items leave in the order in which they came, each with its own number
 * Q2 no array exists while the queue is empty
 * Q3 a slot that was left holds no reference to its item
 */

/** Slots of the first ring. A power of two. */
const FIRST_CAPACITY = 4;

export class NumberedQueue<T> {
  #items: (T | undefined)[] | undefined;
  #numbers: number[] | undefined;
  #first = 0;
  #count = 0;

  /** How many items wait. */
  get count(): number {
    return this.#count;
  }

  /** How many slots are allocated now; 0 while the queue is empty. */
  get capacity(): number {
    return this.#items?.length ?? 0;
  }

  /** The number of the oldest item, or undefined when the queue is empty. */
  get oldestNumber(): number | undefined {
    return this.#count === 0 ? undefined : this.#numbers?.[this.#first];
  }

  /** Adds an item with its number behind all others. Amortised constant cost. */
  push(item: T, number: number): void {
    let items = this.#items;
    let numbers = this.#numbers;
    if (items === undefined || numbers === undefined || this.#count === items.length) {
      items = this.#unrolled(this.#count === 0 ? FIRST_CAPACITY : this.#count * 2);
      numbers = this.#unrolledNumbers(items.length);
      this.#items = items;
      this.#numbers = numbers;
      this.#first = 0;
    }
    const slot = (this.#first + this.#count) & (items.length - 1);
    items[slot] = item;
    numbers[slot] = number;
    this.#count += 1;
  }

  /** Takes the oldest item out; undefined when the queue is empty. */
  shift(): T | undefined {
    const items = this.#items;
    if (items === undefined || this.#count === 0) return undefined;
    const item = items[this.#first];
    items[this.#first] = undefined;
    this.#first = (this.#first + 1) & (items.length - 1);
    this.#count -= 1;
    if (this.#count === 0) this.#free();
    return item;
  }

  /** Takes every item out, oldest first, and gives the memory back. */
  drain(): T[] {
    // The first #count slots of the unrolled ring are exactly the items that were pushed.
    const items = this.#unrolled(this.#count) as T[];
    this.#free();
    return items;
  }

  #free(): void {
    this.#items = undefined;
    this.#numbers = undefined;
    this.#count = 0;
  }

  #unrolled(capacity: number): (T | undefined)[] {
    const old = this.#items ?? [];
    const items = new Array<T | undefined>(capacity).fill(undefined);
    for (let i = 0; i < this.#count; i += 1) items[i] = old[(this.#first + i) & (old.length - 1)];
    return items;
  }

  #unrolledNumbers(capacity: number): number[] {
    const old = this.#numbers ?? [];
    const numbers = new Array<number>(capacity).fill(0);
    for (let i = 0; i < this.#count; i += 1) numbers[i] = old[(this.#first + i) & (old.length - 1)] ?? 0;
    return numbers;
  }
}
