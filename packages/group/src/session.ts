/**
 * Sessions: until when a member counts as alive.
 *
 * A sign of life only moves the deadline; the timer is a hint to look at it (`timers.ts` does). Rules: classic-protocol.md
 * section 4, KAFKA-9752.
 */

import type { MonotonicMs } from '@muster/protocol';
import type { Group, Member } from './group.js';
import type { Turn } from './turn.js';
import { after, setTimer } from './turn.js';

/** Gives the member a full session from now. */
export function restartSession(turn: Turn, member: Member): void {
  member.sessionDeadline = after(turn, member.sessionTimeoutMs);
  setTimer(turn, { kind: 'session', member: member.memberId }, member.sessionDeadline);
}

/** A sign of life. A newcomer keeps its long limit: it is not expected to heartbeat while its join waits. */
export function signOfLife(turn: Turn, group: Group, member: Member): void {
  const { phase } = group;
  if (phase.kind === 'PreparingRebalance' && phase.joins.get(member.memberId)?.newcomer === true) return;
  restartSession(turn, member);
}

/** @returns the deadline, or the end of the grace after a claim if that is later (rule O5) */
export function graced(group: Group, deadline: MonotonicMs): MonotonicMs {
  return deadline < group.graceUntil ? group.graceUntil : deadline;
}
