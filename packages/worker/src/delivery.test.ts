import { describe, expect, it } from 'vitest';
import { consumerScene, partitions } from '../test/consumer-scene.js';
import { settle } from '../test/virtual-clock.js';
import type { Message } from './message.js';
import { deferred } from './waiting.js';

describe('the signals of a message', () => {
  it('live no longer than the message: what listens to them does not pile up', async () => {
    const { consume, store, reassign } = consumerScene();
    store(1, ...Array.from({ length: 50 }, (_, at) => at));
    const warned: string[] = [];
    const onWarning = (warning: Error) => void warned.push(warning.name);
    process.on('warning', onWarning);
    const consumer = await consume();
    const told: number[] = [];
    const last = deferred();
    void consumer.run({
      eachMessage: async ({ value, signal, handover }) => {
        handover.addEventListener('abort', () => told.push(value));
        signal.addEventListener('abort', () => told.push(value));
        if (value === 49) await last.promise;
      },
    });
    for (let turn = 0; turn < 20; turn += 1) await settle();
    await reassign(partitions(0));
    // Only the one that still runs hears that somebody waits for it.
    expect(told).toEqual([49]);
    last.resolve();
    for (let turn = 0; turn < 10; turn += 1) await settle();
    expect(consumer.assignment()).toEqual(partitions(0));
    expect(told).toEqual([49]);
    process.off('warning', onWarning);
    expect(warned).toEqual([]);
  });

  it('a message that is handed out again tells who still works on it', async () => {
    const { consume, store } = consumerScene();
    store(0, 1, 2);
    const consumer = await consume();
    const first: Message<number>[] = [];
    for await (const message of consumer) {
      first.push(message);
      if (first.length === 2) break;
    }
    const [acked, left] = first;
    expect([acked?.signal.aborted, left?.signal.aborted]).toEqual([false, false]);
    acked?.ack();
    for await (const message of consumer) {
      expect(message.value).toBe(2);
      expect([acked?.signal.aborted, left?.signal.aborted, message.signal.aborted]).toEqual([false, true, false]);
      message.ack();
      break;
    }
    await consumer.close();
  });
});

describe('what is delivered and not acked', () => {
  it('is bounded in each partition, and goes on with every ack', async () => {
    const { consume, store } = consumerScene();
    store(0, ...Array.from({ length: 20 }, (_, at) => at));
    store(1, 100);
    const consumer = await consume({ unackedMessages: 5 });
    const messages: Message<number>[] = [];
    void (async () => {
      for await (const message of consumer) messages.push(message);
    })();
    await settle();
    const values = () => messages.map(({ value }) => value).filter((value) => value < 100);
    expect(values()).toEqual([0, 1, 2, 3, 4]);
    expect(messages).toHaveLength(6);
    // A later one frees no place: what is before it is still out.
    messages.find(({ value }) => value === 3)?.ack();
    await settle();
    expect(values()).toHaveLength(5);
    messages.find(({ value }) => value === 0)?.ack();
    await settle();
    expect(values()).toEqual([0, 1, 2, 3, 4, 5]);
    for (const message of messages) message.ack();
    await settle();
    expect(values()).toHaveLength(11);
  });
});
