/**
 * The view: every node's lease as this node has seen it, from one watch in one order (O8).
 *
 * V1: observations are timed by this node's own monotonic clock; no other clock matters. V2: after a failed renewal of our
 * own, all counts start anew, otherwise the first node back after an outage of the store would count everybody dead (O3). V3: an
 * entry that is no lease is a change all the same: the node's next renewal will be refused, and a mark has to name its revision.
 */

import type { Incarnation, MonotonicMs, NodeId } from '@muster/protocol';
import { fnv1a32, utf8Encode } from '@muster/protocol';
import type { LeaseState } from './lease-entry.js';
import { decodeLease, leaseKey, nodeOfKey } from './lease-entry.js';
import type { LeaseEntry } from './ports.js';

export type ViewNode = {
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  readonly state: LeaseState;
  readonly revision: number;
  /** When this node last saw the revision change. */
  changedAt: MonotonicMs;
};

/** Replaced incarnations that are remembered. */
const REPLACED_MAX = 1_024;

export class View {
  readonly #nodes = new Map<NodeId, ViewNode>();
  /** Incarnations whose id another has taken since. */
  readonly #replaced = new Set<Incarnation>();
  #stableSince: MonotonicMs;
  #hash = hashOf([]);

  constructor(now: MonotonicMs) {
    this.#stableSince = now;
  }

  /** Takes in an entry of the watch. @returns whether who lives, or how, has changed */
  observe(entry: LeaseEntry, now: MonotonicMs): boolean {
    const node = nodeOfKey(entry.key);
    if (node === undefined) return false;
    const known = this.#nodes.get(node);
    if (known !== undefined && entry.revision <= known.revision) return false;
    const lease = readLease(entry, known);
    if (lease === undefined) return false;
    const { incarnation, state } = lease;
    if (known !== undefined && known.incarnation !== incarnation) this.#replace(known.incarnation);
    this.#nodes.set(node, { node, incarnation, state, revision: entry.revision, changedAt: now });
    const isChange = known === undefined || known.state !== state || known.incarnation !== incarnation;
    if (isChange) {
      this.#stableSince = now;
      this.#hash = hashOf(this.placeable());
    }
    return isChange;
  }

  /** A write of ours was refused: the node has renewed its lease, although the watch has not said so yet. */
  renewed(node: NodeId, incarnation: Incarnation, now: MonotonicMs): void {
    const known = this.#nodes.get(node);
    if (known?.incarnation === incarnation) known.changedAt = now;
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

  /**
   * Whether this incarnation owns nothing any more, as far as the leases say: marked, left, or replaced. `undefined` where this node
   * has never heard of it: it may have started while our watch was behind, which is no sign of death (O4).
   */
  isGone(node: NodeId, incarnation: Incarnation): boolean | undefined {
    const known = this.#nodes.get(node);
    if (known?.incarnation === incarnation) return known.state === 'dead' || known.state === 'left';
    return this.#replaced.has(incarnation) ? true : undefined;
  }

  /** The lease key of the node has just been read: whoever does not hold it there has been replaced. */
  looked(node: NodeId, incarnation: Incarnation): void {
    if (this.#nodes.get(node)?.incarnation !== incarnation) this.#replace(incarnation);
  }

  /** Bounded: who is forgotten is looked up again. */
  #replace(incarnation: Incarnation): void {
    this.#replaced.add(incarnation);
    const [oldest] = this.#replaced;
    if (this.#replaced.size > REPLACED_MAX && oldest !== undefined) this.#replaced.delete(oldest);
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

/** @returns what the entry says of the node; of one that is not known, only a lease says anything */
function readLease(
  { key, value }: LeaseEntry,
  known: ViewNode | undefined,
): Pick<ViewNode, 'incarnation' | 'state'> | undefined {
  // A deleted key refuses the node's next renewal as a mark does: to us it is one (O4).
  if (value === undefined) return known === undefined ? undefined : { ...known, state: 'dead' };
  const lease = decodeLease(value);
  // V3: a form that we cannot read may be that of a newer version, which lives as long as it changes.
  return lease === undefined || leaseKey(lease.node) !== key ? known : lease;
}

function hashOf(nodes: readonly ViewNode[]): string {
  return fnv1a32(utf8Encode(nodes.map(({ node, incarnation }) => `${node}:${incarnation}`).join(','))).toString(16);
}
