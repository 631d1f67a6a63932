import { describe, expect, it } from 'vitest';
import { consumerScene, orders, partitions } from '../test/consumer-scene.js';
import { settle } from '../test/virtual-clock.js';
import { deferred } from './waiting.js';

/** A consumer that writes down what it handles. */
async function handling(options: Parameters<ReturnType<typeof consumerScene>['consume']>[0] = {}) {
  const scene = consumerScene();
  const consumer = await scene.consume(options);
  const handled: number[] = [];
  void consumer.run({ eachMessage: ({ value }) => void handled.push(value) });
  return { ...scene, consumer, handled };
}

describe('pausing', () => {
  it('delivers nothing of a paused partition, and all of it in order after resuming', async () => {
    const { consumer, handled, store } = await handling();
    consumer.pause(partitions(0));
    store(0, 1, 2);
    store(1, 11);
    await settle();
    expect(handled).toEqual([11]);
    expect(consumer.paused()).toEqual(partitions(0));
    expect(consumer.health().partitions[0]).toMatchObject({ isPaused: true, verdict: 'stopped' });
    consumer.resume();
    await settle();
    expect(handled).toEqual([11, 1, 2]);
    expect(consumer.paused()).toEqual([]);
  });

  it('refuses a partition that is not assigned', async () => {
    const { consumer } = await handling();
    expect(() => consumer.pause(partitions(3))).toThrow(expect.objectContaining({ code: 'NOT_ASSIGNED' }));
  });

  it('stays paused through a rebalance that keeps the partition', async () => {
    const { consumer, handled, store, reassign } = await handling();
    consumer.pause(partitions(0));
    await reassign(partitions(0));
    store(0, 1);
    await settle();
    expect(handled).toEqual([]);
    expect(consumer.paused()).toEqual(partitions(0));
  });
});

describe('seeking', () => {
  it('goes back, handles again, and commits the place it went to', async () => {
    const { consumer, handled, store, clock, coordinator } = await handling();
    store(0, 1, 2, 3);
    await clock.advance(5_000);
    expect(coordinator.offsets.get('orders/0')).toBe(4);
    consumer.pause(partitions(0));
    await consumer.seek({ topic: 'orders', partition: 0 }, 2);
    await consumer.commit();
    expect(coordinator.offsets.get('orders/0')).toBe(2);
    expect(consumer.health().partitions[0]).toMatchObject({ position: 2 });
    consumer.resume();
    await settle();
    expect(consumer.health().verdict).toBe('rewound');
    expect(handled).toEqual([1, 2, 3, 2, 3]);
  });

  it('goes to either end and to a time', async () => {
    const { consumer, handled, store, streams } = await handling();
    consumer.pause();
    store(0, 1);
    streams.timestampMs = 5_000;
    store(0, 2, 3);
    const place = { topic: 'orders', partition: 0 };
    await consumer.seek(place, { timeMs: 4_000 });
    expect(consumer.health().partitions[0]?.position).toBe(2);
    await consumer.seek(place, 'earliest');
    expect(consumer.health().partitions[0]?.position).toBe(1);
    await consumer.seek(place, 'latest');
    consumer.resume();
    store(0, 4);
    await settle();
    expect(handled).toEqual([4]);
  });

  it('refuses an offset that the stream does not have', async () => {
    const { consumer, store } = await handling();
    store(0, 1);
    await expect(consumer.seek({ topic: 'orders', partition: 0 }, 99)).rejects.toMatchObject({
      code: 'OFFSET_OUT_OF_RANGE',
    });
  });

  it('ignores what becomes of a message that was out when it went elsewhere', async () => {
    const { consume, store, coordinator, clock } = consumerScene();
    store(0, 1, 2, 3);
    const consumer = await consume();
    const hang = deferred();
    const handled: number[] = [];
    void consumer.run({
      eachMessage: async ({ value }) => {
        handled.push(value);
        if (handled.length === 1) await hang.promise;
      },
    });
    await settle();
    await consumer.seek({ topic: 'orders', partition: 0 }, 3);
    hang.resolve();
    await clock.advance(5_000);
    expect(handled).toEqual([1, 3]);
    expect(consumer.health().partitions[0]?.running).toBe(0);
    expect(coordinator.offsets.get('orders/0')).toBe(4);
  });
});

