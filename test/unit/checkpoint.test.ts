import { decodeFrame, encodeFrame } from '@muster/log';
import type { GroupId, MemberId } from '@muster/protocol';
import { encode, epoch, groupId, incarnation, memberId, nodeId } from '@muster/protocol';
import { describe, expect, test } from 'vitest';
import { ClusterWorld } from '../world/cluster-world.js';
import { commitRequest, fetchRequest, heartbeatRequest, joinRequest, syncRequest } from '../world/requests.js';

const group = groupId('billing');

async function stableGroup(of: GroupId = group) {
  const world = new ClusterWorld({ partitionCount: 1 });
  await world.startNodes('a', 'b');
  const joined = await world.ask('join', joinRequest(of));
  const member = joined.fields?.memberId ?? memberId('');
  const assignments = [{ memberId: member, assignment: new Uint8Array([7]) }];
  await world.ask('sync', syncRequest(of, member, 1, assignments));
  return { world, member };
}

function runtimeOf(world: ClusterWorld, of: GroupId = group) {
  const runtime = [...world.node(world.ownerOf(of)).partitions.all()][0];
  if (runtime === undefined) throw new Error('nothing is owned');
  return runtime;
}

/** A commit with as much text as is allowed: a few hundred make a checkpoint worth its bytes. */
async function fill(world: ClusterWorld, member: MemberId, from: number, upTo: number): Promise<void> {
  let answered = 0;
  for (let offset = from; offset <= upTo; offset += 1) {
    const request = commitRequest(group, member, 1, offset);
    const offsets = request.offsets.map((each) => ({ ...each, metadata: 'x'.repeat(4_000) }));
    world.send('commit', { ...request, commitSeq: offset, offsets }, () => {
      answered += 1;
    });
  }
  await world.until(() => answered > upTo - from, 10_000);
}

const kinds = (world: ClusterWorld) =>
  world.log.landed.map(({ bytes }) => {
    const decoded = decodeFrame(bytes);
    return decoded.ok ? decoded.frame.body.kind : 'broken';
  });

async function checkpointed(world: ClusterWorld): Promise<void> {
  const runtime = runtimeOf(world);
  runtime.log.checkpoint(runtime.checkpointSource());
  await world.until(() => !runtime.log.checkpointRunning, 2_000);
  await world.clock.advance(50);
}

