/**
 * The partition moves away, or was paused: the two orders of the host that concern a whole group.
 */

import type { MonotonicMs } from '@muster/protocol';
import { monotonicMs } from '@muster/protocol';
import { refuseJoin, refuseSync } from './answers.js';
import type { Group } from './group.js';
import { enter } from './transitions.js';
import type { Turn } from './turn.js';
import { setTimer } from './turn.js';

/**
 * Answers whoever waits NOT_COORDINATOR, a join under its own member id, and leaves the group Dead. Records nothing: the next
 * owner goes on from the log. The host forgets the group's timers.
 */
export function handleUnload(turn: Turn, group: Group): void {
  const { phase } = group;
  if (phase.kind === 'PreparingRebalance') {
    for (const [id, join] of phase.joins) refuseJoin(turn, join.ref, 'NOT_COORDINATOR', id);
  } else if (phase.kind === 'CompletingRebalance') {
    for (const ref of phase.syncs.values()) refuseSync(turn, ref, 'NOT_COORDINATOR');
  }
  enter(group, { kind: 'Dead' }, turn.context.wallNow);
  group.members.clear();
  group.staticMembers.clear();
  group.pendingMembers.clear();
  group.membersBytes = 0;
  group.protocolCounts.clear();
  group.createdBy.clear();
  group.leader = null;
}

/** Moves every deadline by a pause of ours, so that it expels nobody (rules O6, O11). */
export function shiftDeadlines(turn: Turn, group: Group, byMs: number): void {
  const shifted = (deadline: MonotonicMs) => monotonicMs(deadline + byMs);
  group.graceUntil = shifted(group.graceUntil);
  for (const member of group.members.values()) {
    member.sessionDeadline = shifted(member.sessionDeadline);
    setTimer(turn, { kind: 'session', member: member.memberId }, member.sessionDeadline);
  }
  for (const [member, pending] of group.pendingMembers) {
    pending.deadline = shifted(pending.deadline);
    setTimer(turn, { kind: 'pending-member', member }, pending.deadline);
  }
  const { phase } = group;
  if (phase.kind === 'PreparingRebalance' && phase.timer.kind !== 'unset') {
    const deadline = shifted(phase.timer.deadline);
    phase.timer = { ...phase.timer, deadline };
    setTimer(turn, { kind: 'join' }, deadline);
  } else if ((phase.kind === 'CompletingRebalance' || phase.kind === 'Stable') && phase.syncWait !== null) {
    phase.syncWait.deadline = shifted(phase.syncWait.deadline);
    setTimer(turn, { kind: 'sync' }, phase.syncWait.deadline);
  }
}
