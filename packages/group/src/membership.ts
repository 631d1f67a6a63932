/**
 * Members come, change and go: the only file that edits `members` and what is derived from it (G4, G6).
 *
 * It begins and ends no rebalance; the callers do. Rules: classic-protocol.md sections 3.3, 5.1, 5.4, 5.5.
 */

import type { InstanceId, JoinRequest, MemberId, MonotonicMs, RequestId } from '@muster/protocol';
import { memberId, NAME_LENGTH_MAX } from '@muster/protocol';
import { NO_BYTES, NO_MEMBER, refuseJoin, refuseSync } from './answers.js';
import { REPLACED_JOINS_KEPT } from './bounds.js';
import { NEW_MEMBER_JOIN_TIMEOUT_MS } from './context.js';
import type { Group, Member, Unrecorded } from './group.js';
import { makeMember } from './group.js';
import { memberBytes, protocolsBytes } from './member-bytes.js';
import { countProtocols, sameProtocols } from './protocols.js';
import type { MemberRecord, Protocol } from './records.js';
import type { Turn } from './turn.js';
import { after, cancelTimer, record, setTimer } from './turn.js';

const UUID_LENGTH = 36;
const none: readonly RequestId[] = [];

/** @returns a fresh id: kafka: the client id (or instance id), a dash, a random UUID */
export function newMemberId(turn: Turn, prefix: string): MemberId {
  let kept = prefix.slice(0, NAME_LENGTH_MAX - UUID_LENGTH - 1);
  // A cut through a surrogate pair would come back from the wire as another text.
  if (/[\uD800-\uDBFF]$/.test(kept)) kept = kept.slice(0, -1);
  return memberId(`${kept}-${turn.context.newUuid()}`);
}

/** Adds a newcomer, whose JoinGroup the caller parks. The first member sets the protocol type and leads. */
export function addMember(turn: Turn, group: Group, ref: RequestId, id: MemberId, request: JoinRequest): Member {
  const pending = forgetPending(turn, group, id);
  const record: MemberRecord = {
    memberId: id,
    groupInstanceId: request.groupInstanceId,
    clientId: request.clientId,
    clientHost: request.clientHost,
    createdBy: pending?.createdBy ?? ref,
    replacedJoins: none,
    sessionTimeoutMs: request.sessionTimeoutMs,
    rebalanceTimeoutMs: request.rebalanceTimeoutMs,
    protocols: ownProtocols(group, request.protocols),
    assignment: NO_BYTES,
    commitSeq: -1,
  };
  // kafka: a newcomer cannot heartbeat while its join waits; a client that vanished is dropped after five minutes.
  const sessionDeadline = after(turn, NEW_MEMBER_JOIN_TIMEOUT_MS);
  const member = makeMember(record, { joinedBy: ref, unrecorded: true, sessionDeadline });
  if (group.members.size === 0) group.protocolType = request.protocolType;
  insertMember(group, member);
  setTimer(turn, { kind: 'session', member: id }, member.sessionDeadline);
  return member;
}

/** Puts a loaded member into the group. Those that offer the same as the leader share its copy. */
export function loadMember(group: Group, record: MemberRecord, unrecorded: Unrecorded): void {
  const protocols = leadersProtocols(group, record.protocols) ?? record.protocols;
  insertMember(group, makeMember({ ...record, protocols }, unrecorded));
}

/** Puts a member into the group and all that is derived from it. */
function insertMember(group: Group, member: Member): void {
  group.members.set(member.memberId, member);
  if (member.groupInstanceId !== null) group.staticMembers.set(member.groupInstanceId, member.memberId);
  else group.createdBy.set(member.createdBy, member.memberId);
  countProtocols(group, member.protocols, 1);
  group.membersBytes += memberBytes(member);
  group.leader ??= member.memberId;
}

/** kafka: a rejoin replaces protocols and both timeouts, never client id and host, and does not touch the session. */
export function updateMember(group: Group, member: Member, ref: RequestId, request: JoinRequest): void {
  const { sessionTimeoutMs, rebalanceTimeoutMs } = request;
  member.joinedBy = ref;
  if (!sameProtocols(member.protocols, request.protocols)) {
    countProtocols(group, member.protocols, -1);
    countProtocols(group, request.protocols, 1);
    group.membersBytes += protocolsBytes(request.protocols) - protocolsBytes(member.protocols);
    member.protocols = ownProtocols(group, request.protocols);
    member.unrecorded = true;
  }
  if (member.sessionTimeoutMs !== sessionTimeoutMs || member.rebalanceTimeoutMs !== rebalanceTimeoutMs) {
    member.sessionTimeoutMs = sessionTimeoutMs;
    member.rebalanceTimeoutMs = rebalanceTimeoutMs;
    member.unrecorded = true;
  }
}

/**
 * Takes a member out: whoever waits under its id is answered UNKNOWN_MEMBER_ID, its removal is recorded so that it does not
 * come back as a ghost (rule L6), another member leads if it led.
 */
