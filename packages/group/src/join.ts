/**
 * JoinGroup: newcomers, members that rejoin, static members that restarted. Rules: classic-protocol.md sections 3.3, 5.5, 5.7.
 *
 * It decides who may join and what that does to the group; the join phase itself is in `rebalance.ts`.
 *
 * Invariants:
 * - J1 A request that was seen before (same id, rule C1) creates nothing: a parked one stays parked, one that created a
 *   member or handed out an id answers for that very member (rule L6). A late copy of the join of a static member that was
 *   replaced is no further restart: it is fenced.
 * - J2 A join that is refused changes nothing, except that a member refused for want of a seat loses its place.
 */

import type { JoinRequest, MemberId, RequestId } from '@muster/protocol';
import { assertNever } from '@muster/protocol';
import { NO_MEMBER, refuseJoin } from './answers.js';
import { MEMBERS_BYTES_MAX, PENDING_MEMBERS_MAX } from './bounds.js';
import type { Group, Member, RebalanceCause } from './group.js';
import { createGroup } from './group.js';
import { answerJoin, answerReturned } from './join-reply.js';
import { protocolsBytes } from './member-bytes.js';
import {
  addMember,
  addPending,
  forgetPending,
  newMemberId,
  removeMember,
  replaceStaticMember,
  updateMember,
} from './membership.js';
import { hasDuplicateName, memberOfInstance, sameProtocols, selectProtocol, supportsProtocols } from './protocols.js';
import { noteArrival, openRound, settleRound } from './rebalance.js';
import type { Turn } from './turn.js';
import { recordSnapshot } from './turn.js';
import { validateMember } from './validation.js';

export function handleJoin(turn: Turn, ref: RequestId, request: JoinRequest): void {
  const { slot, context } = turn;
  const { memberId, sessionTimeoutMs } = request;
  if (request.groupId === '') return refuseJoin(turn, ref, 'INVALID_GROUP_ID', memberId);
  const { minSessionTimeoutMs, maxSessionTimeoutMs } = context.config;
  if (sessionTimeoutMs < minSessionTimeoutMs || sessionTimeoutMs > maxSessionTimeoutMs) {
    const detail = `${sessionTimeoutMs} ms, allowed are ${minSessionTimeoutMs} to ${maxSessionTimeoutMs} ms`;
    return refuseJoin(turn, ref, 'INVALID_SESSION_TIMEOUT', memberId, detail);
  }
  // differs from kafka: there a name that occurs twice is counted twice and wedges the group.
  if (hasDuplicateName(request.protocols)) return refuseJoin(turn, ref, 'INVALID_REQUEST', memberId);
  if (slot.group === undefined) {
    if (memberId !== NO_MEMBER) return refuseJoin(turn, ref, 'UNKNOWN_MEMBER_ID', memberId);
    // kafka: the group exists from its first join, even one that is refused below. Nothing is recorded; the sweep removes it.
    slot.group = createGroup(slot.groupId, context.wallNow, context.config.generationFloor);
  }
  joinGroup(turn, slot.group, ref, request);
}

function joinGroup(turn: Turn, group: Group, ref: RequestId, request: JoinRequest): void {
  if (group.phase.kind === 'Dead') return refuseJoin(turn, ref, 'COORDINATOR_NOT_AVAILABLE', request.memberId);
  if (isOfPredecessor(group, ref, request)) return refuseJoin(turn, ref, 'FENCED_INSTANCE_ID', NO_MEMBER);
  const created = request.memberId === NO_MEMBER ? createdBy(group, ref, request) : undefined;
  const memberId = created ?? request.memberId;
  if (group.phase.kind === 'PreparingRebalance' && group.phase.joins.get(memberId)?.ref === ref) return;
  if (created !== undefined && mustComeBack(group, ref, created, request)) {
    return refuseJoin(turn, ref, 'MEMBER_ID_REQUIRED', created);
  }
  const join = created === undefined ? request : { ...request, memberId };
  if (!hasRoom(group, join)) return refuseJoin(turn, ref, 'GROUP_MAX_SIZE_REACHED', memberId, noRoom);
  if (!hasSeat(turn, group, join)) return refuseSeat(turn, group, ref, join);
  if (!supportsProtocols(group, join.protocolType, join.protocols)) {
    return refuseJoin(turn, ref, 'INCONSISTENT_GROUP_PROTOCOL', memberId);
  }
  if (memberId === NO_MEMBER) joinWithoutId(turn, group, ref, join);
  else joinWithId(turn, group, ref, join);
}

