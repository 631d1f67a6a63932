import { expect, test } from 'vitest';
import { byteText, countText, durationText } from './quantities.js';

test.each([
  [0, '0 B'],
  [1_023, '1023 B'],
  [1_536, '1.5 KiB'],
  [5 * 1_024 ** 3, '5.0 GiB'],
  [3_000 * 1_024 ** 4, '3000.0 TiB'],
])('%i bytes are %s', (bytes, text) => {
  expect(byteText(bytes)).toBe(text);
});

test.each([
  [0, '0.0s'],
  [420, '0.4s'],
  [12_900, '12s'],
  [200_000, '3m'],
  [5 * 3_600_000, '5h'],
  [50 * 3_600_000, '2d'],
])('%i ms are %s', (ms, text) => {
  expect(durationText(ms)).toBe(text);
});

test('one is no plural', () => {
  expect([countText(0, 'offset'), countText(1, 'offset'), countText(2, 'offset')]).toEqual([
    '0 offsets',
    '1 offset',
    '2 offsets',
  ]);
});
