/**
 * What a restoration would do, found out without changing anything.
 *
 * P1: a plan is made from what stands in NATS alone, whatever an earlier run has left: a run that was interrupted is finished by
 * the next one, which needs no memory of it.
 */

import {
  type Clock,
  type ClusterRecord,
  differenceOfSecret,
  type LeaseStore,
  readClusterRecord,
  type StoredRecord,
} from '@muster/cluster';
import { LogStoreUnavailable } from '@muster/log';
import {
  findLogStreams,
  LeaseStreamError,
  logStreamName,
  logStreamOf,
  logStreamSubjects,
  openLeaseStore,
} from '@muster/nats';
import { type LogId, type Partition, Subjects, partition as toPartition } from '@muster/protocol';
import type { NatsConnection } from 'nats';
import type { LogsPlace } from './copied.js';
import { type OldPartition, readOldPartition } from './old-log.js';
import { RestoreRefused } from './refusal.js';
import {
  type LogLayout,
  layoutOf,
  logsIn,
  requireKnown,
  type Sources,
  type Survey,
  sourceOf,
  surveyStreams,
  type WantedLayout,
} from './survey.js';

export type RestoreOptions = {
  readonly cluster: string;
  /** For where neither record nor streams tell. */
  readonly wanted: WantedLayout;
  /** The secret of the cluster: compared where the record has one, kept where it has none. */
  readonly secret: string | undefined;
  /** Which old logs count, where that is not clear by itself; empty = whichever. */
  readonly from: readonly LogId[];
  /** The new log starts without groups. */
  readonly isEmpty: boolean;
  /** Partitions that cannot be trusted start without groups. */
  readonly skipsDamaged: boolean;
};

export type PlannedPartition = {
  readonly partition: Partition;
  readonly stream: string;
  /** The log that it is read from; undefined where there are no frames. */
  readonly from: LogId | undefined;
  readonly found: PartitionFacts;
};
/** What was found of a partition, in numbers. */
export type PartitionFacts =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'read'; readonly frames: number; readonly groups: number; readonly offsets: number }
  | { readonly kind: 'damaged'; readonly frames: number; readonly detail: string };

export type RestorePlan = {
  /** `purge`: an earlier run has done all but purging the old frames; nodes may run. */
  readonly kind: 'restore' | 'purge';
  /** Whether an earlier run was interrupted. */
  readonly isContinued: boolean;
  readonly place: LogsPlace;
  readonly layout: LogLayout;
  readonly stored: StoredRecord | undefined;
  readonly survey: Survey;
  readonly sources: Sources;
  readonly partitions: readonly PlannedPartition[];
  /** Names of the streams that are not there. */
  readonly missingStreams: readonly string[];
  /** Highest of what the old logs have given out, as far as their frames tell. */
  readonly highestEpoch: number;
  readonly highestGeneration: number;
};

const PARTITIONS_AT_ONCE = 16;
const READ_TRIES = 5;
const READ_PAUSE_MS = 500;

/** @returns the lease store; undefined where its stream is lost */
export async function existingLeases(nc: NatsConnection, cluster: string): Promise<LeaseStore | undefined> {
  try {
    return await openLeaseStore(nc, { cluster, replicas: 1, existingReplicas: 'any', provision: 'verify' });
  } catch (cause) {
    if (cause instanceof LeaseStreamError && cause.code === 'LEASE_STREAM_MISSING') return undefined;
    throw cause;
  }
}

/** @throws RestoreRefused, LogStreamError, LeaseStreamError, ClusterRecordMismatch, LeaseStoreUnavailable */
export async function makePlan(
  nc: NatsConnection,
  leases: LeaseStore | undefined,
  clock: Clock,
  options: RestoreOptions,
): Promise<RestorePlan> {
  const { cluster } = options;
  const stored = leases === undefined ? undefined : await readClusterRecord(leases, clock);
  const record = stored?.record;
  refuseOtherSecret(record, options.secret);
  const subjects = new Subjects(cluster);
  const survey = surveyStreams(subjects, await findLogStreams(nc, cluster));
  const layout = layoutOf(survey, record, options.wanted);
  const { partitionCount, streamCount } = layout;
  const place = { cluster, subjects, partitionCount, streamCount };
  const isPurge = record !== undefined && isWhole(survey, record, place) && record.oldLogs.length > 0;
  const sources = sourcesOf(record, options.from);
  requireKnown(survey, sources);
  const partitions: PlannedPartition[] = [];
  let highestEpoch = 0;
  let highestGeneration = 0;
  if (!isPurge) {
    await forEachPartition(partitionCount, async (partition) => {
      const from = sourceOf(survey, partition, sources);
      const old = await readPatiently(nc, place, partition, from);
      if (old.kind !== 'nothing') highestEpoch = Math.max(highestEpoch, old.epoch);
      if (old.kind === 'read') highestGeneration = Math.max(highestGeneration, old.generation);
      partitions[partition] = { partition, stream: logStreamOf(place, partition), from, found: factsOf(old) };
    });
  }
  const there = new Set(survey.streams.map(({ index }) => index));
  const missing = Array.from({ length: streamCount }, (_, index) => index).filter((index) => !there.has(index));
  return {
    kind: isPurge ? 'purge' : 'restore',
    isContinued: isPurge || record?.restoring !== undefined,
    place,
    layout,
    stored,
    survey,
    sources,
    partitions,
    missingStreams: missing.map((index) => logStreamName(place, index)),
    highestEpoch,
    highestGeneration,
  };
}

