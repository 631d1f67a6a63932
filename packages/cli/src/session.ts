/**
 * One connection for the life of one command: opened, used, closed whatever happens.
 */

import { Subjects } from '@muster/protocol';
import { type Admin, connect, type Muster, silentLogger } from '@muster/worker';
import type { NatsConnection } from 'nats';
import { type Connection, type ConnectionFlags, readConnection } from './connection.js';
import { Denials, isOfJetStream } from './denial.js';
import { dial } from './dialling.js';
import { CliError } from './failure.js';
import type { Cli, Io } from './io.js';
import { missingCluster, otherJetStream } from './known-cluster.js';

export interface Session {
  readonly io: Io;
  readonly connection: Connection;
  readonly muster: Muster;
  readonly admin: Admin;
  /** For what JetStream itself can tell. */
  readonly nats: NatsConnection;
  /** For what may be forbidden while the rest goes on. */
  readonly denials: Denials;
}

const CLOSE_TIMEOUT_MS = 5_000;

/** What a command may do that others may not. */
export interface SessionOptions {
  /** A cluster that nobody knows yet is fine: it is said, and the command goes on. */
  readonly isNewClusterFine?: boolean;
  /** What else can be done where it is not fine. */
  readonly newClusterAdvice?: string;
  /** The command shows what it may see: it guards by itself what it cannot do without. */
  readonly guardsItself?: boolean;
}

/**
 * Connects, runs, closes. What `run` returns becomes the exit code.
 * @throws CliError notFound where there is no such cluster, and what reading the options, connecting or `run` threw
 */
export async function withSession(
  cli: Cli,
  flags: ConnectionFlags,
  run: (session: Session) => Promise<number>,
  { isNewClusterFine = false, newClusterAdvice, guardsItself = false }: SessionOptions = {},
): Promise<void> {
  const { io } = cli;
  const connection = await readConnection(flags, io);
  const nats = await dial(connection);
  const { find, all } = new Subjects(connection.cluster);
  // F1 Who guards itself does without what JetStream does not tell.
  const isNeeded = (subject: string) =>
    subject === find || subject === all || (!guardsItself && isOfJetStream(subject, connection));
  const denials = new Denials(nats, connection, isNeeded);
  const work = async (): Promise<number> => {
    const [missing, elsewhere] = await Promise.all([
      missingCluster(nats, connection),
      otherJetStream(nats, connection),
    ]);
    if (missing !== undefined && !isNewClusterFine) {
      const advice = [missing.advice, newClusterAdvice].filter((each) => each !== undefined).join('; ');
      throw new CliError(missing.exitCode, missing.message, advice);
    }
    const note = missing?.message ?? elsewhere;
    if (note !== undefined) io.err(`note: ${note}\n`);
    denials.arm();
    const muster = await connect({
      cluster: connection.cluster,
      clientId: 'muster-cli',
      connection: nats,
      jetStream: connection.jetStream,
      logger: silentLogger,
      ...(connection.nats.inboxPrefix === undefined ? {} : { inboxPrefix: connection.nats.inboxPrefix }),
    });
    try {
      const admin = muster.admin({ timeoutMs: connection.timeoutMs });
      const session = { io, connection, muster, admin, nats, denials };
      return await (guardsItself ? run(session) : denials.guard(() => run(session)));
    } finally {
      await muster.close({ timeoutMs: CLOSE_TIMEOUT_MS });
    }
  };
  try {
    cli.exitCode = await work();
  } finally {
    await nats.close();
  }
}
