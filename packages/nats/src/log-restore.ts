/**
 * Log streams as they are found after a loss, for whoever restores a log (O2): what they hold, and how they get new subjects.
 *
 * It decides nothing, and a node never calls anything here that changes a stream.
 *
 * 1. Frames stay in a stream under subjects that it does not take any more (seen with 2.9.10, 2.10.27, 2.15.1); whoever still
 * writes to those gets no acknowledgement: taking a subject away fences every owner of the old log. 2. They are read one by one:
 * 2.9 makes no consumer on such a subject.
 */

import { LogStoreUnavailable, type StoredFrame } from '@muster/log';
import type { NatsConnection } from 'nats';
import { API_ERROR, type ApiAnswer, isMap, JetStreamApi, type JsonMap, numberIn } from './jetstream-api.js';
import { LOG_STREAMS_MAX, logStreamName } from './log-placement.js';
import { LogStreamError, type LogStreamOptions, logStreamConfig } from './log-streams.js';

/** A log stream that exists. */
export type FoundLogStream = {
  readonly index: number;
  readonly name: string;
  /** All of its settings, as the server tells them. */
  readonly config: JsonMap;
  /** The subjects that it takes. */
  readonly subjects: readonly string[];
  /** How many messages it holds under each subject, also those that it does not take any more. */
  readonly messages: ReadonlyMap<string, number>;
};

const CALL_TIMEOUT_MS = 2_000;
const PURGE_TIMEOUT_MS = 10_000;
const PATIENCE_MS = 15_000;
const RETRY_PAUSE_MS = 250;
const PROBES_AT_ONCE = 16;

/**
 * Looks for the log streams of a cluster by name, whatever the cluster record says.
 * @throws LogStreamError where JetStream cannot answer
 */
export async function findLogStreams(nc: NatsConnection, cluster: string): Promise<FoundLogStream[]> {
  const found: FoundLogStream[] = [];
  for (let from = 0; from < LOG_STREAMS_MAX; from += PROBES_AT_ONCE) {
    const indexes = Array.from({ length: Math.min(PROBES_AT_ONCE, LOG_STREAMS_MAX - from) }, (_, at) => from + at);
    const probed = await Promise.all(indexes.map((index) => findLogStream(nc, cluster, index)));
    for (const stream of probed) if (stream !== undefined) found.push(stream);
  }
  return found;
}

async function findLogStream(nc: NatsConnection, cluster: string, index: number): Promise<FoundLogStream | undefined> {
  const name = logStreamName({ cluster }, index);
  const answer = await patiently(nc, `STREAM.INFO.${name}`, { subjects_filter: '>' });
  if (answer.kind === 'error') {
    if (answer.code === API_ERROR.streamNotFound) return undefined;
    throw new LogStreamError('LOG_STREAM_REFUSED', `the stream ${name} cannot be looked at: ${answer.description}`);
  }
  const config = isMap(answer.body['config']) ? answer.body['config'] : {};
  const state = isMap(answer.body['state']) ? answer.body['state'] : {};
  const counts = isMap(state['subjects']) ? state['subjects'] : {};
  const messages = new Map<string, number>();
  for (const subject of Object.keys(counts)) messages.set(subject, numberIn(counts, subject) ?? 0);
  const subjects = Array.isArray(config['subjects']) ? config['subjects'].map(String) : [];
  return { index, name, config, subjects, messages };
}

/**
 * Gives a stream the subjects, and whatever else it must have, of another log; its frames stay, and its bound of size.
 * @throws LogStreamError where the server refuses
 */
export async function retargetLogStream(
  nc: NatsConnection,
  found: FoundLogStream,
  options: LogStreamOptions,
): Promise<void> {
  const wanted = logStreamConfig(options, found.index);
  const config = { ...found.config, ...wanted, max_bytes: found.config['max_bytes'] ?? -1 };
  const answer = await patiently(nc, `STREAM.UPDATE.${found.name}`, config);
  if (answer.kind === 'ok') return;
  throw new LogStreamError('LOG_STREAM_REFUSED', `JetStream refuses to change ${found.name}: ${answer.description}`);
}

/** Removes every frame of a subject; `*` in it stands for any token. @throws LogStoreUnavailable */
export async function purgeLogSubject(nc: NatsConnection, stream: string, subject: string): Promise<void> {
  const answer = await new JetStreamApi(nc).call(`STREAM.PURGE.${stream}`, { filter: subject }, PURGE_TIMEOUT_MS);
  if (answer.kind !== 'ok') throw unavailable(subject, answer);
}

/**
 * Reads a subject from its first frame to its last (2).
 * @throws LogStoreUnavailable
 */
export async function readLogSubject(
  nc: NatsConnection,
  stream: string,
  subject: string,
  onFrame: (frame: StoredFrame) => void,
): Promise<void> {
  const api = new JetStreamApi(nc);
  for (let seq = 1; ; ) {
    const which = { seq, next_by_subj: subject };
    const answer = await api.call(`STREAM.MSG.GET.${stream}`, which, CALL_TIMEOUT_MS);
    if (answer.kind === 'error' && answer.code === API_ERROR.messageNotFound) return;
    if (answer.kind !== 'ok') throw unavailable(subject, answer);
    const { message } = answer.body;
    const at = isMap(message) ? numberIn(message, 'seq') : undefined;
    if (!isMap(message) || at === undefined) throw new LogStoreUnavailable(`${subject}: the answer is not readable`);
    const data = message['data'];
    onFrame({ seq: at, bytes: new Uint8Array(typeof data === 'string' ? Buffer.from(data, 'base64') : []) });
    seq = at + 1;
  }
}

function unavailable(subject: string, answer: Exclude<ApiAnswer, { kind: 'ok' }>): LogStoreUnavailable {
  return new LogStoreUnavailable(`${subject}: ${answer.kind === 'error' ? answer.description : answer.cause}`);
}

/** Asks until there is an answer. */
async function patiently(
  nc: NatsConnection,
  path: string,
  body: object,
): Promise<Exclude<ApiAnswer, { kind: 'unavailable' }>> {
  const api = new JetStreamApi(nc);
  const giveUpAt = performance.now() + PATIENCE_MS;
  for (;;) {
    const answer = await api.call(path, body, CALL_TIMEOUT_MS);
    if (answer.kind !== 'unavailable') return answer;
    if (performance.now() >= giveUpAt) {
      throw new LogStreamError('LOG_STREAM_UNAVAILABLE', `JetStream does not answer ${path}: ${answer.cause}`);
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE_MS));
  }
}
