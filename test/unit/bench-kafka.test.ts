/**
 * What is pure in the comparison with Kafka: reading the peer's lines, sharing, figures and ratios.
 */

import { describe, expect, test } from 'vitest';
import { figuresOf, ratioOf, ratioText, summaryOf, summaryText, valueText } from '../bench/kafka/figures.js';
import { GroupShare } from '../bench/kafka/group-share.js';
import { parsePeerLine, peerResults } from '../bench/kafka/peer-lines.js';

describe("the peer's lines", () => {
  test('an answer that has nothing to say but that it is done is a result', () => {
    expect(parsePeerLine('{"id":1,"result":true}')).toEqual({ kind: 'result', id: 1, result: true });
    expect(parsePeerLine('{"id":1,"result":null}')).toEqual({ kind: 'result', id: 1, result: null });
  });

  test('an answer with an error is a refusal', () => {
    const line = '{"id":7,"error":"java.lang.IllegalStateException: no"}';
    expect(parsePeerLine(line)).toEqual({ kind: 'refused', id: 7, error: 'java.lang.IllegalStateException: no' });
  });

  test('what else a virtual machine prints is noise', () => {
    for (const text of ['WARNING: sun.misc.Unsafe is deprecated', '{"result":1}', '[1,2]', '3', '{"id":"1"}', '']) {
      expect(parsePeerLine(text)).toEqual({ kind: 'noise', text });
    }
  });

  test('a result that lacks what was asked for is refused', () => {
    const strike = { answeredAt: [1_700_000_000_000], failed: 0 };
    expect(peerResults.strike.parse(strike)).toEqual(strike);
    expect(peerResults.strike.safeParse({ answeredAt: [1] }).success).toBe(false);
    expect(peerResults.commits.safeParse({ latenciesMs: ['1'], elapsedMs: 1 }).success).toBe(false);
  });
});

describe('the share of a group', () => {
  const all = [0, 1, 2, 3, 4];

  test('a group is shared when every partition is held once and evenly, since the last change', () => {
    const share = new GroupShare(5);
    share.add('a');
    share.took('a', all, 10);
    expect(share.sharedSinceMs()).toBe(10);
    share.add('b');
    expect(share.sharedSinceMs()).toBeUndefined();
    share.gave('a', [3, 4], 20);
    expect(share.sharedSinceMs()).toBeUndefined();
    share.took('b', [3, 4], 30);
    expect(share.sharedSinceMs()).toBe(30);
  });

  test('a partition that two members hold is not shared, although the sizes are right', () => {
    const share = new GroupShare(4);
    for (const member of ['a', 'b']) share.add(member);
    share.took('a', [0, 1], 1);
    share.took('b', [1, 2], 1);
    expect(share.sharedSinceMs()).toBeUndefined();
  });

  test('nor is one held by two, where every partition has somebody', () => {
    const share = new GroupShare(5);
    for (const member of ['a', 'b']) share.add(member);
    share.took('a', [0, 1, 2], 1);
    share.took('b', [2, 3, 4], 1);
    expect(share.sharedSinceMs()).toBeUndefined();
  });

  test('an uneven share is none', () => {
    const share = new GroupShare(5);
    for (const member of ['a', 'b']) share.add(member);
    share.took('a', [0, 1, 2, 3], 1);
    share.took('b', [4], 1);
    expect(share.sharedSinceMs()).toBeUndefined();
  });

  test('what a member says after it was removed does not count', () => {
    const share = new GroupShare(2);
    for (const member of ['a', 'b']) share.add(member);
    share.took('a', [0], 1);
    share.took('b', [1], 2);
    share.remove('b');
    share.took('a', [1], 5);
    share.gave('b', [1], 9);
    expect(share.sharedSinceMs()).toBe(5);
  });

  test('a group without members is not shared', () => {
    expect(new GroupShare(3).sharedSinceMs()).toBeUndefined();
  });
});

describe('figures', () => {
  test('rounds of one side are put together, sides are kept apart, figures keep their order', () => {
    const sample = (figure: string, side: string, values: readonly number[]) =>
      ({ figure, unit: 'ms', side, values }) as const;
    const figures = figuresOf([
      sample('z', 'kafka', [3]),
      sample('z', 'muster', [1]),
      sample('a', 'kafka', [9]),
      sample('z', 'kafka', [1, 2]),
    ]);
    expect(figures.map(({ figure }) => figure)).toEqual(['z', 'a']);
    expect(figures[0]?.sides['kafka']).toEqual({ count: 3, p50: 2, p99: 3, max: 3, total: 6 });
    expect(figures[0]?.sides['muster']).toEqual({ count: 1, p50: 1, p99: 1, max: 1, total: 1 });
    expect(figures[1]?.sides['muster']).toBeUndefined();
  });

  test('quantiles are taken from sorted values', () => {
    const values = Array.from({ length: 1_000 }, (_, at) => 1_000 - at);
    expect(summaryOf(values)).toEqual({
      count: 1_000,
      p50: 501,
      p99: 991,
      max: 1_000,
      total: 500_500,
    });
  });

  test('a ratio is how many times better the second is, whichever way better lies', () => {
    expect(ratioOf('ms', 100, 20)).toBe(5);
    expect(ratioOf('MiB', 100, 200)).toBe(0.5);
    expect(ratioOf('per second', 100, 20)).toBe(0.2);
  });

  test('there is no ratio with nothing', () => {
    expect(ratioOf('count', 5, 0)).toBeUndefined();
    expect(ratioOf('count', 0, 5)).toBeUndefined();
    expect(ratioOf('ms', undefined, 5)).toBeUndefined();
    expect(ratioOf('ms', 5, Number.NaN)).toBeUndefined();
  });

  test('of counts people read all of them, of other values where they lie', () => {
    expect(summaryText('count', summaryOf([0, 25, 1]))).toBe('26 in 3');
    expect(summaryText('ms', summaryOf([1, 2, 3]))).toBe('2.00 / 3.00 / 3.00 (3)');
    expect(summaryText('MiB', summaryOf([413]))).toBe('413');
    expect(summaryText('ms', undefined)).toBe('-');
  });

  test('people read two digits of a ratio and three of a value', () => {
    expect([ratioText(0.4567), ratioText(3.44), ratioText(12.6), ratioText(undefined)]).toEqual([
      '0.46',
      '3.4',
      '13',
      '-',
    ]);
    expect([valueText(0), valueText(0.1234), valueText(12.345), valueText(1_234.5)]).toEqual([
      '0',
      '0.123',
      '12.3',
      '1235',
    ]);
  });
});
