/**
 * The one order in which everything of a simulation happens: events by their virtual time, of equal times the one set first.
 *
 * S1 After each event every promise that can settle does, before the next event runs: a batch of immediates gives each event a
 *    macrotask of its own without a round of the event loop. S2 Nothing here or below reads a real clock, or draws from anything
 *    but the seed, so the same seed gives the same events. S3 `stop` is for good: a run that is over does nothing more.
 */

type Entry = { readonly at: number; readonly order: number; run: (() => void) | undefined };

/** A run of more events than this is no run any more: something goes round in circles without time passing. */
const EVENTS_MAX = 400_000;
/** Events per round of the event loop. */
const BATCH = 256;

export class Scheduler {
  #now = 0;
  #orders = 0;
  #events = 0;
  #cancelled = 0;
  /** A binary heap: the next entry is first. */
  #heap: Entry[] = [];

  /** Virtual ms since the start of the run. */
  get now(): number {
    return this.#now;
  }
  /** Events that have run. */
  get events(): number {
    return this.#events;
  }

  /** Calls back once after `ms`, at once where that is negative. @returns how to cancel it */
  after(ms: number, run: () => void): () => void {
    this.#orders += 1;
    const entry: Entry = { at: this.#now + Math.max(0, ms), order: this.#orders, run };
    this.#push(entry);
    return () => {
      if (entry.run === undefined) return;
      entry.run = undefined;
      this.#cancelled += 1;
      if (this.#cancelled > 512 && this.#cancelled * 2 > this.#heap.length) this.#compact();
    };
  }

  /** Calls back again and again. @returns how to end it */
  every(ms: number, run: () => void): () => void {
    let cancel = (): void => {};
    const again = (): void => {
      cancel = this.after(ms, () => {
        again();
        run();
      });
    };
    again();
    return () => cancel();
  }

  /** Lets `ms` pass, or less: until `isOver` holds, looked at after each event. @returns whether it holds */
  run(ms: number, isOver: () => boolean = () => false): Promise<boolean> {
    const endAt = this.#now + ms;
    return new Promise((resolve, reject) => {
      let isDone = false;
      const finish = (held: boolean): void => {
        isDone = true;
        resolve(held);
      };
      const step = (): void => {
        if (isDone) return;
        try {
          if (isOver()) return finish(true);
          const entry = this.#pop(endAt);
          if (entry === undefined) {
            this.#now = endAt;
            return finish(false);
          }
          this.#now = entry.at;
          this.#events += 1;
          if (this.#events > EVENTS_MAX)
            throw new Error(`${EVENTS_MAX} events by ${this.#now} ms: it goes round in circles`);
          const run = entry.run;
          entry.run = undefined;
          run?.();
        } catch (error) {
          isDone = true;
          reject(error);
        }
      };
      const batch = (): void => {
        if (isDone) return;
        for (let index = 0; index < BATCH; index += 1) setImmediate(step);
        setImmediate(batch);
      };
      setImmediate(batch);
    });
  }

  /** Forgets whatever was still to come (S3). */
  stop(): void {
    this.#heap = [];
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      const above = heap[parent];
      if (above === undefined || isBefore(above, entry)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = entry;
  }

  /** The next entry that has not been cancelled and is not later than `endAt`. */
  #pop(endAt: number): Entry | undefined {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || (first.run !== undefined && first.at > endAt)) return undefined;
      this.#takeFirst();
      if (first.run !== undefined) return first;
      this.#cancelled -= 1;
    }
  }

  #takeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const leftEntry = heap[left];
      if (leftEntry === undefined) break;
      const rightEntry = heap[left + 1];
      const isRight = rightEntry !== undefined && isBefore(rightEntry, leftEntry);
      const least = isRight ? rightEntry : leftEntry;
      if (isBefore(last, least)) break;
      heap[at] = least;
      at = isRight ? left + 1 : left;
    }
    heap[at] = last;
  }

  #compact(): void {
    const live = this.#heap.filter((entry) => entry.run !== undefined);
    live.sort((a, b) => (isBefore(a, b) ? -1 : 1));
    this.#heap = live;
    this.#cancelled = 0;
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
