// What an assignor is: the interface that the built-in ones implement and that users implement for their own.
// Does not run assignors and does not touch bytes (leader.ts), does not choose one (the coordinator does, by vote).

import type { ConsumerSubscription, TopicPartition } from '@muster/protocol';

/** Under `eager` a member gives up everything before it joins; under `cooperative` only what it loses. */
export type RebalanceProtocol = 'eager' | 'cooperative';

export interface AssignorMember {
  readonly memberId: string;
  /** The member's group.instance.id, or null for a dynamic member. */
  readonly groupInstanceId: string | null;
  readonly subscription: ConsumerSubscription;
}

/** Topic to number of partitions. A topic that is missing, or has no partitions, is unknown and assigned to nobody. */
export type PartitionCounts = ReadonlyMap<string, number>;

/** One entry per member, empty lists included. The order inside a list means nothing. */
export type Assignment = ReadonlyMap<string, readonly TopicPartition[]>;

/** What a member got in its last successful rebalance. */
export interface PreviousAssignment {
  readonly partitions: readonly TopicPartition[];
  readonly generation: number;
}

export interface Assignor {
  /** Case-sensitive; the name that members vote for. */
  readonly name: string;
  readonly rebalanceProtocols: readonly RebalanceProtocol[];
  /**
   * Distributes every partition of every subscribed, known topic. Pure: the same input gives the same answer, whatever
   * the order of the members. Must answer one entry per member.
   */
  assign(partitionCounts: PartitionCounts, members: readonly AssignorMember[]): Assignment;
  /** Bytes to send with the next subscription; null or absent when the assignor needs none. */
  userData?(previous: PreviousAssignment | undefined): Uint8Array | null;
}
