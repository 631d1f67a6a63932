/**
 * The cluster record: written once by the first node, obeyed by every other (O2). It says what must never differ between
 * nodes; a node that is configured otherwise refuses to start and says what differs.
 *
 * R1: it is written before any log stream is made, and says when they were; a stream without a record, or a record whose streams
 * are gone, means that something was lost, and nothing is made in its place. R2: while a log is being restored the record has
 * another format, so that also a version that knows nothing of it refuses.
 */

import type { LogId } from '@muster/protocol';
import { isLogId, utf8Decode, utf8Encode } from '@muster/protocol';
import { z } from 'zod';
import { differenceOfSecret, secretHashSchema } from './cluster-record-secret.js';
import { patiently } from './patience.js';
import type { Clock, LeaseStore } from './ports.js';
import { LeaseStoreUnavailable } from './ports.js';

const logIdSchema = z.custom<LogId>(isLogId);

const schema = z
  .object({
    /** 2 only while a log is being restored (R2). */
    format: z.literal([1, 2]),
    clusterId: z.string(),
    logId: logIdSchema,
    partitionCount: z.int().min(1),
    /** Log streams; partition p lives in stream p mod streamCount. */
    streamCount: z.int().min(1),
    replicas: z.int().min(1),
    /** Epochs of this log lie above it: a restored log starts above what the lost one had given out. */
    epochFloor: z.int().min(0),
    /** A new group starts at this generation, for the same reason. */
    generationFloor: z.int().min(0).default(0),
    /** The log streams have been made once: from then on they are only looked at (R1). */
    streamsMade: z.boolean().default(false),
    /** Of the secret that every node of the cluster is given; without it none is. */
    secret: secretHashSchema.optional(),
    /** Set while a log is being restored: nodes must not start. */
    restoring: z
      .object({
        /** The log that the record named before; null where there was no record. */
        from: logIdSchema.nullable(),
        /** What earlier tries have begun to write. */
        abandoned: z.array(logIdSchema),
      })
      .optional(),
    /** Logs of the past whose frames a restoration still has to purge. */
    oldLogs: z.array(logIdSchema).default([]),
  })
  .refine(({ format, restoring }) => (format === 2) === (restoring !== undefined), {
    path: ['format'],
    error: 'format 2 says that a log is being restored, format 1 that none is',
  });
export type ClusterRecord = z.output<typeof schema>;

/** What this node is configured with; undefined = take what the record says, or the proposed default. */
export type WantedRecord = {
  readonly partitionCount: number | undefined;
  readonly streamCount: number | undefined;
  readonly replicas: number | undefined;
  /** The secret itself, which is compared with the hash of the record's. */
  readonly secret?: string | undefined;
};

/** Key of the record in the lease store. */
export const recordKey = 'cluster';
/** The command that brings record and streams together again. */
export const RESTORE_COMMAND = 'muster cluster restore-log';

/** How long a store that cannot be served is waited for. */
export const RECORD_PATIENCE_MS = 15_000;

/** The node is configured for another cluster than this one, or the record is of a format that it does not know. */
export class ClusterRecordMismatch extends Error {
  override readonly name = 'ClusterRecordMismatch';
}

/** There are log streams and no record: the bucket with the record is lost. Nothing was written. */
export class ClusterRecordLost extends Error {
  override readonly name = 'ClusterRecordLost';
}

/** The log is being restored, or the command that did so has ended half-way: no node may start. */
export class LogRestoring extends Error {
  override readonly name = 'LogRestoring';
}

export type ObeyOptions = {
  /** How long to go on while the store cannot be served, in ms. Default 15,000. */
  readonly patienceMs?: number;
  /** @returns the log streams that there are under the cluster's name (R1); asked only where there is no record */
  readonly findStreams?: () => Promise<readonly string[]>;
};

