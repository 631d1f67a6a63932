/**
 * Changes of the cluster record after its creation: that the streams are made, and the steps of a restoration (O2).
 *
 * It does not know what a change means. W1: every write is conditional on the record that was read.
 */

import { utf8Decode } from '@muster/protocol';
import type { ClusterRecord } from './cluster-record.js';
import {
  ClusterRecordMismatch,
  encodeClusterRecord,
  parseClusterRecord,
  RECORD_PATIENCE_MS,
  recordKey,
  refuseRestoring,
} from './cluster-record.js';
import { patiently } from './patience.js';
import type { Clock, LeaseStore } from './ports.js';
import { LeaseStoreUnavailable } from './ports.js';

/** A record as it stands in the store. */
export type StoredRecord = { readonly record: ClusterRecord; readonly revision: number };

/** Nodes that start together may each note that the streams are made: one of them wins at once, nobody needs more tries. */
const NOTE_TRIES_MAX = 10;

/**
 * @returns the record as it stands; undefined where there is none
 * @throws ClusterRecordMismatch, LeaseStoreUnavailable
 */
export function readClusterRecord(store: LeaseStore, clock: Clock): Promise<StoredRecord | undefined> {
  return patiently(clock, RECORD_PATIENCE_MS, async () => {
    const entry = await store.read(recordKey);
    if (entry?.value === undefined) return undefined;
    return { record: parseClusterRecord(entry.value), revision: entry.revision };
  });
}

/**
 * Replaces the record where it is still the one that was read (W1).
 * @param before undefined: there must be none
 * @returns the record as it stands now; undefined where somebody else has written meanwhile
 * @throws LeaseStoreUnavailable
 */
export function replaceClusterRecord(
  store: LeaseStore,
  clock: Clock,
  before: StoredRecord | undefined,
  record: ClusterRecord,
): Promise<StoredRecord | undefined> {
  const bytes = encodeClusterRecord(record);
  let hasTried = false;
  return patiently(clock, RECORD_PATIENCE_MS, async () => {
    const entry = await store.read(recordKey);
    if (before === undefined ? entry?.value !== undefined : entry?.revision !== before.revision) {
      // An earlier try of this very write may have landed without its acknowledgement.
      const isOurs = hasTried && entry?.value !== undefined && utf8Decode(entry.value) === utf8Decode(bytes);
      return isOurs ? { record, revision: entry.revision } : undefined;
    }
    hasTried = true;
    const outcome = await store.write(recordKey, bytes, entry?.revision ?? 0);
    if (outcome.kind === 'written') return { record, revision: outcome.revision };
    throw new LeaseStoreUnavailable(`the cluster record was not written: ${outcome.kind}`);
  });
}

/**
 * Notes that the streams of the record have been made (R1 of cluster-record.ts). Harmless where another node has done so.
 * @throws LogRestoring, ClusterRecordMismatch where the record is not the one any more that the streams were made from
 * @throws LeaseStoreUnavailable
 */
export async function noteStreamsMade(store: LeaseStore, clock: Clock, made: ClusterRecord): Promise<void> {
  if (made.streamsMade) return;
  for (let tries = 0; tries < NOTE_TRIES_MAX; tries += 1) {
    const stored = await readClusterRecord(store, clock);
    if (stored?.record.logId !== made.logId) {
      throw new ClusterRecordMismatch(
        'the cluster record was replaced while the log streams were made: start the node again',
      );
    }
    refuseRestoring(stored.record);
    if (stored.record.streamsMade) return;
    const written = await replaceClusterRecord(store, clock, stored, { ...stored.record, streamsMade: true });
    if (written !== undefined) return;
  }
  throw new LeaseStoreUnavailable('the cluster record changes all the time');
}
