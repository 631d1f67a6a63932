import { afterEach, describe, expect, it } from 'vitest';
import { createTestMuster, type TestMuster, type TestMusterOptions } from './test-muster.js';

const orders = { name: 'orders', partitions: 4 };
let open: TestMuster[] = [];

async function setUp(options: TestMusterOptions = {}): Promise<TestMuster> {
  const test = await createTestMuster({ topics: [orders], ...options });
  open.push(test);
  return test;
}

afterEach(async () => {
  for (const test of open) await test.close();
  open = [];
});

const byPartition = [0, 1, 2, 3].map((partition) => ({ key: `k${partition}`, partition, value: partition }));

describe('Muster in memory', () => {
  it.each([
    [{ topic: [] }, /no such option: topic; options are topics, coordinators/],
    [{ topics: 'orders' }, /topics: a list of/],
    [{ coordinators: 0 }, /coordinators: a whole number/],
    [{ topics: [{ name: 'orders', partition: 4 }] }, /no such option: partition/],
  ])('refuses %j', async (options, message) => {
    await expect(createTestMuster(options as never)).rejects.toThrow(message);
  });

  it('runs a handler over what was produced and commits it', async () => {
    const test = await setUp();
    await test.produce('orders', ...byPartition);
    const consumer = await test.consumer<number>({ group: 'billing', topics: ['orders'] });
    const handled: number[] = [];
    void consumer.run({ eachMessage: ({ value }) => void handled.push(value) });
    await test.until(() => handled.length === 4);
    await test.settle(consumer.close());
    expect(handled.sort()).toEqual([0, 1, 2, 3]);
    const committed = await test.committed('billing');
    expect(committed).toEqual({ 'orders/0': 2, 'orders/1': 3, 'orders/2': 4, 'orders/3': 5 });
    expect(await test.messages('orders')).toHaveLength(4);
  });

  it('plays a rebalance: a rival takes half and gives it back', async () => {
    const test = await setUp();
    const story: string[] = [];
    const consumer = await test.consumer({
      group: 'billing',
      topics: ['orders'],
      onAssigned: (given) => void story.push(`+${given.length}`),
      onRevoked: (taken) => void story.push(`-${taken.length}`),
    });
    const rival = await test.rival('billing', ['orders']);
    await test.until(() => consumer.assignment().length === 2 && rival.assignment().length === 2);
    await test.settle(rival.close());
    await test.until(() => consumer.assignment().length === 4);
    expect(story.filter((line) => line !== '+0')).toEqual(['+4', '-2', '+2']);
  });

  it('plays a topic that is deleted and made anew: the consumer says so, waits and goes on', async () => {
    const test = await setUp();
    await test.produce('orders', ...byPartition);
    const consumer = await test.consumer<number>({ group: 'billing', topics: ['orders'] });
    expect(await test.settle(consumer.assigned())).toHaveLength(4);
    const seen: number[] = [];
    void consumer.run({ eachMessage: ({ value }) => void seen.push(value) });
    await test.until(() => seen.length === 4);
    await test.settle(test.muster.topics.delete('orders'));
    await test.until(() => consumer.health().problem === 'there is no topic orders: was it deleted?');
    await test.settle(test.muster.topics.create(orders));
    await test.produce('orders', { key: 'k0', partition: 0, value: 9 });
    await test.until(() => seen.length === 5);
    expect(seen.at(-1)).toBe(9);
    await test.until(() => consumer.health().problem === undefined);
  });

  it('plays the crash of a worker: after its session its partitions go to the other, from the last commit on', async () => {
    const test = await setUp();
    await test.produce('orders', ...byPartition);
    const seen: string[] = [];
    const start = async (name: string) => {
      const options = { group: 'billing', topics: ['orders'], sessionTimeoutMs: 10_000 };
      const consumer = await test.consumer<number>(options, name);
      void consumer.run({ eachMessage: ({ value }) => void seen.push(`${name} ${value}`) });
      return consumer;
    };
    await start('a');
    await test.until(() => seen.length === 4);
    test.crash('a');
    const before = test.clock.now();
    const b = await start('b');
    await test.until(() => b.assignment().length === 4);
    expect(test.clock.now() - before).toBeGreaterThan(5_000);
    // `a` had not committed yet: at least once, never at most once.
    await test.until(() => seen.length === 8);
    expect(seen.slice(4).every((line) => line.startsWith('b '))).toBe(true);
  });

  it('plays a pause: the worker that stood still finds its partitions gone and takes part again', async () => {
    const test = await setUp();
    const lost: number[] = [];
    const options = { group: 'billing', topics: ['orders'], sessionTimeoutMs: 10_000 };
    const a = await test.consumer({ ...options, onLost: (gone) => void lost.push(gone.length) }, 'a');
    const b = await test.consumer(options, 'b');
    await test.until(() => a.assignment().length === 2 && b.assignment().length === 2);
    test.freeze('a');
    await test.until(() => b.assignment().length === 4);
    test.thaw('a');
    await test.until(() => a.assignment().length === 2 && b.assignment().length === 2);
    expect(lost).toEqual([2]);
  });

  it('loses no ownership while notices are lost and the connection breaks for a moment', async () => {
    const test = await setUp();
    const consumer = await test.consumer({ group: 'billing', topics: ['orders'] });
    const { generation } = consumer.health();
    const stop = test.drop(({ subject }) => subject.includes('.ev.'));
    test.cut('worker');
    await test.advance(4_000);
    test.heal('worker');
    await test.advance(20_000);
    stop();
    expect(consumer.health()).toMatchObject({ state: 'stable', generation });
  });

  it('plays lost messages: without heartbeats the partitions are lost, and come back with them', async () => {
    const test = await setUp();
    const lost: number[] = [];
    const consumer = await test.consumer({
      group: 'billing',
      topics: ['orders'],
      sessionTimeoutMs: 10_000,
      onLost: (gone) => void lost.push(gone.length),
    });
    const stop = test.drop(({ subject }) => subject.endsWith('.heartbeat'));
    await test.until(() => lost.length === 1);
    stop();
    await test.until(() => consumer.assignment().length === 4 && consumer.health().state === 'stable');
    expect(lost).toEqual([4]);
  });

  it('plays a failover of the coordinator: same generation, same partitions', async () => {
    const test = await setUp({ coordinators: 2 });
    const consumer = await test.consumer({ group: 'billing', topics: ['orders'] });
    const { generation } = consumer.health();
    const { nodeId } = await test.settle(test.muster.admin().findCoordinator('billing'));
    test.crashCoordinator(nodeId);
    await test.advance(20_000);
    expect(consumer.health()).toMatchObject({ state: 'stable', generation });
    expect((await test.settle(test.muster.admin().findCoordinator('billing'))).nodeId).not.toBe(nodeId);
  });
});
