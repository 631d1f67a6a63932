/**
 * What members may be told, with every default and limit in one place.
 */

import {
  type Assignor,
  chooseRebalanceProtocol,
  cooperativeStickyAssignor,
  type RebalanceProtocol,
} from '@muster/assignors';
import { type GroupId, groupId, type InstanceId, instanceId } from '@muster/protocol';
import type { Codec } from './codecs.js';
import type { CommitPolicy } from './committer.js';
import { asMusterError, MusterError } from './errors.js';
import type { FailurePolicy, LastResort } from './failure-policy.js';
import type { Logger } from './logger.js';
import type { OwnershipHooks } from './ownership.js';
import type { Start, StartFallback } from './start-offset.js';
import type { TopicSpec } from './topic.js';

/** What a consumer and a plain member have in common. */
export interface MemberOptions {
  readonly group: string;
  /** `group.instance.id`: a static member keeps its partitions through a restart within the session timeout. */
  readonly instanceId?: string;
  /** Default 30,000 ms; the cluster allows 6,000 ms at least. Longer than a failover of the coordinator must be. */
  readonly sessionTimeoutMs?: number;
  /** How long a rebalance waits for this member. Default 60,000 ms. */
  readonly rebalanceTimeoutMs?: number;
  /** Default 3,000 ms, at most a third of the session timeout. */
  readonly heartbeatIntervalMs?: number;
  /** How long joining may take, to the first round that ends. Default 30,000 ms more than the rebalance timeout; then TIMEOUT. */
  readonly joinTimeoutMs?: number;
  readonly logger?: Logger;
}

export interface ConsumerOptions<Value> extends MemberOptions, OwnershipHooks {
  /** Names from the registry, or topics given inline. */
  readonly topics: readonly (string | TopicSpec)[];
  /** Default JSON. */
  readonly codec?: Codec<Value>;
  /** In order of preference. Default cooperative-sticky. */
  readonly assignors?: readonly Assignor[];
  /** Default `auto` every 5,000 ms and every 1,000 messages. */
  readonly commit?: CommitPolicy;
  /** Where to begin without a committed offset. Default `earliest`: differs from kafka, which skips what is there. */
  readonly start?: Start;
  /** Where to begin when the committed offset has left the stream. Default `earliest`. */
  readonly startFallback?: StartFallback;
  /**
   * What to do while a topic of the subscription is missing, because it was deleted. Default `wait`: said by `health`, an event and the
   * logger; it goes on when the topic is there again, at `startFallback` where that is another stream. `stop`: ends with UNKNOWN_TOPIC.
   */
  readonly onTopicMissing?: 'wait' | 'stop';
  /** Default `stop`. */
  readonly onFailure?: FailurePolicy;
  /** What to do with a value that cannot be decoded. Default `stop`. */
  readonly onDecodeFailure?: LastResort;
  /**
   * How long a handler may take for one call (in a `for await` loop: from delivery to ack). Default 300,000 ms, as in Kafka; then
   * it counts as failed with HANDLER_TIMEOUT and is not tried again. Heartbeats do not depend on it.
   */
  readonly maxPollIntervalMs?: number;
  /** A partition that does not move for so long although messages wait is reported and read anew. Default 30,000 ms. */
  readonly stallTimeoutMs?: number;
  /** The event loop standing still for longer than this is reported. Default 1,000 ms. */
  readonly blockedWarningMs?: number;
  /** Messages buffered per partition. Default 256. */
  readonly bufferMessages?: number;
  /** Messages of one partition that may be delivered and not acked. Default 1,000. */
  readonly unackedMessages?: number;
  /** How long running handlers get when a partition is given up. Default a third of the rebalance timeout. */
  readonly drainTimeoutMs?: number;
}

/** Member options, checked and complete. */
export interface MemberSettings {
  readonly groupId: GroupId;
  readonly groupInstanceId: InstanceId | null;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  readonly joinTimeoutMs: number;
}

const SESSION_TIMEOUT_MS = 30_000;
const REBALANCE_TIMEOUT_MS = 60_000;
const HEARTBEAT_INTERVAL_MS = 3_000;
const JOIN_PATIENCE_MS = 30_000;
const MAX_POLL_INTERVAL_MS = 300_000;
const STALL_TIMEOUT_MS = 30_000;
const BLOCKED_WARNING_MS = 1_000;
const BUFFER_MESSAGES = 256;
const UNACKED_MESSAGES = 1_000;

