import type { Frame } from '@muster/log';
import { decodeFrame } from '@muster/log';
import type { GroupId, MemberId } from '@muster/protocol';
import { encodeRequest, epoch, generation, groupId, logId, memberId, monotonicMs, requestId } from '@muster/protocol';
import { describe, expect, test } from 'vitest';
import { ClusterWorld, type WorldOptions } from '../world/cluster-world.js';
import { commitRequest, fetchRequest, heartbeatRequest, joinRequest, syncRequest } from '../world/requests.js';

const group = groupId('billing');

type Stable = { readonly member: MemberId; readonly generationId: number };

async function makeStable(world: ClusterWorld, of: GroupId = group, sessionTimeoutMs = 10_000): Promise<Stable> {
  const joined = await world.ask('join', joinRequest(of, { sessionTimeoutMs }));
  const member = joined.fields?.memberId ?? memberId('');
  const generationId = joined.fields?.generationId ?? -1;
  const assignments = [{ memberId: member, assignment: new Uint8Array([7]) }];
  expect((await world.ask('sync', syncRequest(of, member, generationId, assignments))).error).toBe('NONE');
  return { member, generationId };
}

async function cluster(names: readonly string[], options: WorldOptions = {}) {
  const world = new ClusterWorld(options);
  await world.startNodes(...names);
  return world;
}

const isWhole = (world: ClusterWorld) => world.answering().every((owners) => owners.length === 1);

function framesOf(world: ClusterWorld, of: GroupId): Frame[] {
  return world.log.landed.flatMap(({ partition, bytes }) => {
    const decoded = decodeFrame(bytes);
    return partition === world.partitionOf(of) && decoded.ok ? [decoded.frame] : [];
  });
}
const kindsOf = (world: ClusterWorld, of: GroupId) => framesOf(world, of).map(({ body }) => body.kind);

/** Loses, on its way into the log, every frame of that kind. */
function loseFrames(world: ClusterWorld, kind: Frame['body']['kind']): void {
  world.log.plan = {
    append: ({ bytes }) => {
      const decoded = decodeFrame(bytes);
      return decoded.ok && decoded.frame.body.kind === kind ? { kind: 'dropped' } : undefined;
    },
  };
}

async function offsetOf(world: ClusterWorld, of: GroupId = group): Promise<number | undefined> {
  return (await world.ask('fetch', fetchRequest(of), 10_000)).fields?.partitions[0]?.offset;
}

describe('kills', () => {
  test('one after the other leave generation, members and every acknowledged commit, down to the last node', async () => {
    const world = await cluster(['a', 'b', 'c', 'd']);
    const { member, generationId } = await makeStable(world);
    for (let offset = 1; offset <= 3; offset += 1) {
      expect((await world.ask('commit', commitRequest(group, member, generationId, offset))).error).toBe('NONE');
      world.kill(world.ownerOf(group));
      expect((await world.ask('heartbeat', heartbeatRequest(group, member, generationId))).error).toBe('NONE');
      expect(await offsetOf(world)).toBe(offset);
    }
    expect(world.names).toHaveLength(1);
  });

  test('of two nodes at once are survived', async () => {
    const world = await cluster(['a', 'b', 'c']);
    const { member, generationId } = await makeStable(world);
    await world.ask('commit', commitRequest(group, member, generationId, 9));
    const owner = world.ownerOf(group);
    world.kill(owner);
    world.kill(world.names[0] ?? '');
    await world.until(() => isWhole(world), 3_000);
    expect((await world.ask('heartbeat', heartbeatRequest(group, member, generationId))).error).toBe('NONE');
    expect(await offsetOf(world)).toBe(9);
  });

  test('and a start under the same id make another incarnation, which owns nothing but by new claims (O1)', async () => {
    const world = await cluster(['a']);
    const { member, generationId } = await makeStable(world);
    await world.ask('commit', commitRequest(group, member, generationId, 3));
    const before = (await world.ask('heartbeat', heartbeatRequest(group, member, generationId))).head.epoch ?? 0;
    world.kill('a');
    await world.startNode('a');
    expect(world.ownerships().flat()).toEqual([]);
    await world.until(() => isWhole(world), 3_000);
    const after = await world.ask('heartbeat', heartbeatRequest(group, member, generationId));
    expect(after.error).toBe('NONE');
    expect(after.head.epoch).toBeGreaterThan(before);
    expect(await offsetOf(world)).toBe(3);
    const claims = framesOf(world, group).filter(({ body }) => body.kind === 'claim');
    expect(new Set(claims.map(({ incarnation }) => incarnation)).size).toBe(2);
  });
});

