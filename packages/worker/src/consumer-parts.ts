/**
 * What a consumer is made of, put together: each rule lives in its part, here they only get to know each other.
 */

import type { TopicPartition } from '@muster/protocol';
import type { Codec } from './codecs.js';
import { Committer, commitWaitMs } from './committer.js';
import { DeadLetters } from './dead-letters.js';
import type { Delivery } from './delivery.js';
import { Dispatch } from './dispatch.js';
import { MusterError } from './errors.js';
import type { EventName, MemberEvent } from './events.js';
import { type Lane, placeOf } from './lane.js';
import { lanesAt, startingPoints } from './lanes-opening.js';
import type { Logger } from './logger.js';
import { Membership } from './membership.js';
import { toMessage } from './message.js';
import type { MusterContext } from './muster-context.js';
import { assignorSettings, type ConsumerOptions, type ConsumerSettings, type MemberSettings } from './options.js';
import { hooksIn, Ownership } from './ownership.js';
import { Runner } from './runner.js';
import type { StreamBounds } from './streams.js';
import { TopicWatch } from './topic-watch.js';
import { Watchdog } from './watchdog.js';

/** How long one commit may take. */
export const COMMIT_TIMEOUT_MS = 10_000;

/** What the parts are made from, and what they tell the consumer. */
export interface ConsumerPlan<Value> {
  readonly context: MusterContext;
  readonly options: ConsumerOptions<Value>;
  readonly codec: Codec<Value>;
  readonly logger: Logger;
  readonly settings: MemberSettings;
  readonly own: ConsumerSettings;
  /** The names subscribed to now. */
  topics(): readonly string[];
  isClosing(): boolean;
  onTaken(): void;
  emit(name: EventName, what: Partial<MemberEvent>): void;
  fail(error: MusterError): void;
  expire(lane: Lane, offset: number): void;
}

export interface ConsumerParts<Value> {
  readonly membership: Membership;
  readonly ownership: Ownership;
  readonly committer: Committer;
  readonly dispatch: Dispatch;
  readonly runner: Runner<Value>;
  readonly watchdog: Watchdog;
  readonly topicWatch: TopicWatch;
}

/** @returns the parts of one consumer; throws MusterError INVALID_ARGUMENT */
export function consumerParts<Value>(plan: ConsumerPlan<Value>): ConsumerParts<Value> {
  const { context, options, logger, settings } = plan;
  const { client, environment, clientId, clientHost, telemetry } = context;
  const common = { client, environment, logger, ...settings };
  const dispatch: Dispatch = new Dispatch({ mayDeliver: () => membership.mayHandle() });
  const ownership: Ownership = ownershipOf(plan, dispatch, {
    committer: () => committer,
    topicWatch: () => topicWatch,
  });
  const membership = new Membership({
    ...common,
    clientId,
    clientHost,
    protocolType: 'consumer',
    handler: ownership,
  });
  const committer = new Committer({
    ...common,
    telemetry,
    membership,
    resendMs: settings.heartbeatIntervalMs,
    policy: options.commit ?? { kind: 'auto' },
    lanes: () => ownership.lanes(),
  });
  const topicWatch: TopicWatch = topicWatchOf(plan, membership, ownership);
  const runner = runnerOf(plan, dispatch, membership, committer);
  const watchdog = watchdogOf(plan, membership, ownership);
  return { membership, ownership, committer, dispatch, runner, watchdog, topicWatch };
}

function runnerOf<Value>(
  plan: ConsumerPlan<Value>,
  dispatch: Dispatch,
  membership: Membership,
  committer: Committer,
): Runner<Value> {
  const { context, options, codec, logger, own, emit, fail } = plan;
  const { environment, telemetry, topics, streams } = context;
  const { group } = options;
  const onWaiting = ({ lane }: Delivery, problem: string) => {
    logger.error('a dead letter cannot be stored: the partition waits', { ...lane.place, problem });
    emit('dead-letter-waiting', { partitions: [lane.place], problem });
  };
  return new Runner<Value>({
    group,
    dispatch,
    environment,
    telemetry,
    logger,
    ...own,
    deadLetters: new DeadLetters({ group, topics, streams, environment, onWaiting }),
    toMessage: (delivery) => {
      const identity = membership.identity();
      if (identity === undefined) return undefined;
      const { generationId: generation, memberId } = identity;
      const commit = ({ lane }: Delivery) => committer.flush([lane], COMMIT_TIMEOUT_MS);
      return toMessage(delivery, { codec, generation, memberId, commit });
    },
    onDeadLetter: ({ lane }, error) => emit('dead-letter', { partitions: [lane.place], error }),
    onFatal: fail,
  });
}

