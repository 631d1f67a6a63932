import { describe, expect, it } from 'vitest';
import type { Assignor } from './assignor.js';
import { cooperativeStickyAssignor } from './cooperative-sticky.js';
import { rangeAssignor } from './range.js';
import { chooseRebalanceProtocol } from './rebalance-protocol.js';
import { stickyAssignor } from './sticky.js';

const cooperativeOnly: Assignor = { ...rangeAssignor, name: 'own', rebalanceProtocols: ['cooperative'] };

describe('the rebalance protocol of a member', () => {
  it.each([
    ['cooperative for cooperative-sticky alone', [cooperativeStickyAssignor], 'cooperative'],
    ['eager as long as an eager assignor is beside it', [rangeAssignor, cooperativeStickyAssignor], 'eager'],
    ['eager for eager assignors', [rangeAssignor, stickyAssignor], 'eager'],
  ])('is %s', (_name, assignors, rebalanceProtocol) => {
    expect(chooseRebalanceProtocol(assignors)).toEqual({ kind: 'chosen', rebalanceProtocol });
  });

  it.each([
    ['no assignor', [], /at least one/],
    ['two of the same name', [rangeAssignor, stickyAssignor, rangeAssignor], /named range/],
    ['nothing in common', [rangeAssignor, cooperativeOnly], /common to range, own/],
  ])('is refused for %s', (_name, assignors, reason) => {
    expect(chooseRebalanceProtocol(assignors)).toEqual({ kind: 'refused', reason: expect.stringMatching(reason) });
  });
});