/** The consumer's own settings, checked and complete. */
export interface ConsumerSettings {
  readonly onFailure: FailurePolicy;
  readonly onDecodeFailure: LastResort;
  readonly maxPollIntervalMs: number;
  readonly stallTimeoutMs: number;
  readonly blockedWarningMs: number;
  readonly bufferMessages: number;
  readonly unackedMessages: number;
  readonly drainTimeoutMs: number;
  readonly start: Start;
  readonly startFallback: StartFallback;
  readonly onTopicMissing: 'wait' | 'stop';
}

/** @returns the settings; throws MusterError INVALID_ARGUMENT */
export function consumerSettings<Value>(options: ConsumerOptions<Value>, member: MemberSettings): ConsumerSettings {
  const { onFailure = { kind: 'stop' } } = options;
  if (onFailure.kind === 'retry') positive('attempts', onFailure.attempts);
  const drainTimeoutMs = options.drainTimeoutMs ?? member.rebalanceTimeoutMs / 3;
  if (drainTimeoutMs >= member.rebalanceTimeoutMs) {
    const why = 'the group would go on without this member while its handlers end';
    const limit = `drainTimeoutMs (${drainTimeoutMs}) must be below rebalanceTimeoutMs (${member.rebalanceTimeoutMs})`;
    throw new MusterError('INVALID_ARGUMENT', `${limit}: ${why}`);
  }
  return {
    onFailure,
    onDecodeFailure: options.onDecodeFailure ?? 'stop',
    maxPollIntervalMs: positive('maxPollIntervalMs', options.maxPollIntervalMs ?? MAX_POLL_INTERVAL_MS),
    stallTimeoutMs: positive('stallTimeoutMs', options.stallTimeoutMs ?? STALL_TIMEOUT_MS),
    blockedWarningMs: positive('blockedWarningMs', options.blockedWarningMs ?? BLOCKED_WARNING_MS),
    bufferMessages: positive('bufferMessages', options.bufferMessages ?? BUFFER_MESSAGES),
    unackedMessages: positive('unackedMessages', options.unackedMessages ?? UNACKED_MESSAGES),
    drainTimeoutMs,
    start: options.start ?? 'earliest',
    startFallback: options.startFallback ?? 'earliest',
    onTopicMissing: options.onTopicMissing ?? 'wait',
  };
}

/** @returns the settings; throws MusterError INVALID_ARGUMENT */
export function memberSettings(options: MemberOptions): MemberSettings {
  const sessionTimeoutMs = positive('sessionTimeoutMs', options.sessionTimeoutMs ?? SESSION_TIMEOUT_MS);
  const heartbeatIntervalMs = positive(
    'heartbeatIntervalMs',
    options.heartbeatIntervalMs ?? Math.min(HEARTBEAT_INTERVAL_MS, sessionTimeoutMs / 3),
  );
  if (heartbeatIntervalMs > sessionTimeoutMs / 3) {
    throw new MusterError('INVALID_ARGUMENT', 'heartbeatIntervalMs must be at most a third of sessionTimeoutMs');
  }
  const rebalanceTimeoutMs = positive('rebalanceTimeoutMs', options.rebalanceTimeoutMs ?? REBALANCE_TIMEOUT_MS);
  if (options.group === '') throw new MusterError('INVALID_GROUP_ID', 'a group needs a name');
  try {
    return {
      groupId: groupId(options.group),
      groupInstanceId: options.instanceId === undefined ? null : instanceId(options.instanceId),
      sessionTimeoutMs,
      rebalanceTimeoutMs,
      heartbeatIntervalMs,
      joinTimeoutMs: positive('joinTimeoutMs', options.joinTimeoutMs ?? rebalanceTimeoutMs + JOIN_PATIENCE_MS),
    };
  } catch (thrown) {
    throw asMusterError(thrown, 'INVALID_ARGUMENT');
  }
}

/** @returns the assignors and the rebalance protocol they run; throws MusterError INVALID_ARGUMENT */
export function assignorSettings(configured: readonly Assignor[] | undefined): {
  readonly assignors: readonly Assignor[];
  readonly rebalanceProtocol: RebalanceProtocol;
} {
  const assignors = configured ?? [cooperativeStickyAssignor];
  const choice = chooseRebalanceProtocol(assignors);
  if (choice.kind === 'refused') throw new MusterError('INVALID_ARGUMENT', choice.reason);
  return { assignors, rebalanceProtocol: choice.rebalanceProtocol };
}

/** @returns the number; throws MusterError INVALID_ARGUMENT unless it is above 0 and finite */
export function positive(name: string, value: number): number {
  if (Number.isFinite(value) && value > 0) return value;
  throw new MusterError('INVALID_ARGUMENT', `${name} must be above 0, not ${value}`);
}
