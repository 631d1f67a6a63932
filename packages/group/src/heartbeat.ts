/**
 * Heartbeat: a sign of life, answered with whether the member must join again. Rules: classic-protocol.md section 3.5.
 */

import type { ErrorName, HeartbeatRequest, RequestId } from '@muster/protocol';
import { assertNever } from '@muster/protocol';
import { signOfLife } from './session.js';
import type { Turn } from './turn.js';
import { validateMember } from './validation.js';

const noFields = {};

export function handleHeartbeat(turn: Turn, ref: RequestId, request: HeartbeatRequest): void {
  turn.effects.replies.push({ api: 'heartbeat', ref, error: judge(turn, request), fields: noFields });
}

function judge(turn: Turn, request: HeartbeatRequest): ErrorName {
  const { group } = turn.slot;
  if (request.groupId === '') return 'INVALID_GROUP_ID';
  if (group === undefined) return 'UNKNOWN_MEMBER_ID';
  if (group.phase.kind === 'Dead') return 'COORDINATOR_NOT_AVAILABLE';
  const validated = validateMember(group, request);
  if (validated.kind === 'refused') return validated.error;
  if (request.generationId !== group.generation) return 'ILLEGAL_GENERATION';
  switch (group.phase.kind) {
    case 'Empty':
      return 'UNKNOWN_MEMBER_ID';
    case 'PreparingRebalance':
      signOfLife(turn, group, validated.member);
      return 'REBALANCE_IN_PROGRESS';
    case 'CompletingRebalance':
    // kafka: no error while completing, or clients would rejoin for ever (KAFKA-10134).
    case 'Stable':
      signOfLife(turn, group, validated.member);
      return 'NONE';
    default:
      return assertNever(group.phase);
  }
}
