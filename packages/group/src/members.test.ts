import { groupApis, REASON_LENGTH_MAX } from '@muster/protocol';
import { describe, expect, it } from 'vitest';
import { join, joinDefaults, joined, stable, sync, synced, text, World } from '../test/world.js';
import { loadingReply, unloadedReply } from './index.js';

const two = [{}, {}];
const withDelay = { initialRebalanceDelayMs: 3_000 };

/** A member that needs an id first. */
const known = { requireKnownMemberId: true };

describe('join', () => {
  it('answers a newcomer that asks again with the same request with the same id', () => {
    const world = new World();
    const ref = join(world, known);
    const first = world.reply('join', ref);
    join(world, known, ref);
    expect(first?.error).toBe('MEMBER_ID_REQUIRED');
    expect(world.reply('join', ref)?.fields.memberId).toBe(first?.fields.memberId);
    expect(world.group.pendingMembers.size).toBe(1);
  });

  it('says which session timeouts are allowed', () => {
    const world = new World();
    const refused = world.reply('join', join(world, { sessionTimeoutMs: 17 }));
    expect(refused).toMatchObject({
      error: 'INVALID_SESSION_TIMEOUT',
      detail: '17 ms, allowed are 6000 to 1800000 ms',
    });
  });

  it('shows the id again when the request that asked for it arrives late', () => {
    const world = new World();
    const asked = join(world, known);
    const id = world.reply('join', asked)?.fields.memberId ?? '';
    join(world, { ...known, memberId: id });
    world.advance(1);
    join(world, known, asked);
    expect(world.reply('join', asked)).toMatchObject({ error: 'MEMBER_ID_REQUIRED', fields: { memberId: id } });
    expect(world.group.members.size).toBe(1);
  });

  it('keeps a parked request parked when it is sent again, and answers it once', () => {
    const world = new World(withDelay);
    const ref = join(world);
    join(world, {}, ref);
    expect(world.group.members.size).toBe(1);
    expect(world.reply('join', ref)).toBeUndefined();
    world.advance(3_000);
    expect(joined(world, ref).generationId).toBe(1);
  });

  it('ignores another content under the id of a parked request', () => {
    const world = new World(withDelay);
    const ref = join(world);
    join(world, { protocols: [] }, ref);
    expect(world.reply('join', ref)).toBeUndefined();
    world.advance(3_000);
    expect(joined(world, ref).protocolName).toBe('range');
  });

  it('drops a newcomer after five minutes also if it asked again meanwhile', () => {
    const world = new World();
    stable(world, [{ sessionTimeoutMs: 1_000_000, rebalanceTimeoutMs: 1_000_000 }]);
    const memberId = world.reply('join', join(world, known))?.fields.memberId ?? '';
    join(world, { memberId });
    const again = join(world, { memberId });
    world.advance(299_999);
    expect(world.reply('join', again)).toBeUndefined();
    world.advance(1);
    expect(world.reply('join', again)?.error).toBe('UNKNOWN_MEMBER_ID');
  });

  it('answers an older parked request of the same member REBALANCE_IN_PROGRESS', () => {
    const world = new World();
    const [leader = '', follower = ''] = stable(world, two);
    const older = join(world, { memberId: leader });
    const newer = join(world, { memberId: leader });
    expect(world.reply('join', older)?.error).toBe('REBALANCE_IN_PROGRESS');
    join(world, { memberId: follower });
    expect(joined(world, newer).generationId).toBe(2);
  });

  it('refuses a protocol name that occurs twice, and creates no group for it', () => {
    const world = new World();
    const twice = [...joinDefaults.protocols, ...joinDefaults.protocols];
    expect(world.reply('join', join(world, { protocols: twice }))?.error).toBe('INVALID_REQUEST');
    expect(world.slot.group).toBeUndefined();
  });

  it('admits a static member that returns to a full group', () => {
    const world = new World({ maxSize: 2 });
    stable(world, [{ groupInstanceId: 'a' }, { groupInstanceId: 'b' }]);
    expect(joined(world, join(world, { groupInstanceId: 'b' })).generationId).toBe(1);
    expect(world.reply('join', join(world, { groupInstanceId: 'c' }))?.error).toBe('GROUP_MAX_SIZE_REACHED');
  });

  it('recognises the restart of a static member that is sent again', () => {
    const world = new World();
    stable(world, [{ groupInstanceId: 'a' }]);
    const restart = join(world, { groupInstanceId: 'a' });
    const first = joined(world, restart);
    join(world, { groupInstanceId: 'a' }, restart);
    expect(joined(world, restart)).toEqual(first);
    expect(world.group.generation).toBe(1);
  });

  it('fences a late copy of the join of a static member that was replaced, after a failover too', () => {
    const world = new World();
    stable(world, [{ groupInstanceId: 'a' }]);
    const first = join(world, { groupInstanceId: 'a' });
    joined(world, first);
    const twin = joined(world, join(world, { groupInstanceId: 'a' }));
    for (const isAfterFailover of [false, true]) {
      if (isAfterFailover) world.reload();
      join(world, { groupInstanceId: 'a' }, first);
      expect(world.reply('join', first)?.error).toBe('FENCED_INSTANCE_ID');
      expect([...world.group.members.keys()]).toEqual([twin.memberId]);
    }
  });

  it('lets the leader decide a tie between protocols', () => {
    const range = { name: 'range', metadata: text('r') };
    const sticky = { name: 'sticky', metadata: text('s') };
    const world = new World(withDelay);
    const leader = join(world, { protocols: [sticky, range] });
    join(world, { protocols: [range, sticky] });
    world.advance(9_000);
    expect(joined(world, leader).protocolName).toBe('sticky');
  });

  it('bounds the length of a generated id without splitting a character', () => {
    const world = new World();
    const long = `${'x'.repeat(474)}😀😀`;
    const id = world.reply('join', join(world, { ...known, clientId: long }))?.fields.memberId ?? '';
    expect(id.length).toBeLessThanOrEqual(512);
    expect(() => encodeURIComponent(id)).not.toThrow();
  });

  it('does not let silent static members without a rebalance timeout spin the join timer', () => {
    const world = new World();
    const [, follower = ''] = stable(world, [{ groupInstanceId: 'a', sessionTimeoutMs: 60_000 }, {}]);
    join(world, { groupInstanceId: 'a', sessionTimeoutMs: 60_000, rebalanceTimeoutMs: 0 });
    world.send('leave', { members: [{ memberId: follower }] });
    world.advance(30_000);
    expect(world.state).toBe('PreparingRebalance');
    world.advance(31_000);
    expect(world.state).toBe('Empty');
  });
});

