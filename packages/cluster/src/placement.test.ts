import { type NodeId, nodeId, partition } from '@muster/protocol';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { claimOrder, type Placement, place } from './placement.js';

const nodeName = fc.stringMatching(/^[A-Za-z0-9_-]{1,12}$/).map(nodeId);
const nodeSet = (most: number) => fc.uniqueArray(nodeName, { minLength: 1, maxLength: most });
const partitionCount = fc.integer({ min: 1, max: 300 });

function loadsOf(placement: Placement): Map<NodeId | undefined, number> {
  const loads = new Map<NodeId | undefined, number>();
  for (const node of placement) loads.set(node, (loads.get(node) ?? 0) + 1);
  return loads;
}

function movedBetween(before: Placement, after: Placement): number {
  return before.filter((node, index) => node !== after[index]).length;
}

describe('placement', () => {
  test('names one of the nodes for every partition, and none more often than the bound allows (P1)', () => {
    fc.assert(
      fc.property(nodeSet(12), partitionCount, fc.double({ min: 1, max: 2, noNaN: true }), (nodes, count, bound) => {
        const placement = place(nodes, count, bound);
        expect(placement).toHaveLength(count);
        for (const node of placement) expect(nodes).toContain(node);
        const most = Math.max(...loadsOf(placement).values());
        expect(most).toBeLessThanOrEqual(Math.ceil((bound * count) / nodes.length));
      }),
    );
  });

  test('is the same for the same nodes in any order', () => {
    fc.assert(
      fc.property(
        nodeSet(8).chain((nodes) =>
          fc.tuple(fc.constant(nodes), fc.shuffledSubarray(nodes, { minLength: nodes.length })),
        ),
        partitionCount,
        ([nodes, shuffled], count) => {
          expect(place(shuffled, count, 1.25)).toEqual(place(nodes, count, 1.25));
        },
      ),
    );
  });

  test('moves at most twice the share of a node when one joins or leaves, from eight partitions per node on (P2)', () => {
    // A fixed seed: P2 is what was seen, not what can be proven.
    fc.assert(
      fc.property(nodeSet(10), nodeName, fc.integer({ min: 8, max: 60 }), (nodes, newcomer, perNode) => {
        fc.pre(!nodes.includes(newcomer));
        const count = perNode * (nodes.length + 1);
        const moved = movedBetween(place(nodes, count, 1.25), place([...nodes, newcomer], count, 1.25));
        expect(moved).toBeLessThanOrEqual((2 * count) / nodes.length);
      }),
      { seed: 20_26, numRuns: 300 },
    );
  });

  test('leaves what it can where it is: most of what moves at a join goes to the newcomer', () => {
    const nodes = ['a', 'b', 'c', 'd'].map(nodeId);
    const newcomer = nodeId('e');
    const before = place(nodes, 200, 1.25);
    const after = place([...nodes, newcomer], 200, 1.25);
    const toNewcomer = after.filter((node) => node === newcomer).length;
    expect(toNewcomer).toBeGreaterThan(movedBetween(before, after) / 2);
  });

  test('names nobody where there is nobody', () => {
    expect(place([], 3, 1.25)).toEqual([undefined, undefined, undefined]);
  });

  test('orders all nodes for a claim, each once, with the one that placement names first while no load bound interferes', () => {
    fc.assert(
      fc.property(nodeSet(8), fc.integer({ min: 0, max: 5_000 }), (nodes, index) => {
        const order = claimOrder(nodes, partition(index));
        expect([...order].sort()).toEqual([...nodes].sort());
        expect(claimOrder([...nodes].reverse(), partition(index))).toEqual(order);
      }),
    );
    const nodes = ['a', 'b', 'c'].map(nodeId);
    expect(place(nodes, 1, 3)[0]).toBe(claimOrder(nodes, partition(0))[0]);
  });
});
