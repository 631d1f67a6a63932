import { describe, expect, it } from 'vitest';
import { consumerScene, partitions } from '../test/consumer-scene.js';
import { settle } from '../test/virtual-clock.js';
import type { Codec } from './codecs.js';
import type { Message } from './message.js';
import { deferred } from './waiting.js';

describe('running handlers', () => {
  it('handles each partition in order and partitions side by side', async () => {
    const { consume, store, muster } = consumerScene();
    store(0, 1, 2, 3);
    store(1, 11, 12);
    const consumer = await consume();
    const first = deferred();
    const handled: number[] = [];
    const running = consumer.run({
      eachMessage: async ({ value }) => {
        if (value === 1) await first.promise;
        handled.push(value);
      },
    });
    await settle();
    // Partition 0 hangs on its first message; partition 1 goes on, and 2 does not overtake 1.
    expect(handled).toEqual([11, 12]);
    first.resolve();
    await settle();
    expect(handled).toEqual([11, 12, 1, 2, 3]);
    await muster.close({ timeoutMs: 1 });
    await running;
  });

  it('runs no more handlers at a time than allowed', async () => {
    const { consume, store, coordinator } = consumerScene();
    coordinator.assigned = partitions(0, 1, 2, 3);
    for (const partition of [0, 1, 2, 3]) store(partition, 1);
    const consumer = await consume();
    const open = deferred();
    let running = 0;
    let most = 0;
    void consumer.run({
      concurrency: 2,
      eachMessage: async () => {
        running += 1;
        most = Math.max(most, running);
        await open.promise;
        running -= 1;
      },
    });
    await settle();
    expect(most).toBe(2);
    open.resolve();
    await settle();
    expect(consumer.health().partitions.map(({ position }) => position)).toEqual([2, 3, 4, 5]);
  });

  it('gives every message its place, its key, its generation and a signal', async () => {
    const { consume, store } = consumerScene();
    store(1, 7);
    const consumer = await consume();
    const seen: Message<number>[] = [];
    void consumer.run({ eachMessage: (message) => void seen.push(message) });
    await settle();
    expect(seen[0]).toMatchObject({ topic: 'orders', partition: 1, offset: 1, key: 'k1', value: 7, generation: 1 });
    expect(seen[0]?.signal.aborted).toBe(false);
  });

  it('stops by default when a handler fails: the error surfaces and the message is not committed', async () => {
    const { consume, store, coordinator, clock } = consumerScene();
    store(0, 1, 2, 3);
    const consumer = await consume();
    const running = consumer.run({
      eachMessage: ({ value }) => {
        if (value === 2) throw new Error('no such customer');
      },
    });
    const outcome = running.catch((error: unknown) => error);
    await clock.advance(1_000);
    expect(await outcome).toMatchObject({ code: 'HANDLER_FAILED', topic: 'orders', partition: 0, offset: 2 });
    expect(coordinator.offsets.get('orders/0')).toBe(2);
    expect(coordinator.of('leave')).toHaveLength(1);
  });

  it('retries with pauses and skips at the end, when told so', async () => {
    const { consume, store, clock, coordinator, muster } = consumerScene();
    store(0, 1, 2);
    const consumer = await consume({ onFailure: { kind: 'retry', attempts: 3, lastly: 'skip' } });
    const tried: number[] = [];
    const triedAtMs: number[] = [];
    void consumer.run({
      eachMessage: ({ value }) => {
        tried.push(value);
        triedAtMs.push(clock.now());
        if (value === 1) throw new Error('not now');
      },
    });
    await clock.advance(5_000);
    expect(tried).toEqual([1, 1, 1, 2]);
    // 200 ms and then 400, the upper half of each by chance: here the middle of it.
    const [first = 0, ...others] = triedAtMs;
    expect(others.map((atMs) => atMs - first)).toEqual([150, 450, 450]);
    await muster.close();
    expect(coordinator.offsets.get('orders/0')).toBe(3);
  });

  it('stops with a typed error at a value that cannot be decoded, or skips it', async () => {
    for (const policy of ['stop', 'skip'] as const) {
      const { consume, streams, store, clock } = consumerScene();
      streams.store('orders', 'orders.0.k', new Uint8Array([0x7b]));
      store(0, 2);
      const consumer = await consume({ onDecodeFailure: policy });
      const handled: number[] = [];
      const running = consumer.run({ eachMessage: ({ value }) => void handled.push(value) });
      const outcome = running.catch((error: unknown) => error);
      await clock.advance(100);
      if (policy === 'skip') expect(handled).toEqual([2]);
      else expect(await outcome).toMatchObject({ code: 'DECODE_FAILED', offset: 1 });
    }
  });
});

describe('a codec that is asynchronous, which none may be', () => {
  it('is a value that cannot be decoded, and its promise no value', async () => {
    const { consume, store, clock } = consumerScene();
    store(0, 1);
    const asynchronous = {
      name: 'registry',
      encode: () => new Uint8Array(0),
      decode: () => Promise.reject(new Error('late')),
    };
    const consumer = await consume({ codec: asynchronous as unknown as Codec<number> });
    const outcome = consumer.run({ eachMessage: () => {} }).catch((error: unknown) => error);
    await clock.advance(100);
    expect(await outcome).toMatchObject({
      code: 'DECODE_FAILED',
      message: expect.stringContaining('codecs are synchronous'),
    });
  });
});

