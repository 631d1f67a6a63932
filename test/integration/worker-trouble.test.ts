/**
 * What keeps a worker from its work, on a real server: no coordinator, no server, a topic that is deleted and comes back, a group of
 * others that does not get on. It must be said within seconds, and end by itself when the trouble is over.
 */

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { connect, type GroupLook, type MemberEvent, type Muster } from '@muster/worker';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { newestVersion } from '../contract/versions.js';
import { until } from '../world/processes.js';
import { options, WorkerWorld } from '../world/worker-world.js';

let world: WorkerWorld;
let muster: Muster;
beforeAll(async () => {
  world = await WorkerWorld.start({ nats: { version: newestVersion } });
  muster = await world.worker();
});
afterAll(async () => {
  await world.close();
});

const listening: [string, (message: unknown) => void][] = [];
afterEach(() => {
  for (const [name, listener] of listening.splice(0)) unsubscribe(name, listener);
});

/** Hears an event of one group, or of one topic. */
function hear(name: string, about: string): MemberEvent[] {
  const heard: MemberEvent[] = [];
  const listener = (message: unknown) => {
    const event = message as MemberEvent;
    if (event.group === about || event.topic === about) heard.push(event);
  };
  subscribe(`muster:${name}`, listener);
  listening.push([`muster:${name}`, listener]);
  return heard;
}

describe('no coordinator', () => {
  it('is said while the consumer still tries, and in the error when it gives up', async () => {
    const lonely = await connect({ servers: [...world.cluster.nats.urls], cluster: 'nobody' });
    await lonely.topics.create({ name: 'orders', partitions: 1, storage: 'memory' });
    const group = world.name('group');
    const heard = hear('unreachable', group);
    const joining = lonely
      .consumer({ group, topics: ['orders'], joinTimeoutMs: 9_000 })
      .catch((thrown: unknown) => thrown);
    await until('it is said', () => heard.length > 0);
    expect(heard[0]?.problem).toBe('no coordinator answers on muster.nobody: is a node of this cluster running?');
    expect(lonely.health()).toMatchObject({ isConnected: true, problem: heard[0]?.problem, consumers: [{ group }] });
    expect(await joining).toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringContaining(heard[0]?.problem ?? '-'),
    });
    await lonely.close();
  });

  it('and no server: the error names where it was tried', async () => {
    await expect(connect({ servers: ['nats://127.0.0.1:1'] })).rejects.toMatchObject({
      code: 'CONNECTION_FAILED',
      message: expect.stringMatching(/nats:\/\/127\.0\.0\.1:1: nobody listens there/),
    });
  });
});

describe('a newcomer of a cooperative group', () => {
  it('is a member at once and has its share when `assigned` resolves', async () => {
    const topic = await world.topic(muster, 4);
    const group = world.name('group');
    const first = await muster.consumer<number>(options(group, topic));
    expect(await first.assigned()).toHaveLength(4);
    const second = await (await world.worker()).consumer<number>(options(group, topic));
    expect((await second.assigned({ timeoutMs: 20_000 })).length).toBeGreaterThan(0);
    await world.untilShared([first, second], [2, 2]);
  });
});

describe('a topic that is deleted while it is read', () => {
  it('is said, and read again from the beginning when it is there again', async () => {
    const topic = await world.topic(muster, 2, 3);
    const group = world.name('group');
    const [missing, returned, replaced] = ['topic-missing', 'topic-returned', 'topic-replaced'].map((name) =>
      hear(name, topic),
    );
    const worker = await world.worker();
    const consumer = await worker.consumer<number>(options(group, topic));
    const seen: number[] = [];
    void consumer.run({ eachMessage: ({ value }) => void seen.push(value) });
    await until('all is handled', () => seen.length === 6);
    const { generation } = consumer.health();
    await muster.topics.delete(topic);
    await until('it is said', () => missing?.length === 1);
    expect(consumer.health().problem).toBe(`there is no topic ${topic}: was it deleted?`);
    await until('its partitions say so', () =>
      consumer.health().partitions.every(({ problem = '' }) => /no such stream/.test(problem)),
    );
    await muster.topics.create({ name: topic, partitions: 2, storage: 'memory' });
    await world.produce(muster, topic, 2, 100, 1);
    await until('it goes on', () => seen.filter((value) => value === 100).length === 2);
    await until('its return is said', () => returned?.length === 1 && consumer.health().problem === undefined);
    expect(replaced).toHaveLength(2);
    expect(seen).toHaveLength(8);
    // Nobody had to begin a round for it.
    expect(consumer.health()).toMatchObject({ state: 'stable', generation });
    await consumer.commit();
    const offsets = (await muster.admin().fetchOffsets(group)).map(({ offset }) => offset);
    expect(Math.max(...offsets)).toBeLessThanOrEqual(3);
  });

  it('ends a consumer that is told to stop', async () => {
    const topic = await world.topic(muster, 1, 1);
    const consumer = await (await world.worker()).consumer<number>(
      options(world.name('group'), topic, { onTopicMissing: 'stop' }),
    );
    const ended = consumer.run({ eachMessage: () => {} }).catch((thrown: unknown) => thrown);
    await until('it reads', () => consumer.health().partitions[0]?.position === 2);
    await muster.topics.delete(topic);
    expect(await ended).toMatchObject({ code: 'UNKNOWN_TOPIC' });
  });
});

describe('a group of others', () => {
  it('is judged from outside: stopped while its worker is away, ok when it is back', async () => {
    const topic = await world.topic(muster, 2, 10);
    const group = world.name('group');
    const first = await (await world.worker()).consumer<number>(options(group, topic));
    await first.assigned();
    await first.close();
    const stop = new AbortController();
    const looks: GroupLook[] = [];
    const watching = (async () => {
      const watch = muster.admin().watchLag(group, { intervalMs: 200, topics: [topic], signal: stop.signal });
      for await (const look of watch) looks.push(look);
    })();
    const last = () => looks.at(-1);
    await until('it is seen', () => last()?.kind === 'seen');
    expect(last()).toMatchObject({ state: 'Empty', verdict: 'stopped', lag: 20 });
    const second = await (await world.worker()).consumer<number>(options(group, topic, { commit: { kind: 'each' } }));
    void second.run({ eachMessage: () => {} });
    await until('it is ok', () => {
      const look = last();
      return look?.kind === 'seen' && look.verdict === 'ok' && look.lag === 0 && look.members === 1;
    });
    stop.abort();
    await watching;
  });
});
