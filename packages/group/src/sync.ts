/**
 * SyncGroup: members fetch their assignment, the leader brings it. The second half of a round, from the JoinGroup replies to
 * Stable. Rules: classic-protocol.md section 3.4.
 *
 * Invariant S1: the assignment is recorded in the turn that answers the parked syncs; nobody hears of it before it is durable.
 */

import type { MemberId, RequestId, SyncRequest } from '@muster/protocol';
import { assertNever } from '@muster/protocol';
import { NO_BYTES, refuseSync } from './answers.js';
import { ASSIGNED_BYTES_MAX } from './bounds.js';
import type { CompletingPhase, Group, Member, StablePhase } from './group.js';
import { closeRound, countMoved } from './history.js';
import { assignmentsBytes } from './member-bytes.js';
import { removeMember } from './membership.js';
import { sameBytes } from './protocols.js';
import { openRound, settleRound } from './rebalance.js';
import { graced, restartSession } from './session.js';
import { enter } from './transitions.js';
import type { Turn } from './turn.js';
import { cancelTimer, recordSnapshot, setTimer } from './turn.js';
import { validateMember } from './validation.js';

export function handleSync(turn: Turn, ref: RequestId, request: SyncRequest): void {
  const { group } = turn.slot;
  if (request.groupId === '') return refuseSync(turn, ref, 'INVALID_GROUP_ID');
  if (group === undefined || group.phase.kind === 'Empty') return refuseSync(turn, ref, 'UNKNOWN_MEMBER_ID');
  const { phase } = group;
  if (phase.kind === 'Dead') return refuseSync(turn, ref, 'COORDINATOR_NOT_AVAILABLE');
  const validated = validateMember(group, request);
  if (validated.kind === 'refused') return refuseSync(turn, ref, validated.error);
  if (request.generationId !== group.generation) return refuseSync(turn, ref, 'ILLEGAL_GENERATION');
  if (contradicts(request.protocolType, group.protocolType) || contradicts(request.protocolName, phase.protocol)) {
    return refuseSync(turn, ref, 'INCONSISTENT_GROUP_PROTOCOL');
  }
  switch (phase.kind) {
    case 'PreparingRebalance':
      return refuseSync(turn, ref, 'REBALANCE_IN_PROGRESS');
    case 'CompletingRebalance':
      if (isTooLarge(group, request)) return refuseSync(turn, ref, 'UNKNOWN_SERVER_ERROR', tooLarge);
      return parkSync(turn, group, phase, ref, validated.member, request);
    case 'Stable':
      noteSynced(turn, phase, validated.member.memberId);
      // kafka (Scala): a sync is a sign of life also where the assignment is there already; the Java side does not count it.
      restartSession(turn, validated.member);
      return answerSync(turn, group, phase, ref, validated.member);
    default:
      return assertNever(phase);
  }
}

/** kafka: an assignment that cannot be recorded. Here that is known before anything is decided (rule L3). */
function isTooLarge(group: Group, { memberId, assignments }: SyncRequest): boolean {
  if (group.leader !== memberId) return false;
  return group.membersBytes + assignmentsBytes(assignments) > ASSIGNED_BYTES_MAX;
}

const tooLarge = `the members with their assignments would take more than ${ASSIGNED_BYTES_MAX} bytes`;

/** Whether a stated value differs. kafka (Scala): a group without one has another; the Java side takes it for the same. */
function contradicts(stated: string | null, actual: string | null): boolean {
  return stated !== null && stated !== actual;
}

function parkSync(
  turn: Turn,
  group: Group,
  phase: CompletingPhase,
  ref: RequestId,
  member: Member,
  request: SyncRequest,
): void {
  const { memberId } = member;
  const superseded = phase.syncs.get(memberId);
  // The same request again (rule C1) stays parked. differs from kafka: a superseded request is answered.
  if (superseded !== undefined && superseded !== ref) refuseSync(turn, superseded, 'REBALANCE_IN_PROGRESS');
  phase.syncs.set(memberId, ref);
  phase.syncWait.unsynced.delete(memberId);
  if (group.leader === memberId) becomeStable(turn, group, phase, request);
}

/** The leader brought the assignment. Members that it left out get an empty one, ids that it made up are ignored. */
function becomeStable(turn: Turn, group: Group, phase: CompletingPhase, request: SyncRequest): void {
  const assignments = new Map<MemberId, Uint8Array>();
  for (const { memberId, assignment } of request.assignments) assignments.set(memberId, assignment);
  const moved = countMoved(group, assignments);
  for (const member of group.members.values()) {
    const assignment = assignments.get(member.memberId) ?? NO_BYTES;
    if (sameBytes(member.assignment, assignment)) continue;
    // Copied: a slice would keep the larger buffer that it was cut from in memory.
    member.assignment = new Uint8Array(assignment);
    member.unrecorded = true;
  }

  const { wallNow } = turn.context;
  const { protocol, syncs, syncWait, round } = phase;
  const allSynced = syncWait.unsynced.size === 0;
  const stable: StablePhase = { kind: 'Stable', protocol, syncWait: allSynced ? null : syncWait };
  enter(group, stable, wallNow);
  closeRound(group, round, wallNow, moved);
  if (allSynced) cancelTimer(turn, { kind: 'sync' });
  for (const [id, ref] of syncs) {
    const member = group.members.get(id);
    if (member === undefined) throw new Error(`a sync of ${id} is parked, which is no member (G2)`);
    answerSync(turn, group, stable, ref, member);
    restartSession(turn, member);
  }
  recordSnapshot(turn, group);
}

function answerSync(turn: Turn, group: Group, phase: StablePhase, ref: RequestId, member: Member): void {
  const { protocolType } = group;
  const { assignment } = member;
  turn.effects.replies.push({
    api: 'sync',
    ref,
    error: 'NONE',
    fields: { protocolType, protocolName: phase.protocol, assignment },
  });
}

function noteSynced(turn: Turn, phase: StablePhase, id: MemberId): void {
  if (phase.syncWait === null || !phase.syncWait.unsynced.delete(id) || phase.syncWait.unsynced.size > 0) return;
  phase.syncWait = null;
  cancelTimer(turn, { kind: 'sync' });
}

/**
 * The time to sync is over: members that never asked for their assignment go, static ones too. kafka: also in Stable, because
 * heartbeats would mask a follower that never syncs (KAFKA-12890).
 */
export function onSyncTimer(turn: Turn, group: Group): void {
  const { phase } = group;
  if (phase.kind !== 'CompletingRebalance' && phase.kind !== 'Stable') return;
  if (phase.syncWait === null) return;
  const deadline = graced(group, phase.syncWait.deadline);
  if (turn.context.now < deadline) {
    setTimer(turn, { kind: 'sync' }, deadline);
    return;
  }
  const late = [...phase.syncWait.unsynced];
  const first = late[0];
  if (first === undefined) return;
  for (const id of late) {
    const member = group.members.get(id);
    if (member !== undefined) removeMember(turn, group, member);
  }
  openRound(turn, group, { cause: 'sync-timed-out', memberId: first, memberRemoved: true });
  settleRound(turn, group);
}
