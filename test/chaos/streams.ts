/**
 * The streams of a run, looked at from outside: stepping leaders down, and reading the partition logs as they stand at the end.
 */

import { decodeRecord } from '@muster/group';
import { decodeFrame, type Piece, unpackRecord } from '@muster/log';
import type { NatsConnection } from 'nats';
import { pause } from './fleet.js';
import { type HistoryWriter, nowMs } from './history.js';

const API_TIMEOUT_MS = 3_000;
const READ_SILENCE_MS = 2_000;
const READ_BATCH = 500;
const READ_TRIES_MAX = 20;
const READ_RETRY_MS = 500;
const RETRIES_TOLD = 4;
const NO_MESSAGE_FOUND = 10_037;

/** @returns the names of the log streams, then that of the leases */
export async function fleetStreams(connection: NatsConnection): Promise<readonly string[]> {
  const answer = await connection.request('$JS.API.STREAM.NAMES', '', { timeout: API_TIMEOUT_MS });
  const { streams } = answer.json<{ readonly streams?: readonly string[] }>();
  const names = [...(streams ?? [])].sort();
  return [...names.filter((name) => name.includes('_LOG_')), ...names.filter((name) => name.startsWith('KV_'))];
}

/** Asks the leader of a stream to step down. A stream that has none now is left alone. */
export async function stepDown(connection: NatsConnection, stream: string): Promise<void> {
  const subject = `$JS.API.STREAM.LEADER.STEPDOWN.${stream}`;
  await connection.request(subject, '', { timeout: API_TIMEOUT_MS }).catch(() => undefined);
}

/**
 * Writes every frame of every partition log into the history, in the order of the stream; and of the groups that are named, which
 * members each generation had.
 * @returns how many
 * @throws Error where a log cannot be read to its end
 */
export async function recordLogs(
  connection: NatsConnection,
  history: HistoryWriter,
  memberGroups: ReadonlySet<string>,
): Promise<{ readonly frames: number; readonly unreadable: number }> {
  let frames = 0;
  let unreadable = 0;
  const streams = await persistently(() => fleetStreams(connection));
  for (const stream of streams.filter((name) => name.includes('_LOG_'))) {
    const partitions = new Map<number, string>();
    const retries = await readStream(connection, stream, (subject, seq, bytes) => {
      const decoded = decodeFrame(bytes);
      frames += 1;
      if (!decoded.ok) {
        unreadable += 1;
        return;
      }
      const { epoch, incarnation, nonce, previousSeq, previousNonce, body } = decoded.frame;
      const partition = Number(subject.slice(subject.lastIndexOf('.') + 1));
      partitions.set(partition, subject);
      const names = { epoch, incarnation, nonce, previousSeq, previousNonce, body: body.kind };
      history.write({ kind: 'frame', partition, seq, ...names });
      if (body.kind !== 'records' && body.kind !== 'checkpoint') return;
      const entries = body.kind === 'checkpoint' ? [...body.live, ...body.entries] : body.entries;
      for (const { group, pieces } of entries) {
        if (memberGroups.has(group)) for (const piece of pieces) recordGeneration(group, piece, history);
      }
    });
    tellRetries(retries, stream, history);
    // A purge may have gone on while we read: what it took is no hole.
    for (const [partition, subject] of partitions) {
      const seq = await persistently(() => firstSeq(connection, stream, subject));
      if (seq !== undefined) history.write({ kind: 'log-start', partition, seq });
    }
  }
  return { frames, unreadable };
}

/** Writes into the history which messages a topic's stream holds. */
export async function recordTopic(connection: NatsConnection, history: HistoryWriter, stream: string): Promise<void> {
  let ids: number[] = [];
  const flush = (): void => {
    if (ids.length > 0) history.write({ kind: 'stored', ids });
    ids = [];
  };
  const retries = await readStream(connection, stream, (_subject, _seq, bytes) => {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof value === 'object' && value !== null && 'id' in value && typeof value.id === 'number')
      ids.push(value.id);
    if (ids.length >= READ_BATCH) flush();
  });
  flush();
  tellRetries(retries, stream, history);
}

/** One now and then is ordinary: a pull may come before the servers know of its consumer everywhere. */
function tellRetries(retries: readonly string[], who: string, history: HistoryWriter): void {
  if (retries.length < RETRIES_TOLD) return;
  for (const detail of retries) history.write({ kind: 'trouble', at: nowMs(), who, detail });
}

/** Just after the last fault the servers may not have found each other again. */
export async function persistently<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask();
    } catch (thrown) {
      if (tries >= READ_TRIES_MAX) throw thrown;
      await pause(READ_RETRY_MS);
    }
  }
}

/** Worker groups are small: their snapshots are never cut into parts, nor written as deltas. */
function recordGeneration(group: string, piece: Piece, history: HistoryWriter): void {
  const values = piece.kind === 'whole' ? unpackRecord(piece.bytes) : undefined;
  const record = values === undefined ? undefined : decodeRecord(values);
  if (record?.kind !== 'snapshot') return;
  const members = record.members.map(({ memberId }) => memberId);
  const { generation, state, stateChangedAt: at } = record;
  history.write({ kind: 'generation', at, group, generation, state, members });
}

/**
 * Reads a stream to its end, beginning again where it stopped as often as the servers need that just after a fault.
 * @returns why it had to
 */
async function readStream(
  connection: NatsConnection,
  stream: string,
  onMessage: (subject: string, seq: number, bytes: Uint8Array) => void,
): Promise<readonly string[]> {
  const retries: string[] = [];
  let next = 1;
  for (let tries = 0; tries < READ_TRIES_MAX; tries += 1) {
    try {
      if (await isReadUpTo(connection, stream, next)) return retries;
      const consumer = await connection.jetstream().consumers.get(stream, { opt_start_seq: next });
      const messages = await consumer.fetch({ max_messages: READ_BATCH, expires: READ_SILENCE_MS });
      const before = next;
      for await (const message of messages) {
        if (message.seq < next) continue;
        onMessage(message.subject, message.seq, message.data);
        next = message.seq + 1;
        if (message.info.pending === 0) break;
      }
      await consumer.delete().catch(() => false);
      // Progress is what counts, however many batches it takes.
      if (next > before) tries = 0;
      else retries.push(`nothing behind frame ${next - 1} came within ${READ_SILENCE_MS} ms`);
    } catch (thrown) {
      retries.push(`behind frame ${next - 1}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
      await pause(READ_RETRY_MS);
    }
  }
  throw new Error(`the log ${stream} could not be read in ${READ_TRIES_MAX} tries: ${retries.at(-1)}`);
}

/** @returns whether the stream holds nothing from `next` on. @throws where nobody says so */
async function isReadUpTo(connection: NatsConnection, stream: string, next: number): Promise<boolean> {
  return (await firstSeq(connection, stream, '>', next)) === undefined;
}

/** @returns the sequence of the first message of a subject from one on, undefined where there is none. @throws where nobody says so */
async function firstSeq(
  connection: NatsConnection,
  stream: string,
  subject: string,
  from = 1,
): Promise<number | undefined> {
  const request = JSON.stringify({ seq: from, next_by_subj: subject });
  const answer = await connection.request(`$JS.API.STREAM.MSG.GET.${stream}`, request, { timeout: API_TIMEOUT_MS });
  const { error, message } = answer.json<{
    readonly error?: { readonly err_code?: number; readonly description?: string };
    readonly message?: { readonly seq: number };
  }>();
  if (error?.err_code === NO_MESSAGE_FOUND) return undefined;
  if (message === undefined) throw new Error(error?.description ?? 'a refusal without words');
  return message.seq;
}
