import { describe, expect, test } from 'vitest';
import { Ledger } from './ledger.js';

describe('the ledger', () => {
  function ledgerWith(acknowledged: number): Ledger {
    const ledger = new Ledger();
    for (let seq = 0; seq < acknowledged; seq += 1) ledger.acknowledged(7, seq);
    return ledger;
  }

  test('is clean when every acknowledged message is handled once and in order', () => {
    const ledger = ledgerWith(3);
    for (const seq of [0, 1, 2]) ledger.handled([7, seq, 100 + seq]);
    expect(ledger.close()).toEqual({ produced: 3, processed: 3, lost: 0, duplicates: 0, outOfOrder: 0 });
  });

  test('counts an acknowledged message that nobody handled as lost', () => {
    const ledger = ledgerWith(3);
    ledger.handled([7, 0, 1]);
    ledger.handled([7, 2, 2]);
    expect(ledger.close()).toMatchObject({ lost: 1, duplicates: 0, outOfOrder: 0 });
  });

  test('counts a second handling as a duplicate and not as disorder', () => {
    const ledger = ledgerWith(2);
    for (const [seq, at] of [
      [0, 1],
      [1, 2],
      [0, 3],
      [1, 4],
    ] as const)
      ledger.handled([7, seq, at]);
    expect(ledger.close()).toMatchObject({ lost: 0, duplicates: 2, outOfOrder: 0 });
  });

  test('counts a first handling after a later message of the same key as out of order, whoever reported first', () => {
    const ledger = ledgerWith(2);
    ledger.handled([7, 0, 20]);
    ledger.handled([7, 1, 10]);
    expect(ledger.close()).toMatchObject({ lost: 0, duplicates: 0, outOfOrder: 1 });
  });

  test('keeps keys apart', () => {
    const ledger = new Ledger();
    ledger.acknowledged(1, 0);
    ledger.acknowledged(2, 0);
    ledger.handled([2, 0, 1]);
    ledger.handled([1, 0, 2]);
    expect(ledger.close()).toEqual({ produced: 2, processed: 2, lost: 0, duplicates: 0, outOfOrder: 0 });
  });
});
