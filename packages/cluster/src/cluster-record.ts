/**
 * The cluster record: written once by the first node, obeyed by every other (O2). It says what must never differ between
 * nodes; a node that is configured otherwise refuses to start and says what differs.
 */

import type { LogId } from '@muster/protocol';
import { isLogId, utf8Decode, utf8Encode } from '@muster/protocol';
import { z } from 'zod';
import { patiently } from './patience.js';
import type { Clock, LeaseStore } from './ports.js';
import { LeaseStoreUnavailable } from './ports.js';

const schema = z.object({
  format: z.literal(1),
  clusterId: z.string(),
  logId: z.custom<LogId>(isLogId),
  partitionCount: z.int().min(1),
  /** Log streams; partition p lives in stream p mod streamCount. */
  streamCount: z.int().min(1),
  replicas: z.int().min(1),
  /** Epochs of this log lie above it: a restored log starts above what the lost one had given out. */
  epochFloor: z.int().min(0),
});
export type ClusterRecord = z.output<typeof schema>;

/** What this node is configured with; undefined = take what the record says, or the proposed default. */
export type WantedRecord = {
  readonly partitionCount: number | undefined;
  readonly streamCount: number | undefined;
  readonly replicas: number | undefined;
};

/** Key of the record in the lease store. */
export const recordKey = 'cluster';

/** The node is configured for another cluster than this one, or the record is of a format that it does not know. */
export class ClusterRecordMismatch extends Error {
  override readonly name = 'ClusterRecordMismatch';
}

/**
 * Reads the cluster record, or creates it from `proposed` where the cluster is new. A store that has no leader yet, as just after
 * its creation, is waited for.
 * @throws ClusterRecordMismatch where the record differs from what is wanted, naming each difference
 * @throws LeaseStoreUnavailable where the store could not be read or written within `patienceMs`
 */
export function obeyClusterRecord(
  store: LeaseStore,
  clock: Clock,
  wanted: WantedRecord,
  proposed: ClusterRecord,
  patienceMs = 15_000,
): Promise<ClusterRecord> {
  return patiently(clock, patienceMs, async () => {
    const existing = await store.read(recordKey);
    if (existing?.value !== undefined) return compare(parseClusterRecord(existing.value), wanted);
    const outcome = await store.write(recordKey, utf8Encode(JSON.stringify(proposed)), existing?.revision ?? 0);
    if (outcome.kind === 'written') return proposed;
    // Somebody else was first, or our own write may have landed without an answer: the next look decides.
    throw new LeaseStoreUnavailable(`the cluster record was not written: ${outcome.kind}`);
  });
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

function compare(record: ClusterRecord, wanted: WantedRecord): ClusterRecord {
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
  return record;
}