export function removeMember(turn: Turn, group: Group, member: Member): void {
  const id = member.memberId;
  const { phase } = group;
  let recorded = true;
  if (phase.kind === 'PreparingRebalance') {
    const join = phase.joins.get(id);
    if (join !== undefined) {
      phase.joins.delete(id);
      refuseJoin(turn, join.ref, 'UNKNOWN_MEMBER_ID', NO_MEMBER);
      recorded = !join.newcomer;
    }
    phase.durable?.without.add(id);
  } else if (phase.kind === 'CompletingRebalance') {
    const ref = phase.syncs.get(id);
    phase.syncs.delete(id);
    // differs from kafka: there the parked SyncGroup of a member that leaves is never answered.
    if (ref !== undefined) refuseSync(turn, ref, 'UNKNOWN_MEMBER_ID');
    phase.syncWait.unsynced.delete(id);
  } else if (phase.kind === 'Stable') {
    phase.syncWait?.unsynced.delete(id);
  }
  deleteMember(group, member);
  if (group.leader === id) group.leader = firstMember(group);
  cancelTimer(turn, { kind: 'session', member: id });
  if (recorded) record(turn, { kind: 'member-removed', memberId: id });
}

function deleteMember(group: Group, member: Member): void {
  group.members.delete(member.memberId);
  if (member.groupInstanceId !== null) group.staticMembers.delete(member.groupInstanceId);
  else group.createdBy.delete(member.createdBy);
  countProtocols(group, member.protocols, -1);
  group.membersBytes -= memberBytes(member);
}

/**
 * Copies what lives on: the bytes of a request may be slices of larger buffers, which they would keep in memory. Members
 * that offer the same as the leader share its copy.
 */
function ownProtocols(group: Group, protocols: readonly Protocol[]): readonly Protocol[] {
  const copy = () => protocols.map(({ name, metadata }) => ({ name, metadata: new Uint8Array(metadata) }));
  return leadersProtocols(group, protocols) ?? copy();
}

/** @returns what the leader offers, where these are the same */
function leadersProtocols(group: Group, protocols: readonly Protocol[]): readonly Protocol[] | undefined {
  const leading = group.leader === null ? undefined : group.members.get(group.leader);
  return leading !== undefined && sameProtocols(leading.protocols, protocols) ? leading.protocols : undefined;
}

function firstMember(group: Group): MemberId | null {
  for (const id of group.members.keys()) return id;
  return null;
}

/**
 * A static member restarted: its successor takes the place, the assignment and the lead under a new id; whoever still waits
 * under the old id is fenced. kafka: the session runs on with the old timeout, the new timeouts apply from the next sign of life;
 * client id and host stay those of the first process (KAFKA-15704, open there).
 */
export function replaceStaticMember(
  turn: Turn,
  group: Group,
  old: Member,
  instance: InstanceId,
  ref: RequestId,
  request: JoinRequest,
): Member {
  const id = newMemberId(turn, instance);
  fenceParked(turn, group, old.memberId, id);
  const sessionDeadline = after(turn, old.sessionTimeoutMs);
  const successor: MemberRecord = {
    ...old,
    memberId: id,
    createdBy: ref,
    replacedJoins: [old.createdBy, ...old.replacedJoins].slice(0, REPLACED_JOINS_KEPT),
    sessionTimeoutMs: request.sessionTimeoutMs,
    rebalanceTimeoutMs: request.rebalanceTimeoutMs,
    protocols: ownProtocols(group, request.protocols),
    // The successor counts its commits from the start again.
    commitSeq: -1,
  };
  const member = makeMember(successor, { joinedBy: ref, unrecorded: true, sessionDeadline });
  deleteMember(group, old);
  const led = group.leader === old.memberId;
  insertMember(group, member);
  if (led) group.leader = id;
  cancelTimer(turn, { kind: 'session', member: old.memberId });
  setTimer(turn, { kind: 'session', member: id }, sessionDeadline);
  record(turn, { kind: 'member-removed', memberId: old.memberId });
  return member;
}

function fenceParked(turn: Turn, group: Group, oldId: MemberId, newId: MemberId): void {
  const { phase } = group;
  if (phase.kind === 'PreparingRebalance') {
    const join = phase.joins.get(oldId);
    phase.joins.delete(oldId);
    if (join !== undefined) refuseJoin(turn, join.ref, 'FENCED_INSTANCE_ID', oldId);
    phase.durable?.without.add(oldId);
  } else if (phase.kind === 'CompletingRebalance') {
    const ref = phase.syncs.get(oldId);
    phase.syncs.delete(oldId);
    if (ref !== undefined) refuseSync(turn, ref, 'FENCED_INSTANCE_ID');
    if (phase.syncWait.unsynced.delete(oldId)) phase.syncWait.unsynced.add(newId);
  } else if (phase.kind === 'Stable' && phase.syncWait?.unsynced.delete(oldId) === true) {
    phase.syncWait.unsynced.add(newId);
  }
}

/** Hands out an id that its client must come back with (MEMBER_ID_REQUIRED). */
export function addPending(turn: Turn, group: Group, ref: RequestId, id: MemberId, sessionTimeoutMs: number): void {
  const deadline: MonotonicMs = after(turn, sessionTimeoutMs);
  group.pendingMembers.set(id, { createdBy: ref, deadline });
  group.createdBy.set(ref, id);
  setTimer(turn, { kind: 'pending-member', member: id }, deadline);
}

/** Takes back an id that was handed out. @returns what was noted about it, undefined if it was not pending */
export function forgetPending(turn: Turn, group: Group, id: MemberId): { readonly createdBy: RequestId } | undefined {
  const pending = group.pendingMembers.get(id);
  if (pending === undefined) return undefined;
  group.pendingMembers.delete(id);
  group.createdBy.delete(pending.createdBy);
  cancelTimer(turn, { kind: 'pending-member', member: id });
  return pending;
}
