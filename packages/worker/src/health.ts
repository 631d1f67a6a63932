/**
 * How a consumer stands, for probes, dashboards and people.
 */

import type { Lane } from './lane.js';
import type { Membership } from './membership.js';
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
  /** Why nothing can be read at the moment. */
  readonly problem: string | undefined;
}

export interface ConsumerHealth {
  /** The gravest of the partitions'; `stopped` for a consumer that is closed, failed or out of contact. */
  readonly verdict: ProgressVerdict;
  /** Of the membership: `stable` when all is well. */
  readonly state: string;
  readonly memberId: string;
  readonly generation: number;
  /** Since the last successful heartbeat was sent; undefined before the first. */
  readonly heartbeatAgeMs: number | undefined;
  /** When the event loop last stood still, and for how long. */
  readonly lastBlocked: { readonly agoMs: number; readonly blockedMs: number } | undefined;
  readonly partitions: readonly PartitionHealth[];
}

/** @returns the health at `nowMs` */
export function healthOf(
  membership: Membership,
  lanes: Iterable<Lane>,
  nowMs: number,
  lastBlocked: { readonly atMs: number; readonly blockedMs: number } | undefined,
): ConsumerHealth {
  const { lastSuccessAt } = membership.heartbeats;
  const partitions = [...lanes].map((lane) => partitionHealth(lane, nowMs));
  const { kind } = membership.state;
  const isOver = kind === 'failed' || kind === 'left' || kind === 'held' || !membership.mayHandle();
  return {
    verdict: isOver && kind !== 'unjoined' ? 'stopped' : gravestOf(partitions.map(({ verdict }) => verdict)),
    state: kind,
    memberId: membership.memberId,
    generation: membership.identity()?.generationId ?? -1,
    heartbeatAgeMs: lastSuccessAt === undefined ? undefined : nowMs - lastSuccessAt,
    lastBlocked:
      lastBlocked === undefined
        ? undefined
        : { agoMs: nowMs - lastBlocked.atMs, blockedMs: Math.round(lastBlocked.blockedMs) },
    partitions,
  };
}

function partitionHealth(lane: Lane, nowMs: number): PartitionHealth {
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
    verdict: verdictOf(lane, nowMs),
    runningForMs: oldest === undefined ? undefined : nowMs - oldest.deliveredAtMs,
    problem: lane.problem,
  };
}

function verdictOf(lane: Lane, nowMs: number): ProgressVerdict {
  if (lane.isStalled) return 'stalled';
  if (lane.isPaused && lane.unhandled > 0) return 'stopped';
  return lane.window.verdict({ atMs: nowMs, behind: lane.unhandled });
}