function watchdogOf<Value>(plan: ConsumerPlan<Value>, membership: Membership, ownership: Ownership): Watchdog {
  const { context, logger, own, isClosing, emit, expire } = plan;
  const { environment, streams } = context;
  return new Watchdog({
    environment,
    streams,
    logger,
    ...own,
    blockedMs: own.blockedWarningMs,
    lanes: () => ownership.lanes(),
    isWorking: () => membership.mayHandle() && !isClosing(),
    emit,
    onExpired: expire,
  });
}

function topicWatchOf<Value>(plan: ConsumerPlan<Value>, membership: Membership, ownership: Ownership): TopicWatch {
  const { context, logger, own, topics, emit, fail } = plan;
  return new TopicWatch({
    environment: context.environment,
    registry: context.topics,
    logger,
    topics,
    sharedOut: () => ownership.sharedOut,
    emit,
    onMissing: (topic) => {
      if (own.onTopicMissing === 'stop') fail(new MusterError('UNKNOWN_TOPIC', `${topic} was deleted`));
    },
    rejoin: (reason) => membership.rejoin(reason),
  });
}

function ownershipOf<Value>(
  plan: ConsumerPlan<Value>,
  dispatch: Dispatch,
  later: { committer(): Committer; topicWatch(): TopicWatch },
): Ownership {
  const { context, options, logger, settings, own, topics, onTaken } = plan;
  const { rebalanceTimeoutMs } = settings;
  return new Ownership({
    group: options.group,
    topics,
    registry: context.topics,
    ...assignorSettings(options.assignors),
    hooks: hooksIn(options),
    environment: context.environment,
    logger,
    drainTimeoutMs: own.drainTimeoutMs,
    hookTimeoutMs: rebalanceTimeoutMs,
    commitTimeoutMs: Math.min(COMMIT_TIMEOUT_MS, rebalanceTimeoutMs / 3),
    committer: later.committer,
    onResumed: () => dispatch.wake(),
    onTaken,
    openLanes: (partitions) => openLanes(plan, dispatch, later, partitions),
  });
}

async function openLanes<Value>(
  plan: ConsumerPlan<Value>,
  dispatch: Dispatch,
  later: { committer(): Committer; topicWatch(): TopicWatch },
  partitions: readonly TopicPartition[],
): Promise<(() => Lane)[]> {
  const { context, logger, settings, own, fail } = plan;
  const { client, streams, topics: registry, environment, telemetry } = context;
  const { groupId, rebalanceTimeoutMs, heartbeatIntervalMs } = settings;
  const { start, startFallback, bufferMessages, unackedMessages, stallTimeoutMs } = own;
  const times = { timeoutMs: rebalanceTimeoutMs / 2, resendMs: heartbeatIntervalMs };
  await later.committer().settle(times.timeoutMs);
  const points = await startingPoints(
    { client, telemetry, streams, registry, environment, groupId, start, startFallback, ...times },
    partitions,
  );
  return lanesAt(points, {
    context: { streams, environment, logger, telemetry },
    group: groupId,
    bufferMessages,
    unackedMessages,
    stoppedAfterMs: stallTimeoutMs,
    commitDueMs: stallTimeoutMs + commitWaitMs(plan.options.commit ?? { kind: 'auto' }),
    onDenied: fail,
    onMissing: () => later.topicWatch().soon(),
    onReplaced: (lane, bounds) => goOnInNewStream(plan, lane, bounds),
    onReadable: (lane) => dispatch.offer(lane),
    onAck: () => later.committer().onAck(),
  });
}

/** The stream of a lane was deleted and made anew: the old offset means nothing in it. */
function goOnInNewStream<Value>(
  { own, logger, emit, fail }: ConsumerPlan<Value>,
  lane: Lane,
  bounds: StreamBounds,
): void {
  const { place } = lane;
  const where = placeOf(place.topic, place.partition);
  if (own.startFallback === 'fail') {
    fail(new MusterError('OFFSET_OUT_OF_RANGE', `${where}: its stream was deleted and made anew`));
    return;
  }
  const offset = own.startFallback === 'earliest' ? bounds.firstOffset : bounds.nextOffset;
  logger.error('the stream of a partition was made anew: going on there', { ...place, before: lane.mark, offset });
  emit('topic-replaced', { partitions: [place], topic: place.topic });
  lane.seek(offset);
}
