import { epoch, incarnation, nodeId } from '@muster/protocol';
import { describe, expect, test } from 'vitest';
import { type ClaimKnowledge, claimRight } from './claim-right.js';
import type { LogTail } from './partition-host.js';

const self = nodeId('a');
const other = nodeId('b');
const third = nodeId('c');
const process = (name: string) => incarnation(`${name}-1`);
const tail = (more: Partial<LogTail> = {}): LogTail => ({
  node: other,
  incarnation: process('b'),
  epoch: epoch(4),
  released: undefined,
  ...more,
});

function right(of: LogTail, more: Partial<ClaimKnowledge> = {}, gone: boolean | 'unheard' = false) {
  return claimRight(of, {
    self,
    incarnation: process('a'),
    view: { isGone: () => (gone === 'unheard' ? undefined : gone), get: () => undefined },
    offeredBy: undefined,
    orphanMs: 0,
    targetsTimeMs: 1_000,
    ...more,
  });
}

const alive = { node: third, incarnation: process('c'), state: 'alive', revision: 1, changedAt: 0 } as unknown;
const withTarget = { view: { isGone: () => false, get: () => alive as ReturnType<ClaimKnowledge['view']['get']> } };

describe('a log may be claimed', () => {
  test.for([
    ['not over a writer that lives', right(tail()), 'no'],
    ['over one that is gone', right(tail(), {}, true), 'yes'],
    ['over one of whom no lease tells only when the lease has told (CR3)', right(tail(), {}, 'unheard'), 'unknown'],
    [
      'over one that lives and has offered this very reign (CR2)',
      right(tail(), { offeredBy: { node: other, incarnation: process('b'), epoch: epoch(4) } }),
      'yes',
    ],
    [
      'not where the offer was of an earlier reign (CR2)',
      right(tail(), { offeredBy: { node: other, incarnation: process('b'), epoch: epoch(3) } }),
      'no',
    ],
    ['over a reign of this very process (CR2)', right(tail({ node: self, incarnation: process('a') })), 'yes'],
    ['not over one of an earlier process of this node', right(tail({ node: self, incarnation: process('a0') })), 'no'],
    ['after a release to this node', right(tail({ released: { target: self } })), 'yes'],
    ['after a release to nobody', right(tail({ released: { target: undefined } })), 'yes'],
    [
      'not yet after a release to another that lives (CR1)',
      right(tail({ released: { target: third } }), withTarget),
      'no',
    ],
    [
      'when that one has had its time (CR1)',
      right(tail({ released: { target: third } }), { ...withTarget, orphanMs: 1_000 }),
      'yes',
    ],
    ['after a release to another that is not there', right(tail({ released: { target: third } })), 'yes'],
  ] as const)('%s', ([, said, expected]) => {
    expect(said).toBe(expected);
  });
});
