import { describe, expect, expectTypeOf, it } from 'vitest';
import { consumerScene } from '../test/consumer-scene.js';
import {
  type Batch,
  type Consumer,
  type Message,
  type Muster,
  MusterError,
  type RunOptions,
  stringCodec,
} from './index.js';

interface Order {
  readonly total: number;
}

describe('the types', () => {
  it('follow the codec, or what is claimed of JSON; without either a value is unknown', () => {
    type Made = Awaited<ReturnType<typeof withCodec>>;
    const withCodec = (muster: Muster) => muster.consumer({ group: 'g', topics: ['t'], codec: stringCodec });
    const claimed = (muster: Muster) => muster.consumer<Order>({ group: 'g', topics: ['t'] });
    const without = (muster: Muster) => muster.consumer({ group: 'g', topics: ['t'] });
    expectTypeOf<Made>().toEqualTypeOf<Consumer<string>>();
    expectTypeOf(claimed).returns.resolves.toEqualTypeOf<Consumer<Order>>();
    expectTypeOf(without).returns.resolves.toEqualTypeOf<Consumer<unknown>>();
  });

  it('give a handler its message, and a run exactly one handler', () => {
    expectTypeOf<Message<Order>['value']>().toEqualTypeOf<Order>();
    expectTypeOf<Message<Order>['signal']>().toEqualTypeOf<AbortSignal>();
    expectTypeOf<Batch<Order>['messages'][number]>().toEqualTypeOf<Message<Order>>();
    expectTypeOf<{ concurrency: 4 }>().not.toExtend<RunOptions<Order>>();
    expectTypeOf<{ eachMessage: (message: Message<Order>) => Promise<void> }>().toExtend<RunOptions<Order>>();
  });

  it('know the codes of errors', () => {
    const error = new MusterError('TIMEOUT');
    expectTypeOf(error.code).not.toBeString;
    expectTypeOf<'TIMEOUT'>().toExtend<typeof error.code>();
    expectTypeOf<'NO_SUCH_CODE'>().not.toExtend<typeof error.code>();
  });
});

describe('what people bring from KafkaJS', () => {
  it('is told what is wrong and what is allowed: places with lists of partitions, offsets as texts', async () => {
    const { consume, store, clock } = consumerScene();
    store(0, 1, 2);
    const consumer = await consume();
    await clock.advance(100);
    const place = { topic: 'orders', partitions: [0] } as never;
    expect(() => consumer.pause([place])).toThrow(/partitions\.0\.partition: a whole number, not undefined/);
    const texts = { topic: 'orders', partition: 0, offset: '1' } as never;
    await expect(consumer.commit([texts])).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/an offset is a whole number, not "1"/),
    });
    await expect(consumer.seek({ topic: 'orders', partition: 0 }, '1' as never)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    await consumer.close();
  });

  it('is told so by the producer: no value but `messages`, headers of bytes', async () => {
    const { muster } = consumerScene();
    await muster.topics.create({
      name: 'orders',
      partitions: 4,
      stream: 'orders',
      subject: 'orders.{partition}.{key}',
    });
    const producer = await muster.producer({ topic: 'orders' });
    const batch = { messages: [{ value: 1 }] } as never;
    await expect(producer.send(batch)).rejects.toThrow(
      /no field messages \(one message for each send: { key, value }\); it has key, value/,
    );
    const bytes = { value: 1, headers: { trace: Buffer.from('x') } } as never;
    await expect(producer.send(bytes)).rejects.toThrow(/header "trace" is a text, not object/);
  });
});
