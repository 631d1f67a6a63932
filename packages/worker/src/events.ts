/**
 * What happens to a member, as diagnostics_channel events, each named `muster:<name>`: `assigned`, `revoked`, `lost`,
 * `rebalance`, `waiting` (the group waits for handlers of ours), `stalled` and `recovered` (the watchdog), `blocked` (the event
 * loop stood still), `dead-letter`, `failed`. Publishing to a channel without subscribers costs next to nothing.
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
  'dead-letter': channel('muster:dead-letter'),
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
}

/** Publishes an event. A subscriber that throws is reported by Node and disturbs nobody here. */
export function emit(name: EventName, event: MemberEvent): void {
  channels[name].publish(event);
}
