/**
 * What a node needs of its NATS server before it starts: JetStream. Whether the server is new enough for replicated streams is
 * asked where the streams are made (log-streams.ts).
 */

import type { NatsConnection } from 'nats';
import type { NatsServerInfo } from './server-info.js';
import { serverInfo } from './server-info.js';

const PATIENCE_MS = 15_000;
const RETRY_PAUSE_MS = 250;

/** The server cannot carry a coordinator node. */
export class ServerUnfit extends Error {
  override readonly name = 'ServerUnfit';
}

/**
 * Waits, bounded, for JetStream to have a leader.
 * @throws ServerUnfit where JetStream is switched off, or has no leader within 15 s
 */
export async function requireServer(nc: NatsConnection): Promise<NatsServerInfo> {
  const giveUpAt = performance.now() + PATIENCE_MS;
  for (;;) {
    const info = await serverInfo(nc);
    if (info?.jetStream.kind === 'available') return info;
    const where = info === undefined ? 'the server' : `${info.serverName} (nats-server ${info.version})`;
    if (info?.jetStream.kind === 'disabled') {
      throw new ServerUnfit(
        `${where} has no JetStream (${info.jetStream.reason}): start it with --jetstream, or enable it for the account`,
      );
    }
    if (performance.now() >= giveUpAt) {
      const reason = info?.jetStream.reason ?? 'no connection';
      throw new ServerUnfit(`JetStream of ${where} did not become available within ${PATIENCE_MS / 1000} s: ${reason}`);
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE_MS));
  }
}
