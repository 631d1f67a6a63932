import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, expect, it } from 'vitest';
import { consumerScene, orders, partitions } from '../test/consumer-scene.js';
import { settle } from '../test/virtual-clock.js';
import type { Batch } from './batch.js';
import { deferred } from './waiting.js';

const dead = { ...orders, name: 'dead', stream: 'dead', subject: 'dead.{partition}.{key}' };

describe('batches', () => {
  it('hands several messages of one partition over together, in order, never more than allowed', async () => {
    const { consume, store, coordinator, muster } = consumerScene();
    store(0, 1, 2, 3, 4, 5);
    store(1, 11);
    const consumer = await consume();
    const seen: number[][] = [];
    void consumer.run({
      batchMessages: 3,
      eachBatch: async ({ messages }) => void seen.push(messages.map(({ value }) => value)),
    });
    for (let turn = 0; turn < 3; turn += 1) await settle();
    expect(seen.filter(([first]) => (first ?? 0) < 10).flat()).toEqual([1, 2, 3, 4, 5]);
    expect(Math.max(...seen.map(({ length }) => length))).toBe(3);
    await muster.close();
    expect([coordinator.offsets.get('orders/0'), coordinator.offsets.get('orders/1')]).toEqual([6, 7]);
  });

  it('keeps what was acked before it failed, and tries again only with the rest', async () => {
    const { consume, store, clock, coordinator, muster } = consumerScene();
    store(0, 1, 2, 3);
    const consumer = await consume({ onFailure: { kind: 'retry', attempts: 2 } });
    const seen: number[][] = [];
    void consumer.run({
      eachBatch: async (batch: Batch<number>) => {
        seen.push(batch.messages.map(({ value }) => value));
        const [first] = batch.messages;
        if (seen.length > 1 || first === undefined) return;
        batch.ack(first);
        throw new Error('not now');
      },
    });
    await clock.advance(1_000);
    expect(seen).toEqual([
      [1, 2, 3],
      [2, 3],
    ]);
    await muster.close();
    expect(coordinator.offsets.get('orders/0')).toBe(4);
  });

  it('stops with the place of the first message that was not acked', async () => {
    const { consume, store, clock } = consumerScene();
    store(0, 1, 2, 3);
    const consumer = await consume();
    const running = consumer.run({
      eachBatch: (batch) => {
        batch.messages[0]?.ack();
        throw new Error('no');
      },
    });
    const outcome = running.catch((error: unknown) => error);
    await clock.advance(1_000);
    expect(await outcome).toMatchObject({ code: 'HANDLER_FAILED', offset: 2 });
  });
});

describe('a handler that never returns', () => {
  it('ends the consumer with the message it hangs on, and its signal aborts', async () => {
    const { consume, store, clock, coordinator } = consumerScene();
    store(0, 1);
    store(1, 11);
    const consumer = await consume({ maxPollIntervalMs: 20_000, drainTimeoutMs: 1_000 });
    let signal: AbortSignal | undefined;
    const running = consumer.run({
      eachMessage: (message) => {
        if (message.value !== 11) return;
        ({ signal } = message);
        return new Promise(() => {});
      },
    });
    const outcome = running.catch((error: unknown) => error);
    await clock.advance(19_000);
    expect(consumer.health().partitions[1]).toMatchObject({ running: 1, runningForMs: 19_000 });
    // Heartbeats do not depend on handlers.
    expect(consumer.health().state).toBe('stable');
    await clock.advance(5_000);
    expect(await outcome).toMatchObject({ code: 'HANDLER_TIMEOUT', topic: 'orders', partition: 1, offset: 2 });
    expect(signal?.aborted).toBe(true);
    expect(coordinator.offsets.get('orders/0')).toBe(2);
    // Only the decision where to begin: the message itself is not committed and comes again.
    expect(coordinator.offsets.get('orders/1') ?? 0).toBeLessThan(3);
  });

  it('is passed over where the policy says so, without another try, and the lane goes on', async () => {
    const { consume, store, clock, muster, coordinator } = consumerScene();
    store(0, 1, 2);
    const consumer = await consume({
      maxPollIntervalMs: 5_000,
      onFailure: { kind: 'retry', attempts: 3, lastly: 'skip' },
    });
    const tried: number[] = [];
    void consumer.run({
      eachMessage: ({ value }) => {
        tried.push(value);
        return value === 1 ? new Promise<void>(() => {}) : undefined;
      },
    });
    await clock.advance(6_000);
    expect(tried).toEqual([1, 2]);
    await muster.close();
    expect(coordinator.offsets.get('orders/0')).toBe(3);
  });

  it('counts in a for await loop from delivery to ack', async () => {
    const { consume, store, clock } = consumerScene();
    store(0, 1);
    const consumer = await consume({ maxPollIntervalMs: 5_000 });
    const loop = (async () => {
      for await (const _ of consumer);
    })();
    const outcome = loop.catch((error: unknown) => error);
    await clock.advance(60_000);
    expect(await outcome).toMatchObject({ code: 'HANDLER_TIMEOUT', topic: 'orders', partition: 0, offset: 1 });
  });
});

