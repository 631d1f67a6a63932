import { groupId } from '@muster/protocol';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ENTRY_OVERHEAD_BYTES, type FrameEntry, PIECE_OVERHEAD_BYTES, type Piece } from './frame.js';
import { RecordQueue } from './queue.js';

const a = groupId('a');
const b = groupId('b');
const c = groupId('c');

const piece = (size: number, mark = 0): Piece => ({ kind: 'whole', bytes: new Uint8Array(size).fill(mark) });
const room = (groups: number, pieces: number, size: number): number =>
  groups * ENTRY_OVERHEAD_BYTES + pieces * (PIECE_OVERHEAD_BYTES + size);
const shape = (entries: FrameEntry[]): [string, number][] => entries.map((entry) => [entry.group, entry.pieces.length]);

describe('the queue of records', () => {
  test('gives each group at most its share of a frame and starts the next frame with those that had none (L4)', () => {
    const queue = new RecordQueue();
    for (let count = 0; count < 10; count += 1) queue.add(a, [piece(100)]);
    queue.add(b, [piece(100)]);
    queue.add(c, [piece(100)]);
    const groupRoom = room(0, 4, 100);
    expect(shape(queue.fill(room(2, 5, 100), groupRoom))).toEqual([
      ['a', 4],
      ['b', 1],
    ]);
    expect(shape(queue.fill(room(2, 5, 100), groupRoom))).toEqual([
      ['c', 1],
      ['a', 4],
    ]);
    expect(shape(queue.fill(room(2, 5, 100), groupRoom))).toEqual([['a', 2]]);
    expect(queue.isEmpty).toBe(true);
  });

  test('leaves a held group where it is', () => {
    const queue = new RecordQueue();
    queue.add(a, [piece(10)]);
    queue.add(b, [piece(10)]);
    expect(shape(queue.fill(10_000, 5_000, a))).toEqual([['b', 1]]);
    expect(queue.isEmpty).toBe(false);
    expect(shape(queue.fill(10_000, 5_000))).toEqual([['a', 1]]);
  });

  test('closes the frame at the first piece that does not fit, so that a large one is not overtaken for ever', () => {
    const queue = new RecordQueue();
    queue.add(a, [piece(10)]);
    queue.add(b, [piece(2_000)]);
    queue.add(c, [piece(10)]);
    expect(shape(queue.fill(2_200, 2_200))).toEqual([['a', 1]]);
    expect(shape(queue.fill(2_400, 2_400))).toEqual([['b', 1]]);
  });

  test('keeps the order of each group and loses nothing, whatever comes in between', () => {
    const step = fc.oneof(
      fc.record({ group: fc.constantFrom(a, b, c), size: fc.integer({ min: 0, max: 900 }) }),
      fc.constant('fill' as const),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const queue = new RecordQueue();
        const put = new Map<string, number[]>();
        const got = new Map<string, number[]>();
        let marks = 0;
        const fill = (): void => {
          for (const { group, pieces } of queue.fill(3_000, 1_000)) {
            let bytes = 0;
            for (const taken of pieces) {
              bytes += taken.bytes.length + PIECE_OVERHEAD_BYTES;
              got.set(group, [...(got.get(group) ?? []), taken.bytes.length]);
            }
            expect(bytes).toBeLessThanOrEqual(1_000);
          }
        };
        for (const each of steps) {
          if (each === 'fill') {
            fill();
            continue;
          }
          marks += 1;
          queue.add(each.group, [piece(each.size, marks % 256)]);
          put.set(each.group, [...(put.get(each.group) ?? []), each.size]);
        }
        for (let frames = 0; !queue.isEmpty && frames < 1_000; frames += 1) fill();
        expect([...got].sort()).toEqual([...put].sort());
      }),
    );
  });
});
