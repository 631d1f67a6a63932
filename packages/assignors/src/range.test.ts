import { describe, expect, it } from 'vitest';
import { countsOf, listsOf, membersOf, run } from '../test/notation.js';
import { rangeAssignor } from './range.js';

const both = (...ids: string[]): string => ids.map((id) => `${id} (t0 t1)`).join('; ');

describe('range', () => {
  it.each([
    ['A1', 't0:3 t1:3', both('C0', 'C1'), 'C0 t0-0 t0-1 t1-0 t1-1; C1 t0-2 t1-2'],
    ['A2', 't0:1', 'C0 (t0); C1 (t0)', 'C0 t0-0; C1'],
    ['A3', 't0:10', 'C0 (t0); C1 (t0); C2 (t0)', 'C0 0 1 2 3; C1 4 5 6; C2 7 8 9'],
    ['A4', 't0:4 t1:3', 'C0 (t0); C1 (t0 t1); C2 (t1)', 'C0 t0-0 t0-1; C1 t0-2 t0-3 t1-0 t1-1; C2 t1-2'],
    ['A5', 't0:1 t1:2 t2:3', 'C0 (t0); C1 (t0 t1); C2 (t0 t1 t2)', 'C0 t0-0; C1 t1-0; C2 t1-1 t2-0 t2-1 t2-2'],
    ['A6', 't0:5', 'mz#i1 (t0); ma#i2 (t0); mb (t0)', 'mz 0 1; ma 2 3; mb 4'],
    ['A7', 't0:2', 'C0 (t0 tx); C1 (t0)', 'C0 t0-0; C1 t0-1'],
    ['A8', '', 'C0 (tx)', 'C0'],
    ['A8 with a topic of no partitions', 'tx:0', 'C0 (tx)', 'C0'],
    ['A9', 't0:1 t1:1 t2:1 t3:1', 'C0 (t0 t1 t2 t3); C1 (t0 t1 t2 t3)', 'C0 t0-0 t1-0 t2-0 t3-0; C1'],
    ['A10', 't0:2 t1:3', `${both('C0', 'C1')}; C2 (t1)`, 'C0 t0-0 t1-0; C1 t0-1 t1-1; C2 t1-2'],
    ['A11', 't0:2 t1:2', both('C0', 'C1', 'C2', 'C3'), 'C0 t0-0 t1-0; C1 t0-1 t1-1; C2; C3'],
    ['A12', 't0:7 t1:2', both('C0', 'C1', 'C2'), 'C0 t0-0 t0-1 t0-2 t1-0; C1 t0-3 t0-4 t1-1; C2 t0-5 t0-6'],
    ['A13 at first', 't0:3 t1:3', 'a9#I0 (t0 t1); a1#I1 (t0 t1)', 'a9 t0-0 t0-1 t1-0 t1-1; a1 t0-2 t1-2'],
    ['A13 later', 't0:3 t1:3', 'x9#I0 (t0 t1); x1#I1 (t0 t1)', 'x9 t0-0 t0-1 t1-0 t1-1; x1 t0-2 t1-2'],
  ])('assigns example %s', (_name, counts, members, expected) => {
    expect(run(rangeAssignor, countsOf(counts), membersOf(members))).toEqual(listsOf(expected));
    expect(run(rangeAssignor, countsOf(counts), membersOf(members).reverse())).toEqual(listsOf(expected));
  });
});
