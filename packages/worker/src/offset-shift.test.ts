import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { shiftedOffset } from './offset-shift.js';

/** A stream in which only some sequences are of the partition. */
function streamWith(sequences: readonly number[]) {
  let questions = 0;
  const streams = {
    countFrom: async ({ startOffset }: { readonly startOffset: number }) => {
      questions += 1;
      return sequences.filter((sequence) => sequence >= startOffset).length;
    },
  };
  return { streams, asked: () => questions };
}

const bounds = { firstOffset: 1, nextOffset: 5_001 };
const place = { stream: 'S', subject: 's.0.>', bounds };

describe('an offset shifted by messages', () => {
  it('is that of the message itself, so many further, and is found in few questions', async () => {
    const sequences = fc.uniqueArray(fc.integer({ min: 1, max: 5_000 }), { minLength: 1, maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(sequences, fc.nat(5_001), fc.integer({ min: -70, max: 70 }), async (unsorted, start, by) => {
        fc.pre(by !== 0);
        const sorted = [...unsorted].sort((left, right) => left - right);
        const { streams, asked } = streamWith(sorted);
        const before = sorted.filter((sequence) => sequence < Math.max(1, start)).length;
        const target = before + by;
        const expected =
          target < 0
            ? { offset: 1, isClamped: true }
            : target >= sorted.length
              ? { offset: 5_001, isClamped: target > sorted.length }
              : { offset: sorted[target], isClamped: false };
        expect(await shiftedOffset(streams, place, start, by)).toEqual(expected);
        expect(asked()).toBeLessThan(17);
      }),
    );
  });

  it('stays where it is by none, brought into the stream where it lies outside', async () => {
    const { streams } = streamWith([1, 4]);
    expect(await shiftedOffset(streams, place, 3, 0)).toEqual({ offset: 3, isClamped: false });
    expect(await shiftedOffset(streams, place, 9_000, 0)).toEqual({ offset: 5_001, isClamped: true });
  });
});
