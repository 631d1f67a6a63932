/**
 * The streams of a run, looked at from outside: stepping leaders down, and reading the partition logs as they stand at the end.
 */

import { decodeFrame } from '@muster/log';
import type { JetStreamManager, NatsConnection } from 'nats';
import type { HistoryWriter } from './history.js';

const API_TIMEOUT_MS = 3_000;
const READ_SILENCE_MS = 5_000;

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

/** Writes every frame of every partition log into the history, in the order of the stream. @returns how many */
export async function recordLogs(
  connection: NatsConnection,
  history: HistoryWriter,
): Promise<{ readonly frames: number; readonly unreadable: number }> {
  const manager = await connection.jetstreamManager({ timeout: API_TIMEOUT_MS });
  let frames = 0;
  let unreadable = 0;
  for (const stream of (await fleetStreams(connection)).filter((name) => name.includes('_LOG_'))) {
    await readStream(connection, manager, stream, (subject, seq, bytes) => {
      const decoded = decodeFrame(bytes);
      frames += 1;
      if (!decoded.ok) {
        unreadable += 1;
        return;
      }
      const { epoch, incarnation, nonce, previousSeq, previousNonce, body } = decoded.frame;
      const partition = Number(subject.slice(subject.lastIndexOf('.') + 1));
      const names = { epoch, incarnation, nonce, previousSeq, previousNonce, body: body.kind };
      history.write({ kind: 'frame', partition, seq, ...names });
    });
  }
  return { frames, unreadable };
}

async function readStream(
  connection: NatsConnection,
  manager: JetStreamManager,
  stream: string,
  onMessage: (subject: string, seq: number, bytes: Uint8Array) => void,
): Promise<void> {
  const { state } = await manager.streams.info(stream);
  if (state.messages === 0) return;
  const consumer = await connection.jetstream().consumers.get(stream);
  const messages = await consumer.consume({ max_messages: 500 });
  const silence = setTimeout(() => messages.stop(new Error('silence')), READ_SILENCE_MS);
  for await (const message of messages) {
    silence.refresh();
    onMessage(message.subject, message.seq, message.data);
    if (message.seq >= state.last_seq) break;
  }
  clearTimeout(silence);
}
