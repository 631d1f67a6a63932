import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, describe, expect, it } from 'vitest';
import { consumerScene, partitions } from '../test/consumer-scene.js';
import type { MemberEvent } from './events.js';
import type { Message } from './message.js';

const listening: [string, (message: unknown) => void][] = [];

function hear(...names: string[]): string[] {
  const heard: string[] = [];
  for (const name of names) {
    const listener = (message: unknown) => void heard.push(`${name} ${(message as MemberEvent).topic}`);
    subscribe(`muster:${name}`, listener);
    listening.push([`muster:${name}`, listener]);
  }
  return heard;
}

afterEach(() => {
  for (const [name, listener] of listening.splice(0)) unsubscribe(name, listener);
});

/** A consumer of partition 0 that has handled two messages. */
async function running(options: Parameters<ReturnType<typeof consumerScene>['consume']>[0] = {}) {
  const scene = consumerScene();
  scene.coordinator.assigned = partitions(0);
  scene.store(0, 1, 2);
  const consumer = await scene.consume(options);
  const seen: string[] = [];
  const ended = consumer
    .run({ eachMessage: ({ offset, value }: Message<number>) => void seen.push(`${offset}: ${value}`) })
    .catch((thrown: unknown) => thrown);
  await scene.clock.advance(100);
  return { ...scene, consumer, seen, ended };
}

describe('a topic that is deleted', () => {
  it('is said by an event and by health, and goes on in the new stream when it is there again', async () => {
    const heard = hear('topic-missing', 'topic-returned', 'topic-replaced');
    const { streams, clock, store, consumer, seen } = await running();
    expect(seen).toEqual(['1: 1', '2: 2']);
    streams.drop('orders');
    await clock.advance(5_000);
    expect(heard).toEqual(['topic-missing orders']);
    expect(consumer.health()).toMatchObject({ problem: 'there is no topic orders: was it deleted?' });
    expect(consumer.health().partitions[0]).toMatchObject({ problem: expect.stringMatching(/has no such stream/) });
    streams.remake('orders');
    // Fewer than before: the old offset lies beyond the end of the new stream.
    store(0, 7);
    await clock.advance(10_000);
    expect(heard.sort()).toEqual(['topic-missing orders', 'topic-replaced orders', 'topic-returned orders']);
    expect(seen).toEqual(['1: 1', '2: 2', '1: 7']);
    expect(consumer.health()).toMatchObject({ problem: undefined, partitions: [{ problem: undefined, position: 2 }] });
    await consumer.commit();
    expect(consumer.health().partitions[0]?.committed).toBe(2);
    await consumer.close();
  });

  it('is noticed as another stream even where nobody saw that it was gone', async () => {
    const heard = hear('topic-missing', 'topic-replaced');
    const { streams, clock, store, consumer, seen } = await running();
    streams.drop('orders');
    streams.remake('orders');
    store(0, 7, 8, 9);
    await clock.advance(10_000);
    expect(heard).toEqual(['topic-replaced orders']);
    expect(seen).toEqual(['1: 1', '2: 2', '1: 7', '2: 8', '3: 9']);
    await consumer.close();
  });

  it('is read from its end where the fallback says so, and ends the consumer where that is to fail', async () => {
    const late = await running({ startFallback: 'latest' });
    late.streams.drop('orders');
    late.streams.remake('orders');
    late.store(0, 7);
    await late.clock.advance(10_000);
    late.store(0, 8);
    await late.clock.advance(1_000);
    expect(late.seen).toEqual(['1: 1', '2: 2', '2: 8']);
    await late.consumer.close();

    const strict = await running({ startFallback: 'fail' });
    strict.streams.drop('orders');
    strict.streams.remake('orders');
    await strict.clock.advance(10_000);
    expect(await strict.ended).toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' });
  });

  it('ends the consumer with UNKNOWN_TOPIC where it is told to stop', async () => {
    const { streams, clock, ended } = await running({ onTopicMissing: 'stop' });
    streams.drop('orders');
    await clock.advance(10_000);
    expect(await ended).toMatchObject({ code: 'UNKNOWN_TOPIC', message: expect.stringMatching(/orders was deleted/) });
  });

  it('is no reason to read elsewhere where only a reader has failed', async () => {
    const heard = hear('topic-missing', 'topic-replaced');
    const { streams, clock, store, consumer, seen } = await running();
    for (const reader of streams.readers) reader.fail();
    store(0, 3);
    await clock.advance(5_000);
    expect(heard).toEqual([]);
    expect(seen).toEqual(['1: 1', '2: 2', '3: 3']);
    await consumer.close();
  });
});

describe('the leader', () => {
  it('shares out anew when a topic that was missing at the last round is there', async () => {
    const { muster, streams, coordinator, clock } = consumerScene();
    await muster.topics.create({ name: 'late', partitions: 2 });
    const { stream } = await muster.topics.describe('late');
    coordinator.assigned = [];
    const starting = muster.consumer({ group: 'billing', topics: ['late'], sessionTimeoutMs: 10_000 });
    await clock.advance(500);
    const consumer = await starting;
    const rounds = () => coordinator.of('join').filter(({ body }) => body.memberId !== '').length;
    expect(rounds()).toBe(1);
    await clock.advance(65_000);
    expect(rounds()).toBe(1);
    await muster.topics.delete('late');
    streams.missing.add(stream);
    await clock.advance(65_000);
    // V2: a topic that is only missing begins no round.
    expect(rounds()).toBe(1);
    streams.missing.delete(stream);
    await muster.topics.create({ name: 'late', partitions: 3 });
    await clock.advance(5_000);
    expect(rounds()).toBe(2);
    expect(coordinator.of('join').at(-1)?.body.reason).toBe('topic late has 3 partitions, not 2');
    await clock.advance(65_000);
    expect(rounds()).toBe(2);
    await consumer.close();
  });
});