describe('a node that has lost its lease', () => {
  test('ends for good: what it was marked for is over even though it lives (M1, O4)', async () => {
    const world = await cluster(['a', 'b']);
    const lost = world.node('a');
    let reason = '';
    void lost.over.then((detail) => {
      reason = detail;
    });
    world.freeze('a');
    await world.until(() => world.answering().every(([owner]) => owner === 'b'), 10_000);
    world.thaw('a');
    await world.until(() => reason !== '', 3_000);
    expect(reason).toContain('b: ');
    await world.clock.advance(20_000);
    expect([...lost.partitions.all()]).toEqual([]);
    expect(world.answering().every((owners) => owners.join() === 'b')).toBe(true);
  });

  test('because its key was deleted gives way as if it was marked (O4)', async () => {
    const world = await cluster(['a', 'b']);
    const { member, generationId } = await makeStable(world);
    const owner = world.ownerOf(group);
    // A paused one: it cannot even hear that its renewal is refused.
    world.freeze(owner);
    world.leases.remove(`node.${owner}`);
    const beat = await world.ask('heartbeat', heartbeatRequest(group, member, generationId), 3_000);
    expect(beat.error).toBe('NONE');
    expect(beat.head.node).not.toBe(owner);
  });
});

test('a refused renewal suspends at once, however young the proof by appends; only a new append brings service back (O3)', async () => {
  const world = await cluster(['a']);
  const { member, generationId } = await makeStable(world);
  // Its acknowledgement is lost, so that the renewal after it is refused.
  world.leases.failNextWrite({ kind: 'ack-lost' }, 'a');
  const before = framesOf(world, group).length;
  for (let offset = 1; offset <= 35; offset += 1) {
    await world.ask('commit', commitRequest(group, member, generationId, offset));
    await world.clock.advance(100);
  }
  const kinds = kindsOf(world, group).slice(before);
  expect(kinds).toContain('barrier');
  expect(kinds.filter((kind) => kind === 'barrier')).toHaveLength(1);
});

describe('a pulled cable', () => {
  test('is found by the lease alone, below seven seconds, with nobody expelled (O10)', async () => {
    const world = await cluster(['a', 'b', 'c']);
    const { member, generationId } = await makeStable(world, group, 6_000);
    const owner = world.ownerOf(group);
    const cutAt = world.clock.now();
    world.nats.cut(owner, { silently: true });
    const beat = await world.ask('heartbeat', heartbeatRequest(group, member, generationId), 8_000);
    expect(beat.error).toBe('NONE');
    expect(beat.head.node).not.toBe(owner);
    expect(world.clock.now() - cutAt).toBeLessThan(7_000);
    await world.clock.advance(3_000);
    expect((await world.ask('heartbeat', heartbeatRequest(group, member, generationId))).error).toBe('NONE');
  });
});

