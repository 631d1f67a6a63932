/**
 * One connection for the life of one command: opened, used, closed whatever happens.
 */

import { connectNats } from '@muster/nats';
import { type Admin, connect, type Muster, silentLogger } from '@muster/worker';
import type { NatsConnection } from 'nats';
import { type Connection, type ConnectionFlags, readConnection, requireFiles } from './connection.js';
import type { Cli, Io } from './io.js';
import { missingCluster } from './known-cluster.js';

export interface Session {
  readonly io: Io;
  readonly connection: Connection;
  readonly muster: Muster;
  readonly admin: Admin;
  /** For what JetStream itself can tell. */
  readonly nats: NatsConnection;
}

const CLOSE_TIMEOUT_MS = 5_000;

/** What a command may do that others may not. */
export interface SessionOptions {
  /** A cluster that nobody knows yet is fine: it is said, and the command goes on. */
  readonly isNewClusterFine?: boolean;
}

/**
 * Connects, runs, closes. What `run` returns becomes the exit code.
 * @throws CliError notFound where there is no such cluster, and what reading the options, connecting or `run` threw
 */
export async function withSession(
  cli: Cli,
  flags: ConnectionFlags,
  run: (session: Session) => Promise<number>,
  { isNewClusterFine = false }: SessionOptions = {},
): Promise<void> {
  const { io } = cli;
  const connection = await readConnection(flags, io);
  await requireFiles(connection.nats);
  const nats = await connectNats(connection.nats);
  try {
    const missing = await missingCluster(nats, connection.cluster, connection.timeoutMs);
    if (missing !== undefined && !isNewClusterFine) throw missing;
    if (missing !== undefined) io.err(`note: ${missing.message}\n`);
    const { inboxPrefix } = connection.nats;
    const muster = await connect({
      cluster: connection.cluster,
      clientId: 'muster-cli',
      connection: nats,
      // What NATS forbids is told only there: without it a forbidden list would look like a cluster that is not there.
      logger: { ...silentLogger, error: (message, fields = {}) => io.err(`${message} ${JSON.stringify(fields)}\n`) },
      ...(inboxPrefix === undefined ? {} : { inboxPrefix }),
    });
    try {
      const admin = muster.admin({ timeoutMs: connection.timeoutMs });
      cli.exitCode = await run({ io, connection, muster, admin, nats });
    } finally {
      await muster.close({ timeoutMs: CLOSE_TIMEOUT_MS });
    }
  } finally {
    await nats.close();
  }
}
