/**
 * NATS goes and comes back: sessions stand still meanwhile, nobody is expelled, groups go on in the same generation (O6, O12).
 */

import { afterEach, describe, expect, it } from 'vitest';
import { newestVersion } from '../contract/versions.js';
import { BusyGroups } from '../world/busy-groups.js';
import { until } from '../world/processes.js';
import { RealCluster } from '../world/real-cluster.js';

/** The shortest session that a cluster allows. */
const SESSION_MS = 6_000;

const nodes = ['n1', 'n2', 'n3'];
let cluster: RealCluster;
let busy: BusyGroups | undefined;

afterEach(async ({ task }) => {
  await busy?.end();
  busy = undefined;
  if (task.result?.state === 'fail') console.log(cluster.logs());
  await cluster.close();
});

async function busyGroups(count: number): Promise<BusyGroups> {
  const times = { sessionTimeoutMs: SESSION_MS };
  busy = await BusyGroups.start(cluster, count, () => cluster.newGroup(), times);
  return busy;
}

/** Every node runs and has marked none, and every group is what it was. */
async function expectUnharmed(groups: BusyGroups): Promise<void> {
  expect(await groups.harm()).toEqual([]);
  expect(cluster.running).toEqual(nodes);
  const marks = nodes.flatMap((name) =>
    cluster.node(name).log.of('a node is marked dead: its partitions are taken over'),
  );
  expect(marks).toEqual([]);
}

describe('nobody is expelled', () => {
  it('when the only server is down for longer than the sessions', async () => {
    cluster = await RealCluster.start({ nats: { version: newestVersion } });
    await cluster.startNodes(...nodes);
    const groups = await busyGroups(4);
    const [server] = cluster.nats.servers;
    await server!.stop();
    const downSince = performance.now();
    // The one thing that is about time: the outage must outlast the sessions.
    await until('the sessions would be over', () => performance.now() - downSince > SESSION_MS + 1_000);
    await server!.restart();
    await groups.untilCommitted(20);
    await cluster.untilOwned();
    await expectUnharmed(groups);
    for (const name of nodes) expect(cluster.node(name).log.of('partition suspended')).not.toEqual([]);
  });

  it('when every server of a cluster is killed and comes back', async () => {
    cluster = await RealCluster.start({ nats: { version: newestVersion, servers: 3 } });
    await cluster.startNodes(...nodes);
    const groups = await busyGroups(4);
    await Promise.all(cluster.nats.servers.map((server) => server.kill()));
    await Promise.all(cluster.nats.servers.map((server) => server.restart({ until: 'listening' })));
    await cluster.nats.waitUntilReady();
    await groups.untilCommitted(20);
    await cluster.untilOwned();
    await expectUnharmed(groups);
  });
});
