import { describe, expect, it } from 'vitest';
import { consumerScene, partitions } from '../test/consumer-scene.js';
import { recordingLogger } from '../test/recording-logger.js';
import { settle } from '../test/virtual-clock.js';
import { MusterError } from './errors.js';
import { deferred } from './waiting.js';

describe('a hook that fails', () => {
  it('ends the consumer with HOOK_FAILED, which names the hook and keeps the cause', async () => {
    const { consume } = consumerScene();
    const cause = new Error('no cache');
    const consuming = consume({ onAssigned: () => Promise.reject(cause) });
    const message = 'a hook of the application failed: onAssigned: no cache';
    await expect(consuming).rejects.toMatchObject({ code: 'HOOK_FAILED', message, cause });
  });

  it('does so too where it throws one of our own errors, which could be tried again', async () => {
    const { consume, coordinator } = consumerScene();
    const consuming = consume({
      onAssigned: () => {
        throw new MusterError('TIMEOUT', 'a send of the hook');
      },
    });
    await expect(consuming).rejects.toMatchObject({ code: 'HOOK_FAILED', retriable: false });
    expect(coordinator.of('sync')).toHaveLength(1);
  });

  it.each([
    ['onRevoked', 'revoke'],
    ['onLost', 'lose'],
  ] as const)('names %s where that is it', async (name, how) => {
    const { consume, coordinator, reassign, clock } = consumerScene();
    const hook = () => {
      throw new Error('boom');
    };
    const consumer = await consume({ [name]: hook });
    const ended = consumer.run({ eachMessage: () => {} }).catch((thrown: unknown) => thrown);
    if (how === 'lose') coordinator.script.heartbeat = () => 'UNKNOWN_MEMBER_ID';
    else await reassign(partitions(0));
    await clock.advance(5_000);
    expect(await ended).toMatchObject({ code: 'HOOK_FAILED', message: expect.stringMatching(`${name}: boom`) });
  });

  it('of a plain member is named as well', async () => {
    const { muster, clock } = consumerScene();
    const protocols = [{ name: 'one', metadata: new Uint8Array(0) }];
    let failure: unknown;
    const onAssigned = () => Promise.reject(new Error('boom'));
    const options = { group: 'cron', protocolType: 'shards', protocols, assign: () => new Map(), onAssigned };
    muster.member(options).catch((thrown: unknown) => {
      failure = thrown;
    });
    await clock.advance(1_000);
    expect(failure).toMatchObject({ code: 'HOOK_FAILED', message: expect.stringMatching('onAssigned: boom') });
  });
});

describe('hooks in pairs', () => {
  it('what onAssigned was told, onLost is told, where it was lost meanwhile', async () => {
    const { consume, coordinator, clock } = consumerScene();
    const story: string[] = [];
    const hang = deferred();
    const numbers = (given: readonly { partition: number }[]) => given.map(({ partition }) => partition).join();
    const starting = consume({
      onAssigned: async (given) => {
        story.push(`assigned ${numbers(given)}`);
        if (story.length === 1) await hang.promise;
      },
      onRevoked: (revoked) => void story.push(`revoked ${numbers(revoked)}`),
      onLost: (lost) => void story.push(`lost ${numbers(lost)}`),
    });
    await clock.advance(500);
    coordinator.script.heartbeat = () => 'UNKNOWN_MEMBER_ID';
    await clock.advance(4_000);
    delete coordinator.script.heartbeat;
    expect(story).toEqual(['assigned 0,1']);
    hang.resolve();
    await clock.advance(1_000);
    const consumer = await starting;
    expect(story).toEqual(['assigned 0,1', 'lost 0,1', 'assigned 0,1']);
    expect(consumer.assignment()).toEqual(partitions(0, 1));
  });

  it('what was handled is committed although onRevoked fails', async () => {
    const { consume, store, coordinator, reassign } = consumerScene();
    store(0, 1);
    store(1, 11, 12);
    const consumer = await consume({
      onRevoked: () => {
        throw new Error('the database is away');
      },
    });
    const second = deferred();
    const outcome = consumer
      .run({
        eachMessage: async ({ value }) => {
          if (value === 12) await second.promise;
        },
      })
      .catch((thrown: unknown) => thrown);
    await settle();
    void reassign(partitions(0));
    for (let turn = 0; turn < 10; turn += 1) await settle();
    second.resolve();
    for (let turn = 0; turn < 10; turn += 1) await settle();
    expect(await outcome).toMatchObject({ code: 'HOOK_FAILED' });
    expect(coordinator.offsets.get('orders/1')).toBe(4);
  });
});

describe('a hook that hangs', () => {
  it('is left behind after the rebalance timeout and said: the consumer goes on', async () => {
    const logger = recordingLogger();
    const { consume, store, clock } = consumerScene();
    store(0, 1);
    const starting = consume({ logger, rebalanceTimeoutMs: 10_000, onAssigned: () => new Promise(() => {}) });
    await clock.advance(9_000);
    expect(logger.lines).toEqual([]);
    await clock.advance(2_000);
    const consumer = await starting;
    expect(logger.lines).toEqual([expect.stringMatching(/^error a hook takes too long.*onAssigned/)]);
    const handled: number[] = [];
    void consumer.run({ eachMessage: ({ value }) => void handled.push(value) });
    await clock.advance(100);
    expect(handled).toEqual([1]);
    await consumer.close();
  });
});