function refuseOtherSecret(record: ClusterRecord | undefined, secret: string | undefined): void {
  // No secret given proves nothing: the operator's tools need none. One that the cluster gets now differs from none.
  if (record?.secret === undefined || secret === undefined) return;
  if (differenceOfSecret(record.secret, secret) === undefined) return;
  throw new RestoreRefused('SECRET_DIFFERS', 'this cluster has another secret: it may be another environment');
}

/** Whether every stream is there and takes what the record says: nobody has restored one since the record was written. */
function isWhole({ streams }: Survey, record: ClusterRecord, place: LogsPlace): boolean {
  if (record.restoring !== undefined || streams.length !== record.streamCount) return false;
  return streams.every(({ index, subjects }) => {
    const wanted = new Set(logStreamSubjects({ ...place, logId: record.logId }, index));
    return subjects.length === wanted.size && subjects.every((subject) => wanted.has(subject));
  });
}

function sourcesOf(record: ClusterRecord | undefined, chosen: readonly LogId[]): Sources {
  if (record?.restoring === undefined) return { preferred: record?.logId, ignored: new Set(), chosen };
  const { from, abandoned } = record.restoring;
  return { preferred: from ?? undefined, ignored: new Set([...abandoned, record.logId]), chosen };
}

/** @returns the partition in numbers */
export function factsOf(old: OldPartition): PartitionFacts {
  switch (old.kind) {
    case 'nothing':
      return old;
    case 'damaged':
      return { kind: 'damaged', frames: old.frames, detail: old.detail };
    case 'read': {
      const offsets = old.groups.reduce((sum, group) => sum + group.offsets, 0);
      return { kind: 'read', frames: old.frames, groups: old.groups.length, offsets };
    }
  }
}

/** Reads a partition of an old log, again where the store does not answer. @throws RestoreRefused where it never does */
export async function readPatiently(
  nc: NatsConnection,
  place: LogsPlace,
  partition: Partition,
  from: LogId | undefined,
): Promise<OldPartition> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await readOldPartition(nc, place, partition, from);
    } catch (cause) {
      if (!(cause instanceof LogStoreUnavailable)) throw cause;
      if (tries >= READ_TRIES) {
        throw new RestoreRefused('UNAVAILABLE', `the log of partition ${partition} cannot be read: ${cause.message}`);
      }
      await new Promise((resolve) => setTimeout(resolve, READ_PAUSE_MS));
    }
  }
}

/** Runs for each partition, some at a time. Ends with the first that throws, when those under way have ended. */
export async function forEachPartition(count: number, run: (partition: Partition) => Promise<void>): Promise<void> {
  let next = 0;
  const failures: unknown[] = [];
  const work = async () => {
    while (next < count && failures.length === 0) {
      const partition = toPartition(next);
      next += 1;
      await run(partition).catch((cause: unknown) => failures.push(cause));
    }
  };
  await Promise.all(Array.from({ length: Math.min(PARTITIONS_AT_ONCE, count) }, work));
  if (failures.length > 0) throw failures[0];
}

/** @returns every log but `logId` that frames or the record tell of: what is purged at the end */
export function oldLogsOf({ survey, stored, sources }: RestorePlan, logId: LogId): LogId[] {
  const { oldLogs = [], logId: recorded } = stored?.record ?? {};
  const all = new Set([...logsIn(survey), ...sources.ignored, ...oldLogs]);
  if (sources.preferred !== undefined) all.add(sources.preferred);
  if (recorded !== undefined) all.add(recorded);
  all.delete(logId);
  return [...all];
}
