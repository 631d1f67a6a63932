/**
 * What the lease store knows: the cluster record, and of each node incarnation, state and when it last renewed. Read from JetStream
 * itself, so that it can be told also while no coordinator answers. Never writes.
 */

import {
  type ClusterRecord,
  decodeLease,
  type LeaseState,
  nodeOfKey,
  parseClusterRecord,
  recordKey,
} from '@muster/cluster';
import { leaseBucket } from '@muster/nats';
import type { JetStreamManager, StoredMsg, StreamInfo } from 'nats';
import { apiErrorOf, messageOrNothing, NO_STREAM } from '../jetstream-errors.js';
import { eachAtOnce } from '../stream-facts.js';

/** The lease of a node as it stands. */
export interface NodeLease {
  readonly node: string;
  readonly incarnation: string;
  readonly state: LeaseState;
  /** Since its last renewal, or since it was marked or left; by the server's clock where that is told. */
  readonly ageMs: number;
  /** Who marked it dead and why; empty otherwise. */
  readonly markedBy: string;
}

export interface LeaseFacts {
  readonly record: ClusterRecord | undefined;
  readonly leases: readonly NodeLease[];
  /** What is wrong with the record. */
  readonly problem: string | undefined;
}

/** Leases of nodes that are long gone stay in the store: more of them than this tell nothing new. */
const LEASES_MAX = 2_000;

/**
 * @returns the facts; `absent` where this NATS account has no such store (it may lie in another), `hidden` where this user may not
 * look or JetStream does not answer
 */
export async function readLeases(
  jetstream: JetStreamManager,
  cluster: string,
): Promise<LeaseFacts | 'absent' | 'hidden'> {
  const bucket = leaseBucket(cluster);
  const stream = `KV_${bucket}`;
  const prefix = `$KV.${bucket}.`;
  let info: StreamInfo;
  try {
    info = await jetstream.streams.info(stream, { subjects_filter: `${prefix}>` });
  } catch (thrown) {
    return apiErrorOf(thrown) === NO_STREAM ? 'absent' : 'hidden';
  }
  const nowMs = serverNow(info);
  const leases: NodeLease[] = [];
  let record: ClusterRecord | undefined;
  let problem: string | undefined;
  await eachAtOnce(Object.keys(info.state.subjects ?? {}).slice(0, LEASES_MAX), async (subject) => {
    const key = subject.slice(prefix.length);
    if (key !== recordKey && nodeOfKey(key) === undefined) return;
    const message = await messageOrNothing(jetstream, stream, subject);
    if (message === undefined || message.data.byteLength === 0) return;
    if (key === recordKey) {
      try {
        record = parseClusterRecord(message.data);
      } catch (thrown) {
        problem = thrown instanceof Error ? thrown.message : String(thrown);
      }
    } else leases.push(...leaseOf(message, nowMs));
  });
  return { record, problem, leases: leases.sort((left, right) => (left.node < right.node ? -1 : 1)) };
}

function leaseOf(message: StoredMsg, nowMs: number): NodeLease[] {
  const lease = decodeLease(message.data);
  if (lease === undefined) return [];
  const { node, incarnation, state, markedBy } = lease;
  return [{ node, incarnation, state, markedBy, ageMs: Math.max(0, nowMs - message.time.getTime()) }];
}

/** Servers since 2.10 say when they answered: our own clock may differ from the one that stamped the leases. */
function serverNow(info: StreamInfo): number {
  const { ts }: { ts?: unknown } = { ts: undefined, ...info };
  const atMs = typeof ts === 'string' ? Date.parse(ts) : Number.NaN;
  return Number.isNaN(atMs) ? Date.now() : atMs;
}