describe('the dead-letter topic', () => {
  it('gets the same bytes and key, says where from and why, and the lane goes on', async () => {
    const { consume, store, clock, streams, muster, coordinator } = consumerScene();
    muster.topics.declare([dead]);
    store(0, 1, 2);
    const consumer = await consume({
      onFailure: { kind: 'retry', attempts: 2, lastly: { kind: 'dead-letter', topic: 'dead' } },
    });
    const handled: number[] = [];
    void consumer.run({
      eachMessage: ({ value }) => {
        if (value === 1) throw new Error('no such\ncustomer');
        handled.push(value);
      },
    });
    await clock.advance(2_000);
    expect(handled).toEqual([2]);
    expect(streams.published).toHaveLength(1);
    expect(streams.published[0]).toMatchObject({
      messageId: 'dead:billing:orders/0/1',
      subject: expect.stringMatching(/^dead\.\d\.k0$/),
      headers: {
        'Muster-Dead-Group': 'billing',
        'Muster-Dead-Source': 'orders/0/1',
        'Muster-Dead-Code': 'HANDLER_FAILED',
        'Muster-Dead-Error': 'no such customer',
        'Muster-Dead-Attempts': '2',
      },
    });
    await muster.close();
    expect(coordinator.offsets.get('orders/0')).toBe(3);
  });

  it('is tried again while JetStream does not answer, and the message is not committed before', async () => {
    const { consume, store, clock, streams, muster, coordinator } = consumerScene();
    muster.topics.declare([dead]);
    store(0, 1);
    const consumer = await consume({ onFailure: { kind: 'dead-letter', topic: 'dead' } });
    let tries = 0;
    streams.onPublish = () => {
      tries += 1;
      return tries < 4 ? { kind: 'unavailable', reason: '503' } : undefined;
    };
    void consumer.run({
      eachMessage: () => {
        throw new Error('no');
      },
    });
    await settle();
    await consumer.commit();
    expect(coordinator.offsets.get('orders/0') ?? 1).toBe(1);
    await clock.advance(5_000);
    await consumer.commit();
    expect(tries).toBe(4);
    expect(coordinator.offsets.get('orders/0')).toBe(2);
  });

  it('holds its partition while JetStream is down, and says so in health and an event', async () => {
    const { consume, store, clock, streams, muster } = consumerScene();
    muster.topics.declare([dead]);
    store(0, 1);
    store(1, 2);
    const consumer = await consume({ onFailure: { kind: 'dead-letter', topic: 'dead' } });
    const heard: unknown[] = [];
    const listener = (message: unknown) => void heard.push(message);
    subscribe('muster:dead-letter-waiting', listener);
    streams.onPublish = () => ({ kind: 'unavailable', reason: 'no responders' });
    const handled: number[] = [];
    void consumer.run({
      eachMessage: ({ value }) => {
        handled.push(value);
        if (value === 1) throw new Error('no');
      },
    });
    await clock.advance(60_000);
    // The other partition goes on; this one stands where it was, at a bounded rate.
    expect(handled.sort()).toEqual([1, 2]);
    const problem = 'the dead letter of offset 1 waits for topic dead: no responders';
    expect(consumer.health().partitions.find(({ partition }) => partition === 0)).toMatchObject({
      problem,
      running: 1,
      verdict: 'stopped',
    });
    expect(heard).toMatchObject([{ group: 'billing', problem, partitions: [{ topic: 'orders', partition: 0 }] }]);
    expect(streams.published.length).toBeLessThan(40);
    streams.onPublish = undefined;
    await clock.advance(6_000);
    expect(consumer.health().partitions.find(({ partition }) => partition === 0)).toMatchObject({
      problem: undefined,
      running: 0,
    });
    unsubscribe('muster:dead-letter-waiting', listener);
    await consumer.close();
  });

  it('is waited for by nobody: a hand-over and a close end the trying, and the message is not committed', async () => {
    const { consume, store, clock, streams, muster, coordinator, reassign } = consumerScene();
    muster.topics.declare([dead]);
    store(0, 1);
    const consumer = await consume({ onFailure: { kind: 'dead-letter', topic: 'dead' } });
    streams.onPublish = () => ({ kind: 'unavailable', reason: 'no responders' });
    let calls = 0;
    void consumer.run({
      eachMessage: () => {
        calls += 1;
        throw new Error('no');
      },
    });
    await clock.advance(20_000);
    await reassign([{ topic: 'orders', partition: 1 }]);
    // Without a moment of the drain time.
    expect(consumer.assignment()).toEqual([{ topic: 'orders', partition: 1 }]);
    expect(coordinator.offsets.get('orders/0') ?? 1).toBe(1);
    await reassign([{ topic: 'orders', partition: 0 }]);
    await clock.advance(20_000);
    expect(calls).toBe(2);
    let isClosed = false;
    void consumer.close().then(() => {
      isClosed = true;
    });
    await clock.advance(10);
    expect(isClosed).toBe(true);
  });

  it('outlives a registry that does not answer, and ends after its own timeout where it has one', async () => {
    const { consume, store, clock, streams, muster } = consumerScene();
    await muster.topics.create({ name: 'dead', partitions: 1 });
    store(0, 1);
    const consumer = await consume({ onFailure: { kind: 'dead-letter', topic: 'dead', timeoutMs: 90_000 } });
    // What is remembered of the topic is over by now; JetStream answers nothing any more.
    await clock.advance(40_000);
    streams.isUp = false;
    const outcome = consumer
      .run({
        eachMessage: () => {
          throw new Error('no');
        },
      })
      .catch((thrown: unknown) => thrown);
    await clock.advance(60_000);
    expect(consumer.health().partitions[0]?.problem).toMatch(/dead letter of offset 1 waits .*the test says so/);
    await clock.advance(40_000);
    expect(await outcome).toMatchObject({
      code: 'DEAD_LETTER_FAILED',
      message: expect.stringMatching(/waits for topic dead: .* for 90000 ms/),
    });
  });

  it('ends the consumer with a typed error where JetStream refuses it', async () => {
    const { consume, store, clock, streams, muster } = consumerScene();
    muster.topics.declare([dead]);
    store(0, 1);
    const consumer = await consume({ onFailure: { kind: 'dead-letter', topic: 'dead' } });
    streams.onPublish = () => ({ kind: 'refused', reason: 'maximum bytes exceeded' });
    const running = consumer.run({
      eachMessage: () => {
        throw new Error('no');
      },
    });
    const outcome = running.catch((error: unknown) => error);
    await clock.advance(1_000);
    expect(await outcome).toMatchObject({ code: 'DEAD_LETTER_FAILED', offset: 1 });
  });

  it('takes values that cannot be decoded', async () => {
    const { consume, streams, clock, muster, store } = consumerScene();
    muster.topics.declare([dead]);
    streams.store('orders', 'orders.0.k', Uint8Array.of(0x7b));
    store(0, 2);
    const consumer = await consume({ onDecodeFailure: { kind: 'dead-letter', topic: 'dead' } });
    const handled: number[] = [];
    void consumer.run({ eachMessage: ({ value }) => void handled.push(value) });
    await clock.advance(500);
    expect(handled).toEqual([2]);
    expect(streams.published[0]?.headers).toMatchObject({ 'Muster-Dead-Code': 'DECODE_FAILED' });
  });

  it('is refused before joining where it does not exist', async () => {
    const { consume, coordinator } = consumerScene();
    const consuming = consume({ onFailure: { kind: 'dead-letter', topic: 'nowhere' } });
    await expect(consuming).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC' });
    expect(coordinator.of('join')).toHaveLength(0);
  });
});

