/**
 * What a group can be told: requests of clients, its own timers, and orders of the partition that hosts it.
 *
 * Commands are plain data. A request is referred to by its id; who waits for the answer, and where, is the runtime's business.
 */

import type { ApiName, MemberId, RequestId, RequestOf } from '@muster/protocol';

/** One request about this group. The reference of a request is the id that its client gave it (rule C1). */
export type GroupRequest = {
  [Api in ApiName]: {
    readonly kind: 'request';
    readonly api: Api;
    readonly ref: RequestId;
    readonly body: RequestOf[Api];
  };
}[ApiName];

/**
 * A timer of a group. `session`: a member must have been heard of. `pending-member`: an id handed out must have come back.
 * `join`: end of the join phase, or of one step of the initial delay. `sync`: members must have sent SyncGroup.
 */
export type GroupTimer =
  | { readonly kind: 'session'; readonly member: MemberId }
  | { readonly kind: 'pending-member'; readonly member: MemberId }
  | { readonly kind: 'join' }
  | { readonly kind: 'sync' };

/** A topic partition of the stream, not of the coordinator. */
export type TopicPartition = { readonly topic: string; readonly partition: number };

export type GroupCommand =
  | GroupRequest
  /** A timer fell due. The handler looks at the state, not at why the timer was set. */
  | { readonly kind: 'timer'; readonly timer: GroupTimer }
  /** Look for expired offsets, and for a group that nothing keeps any longer. */
  | { readonly kind: 'sweep' }
  /** These topic partitions ceased to exist: their offsets go. */
  | { readonly kind: 'topic-partitions-deleted'; readonly partitions: readonly TopicPartition[] }
  /** Every deadline moves by a pause of ours, so that it expels nobody (rule O11, O6). */
  | { readonly kind: 'shift-deadlines'; readonly byMs: number }
  /** The partition moves away: whoever waits is answered NOT_COORDINATOR, nothing is recorded. */
  | { readonly kind: 'unload' };