/**
 * Reads the cluster record, or creates it from `proposed` where the cluster is new. A store that has no leader yet, as just after
 * its creation, is waited for.
 * @throws ClusterRecordMismatch where the record differs from what is wanted, naming each difference
 * @throws ClusterRecordLost where there is no record, but streams that only a cluster with one can have made
 * @throws LogRestoring where the log is being restored
 * @throws LeaseStoreUnavailable where the store could not be read or written within `patienceMs`
 */
export function obeyClusterRecord(
  store: LeaseStore,
  clock: Clock,
  wanted: WantedRecord,
  proposed: ClusterRecord,
  { patienceMs = RECORD_PATIENCE_MS, findStreams }: ObeyOptions = {},
): Promise<ClusterRecord> {
  return patiently(clock, patienceMs, async () => {
    const existing = await store.read(recordKey);
    if (existing?.value !== undefined) return obey(parseClusterRecord(existing.value), wanted);
    const streams = (await findStreams?.()) ?? [];
    if (streams.length > 0) return afterStreams(store, wanted, streams);
    const outcome = await store.write(recordKey, encodeClusterRecord(proposed), existing?.revision ?? 0);
    if (outcome.kind === 'written') return proposed;
    // Somebody else was first, or our own write may have landed without an answer: the next look decides.
    throw new LeaseStoreUnavailable(`the cluster record was not written: ${outcome.kind}`);
  });
}

/** Another node writes the record before it makes streams: what was read before the streams were looked at proves nothing. */
async function afterStreams(
  store: LeaseStore,
  wanted: WantedRecord,
  streams: readonly string[],
): Promise<ClusterRecord> {
  const entry = await store.read(recordKey);
  if (entry?.value !== undefined) return obey(parseClusterRecord(entry.value), wanted);
  throw new ClusterRecordLost(
    `there is no cluster record, but ${streams.length === 1 ? 'a log stream' : 'log streams'} of this cluster (${streams.join(', ')}): the bucket with the record was lost. "${RESTORE_COMMAND}" makes a new record from the streams`,
  );
}

function obey(record: ClusterRecord, wanted: WantedRecord): ClusterRecord {
  refuseDifferences(record, wanted);
  refuseRestoring(record);
  return record;
}

/** @throws LogRestoring */
export function refuseRestoring(record: ClusterRecord): void {
  if (record.restoring === undefined) return;
  throw new LogRestoring(
    `the log of this cluster is being restored (new log ${record.logId}): no node may start before that is done. If "${RESTORE_COMMAND}" does not run any more, run it again: it finishes what was begun`,
  );
}

/** @returns the record as it is written */
export function encodeClusterRecord(record: ClusterRecord): Uint8Array {
  return utf8Encode(JSON.stringify(record));
}

/** @returns the record for its bytes; throws ClusterRecordMismatch for anything else, saying what is wrong */
export function parseClusterRecord(bytes: Uint8Array): ClusterRecord {
  let value: unknown;
  try {
    value = JSON.parse(utf8Decode(bytes));
  } catch {
    throw new ClusterRecordMismatch('the cluster record is not JSON: it was not written by Muster, or is damaged');
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const where = issue?.path.join('.') ?? '';
  throw new ClusterRecordMismatch(
    `the cluster record has a form that this version does not know (${where}: ${issue?.message}): run a version that does`,
  );
}

/** @throws ClusterRecordMismatch naming each difference; a secret is never written out */
function refuseDifferences(record: ClusterRecord, wanted: WantedRecord): void {
  const differences: string[] = [];
  for (const key of ['partitionCount', 'streamCount', 'replicas'] as const) {
    const value = wanted[key];
    if (value !== undefined && value !== record[key]) {
      differences.push(`${key} is ${record[key]} in this cluster, ${value} in this node's configuration`);
    }
  }
  if (differences.length > 0) {
    throw new ClusterRecordMismatch(
      `${differences.join('; ')}: fixed when the cluster was created, so change the node's`,
    );
  }
  const secret = differenceOfSecret(record.secret, wanted.secret);
  if (secret !== undefined) throw new ClusterRecordMismatch(secret);
}
