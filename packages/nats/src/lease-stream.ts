/**
 * The one stream behind the lease store: made where it is missing, checked where it is there, never changed.
 *
 * It is what `nats kv` calls a bucket, so that the operator's tools show it, except that reads from any replica are off:
 * they are stale right after one's own write (nats.md fact 6).
 */

import type { JetStreamApi, JsonMap } from './jetstream-api.js';
import { API_ERROR, isMap } from './jetstream-api.js';

export type LeaseStreamOptions = {
  /** Name of the Muster cluster: letters, digits, `_` and `-`. */
  readonly cluster: string;
  readonly replicas: number;
  /**
   * `any`: a stream that is there may have another number; for whoever does not know yet what the cluster record, which lies in
   * it, says (O2). Default `same`.
   */
  readonly existingReplicas?: 'same' | 'any';
  /** `verify`: somebody else makes the stream (a CRD, an operator); a missing one is an error. Default `create`. */
  readonly provision?: 'create' | 'verify';
};

export type LeaseStreamErrorCode =
  /** It exists with other settings; `differences` says which. */
  | 'LEASE_STREAM_DIFFERS'
  | 'LEASE_STREAM_MISSING'
  /** JetStream refused; the message says what. */
  | 'LEASE_STREAM_REFUSED'
  /** No answer within the time. */
  | 'LEASE_STREAM_UNAVAILABLE'
  /** The server is too old for replicated streams. */
  | 'SERVER_TOO_OLD';

/** The stream is not as it must be, or could not be looked at. */
export class LeaseStreamError extends Error {
  override readonly name = 'LeaseStreamError';
  readonly code: LeaseStreamErrorCode;
  readonly retriable: boolean;
  /** One line for each setting: what it is and what it must be. */
  readonly differences: readonly string[];

  constructor(code: LeaseStreamErrorCode, message: string, differences: readonly string[] = []) {
    super(message);
    this.code = code;
    this.retriable = code === 'LEASE_STREAM_UNAVAILABLE';
    this.differences = differences;
  }
}

const CALL_TIMEOUT_MS = 2_000;
const RETRY_PAUSE_MS = 250;
/** A cluster that has just started, or lost a server, needs up to 9 s to elect leaders. */
const PATIENCE_MS = 15_000;

/** @returns the bucket of a cluster, as `nats kv` names it */
export function leaseBucket(cluster: string): string {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(cluster)) {
    throw new RangeError(`${JSON.stringify(cluster)} is no cluster name: 1 to 64 of A-Z a-z 0-9 _ -`);
  }
  return `MUSTER_${cluster}`;
}

/** @returns the settings that the stream must have; all others are the server's defaults */
function leaseStreamConfig(options: LeaseStreamOptions): JsonMap {
  const bucket = leaseBucket(options.cluster);
  return {
    name: `KV_${bucket}`,
    subjects: [`$KV.${bucket}.>`],
    retention: 'limits',
    storage: 'file',
    discard: 'new',
    num_replicas: options.replicas,
    max_msgs_per_subject: 1,
    max_msgs: -1,
    max_bytes: -1,
    max_age: 0,
    max_msg_size: -1,
    max_consumers: -1,
    deny_delete: true,
    deny_purge: false,
    // `nats kv purge` of an operator; nothing of ours uses it.
    allow_rollup_hdrs: true,
    allow_direct: false,
    duplicate_window: 120_000_000_000,
  };
}

/** Settings that need not be as we would make them: they cost or limit something, but break no rule of ours. */
const FREE_TO_CHOOSE: readonly string[] = [
  'name',
  'duplicate_window',
  'max_consumers',
  'deny_purge',
  'allow_rollup_hdrs',
];

/** Settings that change what is stored or who writes it. */
const FORBIDDEN = ['mirror', 'sources', 'subject_transform', 'republish', 'sealed'] as const;

/**
 * Makes or checks the stream. Safe to call from many nodes at once.
 * @throws LeaseStreamError
 */
export async function ensureLeaseStream(api: JetStreamApi, options: LeaseStreamOptions): Promise<void> {
  const wanted = leaseStreamConfig(options);
  const name = `KV_${leaseBucket(options.cluster)}`;
  const free = new Set([...FREE_TO_CHOOSE, ...(options.existingReplicas === 'any' ? ['num_replicas'] : [])]);
  const giveUpAt = performance.now() + PATIENCE_MS;
  let cause = 'no answer';
  for (;;) {
    const tried = await tryOnce(api, name, wanted, free, options.provision ?? 'create');
    if (tried.kind === 'there') return;
    cause = tried.cause;
    if (performance.now() >= giveUpAt) break;
    await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE_MS));
  }
  throw new LeaseStreamError('LEASE_STREAM_UNAVAILABLE', `the stream ${name} cannot be looked at: ${cause}`);
}

type Tried = { readonly kind: 'there' } | { readonly kind: 'again'; readonly cause: string };

async function tryOnce(
  api: JetStreamApi,
  name: string,
  wanted: JsonMap,
  free: ReadonlySet<string>,
  provision: 'create' | 'verify',
): Promise<Tried> {
  const info = await api.call(`STREAM.INFO.${name}`, undefined, CALL_TIMEOUT_MS);
  if (info.kind === 'unavailable') return { kind: 'again', cause: info.cause };
  if (info.kind === 'ok') {
    refuseDifferences(name, wanted, free, info.body);
    return { kind: 'there' };
  }
  if (info.code !== API_ERROR.streamNotFound) throw refused(name, info.description);
  if (provision === 'verify') throw new LeaseStreamError('LEASE_STREAM_MISSING', `the stream ${name} does not exist`);
  const made = await api.call(`STREAM.CREATE.${name}`, wanted, CALL_TIMEOUT_MS);
  switch (made.kind) {
    case 'ok':
      // A server that does not know a setting ignores it without a word: the answer shows what it understood.
      refuseDifferences(name, wanted, free, made.body);
      return { kind: 'there' };
    case 'unavailable':
      return { kind: 'again', cause: made.cause };
    case 'error':
      if (made.code !== API_ERROR.noSuitablePeers && made.code !== API_ERROR.streamNameInUse) {
        throw refused(name, made.description);
      }
      return { kind: 'again', cause: made.description };
  }
}

function refused(name: string, description: string): LeaseStreamError {
  return new LeaseStreamError('LEASE_STREAM_REFUSED', `JetStream refuses the stream ${name}: ${description}`);
}

function refuseDifferences(name: string, wanted: JsonMap, free: ReadonlySet<string>, answer: JsonMap): void {
  const { config } = answer;
  const found = isMap(config) ? config : {};
  const differences: string[] = [];
  for (const [key, value] of Object.entries(wanted)) {
    if (free.has(key)) continue;
    // Settings that are off are left out of the server's answer.
    const is = found[key] ?? (value === false ? false : value === 0 ? 0 : undefined);
    if (JSON.stringify(is) !== JSON.stringify(value)) {
      differences.push(`${key} is ${JSON.stringify(is) ?? 'not set'} and must be ${JSON.stringify(value)}`);
    }
  }
  for (const key of FORBIDDEN) {
    if (found[key] !== undefined && found[key] !== false) differences.push(`${key} must not be set`);
  }
  if (differences.length === 0) return;
  throw new LeaseStreamError(
    'LEASE_STREAM_DIFFERS',
    `the stream ${name} differs: ${differences.join('; ')}`,
    differences,
  );
}
