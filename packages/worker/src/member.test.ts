import { describe, expect, it } from 'vitest';
import { consumerScene } from '../test/consumer-scene.js';
import { recordingLogger } from '../test/recording-logger.js';
import { settle } from '../test/virtual-clock.js';
import type { PlainMemberOptions } from './member.js';

function setUp() {
  const { muster, clock, coordinator } = consumerScene();
  const story: string[] = [];
  const join = async (options: Partial<PlainMemberOptions> = {}) => {
    const joining = muster.member({
      group: 'cron',
      protocolType: 'leader-election',
      protocols: [{ name: 'one-of-us', metadata: new Uint8Array(0) }],
      sessionTimeoutMs: 10_000,
      assign: (_, members) => new Map(members.map(({ memberId }, at) => [memberId, Uint8Array.of(at)])),
      onAssigned: ({ generation, isLeader }) => void story.push(`assigned g${generation} leader ${isLeader}`),
      onRevoked: ({ generation, signal }) => void story.push(`revoked g${generation} ${signal.aborted}`),
      onLost: ({ generation }, reason) => void story.push(`lost g${generation} ${reason.code}`),
      ...options,
    });
    joining.catch(() => {});
    await clock.advance(500);
    return await joining;
  };
  return { muster, clock, coordinator, story, join };
}

describe('a plain member', () => {
  it('shares out by its own rule and holds what it got', async () => {
    const { join, coordinator, story } = setUp();
    const member = await join();
    expect(coordinator.of('sync')[0]?.body.assignments).toEqual([{ memberId: 'member-1', assignment: Buffer.of(0) }]);
    expect(member.holding).toMatchObject({ generation: 1, memberId: 'member-1', isLeader: true });
    expect(story).toEqual(['assigned g1 leader true']);
  });

  it('gives up before each round, and its hook is awaited', async () => {
    const { join, coordinator, story } = setUp();
    const member = await join();
    const signal = member.holding?.signal;
    coordinator.notice('cron', { kind: 'rebalance' });
    for (let turn = 0; turn < 5; turn += 1) await settle();
    expect(story).toEqual(['assigned g1 leader true', 'revoked g1 true', 'assigned g2 leader true']);
    expect(signal?.aborted).toBe(true);
  });

  it('is told when it lost what it held', async () => {
    const { join, coordinator, story, clock } = setUp();
    await join();
    coordinator.script.heartbeat = ({ body }) => (body.generationId === 1 ? 'UNKNOWN_MEMBER_ID' : undefined);
    await clock.advance(4_000);
    expect(story).toEqual(['assigned g1 leader true', 'lost g1 OWNERSHIP_LOST', 'assigned g2 leader true']);
  });

  it('holds nothing after a suspension longer than its session', async () => {
    const { join, clock } = setUp();
    const member = await join();
    clock.jump(11_000);
    expect(member.holding).toBeUndefined();
  });

  it('throws what it was refused with', async () => {
    const { join, coordinator } = setUp();
    coordinator.script.join = () => 'GROUP_MAX_SIZE_REACHED';
    await expect(join()).rejects.toMatchObject({ code: 'GROUP_MAX_SIZE_REACHED', retriable: false });
  });

  it('leaves no timer behind when it fails, and its own logger hears what goes wrong at the end', async () => {
    const { join, coordinator, clock } = setUp();
    const logger = recordingLogger();
    const onLost = () => {
      throw new Error('boom');
    };
    const member = await join({ instanceId: 'one', logger, onLost });
    coordinator.script.heartbeat = () => 'FENCED_INSTANCE_ID';
    await clock.advance(4_000);
    expect(await member.ended).toMatchObject({ code: 'FENCED_INSTANCE_ID' });
    expect(member).toMatchObject({ isClosed: true, failure: { code: 'FENCED_INSTANCE_ID' } });
    expect(coordinator.of('leave')).toHaveLength(0);
    expect(clock.timers).toBe(0);
    expect(logger.lines.join()).toMatch(/a hook failed at the end.*boom/);
  });

  it('gives up and leaves when it is closed', async () => {
    const { join, coordinator, story, clock } = setUp();
    const member = await join();
    await member.close();
    expect(story.at(-1)).toBe('revoked g1 true');
    expect(coordinator.of('leave')).toHaveLength(1);
    await clock.advance(10_000);
    expect(await member.ended).toBeUndefined();
  });

  it('refuses settings that cannot work', async () => {
    const { join } = setUp();
    await expect(join({ heartbeatIntervalMs: 9_000 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(join({ group: '' })).rejects.toMatchObject({ code: 'INVALID_GROUP_ID' });
    await expect(join({ group: 'x'.repeat(256) })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});
