import { describe, expect, it } from 'vitest';
import { orders } from '../test/consumer-scene.js';
import { FakeStreams } from '../test/fake-streams.js';
import { virtualEnvironment } from '../test/virtual-clock.js';
import { type Codec, jsonCodec } from './codecs.js';
import { Producer, type ProducerLimits } from './producer.js';
import type { PublishOutcome } from './streams.js';
import { noTelemetry } from './telemetry.js';
import { partitionOfKey } from './topic.js';

function setUp(limits: ProducerLimits = {}, codec: Codec<number> = jsonCodec()) {
  const streams = new FakeStreams();
  const environment = virtualEnvironment();
  const warnings: string[] = [];
  const producer = new Producer<number>({
    topic: orders,
    codec,
    streams,
    environment,
    limits,
    telemetry: noTelemetry,
    logger: { debug: () => {}, info: () => {}, warn: (line) => void warnings.push(line), error: () => {} },
  });
  return { streams, clock: environment.clock, producer, warnings };
}

const unavailable: PublishOutcome = { kind: 'unavailable', reason: '503' };

describe('the end of a producer', () => {
  it('comes in its time although JetStream is silent: what has no answer is refused', async () => {
    const { producer, streams, clock } = setUp({ maxInFlightPerPartition: 1 });
    streams.publish = () => new Promise(() => {});
    const codes: string[] = [];
    for (const value of [1, 2, 3]) {
      producer.send({ key: 'a', value }).catch((thrown: { code: string }) => void codes.push(thrown.code));
    }
    let isClosed = false;
    void producer.close({ timeoutMs: 2_000 }).then(() => {
      isClosed = true;
    });
    await clock.advance(1_900);
    expect(isClosed).toBe(false);
    await clock.advance(200);
    expect(isClosed).toBe(true);
    expect(codes).toEqual(['CLOSED', 'CLOSED', 'CLOSED']);
    expect(clock.timers).toBe(0);
  });

  it('comes in its time too while failed messages are repeated', async () => {
    const { producer, streams, clock } = setUp();
    streams.onPublish = () => unavailable;
    const sending = producer.send({ key: 'a', value: 1 }).catch((thrown: { code: string }) => thrown.code);
    await clock.advance(1_000);
    const closing = producer.close({ timeoutMs: 500 });
    await clock.advance(600);
    await closing;
    expect(await sending).toBe('CLOSED');
  });

  it('does not hide what was sent without waiting: a warning, and a count from flush', async () => {
    const { producer, streams, clock, warnings } = setUp({ deliveryTimeoutMs: 1_000 });
    streams.onPublish = () => ({ kind: 'refused', reason: 'full' });
    void producer.send({ key: 'a', value: 1 });
    await clock.advance(10);
    streams.onPublish = () => unavailable;
    const timedOut = producer.send({ key: 'a', value: 1 }).catch((thrown: Error) => thrown.message);
    await clock.advance(5_000);
    expect(await timedOut).toMatch(/before the deadline: message .*: 503$/);
    expect(await producer.flush()).toBe(2);
    expect(await producer.flush()).toBe(0);
    expect(warnings).toEqual(['a message was not stored', 'a message was not stored']);
  });
});

