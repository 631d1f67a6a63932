/**
 * Backup and restore of a stream as `nats stream backup` and `nats stream restore` do it: over JetStream's own API.
 */

import type { NatsConnection } from 'nats';

/** What the files of a backup hold. */
export type StreamBackup = {
  readonly config: object;
  readonly state: object;
  readonly chunks: readonly Uint8Array[];
};

const TIMEOUT_MS = 10_000;
const NOTHING = new Uint8Array(0);

export async function backUpStream(nats: NatsConnection, stream: string): Promise<StreamBackup> {
  const deliver = `_INBOX.backup.${crypto.randomUUID()}`;
  const chunks: Uint8Array[] = [];
  const subscription = nats.subscribe(deliver);
  const received = (async () => {
    for await (const message of subscription) {
      if (message.data.byteLength === 0) return;
      chunks.push(message.data);
      message.respond(NOTHING);
    }
  })();
  const { config, state } = await ask(nats, `$JS.API.STREAM.SNAPSHOT.${stream}`, {
    deliver_subject: deliver,
    no_consumers: true,
    chunk_size: 65_536,
  });
  await received;
  subscription.unsubscribe();
  return { config: config as object, state: state as object, chunks };
}

/** Makes the stream anew from its backup; it must not exist. */
export async function restoreStream(nats: NatsConnection, stream: string, backup: StreamBackup): Promise<void> {
  const { config, state, chunks } = backup;
  const { deliver_subject: deliver } = await ask(nats, `$JS.API.STREAM.RESTORE.${stream}`, { config, state });
  for (const chunk of chunks) await nats.request(String(deliver), chunk, { timeout: TIMEOUT_MS });
  const { data } = await nats.request(String(deliver), NOTHING, { timeout: TIMEOUT_MS });
  read(data);
}

async function ask(nats: NatsConnection, subject: string, body: object): Promise<Record<string, unknown>> {
  return read((await nats.request(subject, JSON.stringify(body), { timeout: TIMEOUT_MS })).data);
}

function read(data: Uint8Array): Record<string, unknown> {
  const answer = JSON.parse(new TextDecoder().decode(data)) as Record<string, unknown>;
  if (answer['error'] !== undefined) throw new Error(JSON.stringify(answer['error']));
  return answer;
}
