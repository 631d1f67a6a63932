/**
 * Coordinators that die, leave, stand still and come: three servers, nodes as processes of their own. Whatever happens to a node,
 * its groups keep generation and members, and an acknowledged commit stays.
 */

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CLUSTER_VERSIONS } from '../contract/versions.js';
import { until } from '../world/processes.js';
import { RealCluster } from '../world/real-cluster.js';
import { RealGroup } from '../world/real-group.js';
import { describeRequest, joinRequest } from '../world/requests.js';

describe.each(CLUSTER_VERSIONS)('three coordinators on three servers %s', (version) => {
  let cluster: RealCluster;
  let groups: RealGroup[] = [];

  beforeAll(async () => {
    cluster = await RealCluster.start({ nats: { servers: 3, version } });
    await cluster.startNodes('n1', 'n2', 'n3');
  });
  afterEach(async ({ task }) => {
    await Promise.all(groups.splice(0).map((group) => group.end()));
    if (task.result?.state === 'fail') console.log(cluster.logs());
  });
  afterAll(() => cluster?.close());

  /** Groups of two members that are coordinated by `node`, with heartbeats and commits under way. */
  async function busyGroups(node: string, count: number): Promise<RealGroup[]> {
    const formed = Array.from({ length: count }, () => new RealGroup(cluster.client, cluster.newGroup(node)).form());
    groups = await Promise.all(formed);
    for (const group of groups) group.keepAlive().keepCommitting();
    await untilCommitted(50);
    return groups;
  }

  /** Waits until so many more commits of each group are acknowledged. */
  async function untilCommitted(more: number): Promise<void> {
    const wanted = new Map(groups.map((group) => [group, group.acknowledged.size + more]));
    const isDone = () => groups.every((group) => group.acknowledged.size >= (wanted.get(group) ?? 0));
    const explain = () => JSON.stringify(groups.map(({ groupId, troubles }) => [groupId, troubles]));
    await until(`${more} more commits of each group are acknowledged`, isDone, 40_000, explain);
  }

  /** Nobody has heard an error, the generation is the same, and every acknowledged commit is there. */
  async function expectUnharmed(generationsBefore: readonly number[]): Promise<void> {
    const ended = groups.splice(0);
    await Promise.all(ended.map((group) => group.end()));
    expect(ended.map(({ troubles }) => troubles)).toEqual(ended.map(() => []));
    expect(ended.map(({ generationId }) => generationId)).toEqual(generationsBefore);
    for (const group of ended) {
      expect(await group.heartbeats()).toEqual(['NONE', 'NONE']);
      expect(await group.lostCommits()).toEqual([]);
    }
  }

  it('take over from a node that was killed: generation, members and acknowledged commits stay', async () => {
    const victim = cluster.ownerOf(cluster.newGroup());
    const generations = (await busyGroups(victim, 3)).map(({ generationId }) => generationId);
    await cluster.node(victim).kill();
    await untilCommitted(50);
    await cluster.untilOwned(cluster.running);
    await expectUnharmed(generations);
  });

  it('keep a join that was waiting when its node was killed: one member, no ghost', async () => {
    await cluster.startNodes('n4');
    const victim = cluster.ownerOf(cluster.newGroup());
    const group = await new RealGroup(cluster.client, cluster.newGroup(victim), { members: 1 }).form();
    const newcomer = cluster.client.send('join', joinRequest(group.groupId, { rebalanceTimeoutMs: 60_000 }));
    await until('the newcomer waits', async () => (await group.heartbeats())[0] === 'REBALANCE_IN_PROGRESS');
    await cluster.node(victim).kill();
    group.keepAlive();
    groups = [group];
    const joined = await newcomer.answered;
    expect(joined).toMatchObject({ error: 'NONE', fields: { generationId: group.generationId + 1 } });
    const described = await cluster.client.ask('describe', describeRequest(group.groupId));
    expect(described.fields?.members.map(({ memberId }) => memberId).sort()).toEqual(
      [group.members[0]?.id, joined.fields?.memberId].sort(),
    );
    expect(group.troubles).toEqual([]);
  });

  it('give a share to a node that comes later, and nobody notices', async () => {
    const running = cluster.running;
    const generations = (await busyGroups(running[0] ?? '', 2)).map(({ generationId }) => generationId);
    await cluster.startNodes('n5');
    await until('the new node has a share', () => cluster.owners().some((owners) => owners.includes('n5')));
    await cluster.untilOwned();
    await untilCommitted(20);
    await expectUnharmed(generations);
  });

  it('take over from a node that is told to end: it hands over, exits with 0, and every request is answered', async () => {
    const leaving = cluster.ownerOf(cluster.newGroup());
    const generations = (await busyGroups(leaving, 3)).map(({ generationId }) => generationId);
    const code = await cluster.node(leaving).terminate();
    expect(code).toBe(0);
    await cluster.untilOwned(cluster.running);
    await untilCommitted(20);
    await expectUnharmed(generations);
    expect(cluster.node(leaving).log.of('drained')).toHaveLength(1);
  });

  it('fence a node that stood still for longer than its lease: it acknowledges nothing that is not in the log', async () => {
    await cluster.startNodes('n6');
    const victim = cluster.ownerOf(cluster.newGroup());
    const generations = (await busyGroups(victim, 2)).map(({ generationId }) => generationId);
    const paused = cluster.node(victim);
    paused.pause();
    // Sent once each, while nobody else listens: only the paused process can ever read them.
    const late = groups.flatMap((group) =>
      Array.from({ length: 20 }, () => {
        const { partition, body } = group.nextCommit();
        return { group, partition, request: cluster.client.send('commit', body, { resendMs: 0 }) };
      }),
    );
    const others = cluster.running.filter((name) => name !== victim);
    await cluster.untilOwned(others);
    await untilCommitted(20);
    paused.resume();
    expect(await paused.exited).toBe(1);
    for (const { group, partition, request } of late) for (const reply of request.replies) group.note(partition, reply);
    expect(paused.log.of('this incarnation is over: start the node again')).toHaveLength(1);
    await cluster.untilOwned(others);
    await untilCommitted(20);
    await expectUnharmed(generations);
  });
});
