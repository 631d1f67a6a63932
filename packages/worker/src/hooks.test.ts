import { describe, expect, it } from 'vitest';
import { consumerScene, partitions } from '../test/consumer-scene.js';
import { MusterError } from './errors.js';

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
