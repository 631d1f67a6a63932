import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, expect, it } from 'vitest';
import { consumerScene, partitions } from '../test/consumer-scene.js';
import { refuseCommit } from '../test/scripted-coordinator.js';
import { settle } from '../test/virtual-clock.js';
import type { Message } from './message.js';

const boom = () => {
  throw new Error('boom');
};

describe('a consumer that has failed', () => {
  it('is in the health of its connection until another one of its group is made', async () => {
    const { muster, consume, store, clock } = consumerScene();
    const consumer = await consume();
    expect(muster.health()).toMatchObject({ verdict: 'ok', problem: undefined, consumers: [{ error: undefined }] });
    store(0, 1);
    await consumer.run({ eachMessage: boom }).catch(() => {});
    await clock.advance(60_000);
    expect(muster.health()).toMatchObject({
      verdict: 'failed',
      problem: expect.stringMatching(/handler failed: orders\/0 at offset 1: boom/),
      consumers: [{ group: 'billing', verdict: 'stopped', error: { code: 'HANDLER_FAILED' } }],
    });
    await consume({ group: 'other' });
    expect(muster.health().verdict).toBe('failed');
    await consume({ topics: ['nowhere'] }).catch(() => {});
    // Tried in vain: it is as missing as before.
    expect(muster.health().verdict).toBe('failed');
    await consume();
    expect(muster.health().consumers.map(({ group, error }) => [group, error])).toEqual([
      ['other', undefined],
      ['billing', undefined],
    ]);
    expect(muster.health().verdict).toBe('ok');
    await muster.close();
    expect(muster.health()).toMatchObject({ verdict: 'impaired', problem: 'it is closed', consumers: [] });
  });

  it('says so at once, while others are still drained, for as long as drainTimeoutMs', async () => {
    const { muster, consume, store, clock } = consumerScene();
    store(0, 1);
    store(1, 11);
    const heard: unknown[] = [];
    const hear = (event: unknown) => void heard.push((event as { error: { code: string } }).error.code);
    subscribe('muster:failed', hear);
    const consumer = await consume({ drainTimeoutMs: 5_000 });
    let sibling: Message<number> | undefined;
    let isOver = false;
    const running = consumer
      .run({
        eachMessage: (message) => {
          if (message.value === 1) throw new Error('boom');
          sibling = message;
          return new Promise(() => {});
        },
      })
      .catch(() => {
        isOver = true;
      });
    await settle();
    expect(heard).toEqual(['HANDLER_FAILED']);
    expect(muster.health()).toMatchObject({ verdict: 'failed', consumers: [{ error: { code: 'HANDLER_FAILED' } }] });
    expect([sibling?.handover.aborted, sibling?.signal.aborted, isOver]).toEqual([true, false, false]);
    await clock.advance(4_500);
    expect(isOver).toBe(false);
    await clock.advance(1_000);
    await running;
    expect(isOver).toBe(true);
    unsubscribe('muster:failed', hear);
  });

  it('and never started has told its caller: nothing is remembered', async () => {
    const { muster, consume } = consumerScene();
    await consume({ topics: ['nowhere'] }).catch(() => {});
    expect(muster.health()).toMatchObject({ verdict: 'ok', consumers: [] });
  });

  it('is forgotten where there are too many', async () => {
    const { muster, consume, clock, coordinator } = consumerScene();
    for (let at = 0; at < 105; at += 1) await consume({ group: `group-${at}`, sessionTimeoutMs: 1_000_000 });
    coordinator.script.heartbeat = () => 'FENCED_INSTANCE_ID';
    await clock.advance(10_000);
    delete coordinator.script.heartbeat;
    await consume({ group: 'last' });
    const failed = muster.health().consumers.filter(({ error }) => error !== undefined);
    expect(failed).toHaveLength(100);
  });
});

describe('a plain member that has failed', () => {
  it('stays in the health of its connection until another one of its group is made', async () => {
    const { muster, clock, coordinator } = consumerScene();
    const join = async () => {
      const joining = muster.member({
        group: 'cron',
        protocolType: 'shards',
        protocols: [{ name: 'one', metadata: new Uint8Array(0) }],
        assign: (_, members) => new Map(members.map(({ memberId }) => [memberId, Uint8Array.of(1)])),
      });
      await clock.advance(500);
      return await joining;
    };
    await join();
    coordinator.script.heartbeat = () => 'FENCED_INSTANCE_ID';
    await clock.advance(4_000);
    delete coordinator.script.heartbeat;
    expect(muster.health()).toMatchObject({ verdict: 'failed', members: [{ error: { code: 'FENCED_INSTANCE_ID' } }] });
    await join();
    expect(muster.health()).toMatchObject({ verdict: 'ok', members: [{ error: undefined }] });
  });
});

