/**
 * One turn: the command's surroundings and the outbox that its handlers fill.
 *
 * It decides nothing. Replies are pushed by the file of their API; timers, records and notices through these functions.
 */

import type { MonotonicMs } from '@muster/protocol';
import { monotonicMs } from '@muster/protocol';
import type { GroupTimer } from './commands.js';
import type { TurnContext } from './context.js';
import type { Effects } from './effects.js';
import type { Group, GroupSlot } from './group.js';
import type { GroupRecord } from './records.js';
import { changeRecord } from './snapshot.js';

export type Turn = { readonly slot: GroupSlot; readonly context: TurnContext; readonly effects: Effects };

/** @returns a turn with an empty outbox */
export function beginTurn(slot: GroupSlot, context: TurnContext): Turn {
  return { slot, context, effects: { replies: [], records: [], timers: [], notices: [] } };
}

/** @returns the time `ms` after the start of the turn */
export function after(turn: Turn, ms: number): MonotonicMs {
  return monotonicMs(turn.context.now + ms);
}

export function setTimer(turn: Turn, timer: GroupTimer, deadline: MonotonicMs): void {
  turn.effects.timers.push({ kind: 'set', timer, deadline });
}

export function cancelTimer(turn: Turn, timer: GroupTimer): void {
  turn.effects.timers.push({ kind: 'cancel', timer });
}

export function record(turn: Turn, value: GroupRecord): void {
  turn.effects.records.push(value);
}

/**
 * Records the group metadata. What the turn recorded about members before is contained in a snapshot and dropped, so that a round
 * that drops a thousand members writes one record; a delta builds on it.
 */
export function recordSnapshot(turn: Turn, group: Group): void {
  const { records } = turn.effects;
  const change = changeRecord(group);
  if (change.kind === 'snapshot') {
    let kept = 0;
    for (const earlier of records) if (!isMetadata(earlier)) records[kept++] = earlier;
    records.length = kept;
  }
  records.push(change);
}

function isMetadata({ kind }: GroupRecord): boolean {
  return kind === 'snapshot' || kind === 'snapshot-delta' || kind === 'member-removed';
}
