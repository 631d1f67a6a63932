/**
 * A NATS server that leads logs is killed: their partitions stand still until there is another leader, and go on (O12).
 */

import { type GroupId, partitionOf } from '@muster/protocol';
import { afterEach, describe, expect, it } from 'vitest';
import { newestVersion } from '../contract/versions.js';
import { BusyGroups } from '../world/busy-groups.js';
import { until } from '../world/processes.js';
import { RealCluster } from '../world/real-cluster.js';

const nodes = ['n1', 'n2', 'n3'];
let cluster: RealCluster;
let busy: BusyGroups | undefined;

afterEach(async ({ task }) => {
  await busy?.end();
  busy = undefined;
  if (task.result?.state === 'fail') console.log(cluster.logs());
  await cluster.close();
});

async function busyGroups(newGroup: () => GroupId): Promise<BusyGroups> {
  // The shortest session that a cluster allows: an election takes longer.
  busy = await BusyGroups.start(cluster, 6, newGroup, { sessionTimeoutMs: 6_000 });
  return busy;
}

describe('groups go on, and nobody is expelled', () => {
  it('when the server that leads their logs is killed', async () => {
    cluster = await RealCluster.start({ nats: { version: newestVersion, servers: 3 } });
    await cluster.startNodes(...nodes);
    const { server, owner, newGroup } = await leaderOfLogs();
    const groups = await busyGroups(newGroup);
    await server.kill();
    await groups.untilCommitted(20);
    expect(cluster.node(owner).log.of('partition suspended')).not.toEqual([]);
    await server.restart();
    await cluster.nats.waitUntilReady();
    await groups.untilCommitted(20);
    await cluster.untilOwned();
    expect(await groups.harm()).toEqual([]);
    expect(cluster.running).toEqual(nodes);
  });

  it('when their node is killed while its logs have no leader: what could not be recorded was not acknowledged', async () => {
    cluster = await RealCluster.start({ nats: { version: newestVersion, servers: 3 } });
    await cluster.startNodes(...nodes);
    const { server, owner, newGroup } = await leaderOfLogs();
    const groups = await busyGroups(newGroup);
    await server.kill();
    await until(
      'an append has had no answer for too long',
      () => cluster.node(owner).log.of('partition suspended').length > 0,
    );
    await cluster.node(owner).kill();
    await groups.untilCommitted(20);
    await cluster.untilOwned(nodes.filter((name) => name !== owner));
    expect(await groups.harm()).toEqual([]);
  });
});

/** @returns a server, a node on another server whose partitions' logs it leads, and a maker of groups on these partitions */
async function leaderOfLogs() {
  const manager = await cluster.connection.jetstreamManager();
  const streams = (await manager.streams.list().next()).filter(({ config }) => !config.name.startsWith('KV_'));
  const choices = cluster.nats.servers.map(async (server) => {
    const subjects = streams
      .filter((of) => of.cluster?.leader === server.name)
      .flatMap(({ config }) => config.subjects);
    // Subjects of the logs end with their partition.
    const led = new Set(subjects.map((subject) => Number(subject.split('.').at(-1))));
    const onServer = await cluster.nodesOn(server);
    return nodes
      .filter((name) => !onServer.includes(name))
      .map((owner) => ({ server, owner, mine: cluster.partitionsOf(owner).filter((partition) => led.has(partition)) }));
  });
  const [most] = (await Promise.all(choices)).flat().toSorted((a, b) => b.mine.length - a.mine.length);
  if (most === undefined || most.mine.length === 0) throw new Error('nobody leads the logs of another server’s node');
  const { server, owner, mine } = most;
  const newGroup = (): GroupId => {
    for (;;) {
      const group = cluster.newGroup(owner);
      if (mine.includes(partitionOf(group, cluster.partitionCount))) return group;
    }
  };
  return { server, owner, newGroup };
}