/** @returns the member or the id that this very request created, if it was seen before (J1) */
function createdBy(group: Group, ref: RequestId, { groupInstanceId }: JoinRequest): MemberId | undefined {
  if (groupInstanceId === null) return group.createdBy.get(ref);
  const holder = memberOfInstance(group, groupInstanceId);
  return holder?.createdBy === ref ? holder.memberId : undefined;
}

/** Whether the request created a static member that has been replaced since (J1). */
function isOfPredecessor(group: Group, ref: RequestId, { memberId, groupInstanceId }: JoinRequest): boolean {
  if (memberId !== NO_MEMBER || groupInstanceId === null) return false;
  return memberOfInstance(group, groupInstanceId)?.replacedJoins.includes(ref) ?? false;
}

/** Whether the request handed out an id: then it does so again, also when the client has come back with the id meanwhile. */
function mustComeBack(group: Group, ref: RequestId, created: MemberId, request: JoinRequest): boolean {
  if (group.pendingMembers.has(created)) return true;
  const member = group.members.get(created);
  return member?.groupInstanceId === null && request.requireKnownMemberId && member.joinedBy !== ref;
}

/** Whether all members still fit into one record with what this one offers (rule L3). */
function hasRoom(group: Group, { memberId, groupInstanceId, protocols }: JoinRequest): boolean {
  const own = groupInstanceId === null ? group.members.get(memberId) : memberOfInstance(group, groupInstanceId);
  const growth = protocolsBytes(protocols) - protocolsBytes(own?.protocols ?? []);
  return growth <= 0 || group.membersBytes + growth <= MEMBERS_BYTES_MAX;
}

const noRoom = `the members of the group would take more than ${MEMBERS_BYTES_MAX} bytes`;

/** Whether the group has a seat (`group.max.size`). kafka: while preparing, those who came back first get the seats. */
function hasSeat(turn: Turn, group: Group, { memberId, groupInstanceId }: JoinRequest): boolean {
  const { phase } = group;
  const { maxSize } = turn.context.config;
  // differs from kafka: the seat of a static member that restarted is its own.
  if (memberId === NO_MEMBER && groupInstanceId !== null && group.staticMembers.has(groupInstanceId)) return true;
  switch (phase.kind) {
    case 'Empty':
    case 'Dead':
      return true;
    case 'PreparingRebalance':
      return phase.joins.has(memberId) || phase.joins.size < maxSize;
    case 'CompletingRebalance':
    case 'Stable':
      return group.members.has(memberId) || group.members.size < maxSize;
    default:
      return assertNever(phase);
  }
}

function refuseSeat(turn: Turn, group: Group, ref: RequestId, { memberId }: JoinRequest): void {
  refuseJoin(turn, ref, 'GROUP_MAX_SIZE_REACHED', NO_MEMBER);
  const member = group.members.get(memberId);
  if (member !== undefined) removeMember(turn, group, member);
  // kafka: an id that was handed out lapses, too.
  const wasPending = forgetPending(turn, group, memberId) !== undefined;
  if (member === undefined && !wasPending) return;
  // differs from kafka (Java): the round does not wait for whoever was just refused.
  if (group.phase.kind === 'PreparingRebalance') settleRound(turn, group);
}

function joinWithoutId(turn: Turn, group: Group, ref: RequestId, request: JoinRequest): void {
  const { groupInstanceId, clientId } = request;
  if (groupInstanceId !== null) {
    const holder = memberOfInstance(group, groupInstanceId);
    if (holder !== undefined) return returnStatic(turn, group, ref, holder, request);
    return admit(turn, group, ref, newMemberId(turn, groupInstanceId), request);
  }
  if (!request.requireKnownMemberId) return admit(turn, group, ref, newMemberId(turn, clientId), request);
  if (group.pendingMembers.size >= PENDING_MEMBERS_MAX) {
    return refuseJoin(turn, ref, 'THROTTLING_QUOTA_EXCEEDED', NO_MEMBER);
  }
  // kafka: KIP-394: a newcomer must come back with its id, so that a lost reply leaves no ghost behind.
  const id = newMemberId(turn, clientId);
  addPending(turn, group, ref, id, request.sessionTimeoutMs);
  refuseJoin(turn, ref, 'MEMBER_ID_REQUIRED', id);
}

