/**
 * How a consumer stands, for probes, dashboards and people; and one word for all of a connection (`overallOf`).
 */

import type { MusterError } from './errors.js';
import type { Lane } from './lane.js';
import type { Membership } from './membership.js';
import type { StateKind } from './membership-state.js';
import { gravestOf, type ProgressVerdict } from './progress.js';

export interface PartitionHealth {
  readonly topic: string;
  readonly partition: number;
  /** The offset delivered next. */
  readonly position: number;
  /** -1 for none. */
  readonly committed: number;
  readonly running: number;
  /** Messages not delivered yet, as far as known: 0 until `isReading`. */
  readonly behind: number;
  /** The stream is being read; not yet at the beginning, and not while `problem` lasts. */
  readonly isReading: boolean;
  readonly isPaused: boolean;
  readonly verdict: ProgressVerdict;
  /** How long the message that is handled has been out; undefined where none is. */
  readonly runningForMs: number | undefined;
  /** Why it does not get on: nothing can be read, a message is not acked, no commit goes through. */
  readonly problem: string | undefined;
}

/** How a membership stands, of a consumer or of a plain member. */
export interface MemberHealth {
  readonly group: string;
  /** Of the membership: `stable` when all is well. */
  readonly state: StateKind;
  readonly memberId: string;
  /** -1 for a member of none. */
  readonly generation: number;
  /** Since the last successful heartbeat was sent; undefined before the first. */
  readonly heartbeatAgeMs: number | undefined;
  /** What keeps it from its work: it has failed, no coordinator answers, a topic is missing. Undefined where nothing does. */
  readonly problem: string | undefined;
  /** It has failed with this and will do nothing any more. */
  readonly error: MusterError | undefined;
}

export interface ConsumerHealth extends MemberHealth {
  /** The gravest of the partitions'; `stopped` for a consumer that is closed, failed or out of contact. */
  readonly verdict: ProgressVerdict;
  /** When the event loop last stood still, and for how long. */
  readonly lastBlocked: { readonly agoMs: number; readonly blockedMs: number } | undefined;
  readonly partitions: readonly PartitionHealth[];
}

/**
 * All of a connection in one word, for a probe. `failed`: something is over and comes back only with a new one or another process: restart.
 * `impaired`: something does not get on at the moment, or has not joined yet. `ok`: all of it does its work.
 */
export type OverallVerdict = 'ok' | 'impaired' | 'failed';

/** @returns the verdict over everything made by a connection; `isWorking`: it is connected and not being closed */
export function overallOf(
  isWorking: boolean,
  consumers: readonly ConsumerHealth[],
  members: readonly MemberHealth[],
): OverallVerdict {
  const all = [...consumers, ...members];
  if (all.some(({ error }) => error !== undefined)) return 'failed';
  const isImpaired = all.some(({ problem, generation }) => problem !== undefined || generation < 0);
  const standsStill = consumers.some(({ verdict, partitions }) => {
    const still = partitions.filter((partition) => isStill(partition.verdict));
    // What the application has paused is as it wants it.
    return still.length > 0 ? still.some(({ isPaused }) => !isPaused) : isStill(verdict);
  });
  return isWorking && !isImpaired && !standsStill ? 'ok' : 'impaired';
}

function isStill(verdict: ProgressVerdict): boolean {
  return verdict === 'stopped' || verdict === 'stalled';
}

/** @returns how a membership stands at `nowMs` */
export function memberHealthOf(group: string, membership: Membership, nowMs: number): MemberHealth {
  const { lastSuccessAt } = membership.heartbeats;
  const { failure } = membership;
  return {
    group,
    state: membership.state.kind,
    memberId: membership.memberId,
    generation: membership.identity()?.generationId ?? -1,
    heartbeatAgeMs: lastSuccessAt === undefined ? undefined : nowMs - lastSuccessAt,
    problem: failure?.message ?? membership.problem,
    error: failure,
  };
}

const STALLED = 'messages wait and nothing moves: it is being read anew (does the application ask for messages?)';

/** What a consumer is made of, as far as its health goes. */
export interface HealthSources {
  readonly group: string;
  readonly membership: Membership;
  readonly lanes: Iterable<Lane>;
  readonly lastBlocked: { readonly atMs: number; readonly blockedMs: number } | undefined;
  /** A topic that is missing. */
  readonly topicProblem: string | undefined;
  isMissing(topic: string): boolean;
  /** Why the consumer is over, if it has failed. */
  readonly failure: MusterError | undefined;
}

/** @returns the health of a consumer at `nowMs` */
export function healthOf(sources: HealthSources, nowMs: number): ConsumerHealth {
  const { group, membership, lanes, lastBlocked, topicProblem } = sources;
  const member = memberHealthOf(group, membership, nowMs);
  const error = sources.failure ?? member.error;
  const partitions = [...lanes].map((lane) => partitionHealth(lane, nowMs, sources.isMissing(lane.topic.name)));
  const isOver = error !== undefined || ['failed', 'left', 'held'].includes(member.state) || !membership.mayHandle();
  const verdicts = partitions.map(({ verdict }) => verdict);
  return {
    ...member,
    verdict: isOver && member.state !== 'unjoined' ? 'stopped' : gravestOf(verdicts),
    problem: error?.message ?? member.problem ?? topicProblem,
    error,
    lastBlocked:
      lastBlocked === undefined
        ? undefined
        : { agoMs: nowMs - lastBlocked.atMs, blockedMs: Math.round(lastBlocked.blockedMs) },
    partitions,
  };
}

function partitionHealth(lane: Lane, nowMs: number, isMissing: boolean): PartitionHealth {
  const oldest = lane.oldestRunning;
  return {
    topic: lane.topic.name,
    partition: lane.partition,
    position: lane.position,
    committed: lane.committed,
    running: lane.running,
    behind: lane.behind,
    isReading: lane.isReading,
    isPaused: lane.isPaused,
    verdict: isMissing ? 'stopped' : verdictOf(lane, nowMs),
    runningForMs: oldest === undefined ? undefined : nowMs - oldest.deliveredAtMs,
    problem: lane.problem ?? (lane.isStalled ? STALLED : lane.standsStillBy(nowMs)),
  };
}

function verdictOf(lane: Lane, nowMs: number): ProgressVerdict {
  if (lane.isStalled) return 'stalled';
  if (lane.isPaused && lane.unhandled > 0) return 'stopped';
  if (lane.standsStillBy(nowMs) !== undefined) return 'stopped';
  const { waitingSinceMs } = lane;
  const now = { atMs: nowMs, behind: lane.unhandled };
  return lane.window.verdict(waitingSinceMs === undefined ? now : { ...now, waitingSinceMs });
}
