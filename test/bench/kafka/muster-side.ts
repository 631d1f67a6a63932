/**
 * The Muster side: three nats-servers, three coordinator nodes as processes, and consumers of the worker library.
 */

import type { NatsServerControl } from '@muster/nats-server';
import { generation, groupId, memberId } from '@muster/protocol';
import { connect } from '@muster/worker';
import { until } from '../../world/processes.js';
import type { RealCluster } from '../../world/real-cluster.js';
import { residentMiB } from './java.js';
import { MusterClients } from './muster-clients.js';
import type { Side } from './side.js';

export const NODES = ['node-1', 'node-2', 'node-3'] as const;
const REPLICAS = 3;
const IN_FLIGHT = 50;
const STEADY_MS = 14_000;
/** A partition stays at least 10 s where it is: handing back takes longer than that. */
const HAND_BACK_MS = 120_000;

/** @param cluster with its nodes started */
export async function musterSide(cluster: RealCluster): Promise<Side> {
  const servers = cluster.nats.urls;
  const clients = new MusterClients(servers, cluster.name);
  const admin = await connect({ servers: [...servers], cluster: cluster.name });
  let home: readonly string[] | undefined;
  // Where everything is when nothing moves any more is looked at once, before anybody is struck.
  const owners = async () => {
    home ??= await settledOwners(cluster);
    return ownersOf(cluster);
  };
  const isHome = () => JSON.stringify(ownersOf(cluster)) === JSON.stringify(home);
  const revive = async (name: string): Promise<void> => {
    for (const server of cluster.nats.servers) if (server.pid === undefined) await server.restart();
    await cluster.nats.waitUntilReady();
    await cluster.startNodes(name);
    await until('the partitions are back', isHome, HAND_BACK_MS);
  };
  return {
    name: 'muster',
    topic: async (name, partitions, messages) => {
      await admin.topics.create({ name, partitions, replicas: REPLICAS });
      const producer = await admin.producer<string>({ topic: name });
      const value = 'x'.repeat(14);
      const sends = Array.from({ length: messages }, (_, at) =>
        producer.send({ key: 'k', partition: at % partitions, value }),
      );
      await Promise.all(sends);
      await producer.close();
    },
    open: (groups, settings) => clients.open(groups, settings),
    close: () => clients.close(),
    join: (group) => clients.join(group),
    leave: (group) => clients.leave(group),
    commits: (each) => clients.commits(each),
    arm: () => clients.arm(),
    strike: () => clients.strike(),
    watch: (everyMs) => clients.watch(everyMs),
    unwatch: () => clients.unwatch(),
    generations: () => clients.generations(),
    coordinators: NODES,
    owners,
    victim: () => nodeAwayFromLeader(cluster),
    kill: (name) => cluster.node(name).kill(),
    killHost: async (name) => {
      const server = await serverOf(cluster, name);
      await Promise.all([cluster.node(name).kill(), server.kill()]);
    },
    revive,
    restart: async (name) => {
      await cluster.node(name).terminate();
      await cluster.startNodes(name);
    },
    idleGroups: (count, topic, partitions) => idleGroups(cluster, count, topic, partitions),
    resident: async () => ({
      coordinatorsMiB: await Promise.all(NODES.map((name) => residentMiB(pidOf(cluster, name)))),
      storeMiB: await Promise.all(cluster.nats.servers.map(({ pid = -1 }) => residentMiB(pid))),
    }),
    stop: async () => {
      await clients.close();
      await admin.close({ timeoutMs: 1_000 });
      await cluster.close();
    },
  };
}

function ownersOf(cluster: RealCluster): readonly string[] {
  return cluster.owners().map((owners) => (owners.length === 1 ? (owners[0] ?? '') : ''));
}

/** Where every partition is when nothing moves any more. */
async function settledOwners(cluster: RealCluster): Promise<readonly string[]> {
  let owners = '';
  let since = performance.now();
  const looksSettled = () => {
    const now = JSON.stringify(ownersOf(cluster));
    if (now !== owners) {
      owners = now;
      since = performance.now();
    }
    return performance.now() - since > STEADY_MS;
  };
  await until('the partitions stay where they are', looksSettled, HAND_BACK_MS);
  return ownersOf(cluster);
}

async function serverOf(cluster: RealCluster, node: string): Promise<NatsServerControl> {
  for (const server of cluster.nats.servers) if ((await cluster.nodesOn(server)).includes(node)) return server;
  throw new Error(`${node} is connected to no server`);
}

/** As on Kafka's side: the metadata leader's machine is spared. */
async function nodeAwayFromLeader(cluster: RealCluster): Promise<string> {
  for (const node of NODES) {
    const server = await serverOf(cluster, node);
    const answer = await fetch(`${server.monitorUrl}/jsz`);
    const { meta_cluster: meta } = (await answer.json()) as { readonly meta_cluster?: { readonly leader?: string } };
    if (meta?.leader !== server.name) return node;
  }
  return NODES[0];
}

/** A node's log lines carry its process id. */
function pidOf(cluster: RealCluster, node: string): number {
  return Number(cluster.node(node).log.of('node started')[0]?.['pid'] ?? -1);
}

async function idleGroups(cluster: RealCluster, count: number, topic: string, partitions: number): Promise<void> {
  const place = { topic, offset: 1, leaderEpoch: -1, metadata: '', commitTimestamp: null } as const;
  const offsets = Array.from({ length: partitions }, (_, partition) => ({ ...place, partition }));
  const identity = { memberId: memberId(''), groupInstanceId: null, generationId: generation(-1) } as const;
  let next = 0;
  const some = async (): Promise<void> => {
    while (next < count) {
      const name = groupId(`idle-${next}`);
      next += 1;
      const body = { groupId: name, ...identity, commitSeq: null, retentionTimeMs: null, offsets };
      const { error } = await cluster.client.ask('commit', body);
      if (error !== 'NONE') throw new Error(`an offset of ${name} was answered ${error}`);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, some));
}
