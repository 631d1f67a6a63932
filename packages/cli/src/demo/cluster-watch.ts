/**
 * Who owns which coordinator partitions, as the nodes' own heartbeats say.
 */

import { parseHeartbeat } from '@muster/cluster';
import type { NatsBus } from '@muster/nats';
import type { GroupId, Subjects } from '@muster/protocol';
import { partitionOf } from '@muster/protocol';

export class ClusterWatch {
  readonly #owned = new Map<string, readonly (readonly [number, number])[]>();
  readonly #partitionCount: number;

  constructor(bus: NatsBus, subjects: Subjects, partitionCount: number) {
    this.#partitionCount = partitionCount;
    bus.subscribe(subjects.heartbeats, ({ payload }) => {
      const heartbeat = parseHeartbeat(payload);
      if (heartbeat !== undefined) this.#owned.set(heartbeat.node, heartbeat.owned);
    });
  }

  /** How many partitions the node says it owns. */
  countOf(node: string): number {
    return this.#owned.get(node)?.length ?? 0;
  }

  /** Whether every partition has an owner. */
  get isComplete(): boolean {
    const owned = new Set([...this.#owned.values()].flatMap((list) => list.map(([partition]) => partition)));
    return owned.size === this.#partitionCount;
  }

  /** @returns the node with the latest claim of the group's partition; empty where none is known */
  coordinatorOf(group: GroupId): string {
    const wanted = partitionOf(group, this.#partitionCount);
    let owner = '';
    let latest = 0;
    for (const [node, list] of this.#owned) {
      for (const [partition, epoch] of list) {
        if (partition !== wanted || epoch <= latest) continue;
        owner = node;
        latest = epoch;
      }
    }
    return owner;
  }

  /** The node is known to be dead: what it said does not count any more. */
  forget(node: string): void {
    this.#owned.delete(node);
  }
}