describe('a generation', () => {
  it('is recorded in the turn that answers the joins, before the leader assigns', () => {
    const world = new World();
    const ref = join(world);
    world.advance(1);
    expect(joined(world, ref).generationId).toBe(1);
    expect(world.effects.records).toMatchObject([{ kind: 'snapshot', generation: 1, state: 'CompletingRebalance' }]);
  });

  it('never repeats after a failover in the middle of a round', () => {
    const world = new World();
    const ref = join(world);
    world.advance(1);
    const { memberId } = joined(world, ref);
    world.reload();
    world.send('leave', { members: [{ memberId }] });
    const next = join(world);
    world.advance(1);
    expect(joined(world, next).generationId).toBe(3);
  });

  it('goes on after a failover: the resent join gets it, syncs complete it', () => {
    const world = new World(withDelay);
    const refs = [join(world), join(world)];
    world.advance(9_000);
    const [leader, follower] = refs.map((ref) => joined(world, ref));
    world.reload();
    const [leaderRef, followerRef] = refs;
    join(world, {}, leaderRef);
    join(world, {}, followerRef);
    expect(joined(world, leaderRef!)).toEqual(leader);
    expect(joined(world, followerRef!)).toEqual(follower);
    const id = follower?.memberId ?? '';
    const parked = sync(world, id, 1);
    sync(world, leader?.memberId ?? '', 1, { [id]: 'mine' });
    expect(synced(world, parked).assignment).toEqual(text('mine'));
    expect(world.group.generation).toBe(1);
  });

  it('is announced when it ends, except where nobody is there to hear it', () => {
    const world = new World();
    const [leader = ''] = stable(world, [{}]);
    expect(world.notices).toEqual([]);
    join(world, { memberId: leader });
    expect(world.notices).toEqual([1]);
  });
});

