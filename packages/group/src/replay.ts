/**
 * Rebuilds one group from its records in log order, after a claim.
 *
 * Invariants:
 * - P1 Loading moves nobody: a group comes back in the generation and state that was recorded, resent joins get that
 *   generation, syncs go on (rule C4). Only a member that is missing from the generation, or a group that is too large,
 *   makes a rebalance due.
 * - P2 What lies below a checkpoint and is not in it is gone (rule K2).
 */

import type { GroupId, MemberId, MonotonicMs } from '@muster/protocol';
import { assertNever, generation, monotonicMs } from '@muster/protocol';
import { NO_MEMBER } from './answers.js';
import type { TopicPartition } from './commands.js';
import type { TurnContext } from './context.js';
import type { Effects } from './effects.js';
import type { Group, GroupSlot, Phase, RebalanceCause } from './group.js';
import { createGroup } from './group.js';
import { loadMember } from './membership.js';
import type { OffsetStore } from './offset-store.js';
import { createOffsetStore, dropOffset, endStage, putCommitted, stageOffsets } from './offset-store.js';
import { subscribedTopicsOf } from './protocols.js';
import { longestRebalanceTimeoutMs, openRound, settleRound } from './rebalance.js';
import type { GroupRecord, MemberRecord, SnapshotDeltaRecord, SnapshotRecord, UnknownRecord } from './records.js';
import { restartSession } from './session.js';
import type { Turn } from './turn.js';
import { after, beginTurn, setTimer } from './turn.js';

export type Replayed = { readonly slot: GroupSlot; readonly effects: Effects };

export class GroupReplay {
  readonly #groupId: GroupId;
  #snapshot: SnapshotRecord | undefined;
  /** Sequence of the newest record about the metadata. */
  #snapshotSeq = 0;
  #removed = new Set<MemberId>();
  #commitSeqs = new Map<MemberId, number>();
  #offsets: OffsetStore = createOffsetStore();
  /** Sequence by the `order` of an offset, which is unique within the group. */
  #seqByOrder = new Map<number, number>();
  #fenceSeqs = new Map<number, number>();

  constructor(groupId: GroupId) {
    this.#groupId = groupId;
  }

