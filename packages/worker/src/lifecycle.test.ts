/**
 * What is left behind and what is asked for in a long life: nothing that grows.
 */

import { describe, expect, it } from 'vitest';
import { consumerScene, partitions } from '../test/consumer-scene.js';
import { memberScene } from '../test/member-scene.js';
import { MusterError } from './errors.js';

describe('a consumer that owns nothing', () => {
  it('keeps nothing of those who have waited for a partition', async () => {
    const { consume, clock, coordinator } = consumerScene();
    coordinator.assigned = [];
    const consumer = await consume();
    const before = clock.timers;
    const waits: Promise<unknown>[] = [];
    for (let round = 0; round < 20; round += 1) {
      waits.push(consumer.assigned({ timeoutMs: 10 }).catch((thrown: unknown) => thrown));
      await clock.advance(10);
    }
    for (const outcome of await Promise.all(waits)) expect(outcome).toMatchObject({ code: 'TIMEOUT' });
    expect(clock.timers).toBe(before);
  });
});

describe('a member that the coordinator does not take', () => {
  it('asks less and less often', async () => {
    const { membership, coordinator, clock } = memberScene();
    coordinator.script.join = () => 'UNKNOWN_MEMBER_ID';
    membership.start();
    await clock.advance(10_000);
    const asked = coordinator.of('join').length;
    expect(asked).toBeGreaterThan(3);
    expect(asked).toBeLessThan(20);
    delete coordinator.script.join;
    await clock.until('it is taken', () => membership.state.kind === 'stable', 2_000);
    await membership.hold();
    await membership.end({ leave: false, timeoutMs: 0 });
    expect(clock.timers).toBe(0);
  });
});

describe('a member that cannot begin with what it was assigned', () => {
  it('does not drive the whole group through rounds without a pause', async () => {
    const { consume, coordinator, streams, clock } = consumerScene();
    coordinator.assigned = [];
    const consumer = await consume();
    const joins = coordinator.of('join').length;
    const bounds = streams.bounds.bind(streams);
    streams.bounds = async () => {
      throw new MusterError('STREAM_UNAVAILABLE', 'the stream has no leader');
    };
    coordinator.assigned = partitions(0);
    coordinator.notice('billing', { kind: 'rebalance' });
    await clock.advance(10_000);
    const rounds = coordinator.of('join').length - joins;
    expect(rounds).toBeGreaterThan(3);
    expect(rounds).toBeLessThan(20);
    streams.bounds = bounds;
    await clock.advance(2_000);
    expect(consumer.assignment()).toEqual(partitions(0));
  });
});

describe('what comes and goes in a long life', () => {
  it('a consumer that is opened and closed again and again leaves nothing behind', async () => {
    const { consume, store, transport, clock, streams, muster } = consumerScene();
    store(0, 1);
    const counts = () => ({
      timers: clock.timers,
      subscriptions: transport.nats.subscriptions,
      listeners: transport.listeners,
      readers: streams.readers.filter(({ isClosed }) => !isClosed).length,
    });
    let before: object | undefined;
    for (let round = 0; round < 100; round += 1) {
      const consumer = await consume();
      const running = consumer.run({ eachMessage: () => {} });
      await consumer.close();
      await running;
      before ??= counts();
    }
    expect(counts()).toEqual(before);
    expect(counts()).toMatchObject({ timers: 0, readers: 0 });
    expect(muster.health().consumers).toEqual([]);
  });

  it('a member that is evicted again and again keeps nothing of its former lives', async () => {
    const { consume, store, transport, clock, streams, coordinator } = consumerScene();
    store(0, 1);
    const consumer = await consume();
    void consumer.run({ eachMessage: () => {} });
    const counts = () => ({
      timers: clock.timers,
      subscriptions: transport.nats.subscriptions,
      listeners: transport.listeners,
      readers: streams.readers.filter(({ isClosed }) => !isClosed).length,
      partitions: consumer.health().partitions.length,
    });
    await clock.advance(3_000);
    const before = counts();
    for (let round = 0; round < 50; round += 1) {
      const { generation } = coordinator;
      coordinator.script.heartbeat = ({ body }) => (body.generationId <= generation ? 'UNKNOWN_MEMBER_ID' : undefined);
      await clock.until('it is a member again', () => consumer.health().generation > generation);
      await clock.advance(3_000);
    }
    expect(counts()).toEqual(before);
    await consumer.close();
    expect(clock.timers).toBe(0);
  });
});
