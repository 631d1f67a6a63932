/**
 * What a member does about each error, as data (classic-protocol.md section 11). Retriable errors of the coordinator
 * never come here: the coordinator client sends again.
 *
 * kafka: the Java client's reactions. differs from kafka: COORDINATOR_LOAD_IN_PROGRESS at SyncGroup is retried, not fatal.
 */

import type { ErrorName } from '@muster/protocol';

/**
 * `proceed`: it worked. `rejoin`: join again, id and generation are good. `reset-generation`: ownership is gone, the id is
 * good. `reset-member`: both are gone. `keep-id`: take the id of the reply and join again. `retry`: again after a pause.
 */
export type Reaction = 'proceed' | 'rejoin' | 'reset-generation' | 'reset-member' | 'keep-id' | 'retry' | 'fatal';

type Reactions = { readonly [Name in ErrorName]?: Reaction };

const joinReactions = {
  NONE: 'proceed',
  MEMBER_ID_REQUIRED: 'keep-id',
  UNKNOWN_MEMBER_ID: 'reset-member',
  ILLEGAL_GENERATION: 'reset-generation',
  REBALANCE_IN_PROGRESS: 'rejoin',
  REQUEST_TIMED_OUT: 'retry',
} as const satisfies Reactions;

const syncReactions = {
  NONE: 'proceed',
  UNKNOWN_MEMBER_ID: 'reset-member',
  ILLEGAL_GENERATION: 'reset-generation',
  REBALANCE_IN_PROGRESS: 'rejoin',
} as const satisfies Reactions;

const heartbeatReactions = {
  NONE: 'proceed',
  UNKNOWN_MEMBER_ID: 'reset-member',
  ILLEGAL_GENERATION: 'reset-generation',
  REBALANCE_IN_PROGRESS: 'rejoin',
  FENCED_INSTANCE_ID: 'fatal',
} as const satisfies Reactions;

const commitReactions = {
  NONE: 'proceed',
  UNKNOWN_MEMBER_ID: 'reset-member',
  ILLEGAL_GENERATION: 'reset-generation',
  REBALANCE_IN_PROGRESS: 'rejoin',
  UNKNOWN_TOPIC_OR_PARTITION: 'retry',
  REQUEST_TIMED_OUT: 'retry',
} as const satisfies Reactions;

function reactionIn(reactions: Reactions, otherwise: Reaction): (error: ErrorName) => Reaction {
  return (error) => reactions[error] ?? otherwise;
}

export const reactionTo = {
  join: reactionIn(joinReactions, 'fatal'),
  sync: reactionIn(syncReactions, 'fatal'),
  // kafka: a heartbeat that fails in another way is only a heartbeat missed.
  heartbeat: reactionIn(heartbeatReactions, 'retry'),
  commit: reactionIn(commitReactions, 'fatal'),
} as const;
