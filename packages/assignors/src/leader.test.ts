import {
  ConsumerProtocolEncodeError,
  decodeAssignment,
  decodeStickyUserData,
  decodeSubscription,
  encodeSubscription,
  NO_GENERATION,
} from '@muster/protocol';
import { describe, expect, it } from 'vitest';
import { countsOf, membersOf } from '../test/notation.js';
import type { Assignor } from './assignor.js';
import { cooperativeStickyAssignor } from './cooperative-sticky.js';
import { encodeSubscriptionFor, runAssignor, topicsToLookUp } from './leader.js';
import { rangeAssignor } from './range.js';
import { stickyAssignor } from './sticky.js';

const owned = [
  { topic: 't0', partition: 0 },
  { topic: 't0', partition: 2 },
];
const hex = (bytes: Uint8Array | null | undefined): string | null =>
  bytes === null || bytes === undefined ? null : Buffer.from(bytes).toString('hex');

function subscriptionOf(bytes: Uint8Array) {
  const decoded = decodeSubscription(bytes);
  if (decoded.kind === 'malformed') throw new Error(decoded.reason);
  return decoded.value;
}

describe('the subscription a member sends', () => {
  it('carries nothing but topics for range', () => {
    const bytes = encodeSubscriptionFor(rangeAssignor, { topics: ['t1', 't0'], owned: [], generation: 4 });
    expect(subscriptionOf(bytes)).toEqual({
      topics: ['t0', 't1'],
      userData: null,
      ownedPartitions: [],
      generation: 4,
      rackId: null,
    });
  });

  it('has no user data for sticky before the first assignment', () => {
    const bytes = encodeSubscriptionFor(stickyAssignor, { topics: ['t0'], owned: [], generation: NO_GENERATION });
    expect(subscriptionOf(bytes).userData).toBeNull();
  });

  it('carries the previous assignment as sticky user data although an eager member owns nothing any more', () => {
    const previous = { partitions: owned, generation: 5 };
    const bytes = encodeSubscriptionFor(stickyAssignor, { topics: ['t0'], owned: [], generation: 5, previous });
    expect(subscriptionOf(bytes).ownedPartitions).toEqual([]);
    expect(decodeStickyUserData(subscriptionOf(bytes).userData)).toEqual(previous);
  });

  it('takes the previous assignment from what is owned when it is not told apart', () => {
    const bytes = encodeSubscriptionFor(stickyAssignor, { topics: ['t0'], owned, generation: 5 });
    expect(decodeStickyUserData(subscriptionOf(bytes).userData)).toEqual({ partitions: owned, generation: 5 });
  });

  it.each([
    [NO_GENERATION, 'ffffffff'],
    [5, '00000005'],
  ])('carries owned partitions and generation %d for cooperative-sticky', (generation, userData) => {
    const bytes = encodeSubscriptionFor(cooperativeStickyAssignor, { topics: ['t0'], owned, generation });
    expect(subscriptionOf(bytes)).toMatchObject({ ownedPartitions: owned, generation });
    expect(hex(subscriptionOf(bytes).userData)).toBe(userData);
  });

  it('is refused for a topic name that the format cannot carry', () => {
    const state = { topics: ['x'.repeat(40_000)], owned: [], generation: NO_GENERATION };
    expect(() => encodeSubscriptionFor(rangeAssignor, state)).toThrow(ConsumerProtocolEncodeError);
  });
});

describe('cooperative-sticky with old subscriptions', () => {
  it('takes the generation from user data when the subscription has none', () => {
    const claim = (memberId: string, generation: string) => ({
      memberId,
      groupInstanceId: null,
      metadata: encodeSubscription(
        { topics: ['t0'], ownedPartitions: owned, userData: new Uint8Array(Buffer.from(generation, 'hex')) },
        1,
      ),
    });
    const run = runAssignor(
      cooperativeStickyAssignor,
      [claim('a', '00000003'), claim('b', '00000004')],
      countsOf('t0:4'),
    );
    if (run.kind === 'refused') throw new Error(run.refusal.kind);
    expect(decodeAssignment(run.assignments.get('b') ?? new Uint8Array())).toMatchObject({
      value: { partitions: owned },
    });
  });
});

describe('the topics to look up', () => {
  it('are those of all members, sorted, each once', () => {
    const unreadable = { memberId: 'x', groupInstanceId: null, metadata: new Uint8Array([0]) };
    expect(topicsToLookUp([...membersOf('a (t2 t0); b (t1 t0)'), unreadable])).toEqual(['t0', 't1', 't2']);
  });
});

describe('running an assignor', () => {
  const custom = (assign: Assignor['assign']): Assignor => ({
    name: 'own',
    rebalanceProtocols: ['cooperative'],
    assign,
  });

  it('refuses a malformed subscription and names the member', () => {
    const members = [
      ...membersOf('a (t0)'),
      { memberId: 'b', groupInstanceId: null, metadata: new Uint8Array([0, 3]) },
    ];
    const refusal = { kind: 'malformed-subscription', memberId: 'b', reason: expect.any(String) };
    expect(runAssignor(rangeAssignor, members, countsOf('t0:1'))).toEqual({ kind: 'refused', refusal });
  });

  it('refuses an answer without an entry for every member', () => {
    const run = runAssignor(
      custom(() => new Map([['a', []]])),
      membersOf('a (t0); b (t0)'),
      countsOf('t0:1'),
    );
    expect(run).toEqual({ kind: 'refused', refusal: { kind: 'missing-entry', memberId: 'b' } });
  });

  const steal = custom(
    () =>
      new Map([
        ['a', []],
        ['b', [{ topic: 't0', partition: 0 }]],
      ]),
  );
  const members = membersOf('a (t0) own 0; b (t0)');

  it('refuses to give away what a member still owns under the cooperative protocol', () => {
    const refusal = { kind: 'still-owned', partitions: [{ topic: 't0', partition: 0 }] };
    expect(runAssignor(steal, members, countsOf('t0:1'), 'cooperative')).toEqual({ kind: 'refused', refusal });
  });

  it('allows the same under the eager protocol', () => {
    expect(runAssignor(steal, members, countsOf('t0:1'), 'eager').kind).toBe('assigned');
  });

  it('accepts cooperative-sticky although it overrules a stale claim', () => {
    const stale = membersOf('C0 (t0) own 0 1 2 @4; C1 (t0) own 0 1 @5');
    expect(runAssignor(cooperativeStickyAssignor, stale, countsOf('t0:4'), 'cooperative').kind).toBe('assigned');
  });

  it('answers nothing for a group of nobody', () => {
    for (const assignor of [rangeAssignor, stickyAssignor, cooperativeStickyAssignor]) {
      expect(runAssignor(assignor, [], countsOf('t0:3'))).toEqual({ kind: 'assigned', assignments: new Map() });
    }
  });
});
