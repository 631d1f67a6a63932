/**
 * The last rebalances of a group: why each began, how long it took, what moved (architecture.md section 7).
 */

import type { WallMs } from '@muster/protocol';
import { decodeAssignment } from '@muster/protocol';
import { REBALANCES_KEPT } from './bounds.js';
import type { Group, PreparingPhase } from './group.js';
import { CONSUMER_PROTOCOL_TYPE } from './protocols.js';
import type { Round } from './records.js';

/** Notes a round that ended: in Stable, in Empty, or because another one began before the leader assigned. */
export function closeRound(group: Group, round: Round, now: WallMs, moved: number | null): void {
  const entry = {
    generationId: group.generation,
    cause: round.cause,
    memberId: round.memberId,
    startedAtMs: round.startedAt,
    durationMs: Math.max(now - round.startedAt, 0),
    members: group.members.size,
    moved,
    reason: round.reason,
  };
  group.rebalances = [...group.rebalances.slice(1 - REBALANCES_KEPT), entry];
}

/** Keeps why somebody was removed. The first word counts: a round that began for another reason may have it from a later removal. */
export function noteReason(phase: PreparingPhase, reason: string | null): void {
  if (phase.round.reason === null && reason !== null) phase.round = { ...phase.round, reason };
}

/**
 * How many topic partitions an assignment gives to members that did not have them before.
 * @returns null where the assignments cannot be read
 */
export function countMoved(group: Group, assignments: ReadonlyMap<string, Uint8Array>): number | null {
  if (group.protocolType !== CONSUMER_PROTOCOL_TYPE) return null;
  let moved = 0;
  for (const member of group.members.values()) {
    const had = partitionsOf(member.assignment);
    const gets = partitionsOf(assignments.get(member.memberId));
    if (had === null || gets === null) return null;
    for (const each of gets) if (!had.has(each)) moved += 1;
  }
  return moved;
}

function partitionsOf(assignment: Uint8Array | undefined): ReadonlySet<string> | null {
  if (assignment === undefined || assignment.byteLength === 0) return new Set();
  const decoded = decodeAssignment(assignment);
  if (decoded.kind === 'malformed') return null;
  return new Set(decoded.value.partitions.map(({ topic, partition }) => `${partition}:${topic}`));
}