describe('sync', () => {
  it('answers a member that leaves while its request is parked UNKNOWN_MEMBER_ID', () => {
    const world = new World(withDelay);
    const refs = [join(world), join(world)];
    world.advance(9_000);
    const follower = joined(world, refs[1]!).memberId;
    const parked = sync(world, follower, 1);
    world.send('leave', { members: [{ memberId: follower }] });
    expect(world.reply('sync', parked)?.error).toBe('UNKNOWN_MEMBER_ID');
  });

  it('answers an older parked request of the same member REBALANCE_IN_PROGRESS', () => {
    const world = new World(withDelay);
    const refs = [join(world), join(world)];
    world.advance(9_000);
    const follower = joined(world, refs[1]!).memberId;
    const older = sync(world, follower, 1);
    const newer = sync(world, follower, 1);
    expect(world.reply('sync', older)?.error).toBe('REBALANCE_IN_PROGRESS');
    sync(world, joined(world, refs[0]!).memberId, 1, { [follower]: 'a' });
    expect(synced(world, newer).assignment).toEqual(text('a'));
  });

  it('removes members that never sync also from a stable group', () => {
    const world = new World(withDelay);
    const refs = [join(world), join(world, { sessionTimeoutMs: 60_000 })];
    world.advance(9_000);
    const leader = joined(world, refs[0]!).memberId;
    const silent = joined(world, refs[1]!).memberId;
    sync(world, leader, 1);
    for (let beat = 0; beat < 4; beat += 1) {
      world.advance(8_000);
      world.send('heartbeat', { memberId: leader, generationId: 1 });
    }
    expect([...world.group.members.keys()]).toEqual([leader]);
    expect(world.send('heartbeat', { memberId: silent, generationId: 1 })?.error).toBe('UNKNOWN_MEMBER_ID');
  });
});

