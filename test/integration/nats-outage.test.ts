/**
 * NATS goes and comes back: sessions stand still meanwhile, nobody is expelled, groups go on in the same generation (O6, O12).
 */

import { type GroupId, partitionOf } from '@muster/protocol';
import { afterEach, describe, expect, it } from 'vitest';
import { newestVersion } from '../contract/versions.js';
import { until } from '../world/processes.js';
import { RealCluster } from '../world/real-cluster.js';
import { RealGroup } from '../world/real-group.js';
import { describeRequest } from '../world/requests.js';

/** The shortest session that a cluster allows. */
const SESSION_MS = 6_000;

const nodes = ['n1', 'n2', 'n3'];
let cluster: RealCluster;
let groups: RealGroup[] = [];

afterEach(async ({ task }) => {
  await Promise.all(groups.splice(0).map((group) => group.end()));
  if (task.result?.state === 'fail') console.log(cluster.logs());
  await cluster.close();
});

/** Groups with heartbeats and commits under way. */
async function busyGroups(count: number, next = () => cluster.newGroup()): Promise<RealGroup[]> {
  const times = { sessionTimeoutMs: SESSION_MS };
  groups = await Promise.all(Array.from({ length: count }, () => new RealGroup(cluster.client, next(), times).form()));
  for (const group of groups) group.keepAlive().keepCommitting();
  await untilCommitted(20);
  return groups;
}

/** Waits until so many more commits of each group are acknowledged. */
async function untilCommitted(more: number): Promise<void> {
  const wanted = new Map(groups.map((group) => [group, group.acknowledged.size + more]));
  const isDone = () => groups.every((group) => group.acknowledged.size >= (wanted.get(group) ?? 0));
  const explain = () => JSON.stringify(groups.map(({ groupId, troubles }) => [groupId, troubles]));
  await until(`${more} more commits of each group are acknowledged`, isDone, 40_000, explain);
}

/** Every node runs and has marked none; everybody is still a member of the same generation, has heard no error, and no acknowledged commit is gone. */
async function expectUnharmed(generations: readonly number[]): Promise<void> {
  expect(cluster.running).toEqual(nodes);
  const marks = nodes.map((name) => cluster.node(name).log.of('a node is marked dead: its partitions are taken over'));
  expect(marks).toEqual(nodes.map(() => []));
  await expectGroupsUnharmed(generations);
}

async function expectGroupsUnharmed(generations: readonly number[]): Promise<void> {
  const ended = groups.splice(0);
  await Promise.all(ended.map((group) => group.end()));
  expect(ended.map(({ troubles }) => troubles)).toEqual(ended.map(() => []));
  expect(ended.map(({ generationId }) => generationId)).toEqual(generations);
  for (const group of ended) {
    expect(await group.heartbeats()).toEqual(['NONE', 'NONE']);
    expect(await group.lostCommits()).toEqual([]);
    const { fields } = await cluster.client.ask('describe', describeRequest(group.groupId));
    expect(fields).toMatchObject({ state: 'Stable', generationId: group.generationId });
    expect(fields?.members).toHaveLength(2);
  }
}

describe('nobody is expelled', () => {
  it('when the only server is down for longer than the sessions', async () => {
    cluster = await RealCluster.start({ nats: { version: newestVersion } });
    await cluster.startNodes(...nodes);
    const generations = (await busyGroups(4)).map(({ generationId }) => generationId);
    const [server] = cluster.nats.servers;
    await server!.stop();
    const downSince = performance.now();
    // The one thing that is about time: the outage must outlast the sessions.
    await until('the sessions would be over', () => performance.now() - downSince > SESSION_MS + 1_000);
    await server!.restart();
    await untilCommitted(20);
    await cluster.untilOwned();
    await expectUnharmed(generations);
    for (const name of nodes) expect(cluster.node(name).log.of('partition suspended')).not.toEqual([]);
  });

  it('when every server of a cluster is killed and comes back', async () => {
    cluster = await RealCluster.start({ nats: { version: newestVersion, servers: 3 } });
    await cluster.startNodes(...nodes);
    const generations = (await busyGroups(4)).map(({ generationId }) => generationId);
    await Promise.all(cluster.nats.servers.map((server) => server.kill()));
    await Promise.all(cluster.nats.servers.map((server) => server.restart({ until: 'listening' })));
    await cluster.nats.waitUntilReady();
    await untilCommitted(20);
    await cluster.untilOwned();
    await expectUnharmed(generations);
  });

  it('when the server that leads their logs is killed', async () => {
    cluster = await RealCluster.start({ nats: { version: newestVersion, servers: 3 } });
    await cluster.startNodes(...nodes);
    const { server, newGroup } = await leaderOfLogs();
    const generations = (await busyGroups(6, newGroup)).map(({ generationId }) => generationId);
    await server.kill();
    await untilCommitted(20);
    expect(nodes.flatMap((name) => cluster.node(name).log.of('partition suspended'))).not.toEqual([]);
    await server.restart();
    await cluster.nats.waitUntilReady();
    await untilCommitted(20);
    await cluster.untilOwned();
    await expectUnharmed(generations);
  });

  it('when their node is killed while its logs have no leader: what could not be recorded was not acknowledged', async () => {
    cluster = await RealCluster.start({ nats: { version: newestVersion, servers: 3 } });
    await cluster.startNodes(...nodes);
    const { server, newGroup } = await leaderOfLogs();
    const victim = cluster.ownerOf(newGroup());
    const ofVictim = () => {
      for (;;) {
        const group = newGroup();
        if (cluster.ownerOf(group) === victim) return group;
      }
    };
    const generations = (await busyGroups(6, ofVictim)).map(({ generationId }) => generationId);
    await server.kill();
    const isSuspended = () => cluster.node(victim).log.of('partition suspended').length > 0;
    await until('an append of the node has had no answer for too long', isSuspended);
    await cluster.node(victim).kill();
    await untilCommitted(20);
    await cluster.untilOwned(nodes.filter((name) => name !== victim));
    await expectGroupsUnharmed(generations);
  });
});

/** @returns the server that leads most of the log streams, and a maker of groups whose logs lie in those */
async function leaderOfLogs() {
  const manager = await cluster.connection.jetstreamManager();
  const streams = (await manager.streams.list().next()).filter(({ config }) => !config.name.startsWith('KV_'));
  const ledBy = (name: string) => streams.filter((info) => info.cluster?.leader === name);
  const [server] = cluster.nats.servers.toSorted((a, b) => ledBy(b.name).length - ledBy(a.name).length);
  if (server === undefined || ledBy(server.name).length === 0) throw new Error('nobody leads');
  // Subjects of the logs end with their partition.
  const led = new Set(
    ledBy(server.name).flatMap(({ config }) => config.subjects.map((of) => Number(of.split('.').at(-1)))),
  );
  const newGroup = (): GroupId => {
    for (;;) {
      const group = cluster.newGroup();
      if (led.has(partitionOf(group, cluster.partitionCount))) return group;
    }
  };
  return { server, newGroup };
}
