import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Mailbox } from './mailbox.js';

describe('a mailbox', () => {
  test('refuses a message when countMax messages wait and accepts again after one was taken', () => {
    const mailbox = new Mailbox<string>({ countMax: 2, bytesMax: 100 });
    expect(mailbox.offer('a', 1)).toBe(true);
    expect(mailbox.offer('b', 1)).toBe(true);
    expect(mailbox.offer('c', 1)).toBe(false);
    expect(mailbox.take()).toBe('a');
    expect(mailbox.offer('c', 1)).toBe(true);
    expect(mailbox.clear()).toEqual(['b', 'c']);
  });

  test('refuses a message that would pass bytesMax and accepts one that reaches it', () => {
    const mailbox = new Mailbox<string>({ countMax: 10, bytesMax: 10 });
    expect(mailbox.offer('a', 6)).toBe(true);
    expect(mailbox.offer('b', 5)).toBe(false);
    expect(mailbox.offer('c', 4)).toBe(true);
    expect(mailbox.bytes).toBe(10);
  });

  test('refuses a message larger than bytesMax even when it is empty', () => {
    expect(new Mailbox<string>({ countMax: 10, bytesMax: 10 }).offer('a', 11)).toBe(false);
  });

  test('owns no array before its first message, also when that one is refused', () => {
    const mailbox = new Mailbox<string>({ countMax: 1000, bytesMax: 10 });
    mailbox.offer('too large', 11);
    expect(mailbox.take()).toBeUndefined();
    expect(mailbox.capacity).toBe(0);
  });

  test.each([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])('throws on a message of %d bytes', (bytes) => {
    expect(() => new Mailbox<string>({ countMax: 1, bytesMax: 1 }).offer('a', bytes)).toThrow(RangeError);
  });

  test.each([
    { countMax: 0, bytesMax: 1 },
    { countMax: 1, bytesMax: 0 },
    { countMax: Number.NaN, bytesMax: 1 },
    { countMax: 1, bytesMax: Number.POSITIVE_INFINITY },
  ])('throws on the limits %o', (limits) => {
    expect(() => new Mailbox<string>(limits)).toThrow(RangeError);
  });

  test('behaves like an array with two bounds', () => {
    const step = fc.oneof(
      { weight: 12, arbitrary: fc.record({ kind: fc.constant('offer' as const), bytes: fc.nat({ max: 40 }) }) },
      { weight: 9, arbitrary: fc.constant({ kind: 'take' as const }) },
      { weight: 1, arbitrary: fc.constant({ kind: 'clear' as const }) },
    );
    const limits = fc.record({ countMax: fc.integer({ min: 1, max: 40 }), bytesMax: fc.integer({ min: 1, max: 400 }) });
    fc.assert(
      fc.property(limits, fc.array(step, { maxLength: 300, size: 'max' }), ({ countMax, bytesMax }, steps) => {
        const mailbox = new Mailbox<number>({ countMax, bytesMax });
        let model: { id: number; bytes: number }[] = [];
        const sum = () => model.reduce((total, { bytes }) => total + bytes, 0);
        steps.forEach((next, id) => {
          if (next.kind === 'offer') {
            const fits = model.length < countMax && sum() + next.bytes <= bytesMax;
            expect(mailbox.offer(id, next.bytes)).toBe(fits);
            if (fits) model.push({ id, bytes: next.bytes });
          } else if (next.kind === 'take') {
            expect(mailbox.take()).toBe(model.shift()?.id);
          } else {
            expect(mailbox.clear()).toEqual(model.map((message) => message.id));
            model = [];
          }
          expect(mailbox.count).toBe(model.length);
          expect(mailbox.bytes).toBe(sum());
          if (model.length === 0) expect(mailbox.capacity).toBe(0);
        });
        expect(mailbox.clear()).toEqual(model.map((message) => message.id));
      }),
      { numRuns: 200 },
    );
  });
});
