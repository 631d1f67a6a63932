import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { byteSize, collectHeaders, collectTopics, duration, integer, moment } from './values.js';

describe('a duration', () => {
  test.each([
    ['500ms', 500],
    ['90s', 90_000],
    ['1h30m', 5_400_000],
    ['2d', 172_800_000],
    ['1w', 604_800_000],
    ['P1DT12H', 129_600_000],
    ['PT0.5S', 500],
    ['P2W', 1_209_600_000],
  ])('%s is %i ms', (text, ms) => {
    expect(duration(text)).toBe(ms);
  });
  test.each(['', '5', 'P', 'PT', '1.5h', '-3s', '3 s', '5x', 'P1H', '10m tail'])('is not %j', (text) => {
    expect(() => duration(text)).toThrow(/write a duration like/);
  });
});

describe('a moment', () => {
  test.each([
    ['2026-11-20T10:00:00Z', Date.UTC(2026, 10, 20, 10)],
    ['2026-11-20T10:00:00', Date.UTC(2026, 10, 20, 10)],
    ['2026-11-20T12:00+02:00', Date.UTC(2026, 10, 20, 10)],
    ['2026-11-20T10:00:00.250', Date.UTC(2026, 10, 20, 10, 0, 0, 250)],
    ['2026-11-20', Date.UTC(2026, 10, 20)],
  ])('%s is in UTC where it has no zone', (text, ms) => {
    expect(moment(text)).toBe(ms);
  });
  test.each(['', 'yesterday', '20.11.2026', '2026-13-01', '2026-11-20T25:00:00Z'])('is not %j', (text) => {
    expect(() => moment(text)).toThrow(/write a moment like/);
  });
});

describe('topics with partitions', () => {
  test.each([
    ['orders', { topic: 'orders', partitions: undefined }],
    ['orders:0,1', { topic: 'orders', partitions: [0, 1] }],
    ['orders:0-3,2', { topic: 'orders', partitions: [0, 1, 2, 3] }],
    ['a:b:7', { topic: 'a:b', partitions: [7] }],
  ])('%s', (text, choice) => {
    expect(collectTopics(text)).toEqual([choice]);
  });
  it('are collected in order', () => {
    expect(collectTopics('b', collectTopics('a'))).toHaveLength(2);
  });
  test.each(['orders:', 'orders:x', 'orders:3-1', ':1', 'orders:99999'])('are not %j', (text) => {
    expect(() => collectTopics(text)).toThrow();
  });
});

describe('numbers, sizes and pairs', () => {
  it('a whole number is one within its bounds, and nothing else is', () => {
    const parse = integer(-5, 9);
    fc.assert(
      fc.property(fc.integer(), (value) => {
        if (value >= -5 && value <= 9) expect(parse(String(value))).toBe(value);
        else expect(() => parse(String(value))).toThrow(/whole numbers/);
      }),
    );
    for (const text of ['', '1.0', '1e3', '0x1', ' 1']) expect(() => parse(text)).toThrow(/whole numbers/);
  });
  test.each([
    ['512', 512],
    ['10MB', 10_000_000],
    ['1GiB', 1_073_741_824],
    ['2k', 2_000],
  ])('%s is %i bytes', (text, bytes) => {
    expect(byteSize(text)).toBe(bytes);
  });
  test.each(['', 'GB', '1.5GB', '-1', '9999999999999TB'])('%j is no size', (text) => {
    expect(() => byteSize(text)).toThrow(/write a size/);
  });
  it('a header has a name, and its value may have equals signs', () => {
    expect(collectHeaders('a=b=c', { x: 'y' })).toEqual({ x: 'y', a: 'b=c' });
    expect(() => collectHeaders('=b')).toThrow(/name=value/);
  });
  test.each([
    ['a b=c', /"a b" is no name of a header: .*ASCII/],
    ['a:b=c', /is no name of a header/],
    ['\u00e4=c', /is no name of a header/],
    ['a=b\nc', /has a line end/],
    ['Nats-Msg-Id=7', /"Nats-Msg-Id" is for JetStream to read/],
    ['nats-rollup=all', /is for JetStream to read/],
  ])('%j is no header, and that is said', (text, why) => {
    expect(() => collectHeaders(text)).toThrow(why);
  });
  it('of a number its bounds are said, both', () => {
    expect(() => integer(0)('99999999999999999999')).toThrow(/from 0 to 9007199254740991, in digits/);
  });
});