function joinWithId(turn: Turn, group: Group, ref: RequestId, request: JoinRequest): void {
  const { memberId, groupInstanceId } = request;
  if (group.pendingMembers.has(memberId)) {
    // kafka: ids are never handed out to static members, so this client mixes two lives: an internal error there too.
    if (groupInstanceId !== null) return refuseJoin(turn, ref, 'UNKNOWN_SERVER_ERROR', memberId);
    return admit(turn, group, ref, memberId, request);
  }
  const validated = validateMember(group, request);
  if (validated.kind === 'refused') return refuseJoin(turn, ref, validated.error, memberId);
  rejoin(turn, group, ref, validated.member, request);
}

/** Adds a newcomer and parks its join; that begins a round unless one is under way. */
function admit(turn: Turn, group: Group, ref: RequestId, id: MemberId, request: JoinRequest): void {
  if (group.phase.kind === 'PreparingRebalance') noteArrival(group, group.phase);
  else openRound(turn, group, { cause: 'member-joined', memberId: id, reason: request.reason, memberRemoved: false });
  addMember(turn, group, ref, id, request);
  park(turn, group, ref, id, true);
  settleRound(turn, group);
}

/** A known member joins again. */
function rejoin(turn: Turn, group: Group, ref: RequestId, member: Member, request: JoinRequest): void {
  const { phase } = group;
  const { memberId } = member;
  switch (phase.kind) {
    case 'PreparingRebalance': {
      updateMember(group, member, ref, request);
      park(turn, group, ref, memberId, false);
      return settleRound(turn, group);
    }
    case 'CompletingRebalance': {
      if (!sameProtocols(member.protocols, request.protocols)) break;
      // Also the resent join of a round that a failover interrupted (rule C4): no extra round.
      member.joinedBy = ref;
      return answerJoin(turn, group, phase.protocol, ref, member);
    }
    case 'Stable': {
      if (ref === member.joinedBy || ref === member.createdBy) {
        return answerReturned(turn, group, phase.protocol, ref, member, null, request.supportSkippingAssignment);
      }
      // kafka: a leader's join always begins a round; that is how it reports a change of its topics.
      if (group.leader === memberId || !sameProtocols(member.protocols, request.protocols)) break;
      member.joinedBy = ref;
      return answerJoin(turn, group, phase.protocol, ref, member);
    }
    case 'Empty':
    case 'Dead':
      throw new Error(`a ${phase.kind} group has member ${memberId} (G4)`);
    default:
      return assertNever(phase);
  }
  const changed = !sameProtocols(member.protocols, request.protocols);
  const cause: RebalanceCause = changed ? 'subscription-changed' : 'leader-rejoined';
  // kafka: the client's own reason goes with it. A cooperative member changes its metadata too when it has given partitions up.
  openRound(turn, group, { cause, memberId, reason: request.reason, memberRemoved: false });
  updateMember(group, member, ref, request);
  park(turn, group, ref, memberId, false);
  settleRound(turn, group);
}

/** A static member restarted. In a Stable group whose protocol stays the same nothing moves and nobody notices (KIP-345). */
function returnStatic(turn: Turn, group: Group, ref: RequestId, old: Member, request: JoinRequest): void {
  const instance = old.groupInstanceId;
  if (instance === null) throw new Error(`member ${old.memberId} holds an instance id without having one (G6)`);
  const leaderBefore = group.leader;
  const member = replaceStaticMember(turn, group, old, instance, ref, request);
  const { phase } = group;
  if (phase.kind === 'Stable' && selectProtocol(group) === phase.protocol) {
    // kafka: recorded, so that the new id survives a failover (KAFKA-10284); the reply waits for it.
    recordSnapshot(turn, group);
    const { supportSkippingAssignment } = request;
    return answerReturned(turn, group, phase.protocol, ref, member, leaderBefore, supportSkippingAssignment);
  }
  if (phase.kind !== 'PreparingRebalance') {
    const { memberId } = member;
    openRound(turn, group, { cause: 'static-member-restarted', memberId, memberRemoved: true, unrecorded: memberId });
  }
  park(turn, group, ref, member.memberId, false);
  settleRound(turn, group);
}

/** Parks a join. differs from kafka: an older one of the same member is answered, not forgotten. */
function park(turn: Turn, group: Group, ref: RequestId, id: MemberId, newcomer: boolean): void {
  const { phase } = group;
  if (phase.kind !== 'PreparingRebalance') throw new Error(`no join can be parked in ${phase.kind} (G2)`);
  const superseded = phase.joins.get(id);
  if (superseded !== undefined && superseded.ref !== ref) {
    refuseJoin(turn, superseded.ref, 'REBALANCE_IN_PROGRESS', id);
  }
  phase.joins.set(id, { ref, newcomer: superseded?.newcomer ?? newcomer });
}