describe('the producer', () => {
  it("sends each key to its partition's subject and tells where it was stored", async () => {
    const { producer, streams } = setUp();
    const stored = await producer.send({ key: 'c.1', value: 1 });
    const partition = partitionOfKey(orders, 'c.1');
    expect(stored).toEqual({ topic: 'orders', partition, offset: 1, duplicate: false });
    expect(streams.published[0]?.subject).toBe(`orders.${partition}.c=2E1`);
  });

  it("takes Kafka's partition where the topic goes by murmur2", () => {
    // Kafka: murmur2("21") = -973932308 (org.apache.kafka.common.utils.UtilsTest).
    const topic = { ...orders, partitions: 100, keyHash: 'murmur2' } as const;
    expect(partitionOfKey(topic, '21')).toBe((-973932308 & 0x7fffffff) % 100);
    expect(partitionOfKey({ ...topic, keyHash: 'fnv1a' }, '21')).not.toBe(partitionOfKey(topic, '21'));
  });

  it('lets messages without a key take turns over the partitions', async () => {
    const { producer } = setUp();
    const stored = await Promise.all([1, 2, 3, 4].map((value) => producer.send({ value })));
    expect(new Set(stored.map(({ partition }) => partition)).size).toBe(4);
  });

  it('repeats with the same message id until JetStream answers, later ones of the partition waiting', async () => {
    const { producer, streams, clock } = setUp();
    let failures = 3;
    streams.onPublish = () => {
      failures -= 1;
      return failures >= 0 ? unavailable : undefined;
    };
    const first = producer.send({ partition: 0, value: 1, messageId: 'a' });
    await clock.advance(1);
    const second = producer.send({ partition: 0, value: 2, messageId: 'b' });
    await clock.advance(5_000);
    expect([(await first).offset, (await second).offset]).toEqual([1, 2]);
    expect(streams.published.map(({ messageId }) => messageId)).toEqual(['a', 'a', 'a', 'a', 'b']);
  });

  it('repeats what failed in one window in the order of the calls', async () => {
    const { producer, streams, clock } = setUp();
    let isDown = true;
    streams.onPublish = () => (isDown ? unavailable : undefined);
    const sending = [1, 2, 3, 4].map((value) => producer.send({ partition: 0, value, messageId: `m${value}` }));
    await clock.advance(2_000);
    isDown = false;
    const later = producer.send({ partition: 0, value: 5, messageId: 'm5' });
    await clock.advance(2_000);
    const stored = await Promise.all([...sending, later]);
    expect(stored.map(({ offset }) => offset)).toEqual([1, 2, 3, 4, 5]);
  });

  it('does not let one repeated partition hold up the others', async () => {
    const { producer, streams, clock } = setUp();
    streams.onPublish = (messageId) => (messageId === 'a' ? unavailable : undefined);
    const stuck = producer.send({ partition: 0, value: 1, messageId: 'a' }).catch((error: unknown) => error);
    await clock.advance(1);
    expect(await producer.send({ partition: 1, value: 2, messageId: 'b' })).toMatchObject({ partition: 1 });
    await clock.advance(40_000);
    expect(await stuck).toMatchObject({ code: 'TIMEOUT', retriable: true });
  });

  it('gives a refusal to the caller at once', async () => {
    const { producer, streams } = setUp();
    streams.onPublish = () => ({ kind: 'refused', reason: 'maximum bytes exceeded' });
    await expect(producer.send({ value: 1 })).rejects.toMatchObject({ code: 'STREAM_REFUSED', retriable: false });
  });

  it('has no more messages in flight than allowed and refuses when too many wait', async () => {
    const { producer, streams } = setUp({ maxInFlight: 2, maxWaiting: 1 });
    const results = await Promise.allSettled([1, 2, 3, 4].map((value) => producer.send({ value })));
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'rejected']);
    expect(results[3]).toMatchObject({ reason: { code: 'QUEUE_FULL' } });
    expect(streams.published).toHaveLength(3);
  });

  it('refuses when what waits takes too many bytes, and takes one message whatever it takes', async () => {
    // Nobody reads these bytes: they take no memory.
    const large: Codec<number> = { ...jsonCodec(), encode: (mebibytes) => new Uint8Array(mebibytes * 2 ** 20) };
    const { producer, streams, clock } = setUp({ deliveryTimeoutMs: 1_000 }, large);
    streams.onPublish = () => unavailable;
    const sends = [100, 100, 100].map((value) => producer.send({ value }).catch((thrown: unknown) => thrown));
    expect(await sends[2]).toMatchObject({ code: 'QUEUE_FULL', message: expect.stringMatching(/bytes are waiting/) });
    await clock.advance(5_000);
    expect(await sends[0]).toMatchObject({ code: 'TIMEOUT' });
    streams.onPublish = undefined;
    expect(await producer.send({ value: 300 })).toMatchObject({ offset: 1 });
  });

  it('finishes what is under way when it is closed and takes nothing more', async () => {
    const { producer } = setUp();
    const sending = producer.send({ value: 1 });
    await producer.close();
    expect(await sending).toMatchObject({ offset: 1 });
    await expect(producer.send({ value: 2 })).rejects.toMatchObject({ code: 'CLOSED' });
  });
});
