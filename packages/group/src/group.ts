/**
 * The state of one consumer group: members, phase, offsets.
 *
 * Data only. What may change it and when is in the files named after the verbs (`join.ts`, `sync.ts`, ...); phases change
 * only through `transitions.ts`, members only through `membership.ts`.
 *
 * Invariants:
 * - G1 `generation` only grows, and a generation leaves the group only behind the record that makes it durable.
 * - G2 A JoinGroup is parked only in PreparingRebalance, a SyncGroup only in CompletingRebalance, at most one per member.
 * - G3 A parked request is answered exactly once: when the phase ends, the member goes, or a newer request supersedes it.
 * - G4 While there are members there is a leader, and it is one of them.
 * - G5 In CompletingRebalance and Stable, members and protocol are what the last recorded snapshot says.
 * - G6 `membersBytes`, `protocolCounts`, `staticMembers` and `createdBy` are exactly what `members` and `pendingMembers` imply.
 * - G7 All members share at least one protocol: every join was checked against `protocolCounts` first.
 */

import type {
  Generation,
  GroupId,
  InstanceId,
  MemberId,
  MonotonicMs,
  RebalanceEntry,
  RequestId,
  WallMs,
} from '@muster/protocol';
import { generation, monotonicMs } from '@muster/protocol';
import type { OffsetStore } from './offset-store.js';
import { createOffsetStore } from './offset-store.js';
import type { MemberRecord, Protocol, Round, SnapshotRecord } from './records.js';
import { SparseMap } from './sparse-map.js';

export type Member = {
  readonly memberId: MemberId;
  readonly groupInstanceId: InstanceId | null;
  readonly clientId: string;
  readonly clientHost: string;
  /** Id of the JoinGroup that created the member: the same request again is the same member (rule L6). */
  readonly createdBy: RequestId;
  /** JoinGroups that created its predecessors under the same instance id, newest first, at most `REPLACED_JOINS_KEPT`. */
  readonly replacedJoins: readonly RequestId[];
  /** Id of the last JoinGroup that was answered or parked for it. */
  joinedBy: RequestId;
  sessionTimeoutMs: number;
  rebalanceTimeoutMs: number;
  /** Preferred first, names unique. Replaced as a whole, never edited: snapshots share it. */
  protocols: readonly Protocol[];
  /** Replaced as a whole, never edited. */
  assignment: Uint8Array;
  /** It differs from what the last snapshot or delta says of it (commit numbers apart, which have records of their own). */
  unrecorded: boolean;
  /** Highest number of a commit that was applied (rule C3); -1 where none was numbered. */
  commitSeq: number;
  /** When the member is dropped unless it is heard of. Not looked at while a request of a known member is parked. */
  sessionDeadline: MonotonicMs;
};

/** An id that was handed out with MEMBER_ID_REQUIRED and has not come back. Not a member yet. */
export type PendingMember = { readonly createdBy: RequestId; deadline: MonotonicMs };

/** Why a rebalance began. Shown in describe. */
export const rebalanceCauses = [
  'member-joined',
  'leader-rejoined',
  'subscription-changed',
  'static-member-restarted',
  'member-left',
  'session-expired',
  'sync-timed-out',
  'group-too-large',
  'removed-before-load',
] as const;
export type RebalanceCause = (typeof rebalanceCauses)[number];

/** A JoinGroup that waits. `newcomer`: the member has not been in a generation yet. */
export type ParkedJoin = { readonly ref: RequestId; readonly newcomer: boolean };

/** What ends the join phase if not the last member's JoinGroup. `unset` exists only inside a turn. */
export type JoinTimer =
  | { readonly kind: 'unset'; readonly initial: boolean }
  | {
      readonly kind: 'initial-delay';
      readonly deadline: MonotonicMs;
      /** Length of the step that ends at `deadline`. */
      readonly stepMs: number;
      /** How much longer arrivals may still stretch the delay. */
      readonly remainingMs: number;
      /** A member came since the step began. */
      readonly memberAdded: boolean;
    }
  | { readonly kind: 'rebalance-timeout'; readonly deadline: MonotonicMs };

/** Members of the current generation that have not sent SyncGroup, and until when they may. */
export type SyncWait = { readonly unsynced: Set<MemberId>; deadline: MonotonicMs };

/** What the log says of a group that prepares: the last snapshot, less the members that it does not have (any more) (K1). */
export type DurableView = { readonly snapshot: SnapshotRecord; readonly without: Set<MemberId> };