describe('the history of rebalances', () => {
  it('keeps cause, member, duration and what moved, also over a failover', () => {
    const world = new World();
    const [leader = ''] = stable(world, [{ protocols: [{ name: 'range', metadata: text('') }] }]);
    join(world, { memberId: leader, reason: 'partitions were given up for others' });
    world.advance(500);
    sync(world, leader, 2);
    world.reload();
    const { rebalances } = world.send('describe', {})!.fields;
    expect(rebalances).toMatchObject([
      { generationId: 1, cause: 'member-joined', memberId: leader, members: 1, moved: null },
      {
        generationId: 2,
        cause: 'subscription-changed',
        // What the member itself says tells a hand-over in steps from a change of topics: both change its metadata.
        reason: 'partitions were given up for others',
        memberId: leader,
        durationMs: 500,
        members: 1,
      },
    ]);
  });

  it('counts the topic partitions that changed hands', () => {
    const world = new World();
    const ref = join(world);
    world.advance(1);
    const { memberId } = joined(world, ref);
    const assignment = Buffer.from('00000000000100017400000002000000000000000100000000', 'hex');
    const assignments = [{ memberId, assignment: new Uint8Array(assignment) }];
    world.send('sync', { memberId, generationId: 1, assignments });
    expect(world.group.rebalances.at(-1)?.moved).toBe(2);
    join(world, { memberId });
    world.send('sync', { memberId, generationId: 2, assignments });
    expect(world.group.rebalances.at(-1)?.moved).toBe(0);
  });

  it('keeps why a member was removed, also over a failover: the first reason of those that went together', () => {
    const world = new World();
    const [leader = '', follower = '', third = ''] = stable(world, [{}, {}, {}]);
    const [silent, asked] = [{ memberId: follower }, { memberId: third, reason: 'stuck deploy' }];
    world.send('leave', {
      members: [{ ...silent, reason: '' }, asked, { memberId: 'stranger', reason: 'never here' }],
    });
    join(world, { memberId: leader });
    sync(world, leader, world.group.generation);
    expect(world.group.rebalances.at(-1)).toMatchObject({ cause: 'member-left', memberId: follower });
    expect(world.group.rebalances.at(-1)?.reason).toBe('stuck deploy');
    world.reload();
    expect(world.send('describe', {})!.fields.rebalances.at(-1)?.reason).toBe('stuck deploy');
    expect(world.send('describe', {})!.fields.rebalances[0]?.reason).toBeNull();
  });

  it('keeps the reason of a round that is not over when the log moves', () => {
    const world = new World();
    const [leader = '', follower = ''] = stable(world, two);
    world.send('leave', { members: [{ memberId: follower, reason: 'stuck deploy' }] });
    join(world, { memberId: leader });
    world.reload();
    expect(world.state).toBe('CompletingRebalance');
    sync(world, leader, world.group.generation);
    expect(world.group.rebalances.at(-1)?.reason).toBe('stuck deploy');
  });

  it('keeps the reason of a removal during a round that began otherwise, and of the last member', () => {
    const world = new World();
    const [leader = '', follower = ''] = stable(world, two);
    join(world, { memberId: leader });
    expect(world.state).toBe('PreparingRebalance');
    world.send('leave', { members: [{ memberId: follower, reason: 'first' }] });
    sync(world, leader, world.group.generation);
    expect(world.group.rebalances.at(-1)).toMatchObject({ cause: 'leader-rejoined', reason: 'first' });
    world.send('leave', { members: [{ memberId: leader, reason: 'last' }] });
    expect(world.state).toBe('Empty');
    expect(world.group.rebalances.at(-1)).toMatchObject({ cause: 'member-left', reason: 'last' });
  });

  it('takes no reason longer than the wire allows', () => {
    const leave = (length: number) =>
      groupApis.leave.request.safeParse({
        groupId: 'g',
        members: [{ memberId: 'm', groupInstanceId: null, reason: 'x'.repeat(length) }],
      });
    expect(leave(REASON_LENGTH_MAX).success).toBe(true);
    expect(leave(REASON_LENGTH_MAX + 1).success).toBe(false);
  });

  it('forgets all but the last 32', () => {
    const world = new World();
    const [leader = ''] = stable(world, [{}]);
    for (let round = 0; round < 40; round += 1) {
      join(world, { memberId: leader });
      sync(world, leader, world.group.generation);
    }
    expect(world.group.rebalances).toHaveLength(32);
    expect(world.group.rebalances.at(-1)?.generationId).toBe(41);
  });
});

