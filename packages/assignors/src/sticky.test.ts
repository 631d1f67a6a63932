import { describe, expect, it } from 'vitest';
import { countsOf, listsOf, membersOf, run } from '../test/notation.js';
import { cooperativeStickyAssignor } from './cooperative-sticky.js';
import { stickyAssignor } from './sticky.js';

const SAME = 'the same';
type Example = [name: string, counts: string, members: string, sticky: string, cooperative: string];

const freshWithIdenticalSubscriptions: Example[] = [
  ['A1', 't0:3 t1:3', 'C0 (t0 t1); C1 (t0 t1)', 'C0 t0-0 t0-2 t1-1; C1 t0-1 t1-0 t1-2', SAME],
  ['A2', 't0:1', 'C0 (t0); C1 (t0)', 'C0 t0-0; C1', SAME],
  ['A3', 't0:10', 'C0 (t0); C1 (t0); C2 (t0)', 'C0 0 3 6 9; C1 1 4 7; C2 2 5 8', SAME],
  ['A6', 't0:5', 'mz#i1 (t0); ma#i2 (t0); mb (t0)', 'ma 0 3; mb 1 4; mz 2', SAME],
  ['A7', 't0:2', 'C0 (t0 tx); C1 (t0)', 'C0 t0-0; C1 t0-1', SAME],
  ['A8', '', 'C0 (tx)', 'C0', SAME],
  ['A9', 't0:1 t1:1 t2:1 t3:1', 'C0 (t0 t1 t2 t3); C1 (t0 t1 t2 t3)', 'C0 t0-0 t2-0; C1 t1-0 t3-0', SAME],
  ['A11', 't0:2 t1:2', 'C0 (t0 t1); C1 (t0 t1); C2 (t0 t1); C3 (t0 t1)', 'C0 t0-0; C1 t0-1; C2 t1-0; C3 t1-1', SAME],
  [
    'A12',
    't0:7 t1:2',
    'C0 (t0 t1); C1 (t0 t1); C2 (t0 t1)',
    'C0 t0-0 t0-3 t0-6; C1 t0-1 t0-4 t1-0; C2 t0-2 t0-5 t1-1',
    SAME,
  ],
];