describe('a checkpoint of a live partition', () => {
  test('runs when it is due, purges what it replaces, and is what the next owner loads', async () => {
    const { world, member } = await stableGroup();
    await fill(world, member, 1, 60);
    const runtime = runtimeOf(world);
    // A stream that runs full: due long before the usual 8 MiB.
    runtime.noteFullness(0.65);
    await fill(world, member, 61, 120);
    await world.clock.advance(200);
    expect(kinds(world)).toContain('checkpoint-end');
    const [oldest] = world.log.frames(world.partitionOf(group));
    expect(oldest?.seq).toBeGreaterThan(world.log.landed[0]?.seq ?? 0);
    world.kill(world.ownerOf(group));
    expect((await world.ask('heartbeat', heartbeatRequest(group, member, 1))).error).toBe('NONE');
    const fetched = await world.ask('fetch', fetchRequest(group));
    expect(fetched.fields?.partitions).toMatchObject([{ offset: 120 }]);
  });

  test('keeps a group that prepares a rebalance as it was recorded last: nobody is lost, the round goes on (K1)', async () => {
    const { world, member } = await stableGroup();
    await world.ask('commit', { ...commitRequest(group, member, 1, 5), commitSeq: 5 });
    const newcomer = world.send('join', joinRequest(group));
    await world.clock.advance(50);
    expect(newcomer.reply).toBeUndefined();
    await checkpointed(world);
    expect(kinds(world)).toContain('checkpoint-end');
    world.kill(world.ownerOf(group));
    // The generation of before the round is what the log says: its member is known, its commits and their numbers, too.
    expect((await world.ask('heartbeat', heartbeatRequest(group, member, 1))).error).toMatch(
      /^(NONE|REBALANCE_IN_PROGRESS)$/,
    );
    const late = await world.ask('commit', { ...commitRequest(group, member, 1, 3), commitSeq: 4 });
    expect(late.error).toBe('NONE');
    expect((await world.ask('fetch', fetchRequest(group))).fields?.partitions).toMatchObject([{ offset: 5 }]);
    // Sent again, the newcomer's join has reached the new owner by now.
    await world.clock.advance(500);
    const again = world.send('join', joinRequest(group, { memberId: member }));
    await world.until(() => again.reply !== undefined && newcomer.reply !== undefined, 12_000);
    expect([again.reply?.error, newcomer.reply?.error]).toEqual(['NONE', 'NONE']);
    expect(again.reply?.fields?.generationId).toBe(2);
    expect(newcomer.reply?.fields?.generationId).toBe(2);
  });

  test('forgets a group that was deleted, and keeps one that has offsets and no members (K2)', async () => {
    const { world } = await stableGroup();
    const deleted = groupId('deleted');
    const simple = groupId('simple');
    for (const each of [deleted, simple]) {
      expect((await world.ask('commit', commitRequest(each, memberId(''), -1, 3))).error).toBe('NONE');
    }
    expect((await world.ask('delete', { groupId: deleted })).error).toBe('NONE');
    await checkpointed(world);
    world.kill(world.ownerOf(group));
    expect((await world.ask('fetch', fetchRequest(deleted))).fields?.partitions).toEqual([]);
    expect((await world.ask('fetch', fetchRequest(simple))).fields?.partitions).toMatchObject([{ offset: 3 }]);
  });

  test('that a kill interrupts counts for nothing: everything is still there (K2)', async () => {
    const { world, member } = await stableGroup();
    await world.ask('commit', commitRequest(group, member, 1, 6));
    let checkpointFrames = 0;
    world.log.plan = {
      append: ({ bytes }) => {
        const decoded = decodeFrame(bytes);
        const kind = decoded.ok ? decoded.frame.body.kind : '';
        if (kind === 'checkpoint') checkpointFrames += 1;
        return kind === 'checkpoint-end' ? { kind: 'dropped' } : undefined;
      },
    };
    const runtime = runtimeOf(world);
    runtime.log.checkpoint(runtime.checkpointSource());
    await world.clock.advance(100);
    expect(checkpointFrames).toBe(1);
    world.kill(world.ownerOf(group));
    world.log.plan = {};
    expect((await world.ask('fetch', fetchRequest(group))).fields?.partitions).toMatchObject([{ offset: 6 }]);
    expect((await world.ask('heartbeat', heartbeatRequest(group, member, 1))).error).toBe('NONE');
  });
});

