/**
 * The streams of the partition logs: made where they are missing, checked where they are there, never changed (L7, O2).
 *
 * A setting that would let the server drop, replace or expire a frame breaks the log; so does a server that does not check
 * conditional writes where it must.
 *
 * 1. Replicated streams only on servers from 2.10.27 on: older ones accept two conditional writes of the same expectation
 *    (nats.md facts 1 and 2). 2. Safe to call from many nodes at once.
 */

import type { NatsConnection } from 'nats';
import { API_ERROR, isMap, JetStreamApi, type JsonMap } from './jetstream-api.js';
import { type LogPlacement, logStreamName, logStreamSubjects } from './log-placement.js';
import { tooOldFor } from './server-requirements.js';

export type LogStreamOptions = LogPlacement & {
  readonly replicas: number;
  /** `verify`: they have been made before, or somebody else makes them; a missing one is an error. Default `create`. */
  readonly provision?: 'create' | 'verify';
  /** How long to go on while JetStream cannot answer, in ms. Default 15,000. */
  readonly patienceMs?: number;
};

export type LogStreamErrorCode =
  /** It exists with other settings; `differences` says which. */
  | 'LOG_STREAM_DIFFERS'
  | 'LOG_STREAM_MISSING'
  /** JetStream refused; the message says what. */
  | 'LOG_STREAM_REFUSED'
  /** No answer within the time. */
  | 'LOG_STREAM_UNAVAILABLE'
  /** The server is too old for replicated streams. */
  | 'SERVER_TOO_OLD';

/** A log stream is not as it must be, or could not be looked at. */
export class LogStreamError extends Error {
  override readonly name = 'LogStreamError';
  readonly code: LogStreamErrorCode;
  readonly retriable: boolean;
  /** One line for each setting: what was found and what is allowed. */
  readonly differences: readonly string[];

  constructor(code: LogStreamErrorCode, message: string, differences: readonly string[] = []) {
    super(message);
    this.code = code;
    this.retriable = code === 'LOG_STREAM_UNAVAILABLE';
    this.differences = differences;
  }
}

const CALL_TIMEOUT_MS = 2_000;
const RETRY_PAUSE_MS = 250;
const SUBJECTS_OVERLAP = 10065;
/** Servers of 2.9 say "overlap" to the second of two nodes that make the same stream at once; looked at again, it is there. */
const OVERLAPS_MAX = 3;
/** A cluster that has just started, or lost a server, needs up to 9 s to elect leaders. */
const PATIENCE_MS = 15_000;

/**
 * Makes or checks all log streams.
 * @throws LogStreamError
 */
export async function ensureLogStreams(nc: NatsConnection, options: LogStreamOptions): Promise<void> {
  const tooOld = tooOldFor(nc.info?.version, options.replicas);
  if (tooOld !== undefined) throw new LogStreamError('SERVER_TOO_OLD', tooOld);
  const api = new JetStreamApi(nc);
  const giveUpAt = performance.now() + (options.patienceMs ?? PATIENCE_MS);
  for (let index = 0; index < options.streamCount; index += 1) await ensureStream(api, options, index, giveUpAt);
}

async function ensureStream(
  api: JetStreamApi,
  options: LogStreamOptions,
  index: number,
  giveUpAt: number,
): Promise<void> {
  const wanted = logStreamConfig(options, index);
  const name = logStreamName(options, index);
  for (let overlaps = 0; ; ) {
    const tried = await tryOnce(api, name, wanted, options.provision ?? 'create');
    if (tried.kind === 'there') return;
    if (tried.kind === 'overlap') {
      overlaps += 1;
      if (overlaps > OVERLAPS_MAX) throw refused(name, tried.cause);
    }
    if (performance.now() >= giveUpAt) {
      throw new LogStreamError('LOG_STREAM_UNAVAILABLE', `the stream ${name} cannot be looked at: ${tried.cause}`);
    }
    if (tried.kind !== 'made') await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE_MS));
  }
}