const identicalSubscriptions: Example[] = [
  [
    'S1 (join)',
    't0:3 t1:3',
    'C0 (t0 t1) own t0-0 t0-2 t1-1 @1; C1 (t0 t1) own t0-1 t1-0 t1-2 @1; C2 (t0 t1)',
    'C0 t0-0 t1-1; C1 t0-1 t1-0; C2 t0-2 t1-2',
    'C0 t0-0 t1-1; C1 t0-1 t1-0; C2',
  ],
  [
    "S1' (its next round)",
    't0:3 t1:3',
    'C0 (t0 t1) own t0-0 t1-1 @2; C1 (t0 t1) own t0-1 t1-0 @2; C2 (t0 t1) own @2',
    'C0 t0-0 t1-1; C1 t0-1 t1-0; C2 t0-2 t1-2',
    SAME,
  ],
  [
    'S2 (leave)',
    't0:3 t1:3',
    'C1 (t0 t1) own t0-1 t1-0 @3; C2 (t0 t1) own t0-2 t1-2 @3',
    'C1 t0-0 t0-1 t1-0; C2 t0-2 t1-1 t1-2',
    SAME,
  ],
  [
    'S3 (partitions added)',
    't0:5 t1:3',
    'C0 (t0 t1) own t0-0 t1-1 @3; C1 (t0 t1) own t0-1 t1-0 @3; C2 (t0 t1) own t0-2 t1-2 @3',
    'C0 t0-0 t1-1 t0-3; C1 t0-1 t1-0 t0-4; C2 t0-2 t1-2',
    SAME,
  ],
  ['S4 (same-generation conflict)', 't0:4', 'C0 (t0) own 0 1 @5; C1 (t0) own 1 2 @5', 'C0 0 1; C1 2 3', 'C0 0; C1 2 3'],
  ["S4' (its next round)", 't0:4', 'C0 (t0) own 0 @6; C1 (t0) own 2 3 @6', 'C0 0 1; C1 2 3', SAME],
  ['S5 (older claim)', 't0:4', 'C0 (t0) own 0 1 @5; C1 (t0) own 0 1 2 @4', 'C0 0 1; C1 2 3', SAME],
  ['S6 (older claim, other side)', 't0:4', 'C0 (t0) own 0 1 2 @4; C1 (t0) own 0 1 @5', 'C0 2 3; C1 0 1', SAME],
  ['S7 (no generation, no conflict)', 't0:4', 'C0 (t0) own 0 1 @-1; C1 (t0) own 2 3 @7', 'C0 0 1; C1 2 3', SAME],
  [
    'S10 (all drop t1)',
    't0:3',
    'C0 (t0) own t0-0 t1-0; C1 (t0) own t0-1 t1-1; C2 (t0) own t0-2 t1-2',
    'C0 t0-0; C1 t0-1; C2 t0-2',
    SAME,
  ],
  ['S11 (one heavy)', 't0:6', 'C0 (t0) own 0 1 2 3 4 5 @1; C1 (t0)', 'C0 0 1 2; C1 3 4 5', 'C0 0 1 2; C1'],
  ['S11b', 't0:6', 'C0 (t0) own 0 1 2 3 4 5 @1; C1 (t0); C2 (t0)', 'C0 0 1; C1 2 4; C2 3 5', 'C0 0 1; C1; C2'],
  [
    'S12 (topic deleted)',
    't1:4',
    'C0 (t0 t1) own t0-0 t0-1 t1-0 t1-1; C1 (t0 t1) own t0-2 t0-3 t1-2 t1-3',
    'C0 t1-0 t1-1; C1 t1-2 t1-3',
    SAME,
  ],
  ['S13 (no change)', 't0:5', 'C0 (t0) own 0 2 4; C1 (t0) own 1 3', 'C0 0 2 4; C1 1 3', SAME],
  ['S14 (above max)', 't0:5', 'C0 (t0) own 0 1 2 3; C1 (t0) own 4', 'C0 0 1 2; C1 3 4', 'C0 0 1 2; C1 4'],
  [
    'S15 (with members in id order)',
    't0:4',
    'C0 (t0) own 0 1; C1 (t0) own 2 3; C2 (t0)',
    'C0 0 1; C1 2; C2 3',
    'C0 0 1; C1 2; C2',
  ],
  ['S16 (restart with new id)', 't0:4', 'C1 (t0) own 2 3; C9 (t0)', 'C1 2 3; C9 0 1', SAME],
  ['S19 (more members than partitions)', 't0:2', 'C0 (t0) own 0; C1 (t0) own 1; C2 (t0)', 'C0 0; C1 1; C2', SAME],
  [
    'S20 (join, two topics)',
    't0:4 t1:2',
    'C0 (t0 t1) own t0-0 t0-2 t1-0; C1 (t0 t1) own t0-1 t0-3 t1-1; C2 (t0 t1)',
    'C0 t0-0 t1-0; C1 t0-1 t1-1; C2 t0-2 t0-3',
    'C0 t0-0 t1-0; C1 t0-1 t1-1; C2',
  ],
];