describe('a process that went on after a pause (O3)', () => {
  /** What the node sends to clients, with the number of frames of the group's log at that moment. */
  function listenTo(world: ClusterWorld, name: string): { subject: string; frames: number }[] {
    const sent: { subject: string; frames: number }[] = [];
    world.nats.drop(({ from, subject }) => {
      if (from === name && subject.startsWith('_INBOX.world')) {
        sent.push({ subject, frames: framesOf(world, group).length });
      }
      return false;
    });
    return sent;
  }

  test('answers nothing of what had waited when another has claimed meanwhile', async () => {
    const world = await cluster(['a', 'b', 'c']);
    const { member, generationId } = await makeStable(world);
    const owner = world.ownerOf(group);
    const sent = listenTo(world, owner);
    world.freeze(owner);
    const waiting = [
      world.send('heartbeat', heartbeatRequest(group, member, generationId)),
      world.send('describe', { groupId: group }),
      // A refusal is an answer, too.
      world.send('sync', { ...syncRequest(group, member, generationId), groupId: groupId('x'.repeat(10)) }),
    ];
    await world.until(() => waiting[0]?.reply !== undefined, 8_000);
    world.thaw(owner);
    await world.clock.advance(5_000);
    expect(sent.filter(({ subject }) => subject !== '')).toEqual([]);
  });

  test('answers only behind a new append when nobody has, also where nothing was to be recorded', async () => {
    const world = await cluster(['a']);
    const { member, generationId } = await makeStable(world);
    const sent = listenTo(world, 'a');
    world.freeze('a');
    const beat = world.send('heartbeat', heartbeatRequest(group, member, generationId));
    const framesBefore = framesOf(world, group).length;
    await world.clock.advance(4_200);
    world.thaw('a');
    await world.until(() => beat.reply !== undefined, 5_000);
    expect(beat.reply?.error).toBe('NONE');
    expect(sent[0]?.frames).toBeGreaterThan(framesBefore);
    expect(framesOf(world, group).at(-1)?.body.kind).toBe('barrier');
  });

  test('expels no member for the time that it stood still itself (O11)', async () => {
    const world = await cluster(['a']);
    const { member, generationId } = await makeStable(world, group, 6_000);
    world.freeze('a');
    await world.clock.advance(30_000);
    world.thaw('a');
    // Nobody speaks for a while: what saves the member is its deadline, not a request that had waited.
    await world.clock.advance(3_000);
    expect((await world.ask('heartbeat', heartbeatRequest(group, member, generationId))).error).toBe('NONE');
    // Nor does it keep one that does not speak any more.
    await world.clock.advance(6_100);
    expect((await world.ask('describe', { groupId: group })).fields?.members).toEqual([]);
  });

  test('refuses nobody on old proof either: a bad request is answered when ownership is proven', async () => {
    const world = await cluster(['a']);
    await makeStable(world);
    const sent: number[] = [];
    world.nats.drop(({ from, subject }) => {
      if (from === 'a' && subject === 'answers') sent.push(framesOf(world, group).length);
      return false;
    });
    world.freeze('a');
    const frames = framesOf(world, group).length;
    world.client.publish(
      world.subjects.group(world.partitionOf(group), group, 'join'),
      new Uint8Array([0x92]),
      'answers',
    );
    world.client.subscribe('answers', () => {});
    await world.clock.advance(4_500);
    world.thaw('a');
    await world.clock.advance(2_000);
    expect(sent.filter((at) => at <= frames)).toEqual([]);
  });
});

describe('grace after a claim without release (O5)', () => {
  test('keeps a member that is slow to rejoin, although the rebalance timeout is over', async () => {
    const world = await cluster(['a', 'b', 'c']);
    const timeouts = { sessionTimeoutMs: 6_000, rebalanceTimeoutMs: 1_000 };
    const first = await world.ask('join', joinRequest(group, timeouts));
    const m1 = first.fields?.memberId ?? memberId('');
    const second = world.send('join', joinRequest(group, timeouts));
    await world.clock.advance(20);
    const again = world.send('join', joinRequest(group, { ...timeouts, memberId: m1 }));
    await world.until(() => second.reply !== undefined && again.reply !== undefined, 5_000);
    const m2 = second.reply?.fields?.memberId ?? memberId('');
    const generationId = second.reply?.fields?.generationId ?? -1;
    await world.ask('sync', syncRequest(group, m1, generationId, []));
    world.kill(world.ownerOf(group));
    await world.until(() => isWhole(world), 3_000);
    // A newcomer opens a round on the new owner; m1 is there at once, m2 comes four seconds late.
    const newcomer = world.send('join', joinRequest(group, timeouts));
    const early = world.send('join', joinRequest(group, { ...timeouts, memberId: m1 }));
    await world.clock.advance(4_000);
    expect([newcomer.reply, early.reply]).toEqual([undefined, undefined]);
    const late = world.send('join', joinRequest(group, { ...timeouts, memberId: m2 }));
    await world.until(() => late.reply !== undefined && early.reply !== undefined, 3_000);
    expect(late.reply).toMatchObject({ error: 'NONE', fields: { memberId: m2 } });
    expect(late.reply?.fields?.generationId).toBe(early.reply?.fields?.generationId);
  });

  test('ends: a member that stays away is dropped then, and the round completes without it', async () => {
    const world = await cluster(['a', 'b']);
    await makeStable(world, group, 6_000);
    world.kill(world.ownerOf(group));
    await world.until(() => isWhole(world), 3_000);
    const newcomer = world.send('join', joinRequest(group, { rebalanceTimeoutMs: 1_000 }));
    await world.until(() => newcomer.reply !== undefined, 12_000);
    expect(newcomer.reply).toMatchObject({ error: 'NONE' });
    expect(newcomer.reply?.fields?.members).toHaveLength(1);
  });
});

