/**
 * What happens to a member, as diagnostics_channel events: `muster:assigned`, `muster:revoked`, `muster:lost`,
 * `muster:rebalance`, `muster:failed`. Publishing to a channel without subscribers costs next to nothing.
 */

import { channel } from 'node:diagnostics_channel';
import type { TopicPartition } from '@muster/protocol';

const channels = {
  assigned: channel('muster:assigned'),
  revoked: channel('muster:revoked'),
  lost: channel('muster:lost'),
  rebalance: channel('muster:rebalance'),
  failed: channel('muster:failed'),
};

export type EventName = keyof typeof channels;

/** What every event carries. */
export interface MemberEvent {
  readonly group: string;
  readonly memberId: string;
  readonly generation: number;
  readonly partitions?: readonly TopicPartition[];
  /** Beside `lost` and `failed`: why. */
  readonly error?: Error;
}

/** Publishes an event. A subscriber that throws is reported by Node and disturbs nobody here. */
export function emit(name: EventName, event: MemberEvent): void {
  channels[name].publish(event);
}
