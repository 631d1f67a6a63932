/**
 * LeaveGroup: members go at once, by id, or by instance id (an administrator). Rules: classic-protocol.md section 3.6.
 *
 * The reply waits for the records of the turn, so an acknowledged leave never comes back (rule L6).
 */

import type { ErrorName, LeaveReply, LeaveRequest, MemberId, RequestId } from '@muster/protocol';
import { errorCode } from '@muster/protocol';
import type { Refusal } from './answers.js';
import { NO_MEMBER } from './answers.js';
import type { Group, Member } from './group.js';
import { noteReason } from './history.js';
import { forgetPending, removeMember } from './membership.js';
import { memberOfInstance } from './protocols.js';
import { openRound, settleRound } from './rebalance.js';
import type { Turn } from './turn.js';
import type { Identity } from './validation.js';
import { validateMember } from './validation.js';

export function handleLeave(turn: Turn, ref: RequestId, request: LeaveRequest): void {
  const { group } = turn.slot;
  if (request.groupId === '') return refuse(turn, ref, 'INVALID_GROUP_ID');
  if (group?.phase.kind === 'Dead') return refuse(turn, ref, 'COORDINATOR_NOT_AVAILABLE');
  const members: LeaveReply['members'] = [];
  let firstRemoved: MemberId | undefined;
  let firstReason: string | null = null;
  let pendingForgotten = false;
  for (const { memberId, groupInstanceId, reason } of request.members) {
    const leaving = group === undefined ? unknownMember : whoLeaves(group, { memberId, groupInstanceId });
    let error: ErrorName = 'NONE';
    if (leaving.kind === 'refused') error = leaving.error;
    else if (group !== undefined) {
      if (leaving.kind === 'pending') {
        forgetPending(turn, group, memberId);
        pendingForgotten = true;
      } else {
        firstRemoved ??= leaving.member.memberId;
        if (reason !== '') firstReason ??= reason;
        removeMember(turn, group, leaving.member);
      }
    }
    members.push({ memberId, groupInstanceId, error: errorCode(error) });
  }
  turn.effects.replies.push({ api: 'leave', ref, error: 'NONE', fields: { members } });
  if (group !== undefined) afterLeaving(turn, group, { removed: firstRemoved, reason: firstReason, pendingForgotten });
}

/** kafka: one rebalance for the whole batch. An id that was never used disturbs nobody, but may be all that a round waits for. */
function afterLeaving(
  turn: Turn,
  group: Group,
  left: { readonly removed: MemberId | undefined; readonly reason: string | null; readonly pendingForgotten: boolean },
): void {
  const { removed, reason, pendingForgotten } = left;
  const { phase } = group;
  const { kind } = phase;
  if (removed !== undefined && (kind === 'Stable' || kind === 'CompletingRebalance')) {
    openRound(turn, group, { cause: 'member-left', memberId: removed, reason, memberRemoved: true });
    settleRound(turn, group);
  } else if (kind === 'PreparingRebalance' && (removed !== undefined || pendingForgotten)) {
    noteReason(phase, reason);
    settleRound(turn, group);
  }
}

type Leaving =
  | { readonly kind: 'member'; readonly member: Member }
  | { readonly kind: 'pending' }
  | { readonly kind: 'refused'; readonly error: Refusal };
const unknownMember = { kind: 'refused', error: 'UNKNOWN_MEMBER_ID' } as const satisfies Leaving;

function whoLeaves(group: Group, identity: Identity): Leaving {
  const { memberId, groupInstanceId } = identity;
  if (memberId === NO_MEMBER) {
    const member = groupInstanceId === null ? undefined : memberOfInstance(group, groupInstanceId);
    return member === undefined ? unknownMember : { kind: 'member', member };
  }
  if (group.pendingMembers.has(memberId)) return { kind: 'pending' };
  return validateMember(group, identity);
}

function refuse(turn: Turn, ref: RequestId, error: Refusal): void {
  turn.effects.replies.push({ api: 'leave', ref, error, fields: { members: [] } });
}
