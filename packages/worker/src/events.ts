/**
 * What happens to a member, as diagnostics_channel events, each named `muster:<name>`: `assigned`, `revoked`, `lost`,
 * `rebalance`, `waiting` (the group waits for handlers of ours), `stalled` and `recovered` (the watchdog), `blocked` (the event
 * loop stood still), `unreachable` and `reachable` (no coordinator answers), `topic-missing`, `topic-returned`, `topic-replaced`, `dead-letter`,
 * `dead-letter-waiting` (JetStream does not take it), `failed`. Publishing to a channel without subscribers costs next to nothing.
 */

import { channel } from 'node:diagnostics_channel';
import type { TopicPartition } from '@muster/protocol';

const channels = {
  assigned: channel('muster:assigned'),
  revoked: channel('muster:revoked'),
  lost: channel('muster:lost'),
  rebalance: channel('muster:rebalance'),
  waiting: channel('muster:waiting'),
  stalled: channel('muster:stalled'),
  recovered: channel('muster:recovered'),
  blocked: channel('muster:blocked'),
  unreachable: channel('muster:unreachable'),
  reachable: channel('muster:reachable'),
  'topic-missing': channel('muster:topic-missing'),
  'topic-returned': channel('muster:topic-returned'),
  'topic-replaced': channel('muster:topic-replaced'),
  'dead-letter': channel('muster:dead-letter'),
  'dead-letter-waiting': channel('muster:dead-letter-waiting'),
  failed: channel('muster:failed'),
};

export type EventName = keyof typeof channels;

/** What every event carries. */
export interface MemberEvent {
  readonly group: string;
  readonly memberId: string;
  readonly generation: number;
  readonly partitions?: readonly TopicPartition[];
  /** Beside `lost`, `dead-letter` and `failed`: why. */
  readonly error?: Error;
  /** Beside `blocked`: how long, in milliseconds. */
  readonly blockedMs?: number;
  /** Beside `unreachable`, `topic-missing` and `dead-letter-waiting`: what is wrong. */
  readonly problem?: string;
  /** Beside `topic-missing`, `topic-returned` and `topic-replaced`. */
  readonly topic?: string;
}

/** Publishes an event. A subscriber that throws is reported by Node and disturbs nobody here. */
export function emit(name: EventName, event: MemberEvent): void {
  channels[name].publish(event);
}

/** @returns whether anybody hears an event */
export function hasListeners(name: EventName): boolean {
  return channels[name].hasSubscribers;
}
