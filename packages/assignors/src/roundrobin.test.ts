import { describe, expect, it } from 'vitest';
import { countsOf, listsOf, membersOf, run } from '../test/notation.js';
import { roundRobinAssignor } from './roundrobin.js';

const both = (...ids: string[]): string => ids.map((id) => `${id} (t0 t1)`).join('; ');

describe('roundrobin', () => {
  it.each([
    ['A1', 't0:3 t1:3', both('C0', 'C1'), 'C0 t0-0 t0-2 t1-1; C1 t0-1 t1-0 t1-2'],
    ['A2', 't0:1', 'C0 (t0); C1 (t0)', 'C0 t0-0; C1'],
    ['A3', 't0:10', 'C0 (t0); C1 (t0); C2 (t0)', 'C0 0 3 6 9; C1 1 4 7; C2 2 5 8'],
    ['A4', 't0:4 t1:3', 'C0 (t0); C1 (t0 t1); C2 (t1)', 'C0 t0-0 t0-2; C1 t0-1 t0-3 t1-1; C2 t1-0 t1-2'],
    ['A5', 't0:1 t1:2 t2:3', 'C0 (t0); C1 (t0 t1); C2 (t0 t1 t2)', 'C0 t0-0; C1 t1-0; C2 t1-1 t2-0 t2-1 t2-2'],
    ['A6', 't0:5', 'mz#i1 (t0); ma#i2 (t0); mb (t0)', 'mz 0 3; ma 1 4; mb 2'],
    ['A7', 't0:2', 'C0 (t0 tx); C1 (t0)', 'C0 t0-0; C1 t0-1'],
    ['A8', '', 'C0 (tx)', 'C0'],
    ['A9', 't0:1 t1:1 t2:1 t3:1', 'C0 (t0 t1 t2 t3); C1 (t0 t1 t2 t3)', 'C0 t0-0 t2-0; C1 t1-0 t3-0'],
    ['A10', 't0:2 t1:3', `${both('C0', 'C1')}; C2 (t1)`, 'C0 t0-0 t1-1; C1 t0-1 t1-2; C2 t1-0'],
    ['A11', 't0:2 t1:2', both('C0', 'C1', 'C2', 'C3'), 'C0 t0-0; C1 t0-1; C2 t1-0; C3 t1-1'],
    ['A12', 't0:7 t1:2', both('C0', 'C1', 'C2'), 'C0 t0-0 t0-3 t0-6; C1 t0-1 t0-4 t1-0; C2 t0-2 t0-5 t1-1'],
    ['A14', 't0:2 t1:2 t2:2', 'C0 (t0 t1); C1 (t1 t2); C2 (t0 t2)', 'C0 t0-0 t1-0; C1 t1-1 t2-1; C2 t0-1 t2-0'],
    ['A15', 't0:3 t1:3', 'C5#I0 (t0 t1); C3#I1 (t0 t1); C4#I2 (t0 t1)', 'C5 t0-0 t1-0; C3 t0-1 t1-1; C4 t0-2 t1-2'],
  ])('assigns example %s', (_name, counts, members, expected) => {
    expect(run(roundRobinAssignor, countsOf(counts), membersOf(members))).toEqual(listsOf(expected));
    expect(run(roundRobinAssignor, countsOf(counts), membersOf(members).reverse())).toEqual(listsOf(expected));
  });
});
