/**
 * A plain NATS round trip: what everything else is compared with.
 */

import type { NatsConnection } from 'nats';

/** @returns how long it took; undefined where no answer came, as while a server is down */
export async function roundTrip(connection: NatsConnection, subject: string): Promise<number | undefined> {
  const sentAt = performance.now();
  try {
    await connection.request(subject, 'x'.repeat(128), { timeout: 1_000 });
    return performance.now() - sentAt;
  } catch {
    return undefined;
  }
}
