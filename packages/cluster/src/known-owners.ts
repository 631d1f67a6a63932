/**
 * Who owns which partition, as far as this node has heard: from the heartbeats of others and from its own doing. Hearsay: it saves
 * claims that would be refused and answers FindCoordinator; the log decides.
 *
 * K1: keyed by incarnation (O1): what a paused process says after another has taken its id does not count for that one. K2: of two
 * reigns the later one counts.
 */

import type { Epoch, Incarnation, NodeId, Partition } from '@muster/protocol';

/** Who is known to own a partition. */
export type KnownOwner = { readonly node: NodeId; readonly incarnation: Incarnation; readonly epoch: Epoch };

export class KnownOwners {
  readonly #owners = new Map<Partition, KnownOwner>();
  readonly #partitionCount: number;

  constructor(partitionCount: number) {
    this.#partitionCount = partitionCount;
  }

  get(partition: Partition): KnownOwner | undefined {
    return this.#owners.get(partition);
  }

  set(partition: Partition, owner: KnownOwner): void {
    this.#owners.set(partition, owner);
  }

  forget(partition: Partition): void {
    this.#owners.delete(partition);
  }

  /** A process says what it owns. What it owned before and no longer names is nobody's until a claim. */
  learn(owner: {
    readonly node: NodeId;
    readonly incarnation: Incarnation;
    readonly owned: readonly (readonly [Partition, Epoch])[];
  }): void {
    const { node, incarnation } = owner;
    const named = new Map(owner.owned);
    for (const [partition, known] of this.#owners) {
      const isItself = known.node === node && known.incarnation === incarnation;
      if (isItself && named.get(partition) !== known.epoch) this.#owners.delete(partition);
    }
    for (const [partition, epoch] of named) {
      const known = this.#owners.get(partition);
      const isLater = known === undefined || known.epoch <= epoch;
      if (isLater && partition < this.#partitionCount) this.#owners.set(partition, { node, incarnation, epoch });
    }
  }
}
