/**
 * The view: every node's lease as this node has seen it, from one watch in one order (O8).
 *
 * V1: observations are timed by this node's own monotonic clock; no other clock matters. V2: after a failed renewal of our
 * own, all counts start anew, otherwise the first node back after an outage of the store would count everybody dead (O3).
 */

import type { Incarnation, MonotonicMs, NodeId } from '@muster/protocol';
import { fnv1a32, utf8Encode } from '@muster/protocol';
import type { LeaseState } from './lease-entry.js';
import { decodeLease, isLeaseKey } from './lease-entry.js';
import type { LeaseEntry } from './ports.js';

export type ViewNode = {
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  readonly state: LeaseState;
  readonly revision: number;
  /** When this node last saw the revision change. */
  changedAt: MonotonicMs;
};

export class View {
  readonly #nodes = new Map<NodeId, ViewNode>();
  #stableSince: MonotonicMs;
  #hash = hashOf([]);

  constructor(now: MonotonicMs) {
    this.#stableSince = now;
  }

  /** Takes in an entry of the watch. @returns whether who lives, or how, has changed */
  observe(entry: LeaseEntry, now: MonotonicMs): boolean {
    if (!isLeaseKey(entry.key) || entry.value === undefined) return false;
    const lease = decodeLease(entry.value);
    if (lease === undefined) return false;
    const known = this.#nodes.get(lease.node);
    if (known !== undefined && entry.revision <= known.revision) return false;
    const { node, incarnation, state } = lease;
    this.#nodes.set(node, { node, incarnation, state, revision: entry.revision, changedAt: now });
    const isChange = known === undefined || known.state !== state || known.incarnation !== incarnation;
    if (isChange) {
      this.#stableSince = now;
      this.#hash = hashOf(this.placeable());
    }
    return isChange;
  }

  get(node: NodeId): ViewNode | undefined {
    return this.#nodes.get(node);
  }
  all(): Iterable<ViewNode> {
    return this.#nodes.values();
  }

  /** @returns whether this incarnation may still own partitions, as far as the leases say: nobody has marked it */
  isLive(node: NodeId, incarnation: Incarnation): boolean {
    const known = this.#nodes.get(node);
    return known?.incarnation === incarnation && (known.state === 'alive' || known.state === 'draining');
  }

  /** @returns the nodes that partitions are placed on, sorted */
  placeable(): readonly ViewNode[] {
    return [...this.#nodes.values()]
      .filter((node) => node.state === 'alive')
      .sort((a, b) => (a.node < b.node ? -1 : 1));
  }

  /** Two nodes with the same hash place partitions alike. */
  get hash(): string {
    return this.#hash;
  }
  /** Since when the set of nodes and their states is what it is. */
  get stableSince(): MonotonicMs {
    return this.#stableSince;
  }

  /** V2: forget how long leases have been unchanged. */
  restartCounts(now: MonotonicMs): void {
    for (const node of this.#nodes.values()) node.changedAt = now;
  }
}

function hashOf(nodes: readonly ViewNode[]): string {
  return fnv1a32(utf8Encode(nodes.map(({ node, incarnation }) => `${node}:${incarnation}`).join(','))).toString(16);
}
