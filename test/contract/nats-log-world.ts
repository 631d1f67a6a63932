/**
 * Real servers as a world of the log store's contract: streams of its own for every test, on servers shared by a file.
 */

import { ensureLogStreams, JetStreamLogStore, type LogPlacement, logStreamName, SystemClock } from '@muster/nats';
import type { NatsServerHandle } from '@muster/nats-server';
import { logId, partition, Subjects } from '@muster/protocol';
import { connect, type NatsConnection } from 'nats';
import type { LogWorld } from './log-store.js';
import { Connections, IMPOSSIBLE, until } from './nats-world.js';

let clusters = 0;

export function freshPlacement(): LogPlacement {
  clusters += 1;
  const cluster = `log${clusters}`;
  return { cluster, subjects: new Subjects(cluster), logId: logId('abc'), partitionCount: 5, streamCount: 2 };
}

export async function natsLogWorld(handle: NatsServerHandle): Promise<LogWorld> {
  const connections = new Connections(handle);
  const operator = await connect({ servers: [...handle.urls], maxReconnectAttempts: -1, reconnectTimeWait: 100 });
  const placement = freshPlacement();
  const replicas = handle.servers.length;
  await ensureLogStreams(operator, { ...placement, replicas });
  const stream = logStreamName(placement, 0);
  return {
    open: async (name) => {
      const store = new JetStreamLogStore(await connections.connect(name), placement);
      // One partition of each stream; as in the world of leases.
      for (const at of [0, 1].map(partition)) {
        await until(async () => (await store.append(at, new Uint8Array(1), IMPOSSIBLE)).kind === 'refused');
      }
      return store;
    },
    limit: async (bytes) => {
      const manager = await operator.jetstreamManager();
      const { config, state } = await manager.streams.info(stream);
      await manager.streams.update(stream, { ...config, max_bytes: state.bytes + bytes });
    },
    cut: async (name) => connections.cut(name),
    heal: async (name) => connections.heal(name),
    clock: new SystemClock(),
    disturbances: 6,
    disturb: (round) => (round === 3 ? killLeader(handle, operator, stream) : disturbLeader(handle, operator, stream)),
    finish: (promise) => promise,
    close: async () => {
      const manager = await operator.jetstreamManager();
      for (const index of [0, 1]) await manager.streams.delete(logStreamName(placement, index)).catch(() => false);
      await operator.close();
      await connections.close();
    },
  };
}

/** Lets the leader of the stream step down, or cuts nothing where there is only one server. */
async function disturbLeader(handle: NatsServerHandle, operator: NatsConnection, stream: string): Promise<void> {
  if (handle.servers.length === 1) return;
  for (let times = 0; times < 3; times += 1) {
    await operator
      .request(`$JS.API.STREAM.LEADER.STEPDOWN.${stream}`, undefined, { timeout: 5_000 })
      .catch(() => undefined);
    // Not a wait for a result: the appends in between shall meet both leaders.
    await new Promise((resolve) => setTimeout(resolve, 40));
  }
}

/** kill -9 of the server that leads the stream, and back. */
async function killLeader(handle: NatsServerHandle, operator: NatsConnection, stream: string): Promise<void> {
  const manager = await operator.jetstreamManager();
  const { cluster } = await manager.streams.info(stream);
  const leader = handle.servers.find((server) => server.name === cluster?.leader) ?? handle.servers[0];
  await leader?.kill();
  await leader?.restart();
  await handle.waitUntilReady();
}
