import { describe, expect, it } from 'vitest';
import { startOffset } from './start-offset.js';

const bounds = { firstOffset: 10, nextOffset: 20, created: '0' };
const policy = { start: 'earliest', fallback: 'fail' } as const;

describe('without a committed offset', () => {
  it.each([
    ['earliest', 10],
    ['latest', 20],
    [15, 15],
  ] as const)('%s begins at %d, and that decision is still to be committed', (start, offset) => {
    expect(startOffset('t/0', undefined, bounds, { ...policy, start })).toEqual({ offset, isNew: true });
  });

  it('committed refuses to begin', () => {
    const begin = () => startOffset('t/0', undefined, bounds, { ...policy, start: 'committed' });
    expect(begin).toThrow(expect.objectContaining({ code: 'NO_COMMITTED_OFFSET' }));
  });
});

describe('a committed offset', () => {
  it.each([10, 15, 20])('of %d is in the stream and wins over everything', (committed) => {
    for (const start of ['earliest', 'latest', 'committed', 3] as const) {
      expect(startOffset('t/0', committed, bounds, { ...policy, start })).toEqual({ offset: committed, isNew: false });
    }
  });

  it.each([
    [9, 'earliest', 10],
    [9, 'latest', 20],
    [21, 'earliest', 10],
    [21, 'latest', 20],
  ] as const)('of %d has left the stream: %s goes on at %d', (committed, fallback, offset) => {
    expect(startOffset('t/0', committed, bounds, { ...policy, fallback })).toEqual({ offset, isNew: true });
  });

  it.each([9, 21])('of %d has left the stream: fail says so', (committed) => {
    const begin = () => startOffset('t/0', committed, bounds, policy);
    expect(begin).toThrow(expect.objectContaining({ code: 'OFFSET_OUT_OF_RANGE' }));
  });

  it('of 0 misses nothing of a stream that has lost nothing, and something of one that has', () => {
    const whole = { ...bounds, firstOffset: 1 };
    expect(startOffset('t/0', 0, whole, policy)).toEqual({ offset: 1, isNew: true });
    for (const committed of [0, 1]) {
      const begin = () => startOffset('t/0', committed, bounds, policy);
      expect(begin).toThrow(expect.objectContaining({ code: 'OFFSET_OUT_OF_RANGE' }));
    }
  });
});
