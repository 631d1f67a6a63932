import { describe, expect, it } from 'vitest';
import { consumerScene } from '../test/consumer-scene.js';
import { settle } from '../test/virtual-clock.js';
import type { Batch } from './batch.js';

describe('a handler of a program without types', () => {
  it.each([
    ['a number', 7],
    ['null', null],
    ['an object', {}],
  ])('may return %s: the message is handled', async (_, given) => {
    const { consume, store, muster, coordinator } = consumerScene();
    store(0, 1, 2);
    const consumer = await consume();
    const running = consumer.run({ eachMessage: (() => given) as unknown as () => void });
    await settle();
    await muster.close();
    await running;
    expect(coordinator.offsets.get('orders/0')).toBe(3);
  });

  it('may name both kinds of handler and give one', async () => {
    const { consume, store } = consumerScene();
    store(0, 1, 2);
    const seen: number[] = [];
    const eachMessage = ({ value }: { value: number }) => void seen.push(value);
    const eachBatch = ({ messages }: Batch<number>) => void seen.push(...messages.map(({ value }) => value));
    for (const options of [
      { eachMessage, eachBatch: undefined },
      { eachMessage: undefined, eachBatch },
    ]) {
      const consumer = await consume();
      const running = consumer.run(options as never);
      await settle();
      await consumer.seek({ topic: 'orders', partition: 0 }, 1);
      await consumer.close();
      await running;
    }
    expect(seen).toEqual([1, 2, 1, 2]);
  });

  it('may return what can be awaited and is no promise', async () => {
    const { consume, store, muster, coordinator } = consumerScene();
    store(0, 1);
    const consumer = await consume();
    // As a promise of another library.
    const foreign = Object.fromEntries([['then', (resolve: () => void) => void setImmediate(resolve)]]);
    const running = consumer.run({ eachMessage: (() => foreign) as unknown as () => Promise<void> });
    await settle();
    await settle();
    await muster.close();
    await running;
    expect(coordinator.offsets.get('orders/0')).toBe(2);
  });
});