describe('loading', () => {
  it('keeps an acknowledged leave: the member is gone and a rebalance is due', () => {
    const world = new World();
    const [leader = '', follower = ''] = stable(world, two);
    world.send('leave', { members: [{ memberId: follower }] });
    world.reload();
    expect([...world.group.members.keys()]).toEqual([leader]);
    expect(world.state).toBe('PreparingRebalance');
  });

  it('makes the rebalance due also when a checkpoint stands between the leave and the load', () => {
    const world = new World();
    const [leader = '', follower = ''] = stable(world, two);
    world.send('leave', { members: [{ memberId: follower }] });
    const { group } = world.replayCheckpoint().slot;
    expect([...(group?.members.keys() ?? [])]).toEqual([leader]);
    expect(group?.phase.kind).toBe('PreparingRebalance');
  });

  it('forgets with the end marker what the checkpoint does not contain', () => {
    const world = new World();
    stable(world, [{}]);
    world.send('commit', { memberId: '', generationId: -1, offsets: [] });
    world.slot.group = undefined;
    expect(world.replayCheckpoint().slot.group).toBeUndefined();
  });

  it('drops nobody and completes nothing without a loaded member until the grace is over', () => {
    const world = new World({ minSessionTimeoutMs: 1_000 });
    const [leader = '', follower = ''] = stable(world, [
      { sessionTimeoutMs: 1_000, rebalanceTimeoutMs: 2_000 },
      { sessionTimeoutMs: 1_000, rebalanceTimeoutMs: 2_000 },
    ]);
    world.reload(world.nowMs + 6_000);
    const ref = join(world, { memberId: leader, sessionTimeoutMs: 1_000, rebalanceTimeoutMs: 2_000 });
    world.advance(5_999);
    expect(world.group.members.has(follower as never)).toBe(true);
    expect(world.reply('join', ref)).toBeUndefined();
    world.advance(1);
    expect(joined(world, ref).generationId).toBe(2);
    expect([...world.group.members.keys()]).toEqual([leader]);
  });
});

describe('orders of the host', () => {
  it('shifts all deadlines by a pause, so that it expels nobody', () => {
    const world = new World();
    const [leader = ''] = stable(world, [{}]);
    const { timers } = world.run({ kind: 'shift-deadlines', byMs: 60_000 });
    const deadline = world.group.members.get(leader as never)?.sessionDeadline;
    expect(timers).toEqual([{ kind: 'set', timer: { kind: 'session', member: leader }, deadline }]);
    world.advance(69_999);
    expect([...world.group.members.keys()]).toEqual([leader]);
    world.advance(1);
    expect(world.state).toBe('Empty');
  });

  it('sets an early timer again', () => {
    const world = new World();
    const [leader = ''] = stable(world, [{}]);
    const member = world.group.members.get(leader as never)!;
    const { timers } = world.run({ kind: 'timer', timer: { kind: 'session', member: member.memberId } });
    const deadline = member.sessionDeadline;
    expect(timers).toEqual([{ kind: 'set', timer: { kind: 'session', member: leader }, deadline }]);
  });

  it('answers whoever waits NOT_COORDINATOR on unload and leaves a dead group that records nothing', () => {
    const world = new World();
    const [leader = ''] = stable(world, two);
    const parked = join(world, { memberId: leader });
    const { records } = world.run({ kind: 'unload' });
    expect(records).toEqual([]);
    expect(world.reply('join', parked)).toMatchObject({ error: 'NOT_COORDINATOR', fields: { memberId: leader } });
    for (const error of [
      world.reply('join', join(world))?.error,
      world.reply('sync', sync(world, leader, 1))?.error,
      world.send('heartbeat', { memberId: leader, generationId: 1 })?.error,
      world.send('leave', { members: [] })?.error,
      world.send('commit', { memberId: '', generationId: -1, offsets: [] })?.error,
    ]) {
      expect(error).toBe('COORDINATOR_NOT_AVAILABLE');
    }
  });
});

describe('replies without a group', () => {
  const world = new World();
  const request = (api: 'heartbeat' | 'sync' | 'fetch') => {
    const body = { memberId: '', groupInstanceId: null, generationId: 1, groupId: 'g', partitions: null };
    return { kind: 'request', api, ref: world.newRef(), body } as never;
  };

  it('let a heartbeat succeed and send a sync back to join while the partition loads', () => {
    expect(loadingReply(request('heartbeat')).error).toBe('NONE');
    expect(loadingReply(request('sync')).error).toBe('REBALANCE_IN_PROGRESS');
    expect(loadingReply(request('fetch'))).toMatchObject({
      error: 'COORDINATOR_LOAD_IN_PROGRESS',
      fields: { partitions: [] },
    });
  });

  it('carry the error of the gate elsewhere', () => {
    expect(unloadedReply(request('sync'), 'NOT_COORDINATOR').error).toBe('NOT_COORDINATOR');
  });
});
