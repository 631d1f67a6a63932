import { encode, epoch, groupId, incarnation, nodeId } from '@muster/protocol';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeFrame, encodeFrame, type Frame, type FrameBody } from './frame.js';

const bytes = fc.uint8Array({ maxLength: 40 });
const piece = fc.oneof(
  bytes.map((value) => ({ kind: 'whole' as const, bytes: value })),
  fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 0, max: 9 }), bytes).map(([index, more, value]) => ({
    kind: 'part' as const,
    set: 'set',
    index,
    count: index + more,
    bytes: value,
  })),
);
const entries = fc.array(fc.record({ group: fc.string({ maxLength: 20 }).map(groupId), pieces: fc.array(piece) }));
const body: fc.Arbitrary<FrameBody> = fc.oneof(
  fc.constantFrom<FrameBody>(
    { kind: 'claim' },
    { kind: 'barrier' },
    { kind: 'release', target: null },
    { kind: 'release', target: nodeId('n2') },
  ),
  entries.map((value) => ({ kind: 'records' as const, entries: value })),
  fc.record({ kind: fc.constant('checkpoint' as const), live: fc.oneof(fc.constant([]), entries), entries }),
  fc.tuple(fc.maxSafeNat(), fc.maxSafeNat()).map(([coversFrom, size]) => ({
    kind: 'checkpoint-end' as const,
    coversFrom,
    bytes: size,
  })),
);
const frame: fc.Arbitrary<Frame> = fc.record({
  epoch: fc.maxSafeNat().map(epoch),
  node: fc.constant(nodeId('n1')),
  incarnation: fc.constant(incarnation('n1-a')),
  nonce: fc.string({ minLength: 1, maxLength: 64 }),
  previousSeq: fc.maxSafeNat(),
  previousNonce: fc.string({ maxLength: 64 }),
  body,
});

/** Buffers and plain byte arrays look the same. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return [...value];
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}

describe('a frame', () => {
  test('comes back from its bytes as it was', () => {
    fc.assert(
      fc.property(frame, (value) => {
        const decoded = decodeFrame(encodeFrame(value));
        expect(decoded.ok && plain(decoded.frame)).toEqual(plain(value));
      }),
    );
  });

  test('is never made of arbitrary or truncated bytes, and reading them never throws', () => {
    fc.assert(
      fc.property(frame, fc.uint8Array({ maxLength: 200 }), fc.nat(), (value, noise, cut) => {
        decodeFrame(noise);
        const whole = encodeFrame(value);
        expect(decodeFrame(whole.subarray(0, cut % whole.length)).ok).toBe(false);
      }),
    );
  });

  const fields: unknown[] = [1, 3, 'n1', 'n1-a', 'nonce', 7, 'before', 'barrier', null];
  const damaged: [string, number, unknown][] = [
    ['another format', 0, 2],
    ['a negative epoch', 1, -1],
    ['a node that is no subject token', 2, 'n.1'],
    ['no incarnation', 3, ''],
    ['no nonce', 4, ''],
    ['a fractional predecessor', 5, 1.5],
    ['an unknown kind', 7, 'records-2'],
  ];
  test.each(damaged)('with %s is damage', (_, index, value) => {
    expect(decodeFrame(encode(fields)).ok).toBe(true);
    expect(decodeFrame(encode(fields.with(index, value))).ok).toBe(false);
  });

  const records = (wire: unknown): unknown[] => fields.with(7, 'records').with(8, wire);
  const bin = new Uint8Array([0x90]);
  test.each([
    ['a piece that is no binary', [['g', ['text']]]],
    ['a part 0', [['g', [['s', 0, 2, bin]]]]],
    ['a part beyond its count', [['g', [['s', 3, 2, bin]]]]],
    ['a group that is no text', [[7, [bin]]]],
    ['entries that are no array', 'entries'],
  ])('with %s is damage', (_, wire) => {
    expect(decodeFrame(encode(records([['g', [bin]]]))).ok).toBe(true);
    expect(decodeFrame(encode(records(wire))).ok).toBe(false);
  });
});
