import { generation, instanceId } from '@muster/protocol';
import { describe, expect, it } from 'vitest';
import { memberScene } from '../test/member-scene.js';
import { settle } from '../test/virtual-clock.js';
import { MusterError } from './errors.js';
import { deferred } from './waiting.js';

describe('joining', () => {
  it('joins with the id it is given, brings the assignments as leader, and installs its own', async () => {
    const { membership, coordinator, handler, stable } = memberScene();
    membership.start();
    await stable();
    expect(coordinator.of('join').map(({ body }) => body.memberId)).toEqual(['', 'member-1']);
    expect(coordinator.of('join')[0]?.body).toMatchObject({ clientId: 'test', clientHost: 'test-host' });
    expect(coordinator.of('sync')[0]?.body.assignments).toEqual([
      { memberId: 'member-1', assignment: Buffer.from([9]) },
    ]);
    expect(handler.calls).toEqual(['prepare', 'protocols', 'assign', 'install 1']);
    expect(membership.identity()).toMatchObject({ memberId: 'member-1', generationId: 1 });
  });

  it('sends the same JoinGroup bytes again while it is parked', async () => {
    const { membership, coordinator, clock } = memberScene();
    coordinator.script.join = ({ body }) => (body.memberId === '' ? undefined : 'park');
    membership.start();
    await clock.advance(10_000);
    const [, first, ...again] = coordinator.of('join');
    expect(again.length).toBeGreaterThanOrEqual(3);
    for (const request of again) expect(request.payload).toEqual(first?.payload);
    expect(coordinator.of('heartbeat')).toHaveLength(0);
  });

  it('brings no assignments when it does not lead, and none when it is told to skip them', async () => {
    for (const change of [{ leader: 'member-2', members: [] }, { skipAssignment: true }]) {
      const { membership, coordinator, handler, stable } = memberScene();
      coordinator.script.join = ({ body }) => {
        if (body.memberId === '') return undefined;
        coordinator.generation = 1;
        return { fields: { ...coordinator.joined(body), ...change } };
      };
      membership.start();
      await stable();
      expect(handler.calls).not.toContain('assign');
      expect(coordinator.of('sync')[0]?.body.assignments).toEqual([]);
    }
  });

  it.each([
    ['UNKNOWN_MEMBER_ID', ['', 'member-1', '', 'member-1']],
    ['REBALANCE_IN_PROGRESS', ['', 'member-1', 'member-1']],
  ] as const)('answers %s at JoinGroup by joining again', async (error, ids) => {
    const { membership, coordinator, stable } = memberScene();
    let refused = false;
    coordinator.script.join = ({ body }) => {
      if (body.memberId === '' || refused) return undefined;
      refused = true;
      return error;
    };
    membership.start();
    await stable();
    expect(coordinator.of('join').map(({ body }) => body.memberId)).toEqual(ids);
  });

  it.each([
    'INCONSISTENT_GROUP_PROTOCOL',
    'INVALID_SESSION_TIMEOUT',
    'GROUP_AUTHORIZATION_FAILED',
    'GROUP_MAX_SIZE_REACHED',
    'FENCED_INSTANCE_ID',
  ] as const)('ends with %s at JoinGroup', async (error) => {
    const { membership, coordinator, clock } = memberScene();
    coordinator.script.join = () => error;
    membership.start();
    await clock.advance(1_000);
    expect(membership.state).toMatchObject({ kind: 'failed', error: { code: error } });
    expect(await membership.ended).toMatchObject({ code: error });
    const joins = coordinator.of('join').length;
    await clock.advance(60_000);
    expect(coordinator.of('join')).toHaveLength(joins);
  });

  it('keeps trying, with pauses, while rounds end without an assignment', async () => {
    const { membership, coordinator, clock } = memberScene();
    coordinator.script.sync = () => 'REBALANCE_IN_PROGRESS';
    membership.start();
    await clock.advance(10_000);
    expect(coordinator.of('sync').length).toBeGreaterThan(5);
    expect(coordinator.of('sync').length).toBeLessThan(40);
  });
});

describe('a client with too many requests open', () => {
  it('is no end of the membership: the round is tried again', async () => {
    const { membership, client, clock, stable } = memberScene();
    const request = client.request.bind(client);
    let refusals = 0;
    client.request = async (api, body, times) => {
      if ((api !== 'join' && api !== 'sync') || refusals > 4) return await request(api, body, times);
      refusals += 1;
      throw new MusterError('QUEUE_FULL');
    };
    membership.start();
    await clock.advance(1_000);
    await stable();
    expect(refusals).toBe(5);
  });
});

