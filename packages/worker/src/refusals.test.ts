import { describe, expect, it } from 'vitest';
import { consumerScene, orders } from '../test/consumer-scene.js';
import type { Logger } from './logger.js';
import type { PlainMemberOptions } from './member.js';
import { consumerSettings, memberSettings } from './options.js';

const dead = { ...orders, name: 'dead', stream: 'dead', subject: 'dead.{partition}.{key}' };

describe('a message with a field that nobody reads', () => {
  it.each([
    [{ value: 1, messageID: 'a' }, /no field messageID \(messageId\)/],
    [{ topic: 'orders', messages: [] }, /no field topic \(the topic is that of the producer\)/],
    [{ value: 1, partitionKey: 'a' }, /no field partitionKey; it has key, value, headers, messageId, partition/],
    [{ key: 'a' }, /a message needs a value/],
    ['hello', /send takes one message { key, value }, not string/],
  ])('is refused: %j', async (message, refusal) => {
    const { muster, streams } = consumerScene();
    const producer = await muster.producer({ topic: orders });
    const failure = await producer.send(message as never).catch((thrown: unknown) => thrown);
    expect(failure).toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringMatching(refusal) });
    expect(streams.published).toEqual([]);
  });

  it('is stored where all of them are known, the partition instead of the one of its key', async () => {
    const { muster } = consumerScene();
    const producer = await muster.producer({ topic: orders });
    const message = { key: 'a', value: 1, headers: { h: 'x' }, messageId: 'm', partition: 3 };
    expect(await producer.send(message)).toMatchObject({ partition: 3, offset: 1 });
  });

  it('whose value is nothing for the codec says so in plain words', async () => {
    const { muster } = consumerScene();
    const producer = await muster.producer({ topic: orders });
    await expect(producer.send({ value: 1n })).rejects.toThrow(/codec json cannot encode the value: .*BigInt/);
  });
});

describe('a producer with another hash than its topic', () => {
  it('works, but says so', async () => {
    const warnings: unknown[] = [];
    const { muster } = consumerScene({ warn: (text) => void warnings.push(text) });
    await muster.producer({ topic: orders, keyHash: 'fnv1a' });
    expect(warnings).toEqual([]);
    await muster.producer({ topic: orders, keyHash: 'murmur2' });
    expect(warnings).toEqual([
      expect.stringMatching(/topic orders: keys go by murmur2 here, by fnv1a where others send/),
    ]);
  });
});

describe('dead letters into a topic that the consumer reads itself', () => {
  const letter = { kind: 'dead-letter', topic: 'orders' } as const;
  it.each([
    ['onFailure', { onFailure: letter }],
    ['onFailure', { onFailure: { kind: 'retry', attempts: 2, lastly: letter } as const }],
    ['onDecodeFailure', { onDecodeFailure: letter }],
  ])('are refused at the start, in %s', async (option, options) => {
    const { consume, coordinator } = consumerScene();
    const failure = await consume(options).catch((thrown: unknown) => thrown);
    expect(failure).toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(`${option}: `) });
    expect(coordinator.seen).toEqual([]);
  });

  it('are refused in a later subscription, which changes nothing', async () => {
    const { consume, muster } = consumerScene();
    muster.topics.declare([dead]);
    const consumer = await consume({ onFailure: { ...letter, topic: 'dead' } });
    await expect(consumer.subscribe(['orders', 'dead'])).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(consumer.subscription()).toEqual(['orders']);
  });
});

describe('a drain that may take as long as the round', () => {
  it('is refused: the group would go on without this member', () => {
    const member = memberSettings({ group: 'g', rebalanceTimeoutMs: 30_000 });
    const options = { group: 'g', topics: ['orders'] };
    expect(() => consumerSettings({ ...options, drainTimeoutMs: 30_000 }, member)).toThrow(/below rebalanceTimeoutMs/);
    expect(consumerSettings({ ...options, drainTimeoutMs: 29_999 }, member).drainTimeoutMs).toBe(29_999);
  });
});

describe('a plain member', () => {
  function setUp() {
    const { muster, clock, coordinator } = consumerScene();
    const lines: unknown[] = [];
    const write = (text: string, fields?: unknown) => void lines.push([text, fields]);
    const logger: Logger = { debug: () => {}, info: () => {}, warn: write, error: write };
    const join = async (options: Partial<PlainMemberOptions>) => {
      const joining = muster.member({
        group: 'cron',
        protocolType: 'shards',
        protocols: [{ name: 'one', metadata: new Uint8Array(0) }],
        assign: () => new Map(),
        logger,
        ...options,
      });
      joining.catch(() => {});
      await clock.advance(8_000);
      return await joining.catch((thrown: unknown) => thrown);
    };
    return { join, coordinator };
  }

  it.each([
    [{ a: new Uint8Array(1) }, /assign must return a Map from member id to Uint8Array, not a Object/],
    [undefined, /not undefined/],
    [new Map([['member-1', 'shard 0']]), /the value of member-1 is a string/],
    [new Map([[1, new Uint8Array(1)]]), /a key is a number/],
  ])('whose assign returns %j is told what is allowed, and the coordinator hears nothing', async (made, message) => {
    const { join, coordinator } = setUp();
    const failure = await join({ assign: () => made as never });
    expect(failure).toMatchObject({ code: 'ASSIGNOR_FAILED', message: expect.stringMatching(message) });
    expect(coordinator.of('sync')).toEqual([]);
  });

  it('cannot pass for a consumer', async () => {
    const { join } = setUp();
    expect(await join({ protocolType: 'consumer' })).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/protocolType: any but 'consumer'/),
    });
  });

  it('that gives up joining is told how long the first round of an empty group waits', async () => {
    const { join, coordinator } = setUp();
    coordinator.script.join = () => 'park';
    const joining = join({ joinTimeoutMs: 5_000 });
    expect(await joining).toMatchObject({ message: expect.stringMatching(/group\.initial\.rebalance\.delay \(3 s/) });
  });
});

describe('the error of a handler that takes too long', () => {
  it('says it once', async () => {
    const { consume, store, clock } = consumerScene();
    store(0, 1);
    const consumer = await consume({ maxPollIntervalMs: 1_000, drainTimeoutMs: 100 });
    const failing = consumer.run({ eachMessage: () => new Promise(() => {}) }).catch((thrown: Error) => thrown.message);
    await clock.advance(5_000);
    expect(await failing).toBe(
      'the message handler takes longer than maxPollIntervalMs: orders/0 at offset 1: it has been running for 1000 ms',
    );
  });
});