describe('a group whose turn threw', () => {
  /** From now on every look at the group throws, as a broken invariant does. */
  function poison(world: ClusterWorld): void {
    const slot = runtimeOf(world).inspect(group);
    if (slot?.group === undefined) throw new Error('there is no such group');
    Object.defineProperty(slot.group, 'phase', {
      get: () => {
        throw new Error('a broken invariant');
      },
    });
  }

  test('is quarantined alone: its neighbours in the partition are served on', async () => {
    const { world, member } = await stableGroup();
    const neighbour = groupId('neighbour');
    await world.ask('commit', commitRequest(neighbour, memberId(''), -1, 3));
    poison(world);
    expect((await world.ask('heartbeat', heartbeatRequest(group, member, 1))).error).toBe('UNKNOWN_SERVER_ERROR');
    expect((await world.ask('describe', { groupId: group })).error).toBe('UNKNOWN_SERVER_ERROR');
    expect((await world.ask('fetch', fetchRequest(neighbour))).fields?.partitions).toMatchObject([{ offset: 3 }]);
  });

  test('is never checkpointed: where one is due, the partition is loaded anew, as the log says (K1)', async () => {
    const { world, member } = await stableGroup();
    await fill(world, member, 1, 60);
    poison(world);
    await world.ask('heartbeat', heartbeatRequest(group, member, 1));
    const runtime = runtimeOf(world);
    expect(runtime.log.urgentCheckpointDue).toBe(true);
    runtime.noteFullness(0.7);
    expect(runtime.log.isLost).toBe(true);
    await world.clock.advance(50);
    expect(kinds(world)).not.toContain('checkpoint');
    // Whoever owns it next has it from the log, sound, and the log can shrink again.
    expect((await world.ask('heartbeat', heartbeatRequest(group, member, 1))).error).toBe('NONE');
    expect((await world.ask('fetch', fetchRequest(group))).fields?.partitions).toMatchObject([{ offset: 60 }]);
    await checkpointed(world);
    expect(kinds(world)).toContain('checkpoint-end');
  });

  test('during a checkpoint has the partition loaded anew: the checkpoint cannot leave it out, nor come to its end', async () => {
    const { world, member } = await stableGroup();
    await world.ask('commit', commitRequest(group, member, 1, 8));
    const runtime = runtimeOf(world);
    world.log.plan = { append: () => ({ kind: 'delayed', landsAfterMs: 100 }) };
    runtime.log.checkpoint(runtime.checkpointSource());
    poison(world);
    const beat = world.send('heartbeat', heartbeatRequest(group, member, 1));
    await world.clock.advance(50);
    expect(beat.reply?.error).toBe('UNKNOWN_SERVER_ERROR');
    world.log.plan = {};
    await world.clock.advance(4_000);
    expect(kinds(world)).not.toContain('checkpoint-end');
    expect((await world.ask('heartbeat', heartbeatRequest(group, member, 1))).error).toBe('NONE');
    expect((await world.ask('fetch', fetchRequest(group))).fields?.partitions).toMatchObject([{ offset: 8 }]);
  });
});

describe('a partition whose log cannot be read', () => {
  test('because a newer version wrote into it is quarantined, and the node serves its others', async () => {
    const world = new ClusterWorld({ partitionCount: 6 });
    const newer = world.partitionOf(group);
    const writer = { epoch: epoch(1), node: nodeId('gone'), incarnation: incarnation('gone-1') };
    const claim = encodeFrame({ ...writer, nonce: 'n1', previousSeq: 0, previousNonce: '', body: { kind: 'claim' } });
    const previousSeq = world.log.inject(newer, claim);
    // A group snapshot, in a version of the future.
    const pieces = [{ kind: 'whole', bytes: encode([1, 99]) } as const];
    const body = { kind: 'records', entries: [{ group, pieces }] } as const;
    world.log.inject(newer, encodeFrame({ ...writer, nonce: 'n2', previousSeq, previousNonce: 'n1', body }));
    await world.startNode('a');
    await world.clock.advance(5_000);
    expect(world.node('a').cluster.ownership.counts()).toMatchObject({ quarantined: 1, owned: 5, claiming: 0 });
  });

  test('is quarantined, and the node serves its others', async () => {
    const world = new ClusterWorld({ partitionCount: 6 });
    const damaged = world.partitionOf(group);
    world.log.inject(damaged, new Uint8Array([1, 2, 3]));
    await world.startNode('a');
    await world.clock.advance(5_000);
    expect(world.node('a').cluster.ownership.counts()).toMatchObject({ quarantined: 1, owned: 5, claiming: 0 });
    const other = Array.from({ length: 20 }, (_, index) => groupId(`g${index}`)).find(
      (each) => world.partitionOf(each) !== damaged,
    );
    const asked = await world.ask('fetch', fetchRequest(other ?? group));
    expect(asked.error).toBe('NONE');
  });
});