export type EmptyPhase = { readonly kind: 'Empty' };
export type PreparingPhase = {
  readonly kind: 'PreparingRebalance';
  /** Protocol of the generation that ends, null where there was none. */
  readonly protocol: string | null;
  readonly joins: Map<MemberId, ParkedJoin>;
  timer: JoinTimer;
  /** Replaced as a whole, never edited. */
  round: Round;
  /** What the log says meanwhile; null for a group that was never recorded. */
  readonly durable: DurableView | null;
};
export type CompletingPhase = {
  readonly kind: 'CompletingRebalance';
  readonly protocol: string;
  readonly syncs: Map<MemberId, RequestId>;
  readonly syncWait: SyncWait;
  readonly round: Round;
};
export type StablePhase = {
  readonly kind: 'Stable';
  readonly protocol: string;
  /** Null once every member has its assignment. */
  syncWait: SyncWait | null;
};
/** The partition moved away; nothing of the group counts any more. */
export type DeadPhase = { readonly kind: 'Dead' };

export type Phase = EmptyPhase | PreparingPhase | CompletingPhase | StablePhase | DeadPhase;
/** Kafka's names of the states, as they appear on the wire. */
export type PhaseName = Phase['kind'];

export type Group = {
  readonly groupId: GroupId;
  phase: Phase;
  generation: Generation;
  /** The generation that it has before its first round; it is never recorded. */
  generationFloor: Generation;
  /** Class of the protocols (`consumer`, ...). Set with the first member, kept when the group empties. */
  protocolType: string | null;
  leader: MemberId | null;
  readonly members: Map<MemberId, Member>;
  readonly staticMembers: SparseMap<InstanceId, MemberId>;
  readonly pendingMembers: SparseMap<MemberId, PendingMember>;
  /** What the members take in a record, their assignments apart (`member-bytes.ts`). */
  membersBytes: number;
  /** How many members offer each protocol. */
  readonly protocolCounts: Map<string, number>;
  /** Which request created which dynamic member or pending id (rule L6). */
  readonly createdBy: Map<RequestId, MemberId>;
  /** Topics that the members subscribe to; null where nothing is known, then all count as subscribed. */
  subscribedTopics: ReadonlySet<string> | null;
  stateChangedAt: WallMs;
  readonly offsets: OffsetStore;
  /** Oldest first, at most `REBALANCES_KEPT`. Replaced as a whole: snapshots share it. */
  rebalances: readonly RebalanceEntry[];
  /** Until then no timer drops a member and none ends a join phase (rule O5). */
  graceUntil: MonotonicMs;
};

/** What of a member is not recorded. */
export type Unrecorded = Pick<Member, 'joinedBy' | 'unrecorded' | 'sessionDeadline'>;

/** Makes a member. Every one is made here, field by field: so all share one layout in memory, which a copy by spreading would not. */
export function makeMember(record: MemberRecord, { joinedBy, unrecorded, sessionDeadline }: Unrecorded): Member {
  return {
    memberId: record.memberId,
    groupInstanceId: record.groupInstanceId,
    clientId: record.clientId,
    clientHost: record.clientHost,
    createdBy: record.createdBy,
    replacedJoins: record.replacedJoins,
    joinedBy,
    sessionTimeoutMs: record.sessionTimeoutMs,
    rebalanceTimeoutMs: record.rebalanceTimeoutMs,
    protocols: record.protocols,
    assignment: record.assignment,
    unrecorded,
    commitSeq: record.commitSeq,
    sessionDeadline,
  };
}

/** Where a group lives in its host: `group` is undefined while it does not exist. */
export type GroupSlot = { readonly groupId: GroupId; group: Group | undefined };

/** @returns a fresh group: Empty, without type, in generation `generationFloor`, which is 0 unless the log was restored (rule O2) */
export function createGroup(
  groupId: GroupId,
  now: WallMs,
  generationFloor: number,
  offsets: OffsetStore = createOffsetStore(),
): Group {
  const first = generation(generationFloor);
  return {
    groupId,
    phase: { kind: 'Empty' },
    generation: first,
    generationFloor: first,
    protocolType: null,
    leader: null,
    members: new Map(),
    staticMembers: new SparseMap(),
    pendingMembers: new SparseMap(),
    membersBytes: 0,
    protocolCounts: new Map(),
    createdBy: new Map(),
    subscribedTopics: null,
    stateChangedAt: now,
    offsets,
    rebalances: [],
    graceUntil: monotonicMs(Number.NEGATIVE_INFINITY),
  };
}

/** Whether the group has ever been in a generation: until then it is nothing but its offsets. */
export function hasHadGeneration(group: Group): boolean {
  return group.generation > group.generationFloor;
}