describe('a hand-over (O9)', () => {
  async function drained(world: ClusterWorld, name: string): Promise<void> {
    let isDrained = false;
    void world
      .node(name)
      .cluster.drain(monotonicMs(world.clock.now() + 20_000))
      .then(() => {
        isDrained = true;
      });
    await world.until(() => isDrained, 21_000);
    world.forget(name);
  }

  test('ends with a release as the last frame of the old owner, and the new one’s claim right behind it', async () => {
    const world = await cluster(['a', 'b', 'c']);
    const { member, generationId } = await makeStable(world);
    await drained(world, world.ownerOf(group));
    expect((await world.ask('heartbeat', heartbeatRequest(group, member, generationId))).error).toBe('NONE');
    const kinds = kindsOf(world, group);
    const at = kinds.indexOf('release');
    expect(at).toBeGreaterThan(0);
    expect(kinds[at + 1]).toBe('claim');
  });

  test('of which no release lands reaches its target by the offer', async () => {
    const world = await cluster(['a', 'b', 'c']);
    const { member, generationId } = await makeStable(world);
    loseFrames(world, 'release');
    const owner = world.ownerOf(group);
    await drained(world, owner);
    const beat = await world.ask('heartbeat', heartbeatRequest(group, member, generationId));
    expect(beat.error).toBe('NONE');
    expect(kindsOf(world, group)).not.toContain('release');
  });

  test('of which the offer is lost reaches its target by the release', async () => {
    const world = await cluster(['a', 'b', 'c']);
    const { member, generationId } = await makeStable(world);
    world.nats.drop(({ subject }) => subject.endsWith('.offer'));
    await drained(world, world.ownerOf(group));
    expect((await world.ask('heartbeat', heartbeatRequest(group, member, generationId))).error).toBe('NONE');
  });

  test('of which neither arrives comes to its end when the old owner has left', async () => {
    const world = await cluster(['a', 'b', 'c']);
    const { member, generationId } = await makeStable(world);
    world.nats.drop(({ subject }) => subject.endsWith('.offer'));
    loseFrames(world, 'release');
    await drained(world, world.ownerOf(group));
    expect((await world.ask('heartbeat', heartbeatRequest(group, member, generationId))).error).toBe('NONE');
  });

  test('of the last node serves until shortly before its deadline; who comes later finds everything', async () => {
    const world = await cluster(['a']);
    const { member, generationId } = await makeStable(world, group, 60_000);
    await world.ask('commit', commitRequest(group, member, generationId, 5));
    let isDrained = false;
    void world
      .node('a')
      .cluster.drain(monotonicMs(world.clock.now() + 10_000))
      .then(() => {
        isDrained = true;
      });
    await world.clock.advance(8_000);
    expect((await world.ask('heartbeat', heartbeatRequest(group, member, generationId))).error).toBe('NONE');
    await world.until(() => isDrained, 3_000);
    world.forget('a');
    await world.startNode('b');
    expect((await world.ask('heartbeat', heartbeatRequest(group, member, generationId))).error).toBe('NONE');
    expect(await offsetOf(world)).toBe(5);
  });
});

describe('without the lease store', () => {
  test('clients are served on, on the proof of barrier frames, and no node takes anything (O3)', async () => {
    const world = await cluster(['a', 'b', 'c']);
    const { member, generationId } = await makeStable(world);
    const owners = world.ownerships();
    const before = kindsOf(world, group).filter((kind) => kind === 'barrier').length;
    world.leases.setOutage('hanging');
    let answered = 0;
    for (let second = 0; second < 30; second += 1) {
      const beat = await world.ask('heartbeat', heartbeatRequest(group, member, generationId), 500);
      if (beat.error === 'NONE') answered += 1;
      await world.clock.advance(900);
    }
    expect(answered).toBe(30);
    expect(world.ownerships()).toEqual(owners);
    const barriers = kindsOf(world, group).filter((kind) => kind === 'barrier').length - before;
    expect(barriers).toBeGreaterThan(5);
    expect(barriers).toBeLessThan(60);
  });

  test('a kill is found when it is back, not sooner: no mark, no claim (O4)', async () => {
    const world = await cluster(['a', 'b', 'c']);
    await makeStable(world);
    world.leases.setOutage('no-leader');
    const owner = world.ownerOf(group);
    world.kill(owner);
    await world.clock.advance(20_000);
    expect(world.answering()[world.partitionOf(group)]).toEqual([]);
    world.leases.setOutage(undefined);
    await world.until(() => isWhole(world), 8_000);
  });
});

