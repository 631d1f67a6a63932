import { encode, groupId } from '@muster/protocol';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Piece } from './frame.js';
import { PartAssembler, packRecord, unpackRecord } from './record.js';

const group = groupId('g');
const record = ['snapshot', 1, 'x'.repeat(1_000)];
const cut = (set = 's'): Piece[] => packRecord(record, 300, 10_000, () => set);

describe('a record', () => {
  test('comes back from its pieces, however it is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue({ maxDepth: 2 })), fc.integer({ min: 1, max: 50 }), (value, partBytes) => {
        const assembler = new PartAssembler(1_000_000);
        const pieces = packRecord(value, partBytes, 1_000_000, () => 's');
        const outcomes = pieces.map((piece) => assembler.add(group, piece));
        expect(outcomes.slice(0, -1).every((outcome) => outcome.kind === 'nothing')).toBe(true);
        const last = outcomes.at(-1);
        expect(last?.kind === 'record' && last.bytes.length).toBe(encode(value).length);
        const whole = assembler.add(group, packRecord(value, 1_000_000, 1_000_000, () => 's')[0]!);
        expect(last?.kind === 'record' && unpackRecord(last.bytes)).toEqual(
          whole.kind === 'record' && unpackRecord(whole.bytes),
        );
      }),
    );
  });

  test('takes no effect before its last part, and two sets of one group do not mix (L5)', () => {
    const assembler = new PartAssembler(10_000);
    const first = cut('one');
    const second = cut('two');
    const kinds = [first[0], second[0], second[1], second[2], first[1], first[2], second[3], first[3]].map(
      (piece) => assembler.add(group, piece!).kind,
    );
    expect(kinds).toEqual([...Array(6).fill('nothing'), 'record', 'record']);
  });

  test('whose first part is not there never becomes complete', () => {
    const assembler = new PartAssembler(10_000);
    expect(
      cut()
        .slice(1)
        .map((piece) => assembler.add(group, piece).kind),
    ).toEqual(['nothing', 'nothing', 'nothing']);
  });

  test('with a part in the middle missing is damage, and so is one beyond the limit', () => {
    const assembler = new PartAssembler(10_000);
    assembler.add(group, cut()[0]!);
    expect(assembler.add(group, cut()[2]!).kind).toBe('damaged');
    const small = new PartAssembler(500);
    expect(cut().map((piece) => small.add(group, piece).kind)).toContain('damaged');
  });

  test('left open by a predecessor is forgotten', () => {
    const assembler = new PartAssembler(10_000);
    const pieces = cut();
    for (const piece of pieces.slice(0, 3)) assembler.add(group, piece);
    assembler.abandonOpen();
    expect(assembler.add(group, pieces[3]!).kind).toBe('nothing');
  });
});
