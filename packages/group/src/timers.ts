/**
 * What a timer does when it falls due. A timer is a hint: each handler looks at the state, and re-sets a timer that is early.
 *
 * The join timer is handled in `rebalance.ts`, the sync timer in `sync.ts`.
 */

import type { MemberId } from '@muster/protocol';
import { assertNever } from '@muster/protocol';
import type { GroupTimer } from './commands.js';
import type { Group } from './group.js';
import { forgetPending, removeMember } from './membership.js';
import { onJoinTimer, openRound, settleRound } from './rebalance.js';
import { graced } from './session.js';
import { onSyncTimer } from './sync.js';
import type { Turn } from './turn.js';
import { setTimer } from './turn.js';

export function handleTimer(turn: Turn, group: Group, timer: GroupTimer): void {
  switch (timer.kind) {
    case 'session':
      return onSessionTimer(turn, group, timer.member);
    case 'pending-member':
      return onPendingMemberTimer(turn, group, timer.member);
    case 'join':
      return onJoinTimer(turn, group);
    case 'sync':
      return onSyncTimer(turn, group);
    default:
      return assertNever(timer);
  }
}

function onSessionTimer(turn: Turn, group: Group, id: MemberId): void {
  const member = group.members.get(id);
  if (member === undefined || waitsForUs(group, id)) return;
  const deadline = graced(group, member.sessionDeadline);
  if (turn.context.now < deadline) {
    setTimer(turn, { kind: 'session', member: id }, deadline);
    return;
  }
  removeMember(turn, group, member);
  if (group.phase.kind !== 'PreparingRebalance') {
    openRound(turn, group, { cause: 'session-expired', memberId: id, memberRemoved: true });
  }
  settleRound(turn, group);
}

/**
 * kafka: a known member whose JoinGroup or SyncGroup is parked waits for the coordinator, not the other way round; its
 * session starts anew with the answer. A newcomer's limit holds also while its JoinGroup is parked.
 */
function waitsForUs(group: Group, id: MemberId): boolean {
  const { phase } = group;
  if (phase.kind === 'PreparingRebalance') return phase.joins.get(id)?.newcomer === false;
  return phase.kind === 'CompletingRebalance' && phase.syncs.has(id);
}

function onPendingMemberTimer(turn: Turn, group: Group, id: MemberId): void {
  const pending = group.pendingMembers.get(id);
  if (pending === undefined) return;
  if (turn.context.now < pending.deadline) {
    setTimer(turn, { kind: 'pending-member', member: id }, pending.deadline);
    return;
  }
  forgetPending(turn, group, id);
  if (group.phase.kind === 'PreparingRebalance') settleRound(turn, group);
}
