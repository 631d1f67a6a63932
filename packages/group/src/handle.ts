/**
 * The one entrance to a group: a command and its context in, effects out. Synchronous, runs inside a turn.
 *
 * Invariants:
 * - H1 A request that the wire's schemas accept never throws; a throw is a broken invariant, and the host quarantines the group.
 * - H2 A request is answered in its turn, or parked (G2, G3).
 */

import type { ApiName, RequestId, RequestOf } from '@muster/protocol';
import { assertNever } from '@muster/protocol';
import type { GroupCommand } from './commands.js';
import { handleCommit } from './commit.js';
import type { TurnContext } from './context.js';
import { handleDelete, handleDeletedPartitions, handleDeleteOffsets } from './deletion.js';
import { handleDescribe } from './describe.js';
import type { Effects } from './effects.js';
import { handleSweep } from './expiry.js';
import { handleFetch } from './fetch.js';
import type { GroupSlot } from './group.js';
import { handleHeartbeat } from './heartbeat.js';
import { handleJoin } from './join.js';
import { handleLeave } from './leave.js';
import { handleEndStage, handleStageOffsets } from './staged.js';
import { handleSync } from './sync.js';
import { handleTimer } from './timers.js';
import type { Turn } from './turn.js';
import { beginTurn } from './turn.js';
import { handleUnload, shiftDeadlines } from './unload.js';

type Handlers = { readonly [Api in ApiName]: (turn: Turn, ref: RequestId, body: RequestOf[Api]) => void };

const handlers: Handlers = {
  join: handleJoin,
  sync: handleSync,
  heartbeat: handleHeartbeat,
  leave: handleLeave,
  commit: handleCommit,
  fetch: handleFetch,
  'delete-offsets': handleDeleteOffsets,
  'stage-offsets': handleStageOffsets,
  'end-stage': handleEndStage,
  describe: handleDescribe,
  delete: handleDelete,
};

/**
 * Handles one command for the group of the slot. Changes the group in place; creates or removes it by setting `slot.group`.
 * @returns what to do now (timers), after the records are durable (replies, notices), and what to record
 */
export function handle(slot: GroupSlot, command: GroupCommand, context: TurnContext): Effects {
  const turn = beginTurn(slot, context);
  if (command.kind === 'request') handleRequest(turn, command);
  else if (slot.group !== undefined) handleOrder(turn, slot.group, command);
  return turn.effects;
}

function handleRequest<Api extends ApiName>(
  turn: Turn,
  request: { readonly api: Api; readonly ref: RequestId; readonly body: RequestOf[Api] },
): void {
  handlers[request.api](turn, request.ref, request.body);
}

/** Commands that mean nothing to a group that does not exist. */
function handleOrder(
  turn: Turn,
  group: NonNullable<GroupSlot['group']>,
  command: Exclude<GroupCommand, { kind: 'request' }>,
): void {
  switch (command.kind) {
    case 'timer':
      return handleTimer(turn, group, command.timer);
    case 'sweep':
      return handleSweep(turn, group);
    case 'topic-partitions-deleted':
      return handleDeletedPartitions(turn, group, command.partitions);
    case 'shift-deadlines':
      return shiftDeadlines(turn, group, command.byMs);
    case 'unload':
      return handleUnload(turn, group);
    default:
      return assertNever(command);
  }
}
