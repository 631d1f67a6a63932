/**
 * The way to NATS, bounded by `--timeout` as a whole: names that resolve slowly, and several servers of which none answers, too.
 */

import { connectNats, NatsConnectError } from '@muster/nats';
import type { NatsConnection } from 'nats';
import { type Connection, requireFiles } from './connection.js';

/** A single server gets no more than a node gives it: others may answer. */
const DIAL_TIMEOUT_MS = 2_000;
/** Of one server the client knows better than the time why it does not answer. */
const REASON_MS = 250;

/** @returns a connection; throws CliError for a file that is wrong, NatsConnectError */
export async function dial({ nats, timeoutMs }: Connection): Promise<NatsConnection> {
  await requireFiles(nats);
  const dialling = connectNats({ ...nats, dialTimeoutMs: Math.min(DIAL_TIMEOUT_MS, timeoutMs) });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const where = nats.servers.join(', ');
      reject(new NatsConnectError('UNREACHABLE', `no NATS server answers at ${where}: none within ${timeoutMs} ms`));
    }, timeoutMs + REASON_MS);
  });
  try {
    return await Promise.race([dialling, late]);
  } catch (thrown) {
    dialling.then(
      (nats) => nats.close(),
      () => {},
    );
    throw thrown;
  } finally {
    clearTimeout(timer);
  }
}
