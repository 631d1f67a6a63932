/**
 * The ledger: what the producer had acknowledged against what the workers really handled.
 *
 * It trusts no position of any consumer. Every message carries its key and its number within the key; a worker reports each
 * one it has handled with the moment at which it did. All processes of the demonstration share one machine and so one clock.
 *
 * J1: lost = acknowledged to the producer, never handled. J2: processed twice = every handling after the first. J3: out of
 * order = handled for the first time after a later message of the same key had been.
 */

export type LedgerTotals = {
  readonly produced: number;
  readonly processed: number;
  readonly lost: number;
  readonly duplicates: number;
  readonly outOfOrder: number;
};

/** One handled message: key number, number within the key, when (ms since 1970, with fractions). */
export type Handled = readonly [key: number, seq: number, atMs: number];

type KeyPage = { readonly acknowledged: Set<number>; readonly handled: { seq: number; atMs: number }[] };

export class Ledger {
  readonly #keys = new Map<number, KeyPage>();
  #processed = 0;

  /** The producer has the acknowledgement for number `seq` of the key. */
  acknowledged(key: number, seq: number): void {
    this.#page(key).acknowledged.add(seq);
  }

  /** A worker has handled a message. */
  handled([key, seq, atMs]: Handled): void {
    this.#page(key).handled.push({ seq, atMs });
    this.#processed += 1;
  }

  /** How many messages have been handled so far, repetitions included. */
  get processed(): number {
    return this.#processed;
  }

  /** Adds everything up. */
  close(): LedgerTotals {
    let produced = 0;
    let lost = 0;
    let duplicates = 0;
    let outOfOrder = 0;
    for (const { acknowledged, handled } of this.#keys.values()) {
      produced += acknowledged.size;
      const seen = new Set<number>();
      let highest = -1;
      for (const { seq } of handled.sort((a, b) => a.atMs - b.atMs)) {
        if (seen.has(seq)) duplicates += 1;
        else if (seq < highest) outOfOrder += 1;
        seen.add(seq);
        highest = Math.max(highest, seq);
      }
      for (const seq of acknowledged) if (!seen.has(seq)) lost += 1;
    }
    return { produced, processed: this.#processed, lost, duplicates, outOfOrder };
  }

  #page(key: number): KeyPage {
    let page = this.#keys.get(key);
    if (page === undefined) {
      page = { acknowledged: new Set(), handled: [] };
      this.#keys.set(key, page);
    }
    return page;
  }
}
