/**
 * Coordinators that die, leave, stand still and come: three servers, nodes as processes of their own. Whatever happens to a node,
 * its groups keep generation and members, and an acknowledged commit stays.
 */

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CLUSTER_VERSIONS } from '../contract/versions.js';
import { BusyGroups } from '../world/busy-groups.js';
import { until } from '../world/processes.js';
import { RealCluster } from '../world/real-cluster.js';
import { RealGroup } from '../world/real-group.js';
import { describeRequest, joinRequest } from '../world/requests.js';

describe.each(CLUSTER_VERSIONS)('three coordinators on three servers %s', (version) => {
  let cluster: RealCluster;
  let busy: BusyGroups | undefined;

  beforeAll(async () => {
    cluster = await RealCluster.start({ nats: { servers: 3, version } });
    await cluster.startNodes('n1', 'n2', 'n3');
  });
  afterEach(async ({ task }) => {
    await busy?.end();
    busy = undefined;
    if (task.result?.state === 'fail') console.log(cluster.logs());
  });
  afterAll(() => cluster?.close());

  /** Groups that are coordinated by `node`. */
  async function busyGroups(node: string, count: number): Promise<BusyGroups> {
    busy = await BusyGroups.start(cluster, count, () => cluster.newGroup(node));
    return busy;
  }

  it('take over from a node that was killed: generation, members and acknowledged commits stay', async () => {
    const victim = await cluster.anyOwner();
    const groups = await busyGroups(victim, 3);
    await cluster.node(victim).kill();
    await groups.untilCommitted(50);
    await cluster.untilOwned(cluster.running);
    expect(await groups.harm()).toEqual([]);
  });

  it('keep a join that was waiting when its node was killed: one member, no ghost', async () => {
    await cluster.startNodes('n4');
    const victim = await cluster.anyOwner();
    const group = await new RealGroup(cluster.client, cluster.newGroup(victim), { members: 1 }).form();
    const { generationId } = group;
    const newcomer = cluster.client.send('join', joinRequest(group.groupId, { rebalanceTimeoutMs: 60_000 }));
    await until('the newcomer waits', async () => (await group.heartbeats())[0] === 'REBALANCE_IN_PROGRESS');
    await cluster.node(victim).kill();
    group.keepAlive();
    const joined = await newcomer.answered;
    await group.end();
    expect(joined).toMatchObject({ error: 'NONE', fields: { generationId: generationId + 1 } });
    const described = await cluster.client.ask('describe', describeRequest(group.groupId));
    expect(described.fields?.members.map(({ memberId }) => memberId).sort()).toEqual(
      [group.members[0]?.id, joined.fields?.memberId].sort(),
    );
    expect(group.troubles).toEqual([]);
  });

  it('give a share to a node that comes later, and nobody notices', async () => {
    const running = cluster.running;
    const groups = await busyGroups(running[0] ?? '', 2);
    await cluster.startNodes('n5');
    await until('the new node has a share', () => cluster.owners().some((owners) => owners.includes('n5')));
    await cluster.untilOwned();
    await groups.untilCommitted(20);
    expect(await groups.harm()).toEqual([]);
  });

  it('take over from a node that is told to end: it hands over, exits with 0, and every request is answered', async () => {
    const leaving = await cluster.anyOwner();
    const groups = await busyGroups(leaving, 3);
    const code = await cluster.node(leaving).terminate();
    expect(code).toBe(0);
    await cluster.untilOwned(cluster.running);
    await groups.untilCommitted(20);
    expect(await groups.harm()).toEqual([]);
    expect(cluster.node(leaving).log.of('drained')).toHaveLength(1);
  });

  it('fence a node that stood still for longer than its lease: it acknowledges nothing that is not in the log', async () => {
    await cluster.startNodes('n6');
    const victim = await cluster.anyOwner();
    const groups = await busyGroups(victim, 2);
    const paused = cluster.node(victim);
    paused.pause();
    // Sent once each, while nobody else listens: only the paused process can ever read them.
    const late = groups.groups.flatMap((group) =>
      Array.from({ length: 20 }, () => {
        const { partition, body } = group.nextCommit();
        return { group, partition, request: cluster.client.send('commit', body, { resendMs: 0 }) };
      }),
    );
    const others = cluster.running.filter((name) => name !== victim);
    await cluster.untilOwned(others);
    await groups.untilCommitted(20);
    paused.resume();
    expect(await paused.exited).toBe(1);
    for (const { group, partition, request } of late) for (const reply of request.replies) group.note(partition, reply);
    expect(paused.log.of('this incarnation is over: start the node again')).toHaveLength(1);
    await cluster.untilOwned(others);
    await groups.untilCommitted(20);
    expect(await groups.harm()).toEqual([]);
  });
});