describe('for await', () => {
  it('gives one message after the other and commits what was acked, never past what was not', async () => {
    const { consume, store, coordinator, clock, muster } = consumerScene();
    store(0, 1, 2, 3, 4);
    const consumer = await consume();
    const messages: Message<number>[] = [];
    const loop = (async () => {
      for await (const message of consumer) messages.push(message);
    })();
    await settle();
    expect(messages.map(({ value }) => value)).toEqual([1, 2, 3, 4]);
    messages[0]?.ack();
    messages[2]?.ack();
    await clock.advance(5_000);
    expect(coordinator.offsets.get('orders/0')).toBe(2);
    messages[1]?.ack();
    await clock.advance(5_000);
    expect(coordinator.offsets.get('orders/0')).toBe(4);
    const closing = muster.close({ timeoutMs: 1_000 });
    await clock.advance(1_000);
    await closing;
    await loop;
  });

  it('throws out of the loop when the membership fails', async () => {
    const { consume, coordinator, clock } = consumerScene();
    const consumer = await consume();
    const loop = (async () => {
      for await (const _ of consumer);
    })();
    const outcome = loop.catch((error: unknown) => error);
    coordinator.script.heartbeat = () => 'FENCED_INSTANCE_ID';
    await clock.advance(4_000);
    expect(await outcome).toMatchObject({ code: 'FENCED_INSTANCE_ID' });
  });
});

describe('where a lane starts', () => {
  it('continues at the committed offset', async () => {
    const { consume, store, coordinator } = consumerScene();
    store(0, 1, 2, 3);
    coordinator.offsets.set('orders/0', 3);
    const consumer = await consume();
    const handled: number[] = [];
    void consumer.run({ eachMessage: ({ value }) => void handled.push(value) });
    await settle();
    expect(handled).toEqual([3]);
  });

  it('commits the decision to begin at the latest, so that a rebalance before the first message skips nothing', async () => {
    const { consume, store, coordinator, muster } = consumerScene();
    store(0, 1, 2);
    await consume({ start: 'latest' });
    await muster.close();
    expect(coordinator.offsets.get('orders/0')).toBe(3);
  });

  it('refuses to guess when only a committed offset will do', async () => {
    const { consume } = consumerScene();
    await expect(consume({ start: 'committed' })).rejects.toMatchObject({ code: 'NO_COMMITTED_OFFSET' });
  });

  it('reads on at the next offset when its reader fails', async () => {
    const { consume, store, streams, clock } = consumerScene();
    store(0, 1, 2);
    const consumer = await consume();
    const handled: number[] = [];
    void consumer.run({ eachMessage: ({ value }) => void handled.push(value) });
    await settle();
    streams.isReadable = false;
    for (const reader of streams.readers) reader.fail();
    store(0, 3);
    await clock.advance(2_000);
    expect(handled).toEqual([1, 2]);
    streams.isReadable = true;
    await clock.advance(6_000);
    expect(handled).toEqual([1, 2, 3]);
    const offsets = streams.readers.map(({ config }) => config.startOffset);
    expect(offsets).toEqual([1, 1, 3, 1]);
  });
});

describe('closing', () => {
  it('waits for running handlers, commits, leaves, and ends the run', async () => {
    const { consume, store, coordinator, clock } = consumerScene();
    store(0, 1, 2);
    const consumer = await consume();
    const hang = deferred();
    const handled: number[] = [];
    const running = consumer.run({
      eachMessage: async ({ value }) => {
        await hang.promise;
        handled.push(value);
      },
    });
    await settle();
    const closing = consumer.close();
    await clock.advance(1_000);
    expect(coordinator.of('leave')).toHaveLength(0);
    hang.resolve();
    await closing;
    await running;
    expect(handled).toEqual([1]);
    expect(coordinator.offsets.get('orders/0')).toBe(2);
    expect(coordinator.of('leave')).toHaveLength(1);
    await expect(consumer.run({ eachMessage: () => {} })).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it('ends within its time although handler, hook and coordinator all hang, and leaves no timer behind', async () => {
    const { consume, store, coordinator, clock, muster } = consumerScene();
    store(0, 1);
    const consumer = await consume({ onRevoked: () => new Promise(() => {}) });
    let hasRunEnded = false;
    void consumer.run({ eachMessage: () => new Promise(() => {}) }).then(() => {
      hasRunEnded = true;
    });
    await settle();
    coordinator.stop();
    let isClosed = false;
    void muster.close({ timeoutMs: 8_000 }).then(() => {
      isClosed = true;
    });
    await clock.advance(8_001);
    expect([isClosed, hasRunEnded]).toEqual([true, true]);
    await clock.advance(120_000);
    expect(clock.timers).toBe(0);
  });

  it('ends within its time in the middle of a rebalance whose hook hangs', async () => {
    const { consume, reassign, clock, muster } = consumerScene();
    const { rangeAssignor } = await import('@muster/assignors');
    await consume({ assignors: [rangeAssignor], onRevoked: () => new Promise(() => {}) });
    await reassign(partitions(0));
    let isClosed = false;
    void muster.close({ timeoutMs: 8_000 }).then(() => {
      isClosed = true;
    });
    await clock.advance(8_001);
    expect(isClosed).toBe(true);
  });

  it('closes a consumer that still tries to join', async () => {
    const { muster, clock, coordinator } = consumerScene();
    coordinator.stop();
    const { orders } = await import('../test/consumer-scene.js');
    const starting = muster.consumer({ group: 'billing', topics: [orders] }).catch((error: unknown) => error);
    await clock.advance(3_000);
    const closing = muster.close({ timeoutMs: 2_000 });
    await clock.advance(2_000);
    await closing;
    expect(await starting).toMatchObject({ code: 'CLOSED' });
    expect(clock.timers).toBe(0);
  });

  it('stays in the group when it is static', async () => {
    const { consume, coordinator } = consumerScene();
    const consumer = await consume({ instanceId: 'worker-1' });
    await consumer.close();
    expect(coordinator.of('leave')).toHaveLength(0);
    expect(coordinator.of('join')[0]?.body.groupInstanceId).toBe('worker-1');
  });
});