describe('someone is waiting', () => {
  it('tells the handler that holds up a rebalance, while its commits still work', async () => {
    const { consume, store, reassign, coordinator } = consumerScene();
    store(1, 11);
    const consumer = await consume();
    const asked = deferred();
    let stillOwned: boolean | undefined;
    void consumer.run({
      eachMessage: async ({ handover, signal }) => {
        await new Promise<void>((resolve) => handover.addEventListener('abort', () => resolve()));
        stillOwned = !signal.aborted;
        asked.resolve();
      },
    });
    await settle();
    await reassign(partitions(0));
    await asked.promise;
    await settle();
    await settle();
    expect(stillOwned).toBe(true);
    expect(coordinator.offsets.get('orders/1')).toBe(2);
  });

  it('waits for no pause between two attempts: the message goes to the next owner', async () => {
    const { consume, store, reassign, coordinator, clock } = consumerScene();
    store(1, 11, 12);
    const retry = { kind: 'retry', attempts: 10, backoffMs: 25_000 } as const;
    const consumer = await consume({ onFailure: retry, drainTimeoutMs: 20_000 });
    const tried: number[] = [];
    void consumer.run({
      eachMessage: ({ value }) => {
        tried.push(value);
        if (value === 12) throw new Error('not now');
      },
    });
    await settle();
    await reassign(partitions(0));
    expect(consumer.assignment()).toEqual(partitions(0));
    expect(coordinator.offsets.get('orders/1')).toBe(2);
    await clock.advance(60_000);
    expect(tried).toEqual([11, 12]);
  });
});