/** @returns the settings that the stream must have; all others are the server's defaults */
export function logStreamConfig(options: LogStreamOptions, index: number): JsonMap {
  return {
    name: logStreamName(options, index),
    subjects: logStreamSubjects(options, index),
    retention: 'limits',
    storage: 'file',
    discard: 'new',
    num_replicas: options.replicas,
    max_age: 0,
    max_msgs: -1,
    max_msgs_per_subject: -1,
    max_bytes: -1,
    max_msg_size: -1,
    max_consumers: -1,
    deny_delete: true,
    deny_purge: false,
    allow_rollup_hdrs: false,
    allow_direct: false,
  };
}

/** An operator may bound the size: a full stream refuses, it drops nothing (L7). The rest breaks the log where it differs. */
const FREE_TO_CHOOSE: ReadonlySet<string> = new Set(['name', 'max_bytes']);

/** Settings that change what is stored or who writes it. */
const FORBIDDEN = ['mirror', 'sources', 'subject_transform', 'sealed', 'allow_msg_ttl', 'no_ack'] as const;

type Tried =
  | { readonly kind: 'there' }
  /** Look again at once. */
  | { readonly kind: 'made'; readonly cause: string }
  | { readonly kind: 'later'; readonly cause: string }
  /** Some stream holds its subjects: another for good, or this one, which another node is just making. */
  | { readonly kind: 'overlap'; readonly cause: string };

async function tryOnce(
  api: JetStreamApi,
  name: string,
  wanted: JsonMap,
  provision: 'create' | 'verify',
): Promise<Tried> {
  const info = await api.call(`STREAM.INFO.${name}`, undefined, CALL_TIMEOUT_MS);
  if (info.kind === 'unavailable') return { kind: 'later', cause: info.cause };
  if (info.kind === 'ok') {
    refuseDifferences(name, wanted, info.body);
    return { kind: 'there' };
  }
  if (info.code !== API_ERROR.streamNotFound) throw refused(name, info.description);
  if (provision === 'verify') throw new LogStreamError('LOG_STREAM_MISSING', `the stream ${name} does not exist`);
  const made = await api.call(`STREAM.CREATE.${name}`, wanted, CALL_TIMEOUT_MS);
  switch (made.kind) {
    case 'ok':
      // Looked at once more: a server that does not know a setting ignores it without a word.
      return { kind: 'made', cause: 'made just now' };
    case 'unavailable':
      return { kind: 'later', cause: made.cause };
    case 'error':
      // Another node was faster, or the servers of the cluster do not know each other yet.
      if (made.code === API_ERROR.streamNameInUse || made.code === API_ERROR.noSuitablePeers) {
        return { kind: 'later', cause: made.description };
      }
      if (made.code === SUBJECTS_OVERLAP) return { kind: 'overlap', cause: made.description };
      throw refused(name, made.description);
  }
}

function refused(name: string, description: string): LogStreamError {
  return new LogStreamError('LOG_STREAM_REFUSED', `JetStream refuses the stream ${name}: ${description}`);
}

function refuseDifferences(name: string, wanted: JsonMap, answer: JsonMap): void {
  const found = isMap(answer['config']) ? answer['config'] : {};
  const differences: string[] = [];
  for (const [key, value] of Object.entries(wanted)) {
    if (FREE_TO_CHOOSE.has(key)) continue;
    const is = JSON.stringify(canonical(found[key] ?? unset(value)));
    const mustBe = JSON.stringify(canonical(value));
    if (is !== mustBe) differences.push(`${key} is ${is ?? 'not set'} and must be ${mustBe}`);
  }
  for (const key of FORBIDDEN) {
    const is = found[key];
    if (is !== undefined && is !== false) differences.push(`${key} is ${JSON.stringify(is)} and must not be set`);
  }
  if (differences.length === 0) return;
  throw new LogStreamError('LOG_STREAM_DIFFERS', `the stream ${name} differs: ${differences.join('; ')}`, differences);
}

/** Settings that are off are left out of the server's answer. */
function unset(wanted: unknown): unknown {
  return wanted === false || wanted === 0 ? wanted : undefined;
}

/** The order of subjects means nothing. */
function canonical(value: unknown): unknown {
  return Array.isArray(value) ? value.map(String).sort() : value;
}