describe('the health of a consumer', () => {
  it('says how long ago the last heartbeat was sent that was answered well', async () => {
    const { consume, coordinator, clock } = consumerScene();
    const consumer = await consume({ heartbeatIntervalMs: 1_000 });
    await clock.advance(5_000);
    expect(consumer.health().heartbeatAgeMs).toBeLessThanOrEqual(1_000);
    coordinator.script.heartbeat = () => 'park';
    await clock.advance(4_000);
    expect(consumer.health().heartbeatAgeMs).toBeGreaterThanOrEqual(4_000);
    await consumer.close();
  });
});

describe('the health of a partition', () => {
  it('that the application has paused is no trouble of the whole', async () => {
    const { muster, consume, store, clock } = consumerScene();
    const consumer = await consume();
    void consumer.run({ eachMessage: () => {} });
    consumer.pause([{ topic: 'orders', partition: 0 }]);
    store(0, 1);
    await clock.advance(1_000);
    expect(consumer.health().verdict).toBe('stopped');
    expect(muster.health()).toMatchObject({ verdict: 'ok', problem: undefined });
  });

  it('says which message is never acked, however many after it are', async () => {
    const { muster, consume, store, clock, coordinator } = consumerScene();
    coordinator.assigned = partitions(0);
    const consumer = await consume({ stallTimeoutMs: 10_000 });
    void (async () => {
      for await (const message of consumer) if (message.value !== 2) message.ack();
    })();
    store(0, 1, 2, 3);
    await clock.advance(9_000);
    expect(muster.health()).toMatchObject({ verdict: 'ok', problem: undefined });
    await clock.advance(3_000);
    expect(consumer.health()).toMatchObject({ verdict: 'stopped', partitions: [{ position: 4, committed: 2 }] });
    expect(consumer.health().partitions[0]?.problem).toMatch(/^offset 2 was delivered \d+ ms ago and is not handled/);
    expect(muster.health()).toMatchObject({ verdict: 'impaired', problem: expect.stringMatching(/^offset 2 /) });
  });

  it('is no worse for what comes after a long quiet time', async () => {
    const { consume, store, clock } = consumerScene();
    const consumer = await consume({ stallTimeoutMs: 10_000 });
    void consumer.run({ eachMessage: async () => await new Promise(() => {}) });
    await clock.advance(600_000);
    store(0, 1);
    await clock.advance(5_000);
    expect(consumer.health().verdict).toBe('ok');
    await clock.advance(6_000);
    expect(consumer.health().verdict).toBe('stopped');
  });

  it('says that no commit goes through, unless the application commits by itself', async () => {
    for (const [commit, verdict] of [
      [{ kind: 'auto' }, 'stopped'],
      [{ kind: 'manual' }, 'ok'],
    ] as const) {
      const { consume, store, clock, coordinator } = consumerScene();
      coordinator.script.commit = ({ body }) => refuseCommit(body, 'COORDINATOR_LOAD_IN_PROGRESS');
      const consumer = await consume({ stallTimeoutMs: 10_000, commit });
      void consumer.run({ eachMessage: () => {} });
      store(0, 1);
      await clock.advance(14_000);
      expect(consumer.health().verdict).toBe('ok');
      await clock.advance(2_000);
      expect(consumer.health().verdict).toBe(verdict);
    }
  });

  it('is stopped while its topic is gone, and while nothing can be read for longer than a moment', async () => {
    const { consume, streams, clock, store, coordinator } = consumerScene();
    coordinator.assigned = partitions(0);
    store(0, 1);
    const consumer = await consume({ stallTimeoutMs: 10_000 });
    void consumer.run({ eachMessage: () => {} });
    await clock.advance(6_000);
    streams.isReadable = false;
    for (const reader of streams.readers) reader.fail();
    await clock.advance(9_000);
    expect(consumer.health().verdict).toBe('ok');
    await clock.advance(2_000);
    expect(consumer.health()).toMatchObject({ verdict: 'stopped', partitions: [{ problem: /./ }] });
    streams.isReadable = true;
    await clock.advance(6_000);
    expect(consumer.health().verdict).toBe('ok');
    streams.drop('orders');
    await clock.advance(5_000);
    expect(consumer.health()).toMatchObject({
      verdict: 'stopped',
      problem: 'there is no topic orders: was it deleted?',
    });
  });
});

describe('a for await loop that was left without an ack', () => {
  it('is followed by one that begins with that message, unless it was acked in between', async () => {
    const { muster, consume, store, coordinator } = consumerScene();
    coordinator.assigned = partitions(0);
    store(0, 1, 2, 3, 4);
    const consumer = await consume();
    const take = async (count: number) => {
      const taken: Message<number>[] = [];
      for await (const message of consumer) {
        taken.push(message);
        if (taken.length === count) break;
      }
      return taken;
    };
    const first = await take(2);
    const again = await take(2);
    expect([first, again].map((messages) => messages.map(({ value }) => value))).toEqual([
      [1, 2],
      [1, 2],
    ]);
    // Acked between two loops: a batch taken by hand.
    for (const message of again) message.ack();
    expect((await take(2)).map(({ value }) => value)).toEqual([3, 4]);
    await muster.close();
    expect(coordinator.offsets.get('orders/0')).toBe(3);
  });
});
