/**
 * What the nodes say of themselves: each tells everybody three times a second which partitions it owns, in which epoch.
 */

import { type Heartbeat, parseHeartbeat } from '@muster/cluster';
import { Subjects } from '@muster/protocol';
import type { NatsConnection } from 'nats';

/** Three heartbeats: one may be lost. */
const LISTEN_MS = 1_000;

/**
 * Listens until `isEnough`, one second at most.
 * @returns the last heartbeat of each node by its id; none where this NATS account does not hear them
 */
export async function hearNodes(
  nats: NatsConnection,
  cluster: string,
  isEnough: (heard: ReadonlyMap<string, Heartbeat>) => boolean,
): Promise<ReadonlyMap<string, Heartbeat>> {
  const heard = new Map<string, Heartbeat>();
  await new Promise<void>((resolve) => {
    const subscription = nats.subscribe(new Subjects(cluster).heartbeats, {
      callback: (error, message) => {
        const heartbeat = error === null ? parseHeartbeat(message.data) : undefined;
        if (heartbeat !== undefined) heard.set(heartbeat.node, heartbeat);
        // A subscription that is forbidden says so here, and then there is nothing to wait for.
        if (error !== null || isEnough(heard)) end();
      },
    });
    const end = () => {
      clearTimeout(timer);
      if (!nats.isClosed()) subscription.unsubscribe();
      resolve();
    };
    const timer = setTimeout(end, LISTEN_MS);
  });
  return heard;
}