  /** @param seq position of the record in the log; it never falls from one call to the next */
  apply(seq: number, record: GroupRecord | UnknownRecord): void {
    switch (record.kind) {
      case 'snapshot':
        this.#snapshot = record;
        this.#snapshotSeq = seq;
        this.#removed.clear();
        this.#commitSeqs.clear();
        return;
      case 'snapshot-delta':
        this.#applyDelta(seq, record);
        return;
      case 'member-removed':
        this.#removed.add(record.memberId);
        this.#snapshotSeq = seq;
        return;
      case 'offsets':
        this.#applyOffsets(seq, record);
        return;
      case 'offset-tombstones':
        this.#applyTombstones(seq, record.partitions);
        return;
      case 'group-tombstone':
        this.#forgetMetadata();
        this.#offsets = createOffsetStore();
        return;
      case 'staged-offsets': {
        const { producerId, producerEpoch, offsets, at } = record;
        for (const { order } of offsets) this.#seqByOrder.set(order, seq);
        stageOffsets(this.#offsets, producerId, producerEpoch, offsets, at);
        return;
      }
      case 'stage-end': {
        const { producerId, producerEpoch, order, at: endedAt, result } = record;
        this.#fenceSeqs.set(producerId, seq);
        const applied = endStage(this.#offsets, producerId, { producerEpoch, order, endedAt }, result);
        // The newest record of what it commits is this one.
        for (const each of applied) this.#seqByOrder.set(each.order, seq);
        return;
      }
      case 'unknown':
        return;
      default:
        assertNever(record);
    }
  }

  /** What a delta names replaces or joins what is there; who was removed before it is no member of its generation (rule L4). */
  #applyDelta(seq: number, { kind: _, changed, ...metadata }: SnapshotDeltaRecord): void {
    if (this.#snapshot === undefined) return;
    const members = new Map<MemberId, MemberRecord>();
    for (const member of this.#snapshot.members) {
      if (!this.#removed.has(member.memberId)) members.set(member.memberId, member);
    }
    for (const member of changed) members.set(member.memberId, member);
    this.#snapshot = { kind: 'snapshot', members: [...members.values()], ...metadata };
    this.#snapshotSeq = seq;
    this.#removed.clear();
  }

  #applyOffsets(seq: number, record: Extract<GroupRecord, { kind: 'offsets' }>): void {
    for (const stored of record.offsets) {
      const replaced = this.#offsets.committed.get(stored.topic, stored.partition);
      if (replaced !== undefined) this.#seqByOrder.delete(replaced.order);
      this.#seqByOrder.set(stored.order, seq);
      putCommitted(this.#offsets, stored);
    }
    if (record.memberId !== null) this.#commitSeqs.set(record.memberId, record.commitSeq);
  }

  #applyTombstones(seq: number, partitions: readonly TopicPartition[]): void {
    const { stages } = this.#offsets;
    const openBefore = [...stages.keys()];
    for (const { topic, partition } of partitions) dropOffset(this.#offsets, topic, partition);
    // A stage that lost its last offset has left a fence; the newest record of that is this one.
    for (const producerId of openBefore) if (!stages.has(producerId)) this.#fenceSeqs.set(producerId, seq);
  }

  /** The end marker of a checkpoint (rule K2): whatever has no record at `seq` or later is not in the checkpoint, so it is gone. */
  forgetBelow(seq: number): void {
    if (this.#snapshotSeq < seq) this.#forgetMetadata();
    const { committed, stages, fences } = this.#offsets;
    const isGone = (order: number) => (this.#seqByOrder.get(order) ?? 0) < seq;
    for (const { topic, partition, order } of committed.values()) {
      if (isGone(order)) committed.delete(topic, partition);
    }
    for (const [producerId, stage] of stages) {
      for (const { topic, partition, order } of stage.offsets.values()) {
        if (isGone(order)) stage.offsets.delete(topic, partition);
      }
      if (stage.offsets.size === 0) stages.delete(producerId);
    }
    for (const producerId of fences.keys()) {
      if ((this.#fenceSeqs.get(producerId) ?? 0) < seq) fences.delete(producerId);
    }
  }

  #forgetMetadata(): void {
    this.#snapshot = undefined;
    this.#snapshotSeq = 0;
    this.#removed.clear();
    this.#commitSeqs.clear();
  }

  /**
   * Ends the replay. Call it once, after the last record.
   * @param options.graceUntil until then no timer drops a member and none ends a join phase (rule O5)
   * @returns the slot, empty where nothing is left, and the effects of loading: timers, and a rebalance where one is due
   */
  finish(context: TurnContext, options: { readonly graceUntil?: MonotonicMs } = {}): Replayed {
    const slot: GroupSlot = { groupId: this.#groupId, group: undefined };
    const turn = beginTurn(slot, context);
    const { committed, stages, fences } = this.#offsets;
    // Fences alone keep a group until the sweep: without them the order of commits would start again below theirs (F1).
    if (this.#snapshot !== undefined || committed.size > 0 || stages.size > 0 || fences.size > 0) {
      slot.group = this.#load(turn, options.graceUntil ?? monotonicMs(Number.NEGATIVE_INFINITY));
    }
    return { slot, effects: turn.effects };
  }

  #load(turn: Turn, graceUntil: MonotonicMs): Group {
    const { wallNow, config } = turn.context;
    const group = createGroup(this.#groupId, wallNow, config.generationFloor, this.#offsets);
    group.graceUntil = graceUntil;
    const snapshot = this.#snapshot;
    if (snapshot === undefined) return group;
    group.generation = snapshot.generation;
    // Whatever is recorded is a generation that there was, also where the floor has risen since.
    group.generationFloor = generation(0);
    group.protocolType = snapshot.protocolType;
    group.stateChangedAt = snapshot.stateChangedAt;
    group.rebalances = snapshot.rebalances;
    for (const record of snapshot.members) {
      if (!this.#removed.has(record.memberId)) this.#loadMember(turn, group, record);
    }
    const leading = snapshot.leader === null ? undefined : group.members.get(snapshot.leader);
    if (leading !== undefined) group.leader = leading.memberId;
    group.phase = loadPhase(turn, group, snapshot);
    group.subscribedTopics = subscribedTopicsOf(group, snapshot.protocol);
    // kafka: loaded members have a full session from now.
    for (const member of group.members.values()) restartSession(turn, member);
    this.#rebalanceIfDue(turn, group, snapshot);
    return group;
  }

  #loadMember({ context }: Turn, group: Group, record: MemberRecord): void {
    const commitSeq = Math.max(record.commitSeq, this.#commitSeqs.get(record.memberId) ?? -1);
    const { createdBy: joinedBy } = record;
    loadMember(group, { ...record, commitSeq }, { joinedBy, unrecorded: false, sessionDeadline: context.now });
  }

  #rebalanceIfDue(turn: Turn, group: Group, snapshot: SnapshotRecord): void {
    if (group.phase.kind === 'Empty') return;
    const tooLarge = group.members.size > turn.context.config.maxSize;
    const memberRemoved = snapshot.rebalanceDue || group.members.size < snapshot.members.length;
    if (!memberRemoved && !tooLarge) return;
    const cause: RebalanceCause = memberRemoved ? 'removed-before-load' : 'group-too-large';
    openRound(turn, group, { cause, memberId: NO_MEMBER, memberRemoved });
    settleRound(turn, group);
  }
}

function loadPhase(turn: Turn, group: Group, { state, protocol, round, stateChangedAt }: SnapshotRecord): Phase {
  if (protocol === null || state === 'Empty') return { kind: 'Empty' };
  if (state === 'Stable') return { kind: 'Stable', protocol, syncWait: null };
  const deadline = after(turn, longestRebalanceTimeoutMs(group));
  setTimer(turn, { kind: 'sync' }, deadline);
  return {
    kind: 'CompletingRebalance',
    protocol,
    syncs: new Map(),
    syncWait: { unsynced: new Set(group.members.keys()), deadline },
    round: round ?? { cause: 'unknown', memberId: NO_MEMBER, startedAt: stateChangedAt, reason: null },
  };
}
