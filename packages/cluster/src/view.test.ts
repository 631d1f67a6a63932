import { incarnation, monotonicMs, nodeId, utf8Encode } from '@muster/protocol';
import { describe, expect, test } from 'vitest';
import { encodeLease, type LeaseState, leaseKey } from './lease-entry.js';
import type { LeaseEntry } from './ports.js';
import { View } from './view.js';

function lease(name: string, revision: number, state: LeaseState = 'alive', life = `${name}-1`): LeaseEntry {
  const value = encodeLease({ node: nodeId(name), incarnation: incarnation(life), state, renewal: 1, markedBy: '' });
  return { key: leaseKey(nodeId(name)), value, revision };
}

const at = monotonicMs;
const a = nodeId('a');
const a1 = incarnation('a-1');

describe('the view', () => {
  test('calls a change what changes who lives, not a renewal', () => {
    const view = new View(at(0));
    expect(view.observe(lease('a', 1), at(10))).toBe(true);
    expect(view.observe(lease('a', 2), at(20))).toBe(false);
    expect(view.observe(lease('a', 3, 'draining'), at(30))).toBe(true);
    expect(view.stableSince).toBe(30);
    expect(view.get(a)).toMatchObject({ revision: 3, changedAt: 30, state: 'draining' });
  });

  test('ignores an entry that comes again or too late: revisions only grow', () => {
    const view = new View(at(0));
    view.observe(lease('a', 5, 'dead'), at(10));
    expect(view.observe(lease('a', 4), at(20))).toBe(false);
    expect(view.observe(lease('a', 5, 'dead'), at(30))).toBe(false);
    expect(view.get(a)).toMatchObject({ state: 'dead', changedAt: 10 });
  });

  test('counts an incarnation as live until it has left, is marked dead, or another has taken its id', () => {
    const view = new View(at(0));
    expect(view.isLive(a, a1)).toBe(false);
    for (const [state, isLive] of [
      ['alive', true],
      ['draining', true],
      ['left', false],
      ['dead', false],
    ] as const) {
      view.observe(lease('a', (view.get(a)?.revision ?? 0) + 1, state), at(1));
      expect(view.isLive(a, a1), state).toBe(isLive);
    }
    view.observe(lease('a', 10, 'alive', 'a-2'), at(2));
    expect(view.isLive(a, a1)).toBe(false);
    expect(view.isLive(a, incarnation('a-2'))).toBe(true);
  });

  test('places on nodes that are alive, sorted; two views of the same nodes have the same hash, whatever the order', () => {
    const one = new View(at(0));
    const other = new View(at(0));
    one.observe(lease('b', 1), at(1));
    one.observe(lease('a', 2), at(2));
    other.observe(lease('a', 7), at(3));
    other.observe(lease('b', 9), at(4));
    other.observe(lease('c', 11, 'draining'), at(5));
    expect(one.placeable().map(({ node }) => node)).toEqual(['a', 'b']);
    expect(one.hash).toBe(other.hash);
    other.observe(lease('a', 12, 'alive', 'a-2'), at(6));
    expect(one.hash).not.toBe(other.hash);
  });

  test('takes a deleted key for a mark: the next renewal of that node is refused all the same (V3)', () => {
    const view = new View(at(0));
    view.observe(lease('a', 1), at(1));
    expect(view.observe({ key: leaseKey(a), value: undefined, revision: 2 }, at(2))).toBe(true);
    expect(view.isLive(a, a1)).toBe(false);
    expect(view.observe({ key: leaseKey(nodeId('z')), value: undefined, revision: 3 }, at(3))).toBe(false);
    expect(view.get(nodeId('z'))).toBeUndefined();
  });

  test('notes that an unreadable entry has changed, so that a mark can name its revision, and keeps what it knew (V3)', () => {
    const view = new View(at(0));
    view.observe(lease('a', 1), at(1));
    expect(view.observe({ key: leaseKey(a), value: utf8Encode('{"v":2}'), revision: 2 }, at(900))).toBe(false);
    expect(view.get(a)).toMatchObject({ incarnation: a1, state: 'alive', revision: 2, changedAt: 900 });
    // A lease under the key of another node is no lease of that node.
    expect(view.observe({ ...lease('b', 3), key: leaseKey(a) }, at(950))).toBe(false);
    expect(view.get(nodeId('b'))).toBeUndefined();
  });

  test('ignores keys that are no leases', () => {
    const view = new View(at(0));
    for (const key of ['cluster', 'node.', 'node.a.b', 'nodea']) {
      expect(view.observe({ ...lease('a', 1), key }, at(1)), key).toBe(false);
    }
    expect([...view.all()]).toEqual([]);
  });

  test('starts its counts anew when told to, without calling it a change (V2)', () => {
    const view = new View(at(0));
    view.observe(lease('a', 1), at(1));
    view.restartCounts(at(5_000));
    expect(view.get(a)).toMatchObject({ changedAt: 5_000, revision: 1 });
    expect(view.stableSince).toBe(1);
  });
});