describe('a stable member', () => {
  it('sends heartbeats on the interval, whatever happens elsewhere', async () => {
    const { joined, coordinator, clock } = memberScene();
    await joined();
    await clock.advance(1);
    const before = coordinator.of('heartbeat').length;
    await clock.advance(30_000);
    expect(coordinator.of('heartbeat').length - before).toBe(10);
  });

  it('rejoins with id and generation when a heartbeat says so, while heartbeats go on during its preparation', async () => {
    const { joined, coordinator, clock, handler, stable } = memberScene();
    await joined();
    const ready = deferred();
    handler.beforeJoin = () => ready.promise;
    coordinator.script.heartbeat = () => 'REBALANCE_IN_PROGRESS';
    await clock.advance(3_000);
    const before = coordinator.of('heartbeat').length;
    await clock.advance(9_000);
    expect(coordinator.of('heartbeat').length - before).toBeGreaterThanOrEqual(2);
    ready.resolve();
    delete coordinator.script.heartbeat;
    await stable(2);
    expect(handler.calls).toEqual(['prepare', 'protocols', 'assign', 'install 2']);
    expect(coordinator.of('join').at(-1)?.body.memberId).toBe('member-1');
  });

  it('rejoins at once on a notice, without waiting for its heartbeat', async () => {
    const { joined, coordinator, handler } = memberScene();
    await joined();
    coordinator.notice('billing', { kind: 'rebalance' });
    await settle();
    await settle();
    expect(handler.calls).toEqual(['prepare', 'protocols', 'assign', 'install 2']);
  });

  it('rejoins at once on a notice that overtakes the assignment of a round', async () => {
    const { joined, coordinator, handler } = memberScene();
    await joined();
    coordinator.script.sync = () => 'park';
    coordinator.notice('billing', { kind: 'rebalance' });
    await settle();
    await settle();
    const parked = coordinator.of('sync').at(-1)!;
    expect(parked.body.generationId).toBe(2);
    coordinator.notice('billing', { kind: 'rebalance', generationId: generation(2) });
    // What has begun this round, late, begins no other.
    coordinator.notice('billing', { kind: 'rebalance', generationId: generation(1) });
    await settle();
    delete coordinator.script.sync;
    parked.reply('NONE', { protocolType: 'consumer', protocolName: 'p', assignment: new Uint8Array(0) });
    for (let turn = 0; turn < 4; turn += 1) await settle();
    expect(handler.calls.filter((call) => call.startsWith('install'))).toEqual(['install 2', 'install 3']);
    expect(coordinator.of('join')).toHaveLength(4);
  });

  it('takes no answer about an earlier generation for a rebalance of its own', async () => {
    const { joined, coordinator, stable, membership, handler, clock } = memberScene();
    await joined();
    const earlier = membership.identity()!;
    coordinator.notice('billing', { kind: 'rebalance' });
    await stable(2);
    handler.calls.length = 0;
    membership.onCommitAnswer('REBALANCE_IN_PROGRESS', earlier);
    await clock.advance(2_000);
    expect(handler.calls).toEqual([]);
    membership.onCommitAnswer('REBALANCE_IN_PROGRESS', membership.identity()!);
    await stable(3);
  });

  it('ignores a notice about a generation before its own', async () => {
    const { joined, coordinator, handler, clock } = memberScene();
    await joined();
    coordinator.notice('billing', { kind: 'rebalance', generationId: 0 });
    await clock.advance(2_000);
    expect(handler.calls).toEqual([]);
  });

  it.each([
    ['ILLEGAL_GENERATION', 'member-1'],
    ['UNKNOWN_MEMBER_ID', ''],
  ] as const)('fences at once on %s, then joins again as %j', async (error, id) => {
    const { joined, coordinator, handler, stable, clock } = memberScene();
    await joined();
    const joins = coordinator.of('join').length;
    coordinator.script.heartbeat = ({ body }) => (body.generationId === 1 ? error : undefined);
    await clock.advance(3_000);
    await stable(2);
    expect(handler.calls).toEqual(['fence', 'lost', 'protocols', 'assign', 'install 2']);
    expect(coordinator.of('join')[joins]?.body.memberId).toBe(id);
  });

  it('ends when another member has taken over its instance id', async () => {
    const { joined, coordinator, handler, clock, membership } = memberScene({ groupInstanceId: instanceId('i1') });
    await joined();
    coordinator.script.heartbeat = () => 'FENCED_INSTANCE_ID';
    await clock.advance(3_000);
    expect(membership.state).toMatchObject({ kind: 'failed', error: { code: 'FENCED_INSTANCE_ID' } });
    expect(handler.calls).toEqual(['fence', 'lost']);
  });

  it('treats other heartbeat errors as a heartbeat missed', async () => {
    const { joined, coordinator, handler, clock, membership } = memberScene();
    await joined();
    coordinator.script.heartbeat = () => 'UNKNOWN_SERVER_ERROR';
    await clock.advance(6_000);
    expect(membership.state.kind).toBe('stable');
    expect(handler.calls).toEqual([]);
  });

  it('fences itself when no heartbeat succeeded for a session timeout', async () => {
    const { joined, coordinator, handler, clock, membership } = memberScene();
    await joined();
    await clock.advance(3_000);
    coordinator.stop();
    await clock.advance(6_500);
    expect(membership.mayHandle()).toBe(true);
    expect(handler.calls).toEqual([]);
    await clock.advance(3_600);
    expect(membership.mayHandle()).toBe(false);
    expect(handler.calls.slice(0, 2)).toEqual(['fence', 'lost']);
  });

  it('counts the session from the sending of a heartbeat, not from its answer', async () => {
    const { joined, coordinator, clock, membership } = memberScene();
    await joined();
    let sentAtMs = 0;
    coordinator.script.heartbeat = () => {
      sentAtMs ||= clock.now();
      return 'park';
    };
    await clock.advance(5_900);
    coordinator.of('heartbeat').at(-1)?.reply('NONE');
    await settle();
    coordinator.stop();
    clock.jump(sentAtMs + 9_999 - clock.now());
    expect(membership.mayHandle()).toBe(true);
    clock.jump(1);
    expect(membership.mayHandle()).toBe(false);
  });

  it('ignores a commit answer about an earlier generation and heeds one about its own', async () => {
    const { joined, coordinator, handler, stable, membership } = memberScene();
    await joined();
    const earlier = membership.identity()!;
    coordinator.notice('billing', { kind: 'rebalance' });
    await stable(2);
    membership.onCommitAnswer('UNKNOWN_MEMBER_ID', earlier);
    expect(handler.calls).not.toContain('fence');
    membership.onCommitAnswer('UNKNOWN_MEMBER_ID', membership.identity()!);
    expect(handler.calls).toContain('fence');
  });

  it('knows by the clock that it may not handle any more, before any timer has run', async () => {
    const { joined, clock, membership } = memberScene();
    await joined();
    expect(membership.mayHandle()).toBe(true);
    clock.jump(11_000);
    expect(membership.mayHandle()).toBe(false);
  });

  it('has lost what it owned where the first news after a suspension is a rebalance: joining proves nothing', async () => {
    const { joined, coordinator, handler, clock, membership } = memberScene();
    await joined();
    coordinator.script.join = () => 'park';
    clock.jump(11_000);
    // In the queue before the timers: the round that has expelled this member.
    coordinator.notice('billing', { kind: 'rebalance', generationId: 2 as never });
    await settle();
    expect(membership.state.kind).toBe('joining');
    expect(handler.calls.slice(0, 2)).toEqual(['fence', 'lost']);
    expect(handler.calls).not.toContain('prepare');
    expect(handler.calls).not.toContain('resume');
    expect(membership.mayHandle()).toBe(false);
  });

  it('has lost what it kept where it was suspended in the middle of a round, whatever it hears first', async () => {
    for (const first of ['answer', 'timer'] as const) {
      const { joined, coordinator, handler, clock, membership } = memberScene();
      await joined();
      coordinator.script.join = () => 'park';
      coordinator.notice('billing', { kind: 'rebalance' });
      await settle();
      expect(membership.state.kind).toBe('joining');
      // What is kept is handled on while the join is parked, longer than a session if need be.
      await clock.advance(15_000);
      expect(membership.mayHandle()).toBe(true);
      clock.jump(11_000);
      expect(membership.mayHandle()).toBe(false);
      handler.calls.length = 0;
      const parked = coordinator.of('join').at(-1)!;
      delete coordinator.script.join;
      if (first === 'answer') parked.reply('NONE', coordinator.joined(parked.body));
      else await clock.advance(1_000);
      await settle();
      expect(handler.calls.slice(0, 2)).toEqual(['fence', 'lost']);
      expect(handler.calls).not.toContain('resume');
    }
  });

  it('has lost it too where the suspension was while it gave up in good order', async () => {
    const { joined, coordinator, handler, clock, membership } = memberScene();
    await joined();
    coordinator.script.join = () => 'park';
    const drained = deferred();
    handler.beforeJoin = () => drained.promise;
    coordinator.notice('billing', { kind: 'rebalance' });
    await settle();
    expect(membership.state.kind).toBe('preparing');
    clock.jump(11_000);
    drained.resolve();
    await settle();
    expect(handler.calls).toEqual(['prepare', 'fence', 'lost', 'protocols']);
    expect(membership.mayHandle()).toBe(false);
  });

  it('outlives a coordinator failover of 6 s without a rejoin', async () => {
    const { joined, coordinator, handler, clock, membership } = memberScene();
    await joined();
    coordinator.stop();
    await clock.advance(6_000);
    coordinator.epoch = 2;
    coordinator.start();
    coordinator.notice('billing', { kind: 'coordinator' });
    await clock.advance(20_000);
    expect(handler.calls).toEqual([]);
    expect(membership.identity()).toMatchObject({ generationId: 1 });
    expect(coordinator.of('join')).toHaveLength(2);
  });

  it('ignores a heartbeat answer about an earlier generation', async () => {
    const { joined, coordinator, handler, stable, clock } = memberScene();
    await joined();
    coordinator.script.heartbeat = () => 'park';
    await clock.advance(3_000);
    const late = coordinator.of('heartbeat').at(-1)!;
    coordinator.notice('billing', { kind: 'rebalance' });
    await stable(2);
    late.reply('UNKNOWN_MEMBER_ID');
    await clock.advance(1_000);
    expect(handler.calls).not.toContain('fence');
  });

  it('goes into another round when the handler asks for one', async () => {
    const { membership, handler, coordinator, stable } = memberScene();
    handler.verdict = 'rejoin';
    const install = handler.install.bind(handler);
    handler.install = async (given) => {
      const verdict = await install(given);
      handler.verdict = 'stable';
      return verdict;
    };
    membership.start();
    await stable(2);
    expect(coordinator.generation).toBe(2);
  });
});

