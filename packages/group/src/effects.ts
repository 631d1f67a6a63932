/**
 * What a turn decides, as data: replies, records to persist, timers, notices. The runtime carries them out in this order:
 * timers at once, records into the log, replies and notices when those records are durable (the release rule).
 */

import type { ApiName, ErrorName, Generation, MonotonicMs, ReplyOf, RequestId } from '@muster/protocol';
import type { GroupTimer } from './commands.js';
import type { GroupRecord } from './records.js';

/** The answer to one request. `fields` are complete also when `error` is not NONE. */
export type GroupReply = {
  [Api in ApiName]: {
    readonly api: Api;
    readonly ref: RequestId;
    readonly error: ErrorName;
    /** What a person should know beside the error. */
    readonly detail?: string;
    readonly fields: ReplyOf[Api];
  };
}[ApiName];

/** Set (or move) a timer to an absolute deadline, or cancel it. Setting one that is set moves it. */
export type TimerEffect =
  | { readonly kind: 'set'; readonly timer: GroupTimer; readonly deadline: MonotonicMs }
  | { readonly kind: 'cancel'; readonly timer: GroupTimer };

/** Something that every member should hear at once. */
export type GroupNotice = { readonly kind: 'rebalance'; readonly generation: Generation };

/** The outbox of one turn. */
export type Effects = {
  readonly replies: GroupReply[];
  readonly records: GroupRecord[];
  readonly timers: TimerEffect[];
  readonly notices: GroupNotice[];
};
