// The rules of the improvement loop one by one; the worked examples are in sticky.test.ts.

import { describe, expect, it } from 'vitest';
import { countsOf, listsOf, membersOf, run } from '../test/notation.js';
import { stickyAssignor } from './sticky.js';

describe('the improvement loop', () => {
  it.each([
    [
      'moves only partitions that nobody had, when that is enough',
      't0:4 t1:1 t2:5',
      'C0 (t0 t2) own t0-2 t2-0 @1; C1 (t2) own t2-1 t2-2 t2-3 @1; C2 (t0 t1) own @1; C3 (t1) own @1',
      'C0 t0-2 t2-0 t2-4; C1 t2-1 t2-2 t2-3; C2 t0-0 t0-1 t0-3; C3 t1-0',
    ],
    [
      'moves any partition at once after a member has dropped a topic',
      't0:3 t1:1 t2:2',
      'C0 (t0 t2) own t0-0 t1-0 @1; C1 (t1 t2) own t0-1 t0-2 t2-0 @1; C2 (t0 t1) own t2-1 @1',
      'C0 t0-2 t2-1; C1 t1-0 t2-0; C2 t0-0 t0-1',
    ],
    [
      'gives a partition back to an earlier owner that has fewer, before anybody else',
      't1:6 t2:1',
      'C0 (t2) own @1; C1 (t2) own t2-0 @1; C2 (t2) own @1; C3 (t1 t2) own t2-0 @2',
      'C0; C1 t2-0; C2; C3 t1-0 t1-1 t1-2 t1-3 t1-4 t1-5',
    ],
    [
      'moves a partition back instead of moving another one of its topic',
      't0:4 t1:4 t2:1',
      'C0 (t0 t1 t2) own t0-0 t0-1 t0-2 t0-3 t1-1 t1-2 t1-3 t2-0 @1; C1 (t0) own @1; C2 (t2) own @1; C3 (t0 t1) own @1',
      'C0 t0-2 t0-3 t1-1; C1 t0-0 t0-1; C2 t2-0; C3 t1-0 t1-2 t1-3',
    ],
    [
      'starts from a deal that serves the partitions with the fewest potential owners first',
      't0:3 t1:1',
      'C0 (t0 t1); C1 (t0)',
      'C0 t0-1 t1-0; C1 t0-0 t0-2',
    ],
  ])('%s', (_name, counts, members, expected) => {
    expect(run(stickyAssignor, countsOf(counts), membersOf(members))).toEqual(listsOf(expected));
  });
});