describe('ending', () => {
  it('heartbeats while it is held, then leaves', async () => {
    const { joined, coordinator, clock, membership } = memberScene();
    await joined();
    await membership.hold();
    const before = coordinator.of('heartbeat').length;
    await clock.advance(6_000);
    expect(coordinator.of('heartbeat').length).toBeGreaterThan(before);
    await membership.end({ leave: true, timeoutMs: 5_000 });
    expect(coordinator.of('leave')[0]?.body.members).toMatchObject([{ memberId: 'member-1' }]);
    expect(membership.state.kind).toBe('left');
    expect(await membership.ended).toBeUndefined();
  });

  it('does not leave when told to stay', async () => {
    const { joined, coordinator, membership } = memberScene({ groupInstanceId: instanceId('i1') });
    await joined();
    await membership.hold();
    await membership.end({ leave: false, timeoutMs: 5_000 });
    expect(coordinator.of('leave')).toHaveLength(0);
  });

  it('ends within its time when nobody answers the leave, leaving no timer behind', async () => {
    const { joined, coordinator, membership, clock, client } = memberScene();
    await joined();
    coordinator.stop();
    let hasEnded = false;
    const ending = membership.hold().then(() => membership.end({ leave: true, timeoutMs: 5_000 }));
    void ending.then(() => {
      hasEnded = true;
    });
    await clock.advance(5_001);
    expect(hasEnded).toBe(true);
    client.close();
    expect(clock.timers).toBe(0);
  });

  it('can be held in the middle of a parked join', async () => {
    const { membership, coordinator, clock } = memberScene();
    coordinator.script.join = ({ body }) => (body.memberId === '' ? undefined : 'park');
    membership.start();
    await clock.advance(1_000);
    await membership.hold();
    await membership.end({ leave: true, timeoutMs: 1_000 });
    expect(coordinator.of('leave')[0]?.body.members).toMatchObject([{ memberId: 'member-1' }]);
  });
});
