/**
 * Which node should own which partition: rendezvous hashing with a load bound. Same nodes, same answer, no controller (O8).
 *
 * P1: no node gets more than ceil(bound * partitions / nodes). P2: one node joining or leaving moves at most twice its share. P1
 * holds by construction. P2 was seen to hold wherever there are eight partitions for each node or more; with fewer, the bound
 * rounds so coarsely that a move now and then pushes others along.
 */

import type { NodeId, Partition } from '@muster/protocol';
import { fnv1a32, partition, utf8Encode } from '@muster/protocol';

/** The node named for each partition, by partition number; undefined only where there are no nodes. */
export type Placement = readonly (NodeId | undefined)[];

/**
 * @param nodes who may own partitions, in any order
 * @param loadBound how much the most loaded node may exceed the average, at least 1
 */
export function place(nodes: readonly NodeId[], partitionCount: number, loadBound: number): Placement {
  const placement = new Array<NodeId | undefined>(partitionCount).fill(undefined);
  if (nodes.length === 0) return placement;
  const loadMax = Math.ceil((loadBound * partitionCount) / nodes.length);
  const loads = new Map<NodeId, number>();
  for (let index = 0; index < partitionCount; index += 1) {
    const chosen = claimOrder(nodes, partition(index)).find((node) => (loads.get(node) ?? 0) < loadMax);
    if (chosen === undefined) continue;
    loads.set(chosen, (loads.get(chosen) ?? 0) + 1);
    placement[index] = chosen;
  }
  return placement;
}

/** @returns the nodes in the order in which they should try to own the partition, whatever their load */
export function claimOrder(nodes: readonly NodeId[], partition: Partition): readonly NodeId[] {
  return nodes
    .map((node) => ({ node, score: scoreOf(node, partition) }))
    .sort((a, b) => b.score - a.score || (a.node < b.node ? -1 : 1))
    .map(({ node }) => node);
}

function scoreOf(node: NodeId, partition: Partition): number {
  // FNV alone hardly mixes its last bytes upwards; the finaliser of murmur3 does.
  let hash = fnv1a32(utf8Encode(`${node}/${partition}`));
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