describe('an append without answer (O6, O12)', () => {
  test('makes the node deaf for that partition only, so that clients hear it at once, and is answered when it lands', async () => {
    const world = await cluster(['a']);
    const { member, generationId } = await makeStable(world);
    const partition = world.partitionOf(group);
    let isStalled = true;
    world.log.plan = {
      append: ({ partition: of }) =>
        isStalled && of === partition ? { kind: 'delayed', landsAfterMs: 3_000 } : undefined,
    };
    const commit = world.send('commit', commitRequest(group, member, generationId, 8));
    await world.clock.advance(1_000);
    isStalled = false;
    const subject = world.subjects.group(partition, group, 'heartbeat');
    const payload = encodeRequest(
      { id: requestId('direct'), deadlineMs: 1_000 },
      heartbeatRequest(group, member, generationId),
    );
    const asked = world.client.request(subject, payload, 500);
    await world.clock.advance(10);
    expect((await asked).kind).toBe('no-responders');
    expect(world.ownerships().filter((owners) => owners.length === 1)).toHaveLength(world.partitionCount - 1);
    await world.until(() => commit.reply !== undefined, 5_000);
    expect(commit.reply?.error).toBe('NONE');
    expect(await offsetOf(world)).toBe(8);
  });

  test('that nobody answers for half a minute costs no member its place', async () => {
    const world = await cluster(['a', 'b']);
    const { member, generationId } = await makeStable(world, group, 6_000);
    const partition = world.partitionOf(group);
    world.log.plan = { append: ({ partition: of }) => (of === partition ? { kind: 'dropped' } : undefined) };
    const commit = world.send('commit', commitRequest(group, member, generationId, 8));
    await world.clock.advance(30_000);
    world.log.plan = {};
    await world.until(() => commit.reply !== undefined, 5_000);
    expect(commit.reply?.error).toBe('NONE');
    expect((await world.ask('heartbeat', heartbeatRequest(group, member, generationId))).error).toBe('NONE');
  });
});

describe('epochs (C2)', () => {
  test('that are later than the owner’s make it prove its own by an append; others are served meanwhile', async () => {
    const world = await cluster(['a', 'b']);
    const { member, generationId } = await makeStable(world);
    const before = framesOf(world, group).length;
    const reign = (await world.ask('heartbeat', heartbeatRequest(group, member, generationId))).head.epoch ?? 0;
    const head = { epoch: epoch(reign + 5), log: logId('world-log') };
    const liar = world.send('heartbeat', heartbeatRequest(group, member, generationId), () => {}, head);
    await world.clock.advance(200);
    expect(liar.reply).toBeUndefined();
    liar.stop();
    const beat = await world.ask('heartbeat', heartbeatRequest(group, member, generationId));
    expect(beat).toMatchObject({ error: 'NONE', head: { epoch: reign } });
    expect(framesOf(world, group).length).toBeGreaterThan(before);
    expect(framesOf(world, group).at(-1)?.body.kind).toBe('barrier');
  });

  test('rise with every claim, never fall, and stand on every answer', async () => {
    const world = await cluster(['a', 'b', 'c']);
    const { member, generationId } = await makeStable(world);
    const seen: number[] = [];
    for (let kills = 0; kills < 2; kills += 1) {
      seen.push((await world.ask('heartbeat', heartbeatRequest(group, member, generationId))).head.epoch ?? -1);
      world.kill(world.ownerOf(group));
      await world.until(() => isWhole(world), 3_000);
    }
    seen.push((await world.ask('heartbeat', heartbeatRequest(group, member, generationId))).head.epoch ?? -1);
    expect(seen).toEqual([1, 2, 3]);
  });
});

describe('an offset fetch (O7)', () => {
  test('is answered behind an append that was sent after it was asked', async () => {
    const world = await cluster(['a', 'b']);
    const { member, generationId } = await makeStable(world);
    await world.ask('commit', commitRequest(group, member, generationId, 4));
    await world.clock.advance(100);
    const before = framesOf(world, group).length;
    expect(await offsetOf(world)).toBe(4);
    expect(kindsOf(world, group).slice(before)).toEqual(['barrier']);
  });
});

test('generations are durable before anybody hears of them: after a kill in the middle of a round none comes back', async () => {
  const world = await cluster(['a', 'b', 'c']);
  const { member, generationId } = await makeStable(world);
  const second = world.send('join', joinRequest(group));
  const again = world.send('join', joinRequest(group, { memberId: member }));
  await world.until(() => again.reply !== undefined && second.reply !== undefined, 5_000);
  const next = again.reply?.fields?.generationId ?? -1;
  expect(next).toBe(generationId + 1);
  world.kill(world.ownerOf(group));
  // C4: in the middle of the round; the sync of the leader goes on in the same generation.
  const synced = await world.ask('sync', syncRequest(group, member, next, []));
  expect(synced.error).toBe('NONE');
  const beat = await world.ask('heartbeat', heartbeatRequest(group, member, generation(next)));
  expect(beat.error).toBe('NONE');
});
