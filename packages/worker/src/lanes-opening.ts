/**
 * From assigned partitions to lanes that begin where the group left off.
 */

import { errorName, type FetchReply, type GroupId, type TopicPartition } from '@muster/protocol';
import type { Environment } from './clock.js';
import type { CoordinatorClient } from './coordinator-client.js';
import { MusterError } from './errors.js';
import { Lane, placeOf } from './lane.js';
import type { Logger } from './logger.js';
import { offsetOfPosition } from './positions.js';
import { PartitionReader, type ReaderStreams } from './reader.js';
import { type Start, type StartFallback, type StartOffset, startOffset } from './start-offset.js';
import type { StreamBounds, Streams } from './streams.js';
import type { Telemetry } from './telemetry.js';
import type { TopicSpec } from './topic.js';
import type { Topics } from './topics.js';
import { pause } from './waiting.js';

export interface StartingPoint extends StartOffset {
  readonly topic: TopicSpec;
  readonly partition: number;
  /** Which stream of that name the offset belongs to. */
  readonly created: string;
}

export interface LaneOpeningOptions {
  readonly client: CoordinatorClient;
  readonly telemetry: Telemetry;
  readonly streams: Streams;
  readonly registry: Topics;
  readonly environment: Environment;
  readonly groupId: GroupId;
  readonly start: Start;
  readonly startFallback: StartFallback;
  readonly timeoutMs: number;
  readonly resendMs: number;
}

const UNSTABLE_RETRY_MS = 100;

/**
 * @returns where each partition begins; throws MusterError, retriable where trying again can help
 */
export async function startingPoints(
  options: LaneOpeningOptions,
  partitions: readonly TopicPartition[],
): Promise<StartingPoint[]> {
  const { telemetry, groupId } = options;
  const committed = await telemetry.operation({ name: 'fetch_offsets', group: groupId }, () =>
    lastCommits(options, partitions),
  );
  const boundsByStream = new Map<string, StreamBounds>();
  const points: StartingPoint[] = [];
  for (const { topic: name, partition } of partitions) {
    const topic = await options.registry.describe(name);
    const bounds = boundsByStream.get(topic.stream) ?? (await options.streams.bounds(topic.stream));
    boundsByStream.set(topic.stream, bounds);
    const place = placeOf(name, partition);
    const offset = committed.get(place)?.offset;
    const { start: wanted, startFallback: fallback, streams } = options;
    const isAtTime = offset === undefined && typeof wanted === 'object';
    const start = isAtTime ? await offsetOfPosition(streams, topic, partition, wanted) : wanted;
    const policy = { start: typeof start === 'object' ? 'committed' : start, fallback } as const;
    points.push({ topic, partition, created: bounds.created, ...startOffset(place, offset, bounds, policy) });
  }
  return points;
}

type FetchOptions = Pick<LaneOpeningOptions, 'client' | 'environment' | 'groupId' | 'timeoutMs' | 'resendMs'>;

/** A committed offset and what its committer wrote beside it. */
export interface CommittedOffset {
  readonly offset: number;
  readonly metadata: string;
}

/** @returns the last commits by place; partitions without one are missing */
export async function lastCommits(
  options: FetchOptions,
  partitions: readonly TopicPartition[] | null,
): Promise<Map<string, CommittedOffset>> {
  const { client, environment, groupId, timeoutMs, resendMs } = options;
  const wanted = partitions?.map(({ topic, partition }): [string, number] => [topic, partition]) ?? null;
  const deadlineAt = environment.clock.now() + timeoutMs;
  while (true) {
    const deadlineMs = deadlineAt - environment.clock.now();
    if (deadlineMs <= 0) throw new MusterError('TIMEOUT', `the committed offsets of ${groupId}`);
    const request = { groupId, requireStable: true, partitions: wanted };
    const outcome = await client.request('fetch', request, { deadlineMs, resendMs });
    if (outcome.kind === 'aborted') throw new MusterError('CLOSED');
    if (outcome.kind === 'expired') throw new MusterError('TIMEOUT', outcome.lastProblem);
    if (outcome.error !== 'NONE' || outcome.fields === undefined) throw new MusterError(outcome.error, outcome.detail);
    const commits = readCommits(outcome.fields);
    if (commits !== undefined) return commits;
    await pause(environment.clock, Math.min(UNSTABLE_RETRY_MS, deadlineMs));
  }
}

/** @returns undefined where an offset is still unstable: ask again */
function readCommits(reply: FetchReply): Map<string, CommittedOffset> | undefined {
  const commits = new Map<string, CommittedOffset>();
  for (const { topic, partition, offset, metadata, error } of reply.partitions) {
    const name = errorName(error);
    if (name === 'UNSTABLE_OFFSET_COMMIT') return undefined;
    if (name !== 'NONE') throw new MusterError(name, placeOf(topic, partition));
    // kafka: -1 says that there is none.
    if (offset >= 0) commits.set(placeOf(topic, partition), { offset, metadata: metadata ?? '' });
  }
  return commits;
}

/** How lanes read and whom they tell. */
export interface LaneSettings {
  readonly context: Pick<LaneOpeningOptions, 'streams' | 'environment' | 'telemetry'> & { readonly logger: Logger };
  readonly group: string;
  readonly bufferMessages: number;
  readonly unackedMessages: number;
  readonly stoppedAfterMs: number;
  readonly commitDueMs: number;
  onDenied(error: MusterError): void;
  onMissing(): void;
  /** The stream was made anew: the lane has to go on elsewhere. */
  onReplaced(lane: Lane, bounds: StreamBounds): void;
  onReadable(lane: Lane): void;
  onAck(): void;
}

/** @returns for each point how to open its lane, which starts to read at once */
export function lanesAt(points: readonly StartingPoint[], settings: LaneSettings): (() => Lane)[] {
  const { context, bufferMessages, unackedMessages, stoppedAfterMs, commitDueMs } = settings;
  const { onDenied, onMissing, onReadable, onAck } = settings;
  return points.map(({ topic, partition, offset, created, isNew }) => () => {
    const start = { startOffset: offset, created };
    const reading = { ...context, streams: timedStreams(settings, topic.name, partition) };
    const told = {
      onDenied,
      onMissing,
      // The reader opens after this turn: there is a lane by then.
      onReplaced: (bounds: StreamBounds) => settings.onReplaced(lane, bounds),
    };
    const lane: Lane = new Lane({
      topic,
      partition,
      environment: context.environment,
      startOffset: offset,
      startIsNew: isNew,
      unackedMax: unackedMessages,
      stoppedAfterMs,
      commitDueMs,
      openReader: (onMessage) =>
        PartitionReader.of(topic, partition, start, bufferMessages, onMessage, { ...reading, ...told }),
      onReadable,
      onAck,
    });
    return lane;
  });
}

/** @returns the streams, with the opening of readers timed */
function timedStreams({ context, group }: LaneSettings, topic: string, partition: number): ReaderStreams {
  const { streams, telemetry } = context;
  const what = { name: 'subscribe', group, topic, partition } as const;
  return {
    bounds: (stream) => streams.bounds(stream),
    openReader: (config, events) => telemetry.operation(what, () => streams.openReader(config, events)),
  };
}
