/**
 * What a node needs of its NATS server before it starts: JetStream, and for replicated streams a server that keeps conditional
 * writes on them apart (nats.md facts 1 and 2).
 */

import type { NatsConnection } from 'nats';
import type { NatsServerInfo, ServerVersion } from './server-info.js';
import { parseServerVersion, serverInfo } from './server-info.js';

const PATIENCE_MS = 15_000;
const RETRY_PAUSE_MS = 250;
/** Oldest server that keeps conditional writes on replicated streams apart. */
const REPLICATED_SINCE = '2.10.27';

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

/**
 * @param found version of the server, as it writes it
 * @returns why streams with so many replicas are not safe there; undefined where they are
 */
export function tooOldFor(found: string | undefined, replicas: number): string | undefined {
  if (replicas <= 1) return undefined;
  const version = found === undefined ? undefined : parseServerVersion(found);
  const least = parseServerVersion(REPLICATED_SINCE);
  if (version !== undefined && least !== undefined && orderOf(version) >= orderOf(least)) return undefined;
  return `the server is nats-server ${found ?? 'of unknown version'}; streams with ${replicas} replicas need ${REPLICATED_SINCE} or newer`;
}

function orderOf({ major, minor, patch }: ServerVersion): number {
  return (major * 10_000 + minor) * 10_000 + patch;
}