const a4 = 'C0 (t0) own t0-0 t0-2 @1; C1 (t0 t1) own t0-1 t0-3 t1-2 @1';
const differentSubscriptions: Example[] = [
  ['A4', 't0:4 t1:3', 'C0 (t0); C1 (t0 t1); C2 (t1)', 'C0 t0-0 t0-2; C1 t0-1 t0-3 t1-2; C2 t1-0 t1-1', SAME],
  ['A5', 't0:1 t1:2 t2:3', 'C0 (t0); C1 (t0 t1); C2 (t0 t1 t2)', 'C0 t0-0; C1 t1-0 t1-1; C2 t2-0 t2-1 t2-2', SAME],
  ['A10', 't0:2 t1:3', 'C0 (t0 t1); C1 (t0 t1); C2 (t1)', 'C0 t0-0 t1-1; C1 t0-1 t1-2; C2 t1-0', SAME],
  [
    'A14 with 3 partitions each',
    't0:3 t1:3 t2:3',
    'C0 (t0 t1); C1 (t1 t2); C2 (t0 t2)',
    'C0 t0-0 t0-2 t1-2; C1 t1-0 t1-1 t2-1; C2 t0-1 t2-0 t2-2',
    SAME,
  ],
  [
    'S8 (join)',
    't0:4 t1:3',
    `${a4}; C2 (t1) own t1-0 t1-1 @1; C3 (t0 t1)`,
    'C0 t0-1 t0-2; C1 t0-3 t1-2; C2 t1-0 t1-1; C3 t0-0',
    'C0 t0-2; C1 t0-3 t1-2; C2 t1-0 t1-1; C3',
  ],
  [
    "S8' (its next round)",
    't0:4 t1:3',
    'C0 (t0) own t0-2 @2; C1 (t0 t1) own t0-3 t1-2 @2; C2 (t1) own t1-0 t1-1 @2; C3 (t0 t1) own @2',
    'C0 t0-1 t0-2; C1 t0-3 t1-2; C2 t1-0 t1-1; C3 t0-0',
    SAME,
  ],
  ['S18 (leave)', 't0:4 t1:3', a4, 'C0 t0-0 t0-1 t0-2; C1 t0-3 t1-0 t1-1 t1-2', 'C0 t0-0 t0-2; C1 t0-3 t1-0 t1-1 t1-2'],
  [
    "S18' (its next round)",
    't0:4 t1:3',
    'C0 (t0) own t0-0 t0-2 @2; C1 (t0 t1) own t0-3 t1-0 t1-1 t1-2 @2',
    'C0 t0-0 t0-1 t0-2; C1 t0-3 t1-0 t1-1 t1-2',
    SAME,
  ],
  [
    'S9 (one member unsubscribes)',
    't0:3 t1:3',
    'C0 (t0) own t0-0; C1 (t0 t1) own t0-1 t1-1; C2 (t0 t1) own t0-2 t1-2',
    'C0 t0-0 t0-1; C1 t1-0 t1-1; C2 t0-2 t1-2',
    'C0 t0-0; C1 t1-0 t1-1; C2 t0-2 t1-2',
  ],
  [
    'S17 (new topic)',
    't0:2 t1:2',
    'C0 (t0) own t0-0; C1 (t0 t1) own t0-1',
    'C0 t0-0 t0-1; C1 t1-0 t1-1',
    'C0 t0-0; C1 t1-0 t1-1',
  ],
  [
    'S21 (partitions added)',
    't0:5 t1:1',
    'C0 (t0) own t0-0 t0-2; C1 (t0 t1) own t0-1 t1-0',
    'C0 t0-0 t0-2 t0-3; C1 t0-1 t1-0 t0-4',
    SAME,
  ],
  [
    'S22 (leave)',
    't0:3 t1:3 t2:3',
    'C0 (t0 t1) own t0-0 t0-2 t1-1; C1 (t1 t2) own t1-0 t1-2 t2-1',
    'C0 t0-0 t0-1 t0-2 t1-1; C1 t1-0 t1-2 t2-0 t2-1 t2-2',
    SAME,
  ],
];

const examples = [...freshWithIdenticalSubscriptions, ...identicalSubscriptions, ...differentSubscriptions];

describe('sticky', () => {
  it.each(examples)('assigns example %s', (_name, counts, members, sticky) => {
    expect(run(stickyAssignor, countsOf(counts), membersOf(members))).toEqual(listsOf(sticky));
    expect(run(stickyAssignor, countsOf(counts), membersOf(members).reverse())).toEqual(listsOf(sticky));
  });
});

describe('cooperative-sticky', () => {
  it.each(examples)('assigns example %s', (_name, counts, members, sticky, cooperative) => {
    const expected = listsOf(cooperative === SAME ? sticky : cooperative);
    expect(run(cooperativeStickyAssignor, countsOf(counts), membersOf(members))).toEqual(expected);
    expect(run(cooperativeStickyAssignor, countsOf(counts), membersOf(members).reverse())).toEqual(expected);
  });
});
