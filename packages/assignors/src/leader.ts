// Between the bytes of JoinGroup and SyncGroup and an assignor: what a member sends, what the group's leader computes.
// Does not look up partition counts, does not talk to anybody.
//
// G1: an accepted run has exactly one entry per joined member.
// G2: under the cooperative protocol no run is accepted that gives a partition away which a member still owns.

import {
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
  NO_GENERATION,
  parseSubscribedTopics,
  type TopicPartition,
} from '@muster/protocol';
import type {
  Assignment,
  Assignor,
  AssignorMember,
  PartitionCounts,
  PreviousAssignment,
  RebalanceProtocol,
} from './assignor.js';
import { compareText } from './member-order.js';
import { partitionsMissingFrom } from './partition-difference.js';

/** A member as the leader's JoinGroup reply lists it. */
export interface JoinMember {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly metadata: Uint8Array;
}

/** What a member knows of itself when it joins. */
export interface JoiningState {
  readonly topics: readonly string[];
  /** Still owned now: under the eager protocol nothing, everything has been given up. */
  readonly owned: readonly TopicPartition[];
  /** Generation of the last successful rebalance, NO_GENERATION before it and after losing membership. */
  readonly generation: number;
  /**
   * What the last successful rebalance gave, for assignors that send it as user data (`sticky` is not sticky without
   * it). Left out: taken from `owned` and `generation`.
   */
  readonly previous?: PreviousAssignment;
}

export type AssignorRefusal =
  | { readonly kind: 'malformed-subscription'; readonly memberId: string; readonly reason: string }
  | { readonly kind: 'missing-entry'; readonly memberId: string }
  | { readonly kind: 'still-owned'; readonly partitions: readonly TopicPartition[] };

export type AssignorRun =
  | { readonly kind: 'assigned'; readonly assignments: ReadonlyMap<string, Uint8Array> }
  | { readonly kind: 'refused'; readonly refusal: AssignorRefusal };

/** The subscription bytes a member sends in JoinGroup for this assignor. Throws ConsumerProtocolEncodeError. */
export function encodeSubscriptionFor(assignor: Assignor, state: JoiningState): Uint8Array {
  const implied =
    state.generation > NO_GENERATION ? { partitions: state.owned, generation: state.generation } : undefined;
  return encodeSubscription({
    topics: state.topics,
    userData: assignor.userData?.(state.previous ?? implied) ?? null,
    ownedPartitions: state.owned,
    generation: state.generation,
  });
}

/** The topics whose partition counts the leader has to look up, sorted. Unreadable members are left to runAssignor. */
export function topicsToLookUp(members: readonly JoinMember[]): string[] {
  const topics = new Set(members.flatMap(({ metadata }) => parseSubscribedTopics(metadata) ?? []));
  return [...topics].sort(compareText);
}

/**
 * The leader's part: decodes every subscription, runs the assignor, checks and encodes its answer.
 * Refused when a subscription is malformed, when the answer lacks a member and, under the cooperative protocol, when it
 * gives away what a member still owns. What a user's assignor throws passes through.
 */
export function runAssignor(
  assignor: Assignor,
  joinMembers: readonly JoinMember[],
  partitionCounts: PartitionCounts,
  rebalanceProtocol: RebalanceProtocol = 'eager',
): AssignorRun {
  const members: AssignorMember[] = [];
  for (const { memberId, groupInstanceId, metadata } of joinMembers) {
    const decoded = decodeSubscription(metadata);
    if (decoded.kind === 'malformed') {
      return refused({ kind: 'malformed-subscription', memberId, reason: decoded.reason });
    }
    members.push({ memberId, groupInstanceId, subscription: decoded.value });
  }
  const assignment = assignor.assign(partitionCounts, members);
  const assignments = new Map<string, Uint8Array>();
  for (const { memberId } of members) {
    const partitions = assignment.get(memberId);
    if (partitions === undefined) {
      return refused({ kind: 'missing-entry', memberId });
    }
    assignments.set(memberId, encodeAssignment({ partitions }));
  }
  // differs from kafka: cooperative-sticky is checked like the assignors of users. Here it withholds whatever has a
  // claimant, stale ones included, and does not go to one of them, so the check never stands in its way.
  if (rebalanceProtocol === 'cooperative') {
    const stillOwned = stillOwnedAndGivenAway(members, assignment);
    if (stillOwned.length > 0) {
      return refused({ kind: 'still-owned', partitions: stillOwned });
    }
  }
  return { kind: 'assigned', assignments };
}

function refused(refusal: AssignorRefusal): AssignorRun {
  return { kind: 'refused', refusal };
}

/** kafka: what is added anywhere must not be removed anywhere in the same rebalance. */
function stillOwnedAndGivenAway(members: readonly AssignorMember[], assignment: Assignment): TopicPartition[] {
  const added: TopicPartition[] = [];
  const removed: TopicPartition[] = [];
  for (const { memberId, subscription } of members) {
    const assigned = assignment.get(memberId) ?? [];
    for (const partition of partitionsMissingFrom(assigned, subscription.ownedPartitions)) added.push(partition);
    for (const partition of partitionsMissingFrom(subscription.ownedPartitions, assigned)) removed.push(partition);
  }
  const safe = partitionsMissingFrom(added, removed);
  return partitionsMissingFrom(added, safe);
}
