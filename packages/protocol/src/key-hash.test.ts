import { describe, expect, it } from 'vitest';
import { fnv1a32, murmur2, murmur2Partition, natsPartition } from './key-hash.js';
import { utf8Encode } from './utf8.js';

describe('fnv1a32', () => {
  it.each([
    ['', 0x811c9dc5],
    ['a', 0xe40c292c],
    ['foobar', 0xbf9cf968],
  ])('hashes "%s" as published', (text, hash) => {
    expect(fnv1a32(utf8Encode(text))).toBe(hash);
  });
});

describe('natsPartition', () => {
  it.each([
    ['', 5, 5],
    ['a', 12, 44],
    ['orders', 12, 44],
    ['payments-eu', 11, 11],
    ['é日本', 13, 45],
  ])('puts "%s" where nats-server puts it', (token, of16, of64) => {
    expect(natsPartition([token], 16)).toBe(of16);
    expect(natsPartition([token], 64)).toBe(of64);
  });

  it('joins tokens in the listed order without a separator', () => {
    expect(natsPartition(['ab', 'c'], 1009)).toBe(natsPartition(['a', 'bc'], 1009));
    expect(natsPartition(['ab', 'c'], 1009)).not.toBe(natsPartition(['c', 'ab'], 1009));
    expect(natsPartition(['é日', '本'], 64)).toBe(45);
  });

  it.each([0, -1, 1.5, Number.NaN])('refuses %d partitions', (count) => {
    expect(() => natsPartition(['a'], count)).toThrow(TypeError);
    expect(() => murmur2Partition(utf8Encode('a'), count)).toThrow(TypeError);
  });
});

describe('murmur2', () => {
  it.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ])('hashes "%s" as Kafka does', (text, hash) => {
    expect(murmur2(utf8Encode(text))).toBe(hash);
  });

  it('masks the sign bit before taking the remainder', () => {
    expect(murmur2Partition(utf8Encode('21'), 100)).toBe((-973932308 & 0x7fffffff) % 100);
    expect(murmur2Partition(utf8Encode('abc'), 16)).toBe(479470107 % 16);
    expect(murmur2Partition(utf8Encode('anything'), 1)).toBe(0);
  });
});