describe('committing by offset', () => {
  it('marks everything before the offset as handled, and refuses what was not delivered', async () => {
    const { consume, store, coordinator } = consumerScene();
    store(0, 1, 2, 3);
    const consumer = await consume({ commit: { kind: 'manual' } });
    const iterator = consumer[Symbol.asyncIterator]();
    await iterator.next();
    await iterator.next();
    const place = { topic: 'orders', partition: 0 };
    await consumer.commit([{ ...place, offset: 3 }]);
    expect(coordinator.offsets.get('orders/0')).toBe(3);
    const beyond = consumer.commit([{ ...place, offset: 4 }]);
    await expect(beyond).rejects.toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' });
    const before = consumer.commit([{ ...place, offset: 1 }]);
    await expect(before).rejects.toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' });
    await expect(consumer.commit([{ topic: 'orders', partition: 3, offset: 1 }])).rejects.toMatchObject({
      code: 'NOT_ASSIGNED',
    });
  });

  it('says with every commit how much is left and how old it is', async () => {
    const { consume, store, coordinator, streams, clock } = consumerScene();
    streams.timestampMs = 1_700_000_000_000;
    store(0, 1, 2, 3);
    const consumer = await consume({ commit: { kind: 'manual' } });
    const { value: message } = await consumer[Symbol.asyncIterator]().next();
    await clock.advance(1_000);
    await message?.commit();
    const { parseCommitNote } = await import('@muster/protocol');
    const commit = coordinator
      .of('commit')
      .at(-1)
      ?.body.offsets.find(({ partition }) => partition === 0);
    const note = parseCommitNote(commit?.metadata ?? '');
    expect(note?.behind).toBe(2);
    expect(note?.ageMs).toBeGreaterThan(1_000);
    expect(parseCommitNote('something of theirs')).toBeUndefined();
  });

  it('marks several offsets all or not at all', async () => {
    const { consume, store, coordinator } = consumerScene();
    store(0, 1, 2);
    const consumer = await consume({ commit: { kind: 'manual' } });
    const iterator = consumer[Symbol.asyncIterator]();
    await iterator.next();
    const place = { topic: 'orders', partition: 0 };
    const beyond = { topic: 'orders', partition: 1, offset: 99 };
    await expect(consumer.commit([{ ...place, offset: 2 }, beyond])).rejects.toMatchObject({
      code: 'OFFSET_OUT_OF_RANGE',
    });
    await consumer.commit();
    expect(coordinator.offsets.get('orders/0')).toBe(1);
    await consumer.commit([{ ...place, offset: 2 }]);
    expect(coordinator.offsets.get('orders/0')).toBe(2);
    await iterator.return?.();
    await consumer.close();
  });
});

describe('starting at a time', () => {
  it('begins with the first message stored then, and commits that decision', async () => {
    const { consume, store, streams, coordinator } = consumerScene();
    store(0, 1);
    streams.timestampMs = 5_000;
    store(0, 2);
    const consumer = await consume({ start: { timeMs: 2_000 } });
    const { value: message } = await consumer[Symbol.asyncIterator]().next();
    expect(message?.value).toBe(2);
    message?.ack();
    await consumer.close();
    // Partition 1 has no message since then: its next one is the next of the stream.
    expect([...coordinator.offsets]).toEqual([
      ['orders/0', 3],
      ['orders/1', 3],
    ]);
  });
});

describe('when the committed offset has left the stream', () => {
  it('fails with a typed error where told so, and otherwise goes on at an end', async () => {
    const scene = consumerScene();
    scene.store(0, 1, 2);
    scene.coordinator.offsets.set('orders/0', 99);
    await expect(scene.consume({ startFallback: 'fail' })).rejects.toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' });
    const consumer = await scene.consume({ startFallback: 'earliest' });
    expect(consumer.health().partitions[0]?.position).toBe(1);
  });
});

describe('changing the subscription', () => {
  it('gives the old topic up with a commit, joins with the new one and takes its partitions', async () => {
    const scene = consumerScene();
    const bills = { ...orders, name: 'bills', stream: 'bills', subject: 'bills.{partition}.{key}' };
    scene.store(0, 1);
    const story: string[] = [];
    const consumer = await scene.consume({
      onAssigned: (given) => void story.push(`+${given.map(({ topic, partition }) => `${topic}/${partition}`)}`),
      onRevoked: (taken) => void story.push(`-${taken.map(({ topic, partition }) => `${topic}/${partition}`)}`),
    });
    void consumer.run({ eachMessage: () => {} });
    await settle();
    scene.coordinator.assigned = [{ topic: 'bills', partition: 2 }];
    await consumer.subscribe([bills]);
    await scene.clock.advance(1_000);
    expect(story).toEqual(['+orders/0,orders/1', '-orders/0,orders/1', '+bills/2']);
    expect(scene.coordinator.offsets.get('orders/0')).toBe(2);
    expect(consumer.subscription()).toEqual(['bills']);
    expect(consumer.assignment()).toEqual([{ topic: 'bills', partition: 2 }]);
  });

  it('refuses an unknown topic and changes nothing', async () => {
    const { consume } = consumerScene();
    const consumer = await consume();
    await expect(consumer.subscribe(['nowhere'])).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC' });
    expect(consumer.subscription()).toEqual(['orders']);
  });
});
