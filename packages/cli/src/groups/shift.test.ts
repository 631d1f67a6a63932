import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lastOffsetWith } from './shift.js';

describe('the offset with so many messages left', () => {
  it('is that of the message itself, and is found in few questions', async () => {
    const sequences = fc.uniqueArray(fc.integer({ min: 1, max: 5_000 }), { minLength: 1, maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(sequences, fc.nat(70), async (unsorted, extra) => {
        const sorted = [...unsorted].sort((left, right) => left - right);
        const wanted = 1 + (extra % (sorted.length + 5));
        let questions = 0;
        const countFrom = async (offset: number) => {
          questions += 1;
          return sorted.filter((sequence) => sequence >= offset).length;
        };
        const found = await lastOffsetWith(wanted, { first: 1, next: 5_001 }, countFrom);
        const expected = wanted > sorted.length ? 1 : sorted[sorted.length - wanted];
        expect(found).toBe(expected);
        expect(questions).toBeLessThan(14);
      }),
    );
  });
});
