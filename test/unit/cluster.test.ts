import { groupId, memberId, monotonicMs } from '@muster/protocol';
import { describe, expect, test } from 'vitest';
import { ClusterWorld } from '../world/cluster-world.js';
import { commitRequest, fetchRequest, heartbeatRequest, joinRequest, syncRequest } from '../world/requests.js';

const group = groupId('billing');

/** A stable group of one member with a committed offset, on three nodes. */
async function stableGroup(options: ConstructorParameters<typeof ClusterWorld>[0] = {}, sessionTimeoutMs = 10_000) {
  const world = new ClusterWorld(options);
  await world.startNodes('a', 'b', 'c');
  const joined = await world.ask('join', joinRequest(group, { sessionTimeoutMs }));
  expect(joined.error).toBe('NONE');
  const member = joined.fields?.memberId ?? memberId('');
  const generationId = joined.fields?.generationId ?? -1;
  const assignments = [{ memberId: member, assignment: new Uint8Array([7]) }];
  expect((await world.ask('sync', syncRequest(group, member, generationId, assignments))).error).toBe('NONE');
  expect((await world.ask('commit', commitRequest(group, member, generationId, 42))).error).toBe('NONE');
  return { world, member, generationId };
}

describe('a cluster of three nodes', () => {
  test('owns every partition exactly once, spread over all nodes', async () => {
    const world = new ClusterWorld({ partitionCount: 50 });
    await world.startNodes('a', 'b', 'c');
    const owners = world.ownerships().map(([owner]) => owner);
    for (const name of ['a', 'b', 'c']) {
      const share = owners.filter((owner) => owner === name).length;
      expect(share).toBeGreaterThan(0);
      expect(share).toBeLessThanOrEqual(Math.ceil((1.25 * 50) / 3));
    }
  });

  test('takes a killed node over within a second; generation, members and offsets are what they were', async () => {
    const { world, member, generationId } = await stableGroup();
    const owner = world.ownerOf(group);
    const killedAt = world.clock.now();
    world.kill(owner);
    const beat = await world.ask('heartbeat', heartbeatRequest(group, member, generationId));
    expect(beat.error).toBe('NONE');
    expect(beat.head.node).not.toBe(owner);
    expect(world.clock.now() - killedAt).toBeLessThan(1_000);
    const offsets = await world.ask('fetch', fetchRequest(group));
    expect(offsets.fields?.partitions).toMatchObject([{ topic: 'orders', partition: 0, offset: 42 }]);
  });

  test('hands everything over when a node drains; no request waits for a session', async () => {
    const { world, member, generationId } = await stableGroup();
    const owner = world.ownerOf(group);
    const node = world.node(owner);
    let isDrained = false;
    void node.cluster.drain(monotonicMs(world.clock.now() + 20_000)).then(() => {
      isDrained = true;
    });
    await world.until(() => isDrained, 5_000);
    await world.until(() => world.ownerships().every((owners) => owners.length === 1), 2_000);
    expect(world.ownerOf(group)).not.toBe(owner);
    expect((await world.ask('heartbeat', heartbeatRequest(group, member, generationId))).error).toBe('NONE');
  });

  test('gives a joining node its share, after the partitions have stayed for their time', async () => {
    const { world, member, generationId } = await stableGroup({}, 120_000);
    await world.startNode('d');
    await world.until(() => world.ownerships().some(([owner]) => owner === 'd'), 30_000);
    await world.until(() => world.ownerships().every((owners) => owners.length === 1), 5_000);
    expect((await world.ask('heartbeat', heartbeatRequest(group, member, generationId))).error).toBe('NONE');
  });

  test('fences a paused owner: what it does after waking is refused, and one node serves', async () => {
    const { world, member, generationId } = await stableGroup();
    const owner = world.ownerOf(group);
    world.nats.freeze(owner);
    const beat = await world.ask('heartbeat', heartbeatRequest(group, member, generationId), 8_000);
    expect(beat.error).toBe('NONE');
    expect(beat.head.node).not.toBe(owner);
    world.nats.thaw(owner);
    await world.clock.advance(100);
    expect(world.ownerships().every((owners) => owners.length <= 1)).toBe(true);
    const next = await world.ask('heartbeat', heartbeatRequest(group, member, generationId));
    expect(next.head.epoch).toBe(beat.head.epoch);
  });

  test('suspends on a lost connection and resumes with memory intact; nobody is expelled', async () => {
    const { world, member, generationId } = await stableGroup({
      settings: { observerWaitMs: 60_000, silenceMs: 60_000 },
    });
    const owner = world.ownerOf(group);
    const before = await world.ask('heartbeat', heartbeatRequest(group, member, generationId));
    world.nats.cut(owner);
    await world.clock.advance(15_000);
    world.nats.heal(owner);
    const after = await world.ask('heartbeat', heartbeatRequest(group, member, generationId));
    expect(after.error).toBe('NONE');
    expect(after.head.epoch).toBe(before.head.epoch);
  });

  test('marks nobody after an outage of all of NATS that was only slower to come back than another', async () => {
    const { world, member, generationId } = await stableGroup();
    const over: string[] = [];
    const names = ['a', 'b', 'c'];
    for (const name of names) void world.node(name).over.then((detail) => over.push(`${name}: ${detail}`));
    const owners = world.ownerships();
    for (const name of names) world.nats.cut(name);
    await world.clock.advance(10_000);
    for (const name of names) {
      world.nats.heal(name);
      await world.clock.advance(2_000);
    }
    await world.until(() => world.ownerships().every((now) => now.length === 1), 10_000);
    expect(over).toEqual([]);
    expect(world.ownerships()).toEqual(owners);
    expect((await world.ask('heartbeat', heartbeatRequest(group, member, generationId))).error).toBe('NONE');
  });

  test('expels nobody over an outage of the stores, and claims nothing meanwhile', async () => {
    const { world, member, generationId } = await stableGroup();
    const owners = world.ownerships();
    world.leases.setOutage('no-leader');
    world.log.plan = { append: () => ({ kind: 'dropped' }) };
    await world.clock.advance(30_000);
    world.leases.setOutage(undefined);
    world.log.plan = {};
    await world.until(() => world.ownerships().every((now) => now.length === 1), 10_000);
    expect(world.ownerships()).toEqual(owners);
    expect((await world.ask('heartbeat', heartbeatRequest(group, member, generationId))).error).toBe('NONE');
  });

  test('keeps a parked join through a take-over: sent again, it is answered by the new owner', async () => {
    const { world, member } = await stableGroup();
    const second = world.send('join', joinRequest(group));
    await world.clock.advance(100);
    expect(second.reply).toBeUndefined();
    world.kill(world.ownerOf(group));
    await world.clock.advance(1_000);
    const first = world.send('join', joinRequest(group, { memberId: member }));
    await world.until(() => first.reply !== undefined && second.reply !== undefined, 12_000);
    expect([first.reply?.error, second.reply?.error]).toEqual(['NONE', 'NONE']);
    expect(first.reply?.fields?.generationId).toBe(second.reply?.fields?.generationId);
  });
});
