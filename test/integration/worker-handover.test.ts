/**
 * Ownership and hand-over of the worker's design page on a real server and a real coordinator: rows of its table that need several workers
 * at a time.
 */

import {
  type Assignor,
  bytesCodec,
  type Consumer,
  type Message,
  type Muster,
  rangeAssignor,
  roundRobinAssignor,
  stickyAssignor,
} from '@muster/worker';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../world/processes.js';
import { options, WorkerWorld } from '../world/worker-world.js';

let world: WorkerWorld;
let muster: Muster;
beforeAll(async () => {
  world = await WorkerWorld.start();
  muster = await world.worker();
});
afterAll(async () => {
  await world.close();
});

async function join(group: string, topic: string, more = {}): Promise<Consumer<number>> {
  return await (await world.worker()).consumer<number>(options(group, topic, more));
}

/** Only a hand-over or a close commits within a test. */
const rarely = { kind: 'auto', intervalMs: 600_000, count: 1_000_000 } as const;

describe('ownership', () => {
  it('every message says who has it, under a generation that only grows: a fencing token', async () => {
    const topic = await world.topic(muster, 2);
    const group = world.name('group');
    const seen = new Map<number, Message<number>[]>();
    const work = (consumer: Consumer<number>) => {
      void consumer.run({
        eachMessage: (message) => void seen.set(message.partition, [...(seen.get(message.partition) ?? []), message]),
      });
    };
    const counts = () => [seen.get(0)?.length ?? 0, seen.get(1)?.length ?? 0];
    const a = await join(group, topic);
    work(a);
    const b = await join(group, topic);
    work(b);
    await world.untilShared([a, b], [1, 1]);
    await world.produce(muster, topic, 2, 0, 1);
    await until('each has handled one', () => counts().join() === '1,1');
    const owners = () => [0, 1].map((partition) => seen.get(partition)?.at(-1)?.memberId);
    expect(new Set(owners())).toEqual(new Set([a.health().memberId, b.health().memberId]));
    await a.close();
    await world.untilShared([b], [2]);
    await world.produce(muster, topic, 2, 1, 1);
    await until('b has handled the rest', () => counts().join() === '2,2');
    expect(owners()).toEqual([b.health().memberId, b.health().memberId]);
    for (const messages of seen.values()) {
      const [before, after] = messages.map(({ generation }) => generation);
      expect(after).toBeGreaterThan(before ?? Number.POSITIVE_INFINITY);
    }
    await b.close();
  });
});

describe('hand-over', () => {
  it('workers that close in the middle of rounds of each other, handlers running, handle nothing twice', async () => {
    const topic = await world.topic(muster, 8, 120);
    const group = world.name('group');
    const handled = new Map<string, number>();
    const work = (consumer: Consumer<number>) => {
      return consumer.run({
        eachMessage: async ({ partition, value }) => {
          await new Promise((resolve) => setTimeout(resolve, 5 + (value % 7) * 5));
          const place = `${partition}/${value}`;
          handled.set(place, (handled.get(place) ?? 0) + 1);
        },
      });
    };
    const running: Promise<void>[] = [];
    const start = async () => {
      const consumer = await join(group, topic, { commit: rarely });
      running.push(work(consumer));
      return consumer;
    };
    const [a, b, c] = await Promise.all([start(), start(), start()]);
    await until('they are at work', () => handled.size > 40);
    const closing = [a.close()];
    const d = start();
    await until('the group has begun a round', () => b.health().state !== 'stable');
    closing.push(b.close());
    await d;
    closing.push(c.close());
    await Promise.all(closing);
    const last = await d;
    await world.untilShared([last], [8]);
    await until('all is handled', () => handled.size === 960);
    await last.close();
    await Promise.all(running);
    expect([...handled.entries()].filter(([, times]) => times > 1)).toEqual([]);
  });

  it('the handler that holds a rebalance up hears so, and what it then handles is committed', async () => {
    const topic = await world.topic(muster, 1, 1);
    const group = world.name('group');
    const a = await join(group, topic, { assignors: [rangeAssignor], commit: rarely });
    let isAsked = false;
    void a.run({
      eachMessage: async ({ handover }) => {
        await new Promise<void>((resolve) => handover.addEventListener('abort', () => resolve()));
        isAsked = true;
      },
    });
    await until('it runs', () => a.health().partitions[0]?.running === 1);
    const b = await join(group, topic, { assignors: [rangeAssignor] });
    expect(isAsked).toBe(true);
    expect(await muster.admin().fetchOffsets(group)).toMatchObject([{ partition: 0, offset: 2 }]);
    await Promise.all([a.close(), b.close()]);
  });
});

describe('assignors', () => {
  /** Gives everything to the first by id. */
  const greedy: Assignor = {
    name: 'greedy',
    rebalanceProtocols: ['eager'],
    assign: (counts, members) => {
      const [first] = members.map(({ memberId }) => memberId).sort();
      const all = [...counts].flatMap(([topic, count]) =>
        Array.from({ length: count }, (_, partition) => ({ topic, partition })),
      );
      return new Map(members.map(({ memberId }) => [memberId, memberId === first ? all : []]));
    },
  };

  it.each([
    ['range', rangeAssignor, [3, 2]],
    ['roundrobin', roundRobinAssignor, [3, 2]],
    ['sticky', stickyAssignor, [3, 2]],
    ['an own one', greedy, [5, 0]],
  ] as const)('%s shares the partitions as it says', async (_, assignor, shares) => {
    const topic = await world.topic(muster, 5);
    const group = world.name('group');
    const a = await join(group, topic, { assignors: [assignor] });
    const b = await join(group, topic, { assignors: [assignor] });
    await world.untilShared([a, b], shares);
    await Promise.all([a.close(), b.close()]);
  });
});

describe('commits', () => {
  const committed = async (group: string) => (await muster.admin().fetchOffsets(group))[0]?.offset;

  it('each: as soon as a message is handled', async () => {
    const topic = await world.topic(muster, 1, 3);
    const consumer = await join(world.name('group'), topic, { commit: { kind: 'each' } });
    void consumer.run({ eachMessage: () => {} });
    await until('all is committed', async () => (await committed(consumer.group)) === 4);
    await consumer.close();
  });

  it('auto: every so many messages, those that are handled and no others', async () => {
    const topic = await world.topic(muster, 1, 10);
    const commit = { kind: 'auto', intervalMs: 600_000, count: 5 } as const;
    const consumer = await join(world.name('group'), topic, { commit });
    void consumer.run({ eachMessage: ({ value }) => (value < 6 ? undefined : new Promise(() => {})) });
    await until('five are committed', async () => ((await committed(consumer.group)) ?? 0) >= 6);
    expect(await committed(consumer.group)).toBeLessThanOrEqual(7);
    await consumer.close({ timeoutMs: 500 });
    expect(await committed(consumer.group)).toBe(7);
  });

  it('manual: only when asked; and what is acked when the partition goes', async () => {
    const topic = await world.topic(muster, 1, 3);
    const consumer = await join(world.name('group'), topic, { commit: { kind: 'manual' } });
    const seen: Message<number>[] = [];
    for await (const message of consumer) {
      seen.push(message);
      message.ack();
      if (seen.length === 2) break;
    }
    expect(await committed(consumer.group)).toBeUndefined();
    await seen[0]?.commit();
    expect(await committed(consumer.group)).toBe(3);
    await consumer.close();
  });
});

describe('failure', () => {
  it('a message that fails again and again goes to the dead-letter topic, and its partition goes on', async () => {
    const topic = await world.topic(muster, 1, 3);
    const dead = await world.topic(muster, 1);
    const lastly = { kind: 'dead-letter', topic: dead } as const;
    const onFailure = { kind: 'retry', attempts: 2, backoffMs: 5, lastly } as const;
    const consumer = await join(world.name('group'), topic, { onFailure });
    const tried: number[] = [];
    void consumer.run({
      eachMessage: ({ value }) => {
        tried.push(value);
        if (value === 1) throw new Error('no such customer');
      },
    });
    await until('the one behind it is handled', () => tried.includes(2));
    expect(tried).toEqual([0, 1, 1, 2]);
    const reading = await (await world.worker()).consumer({
      ...options<Uint8Array>(world.name('group'), dead),
      codec: bytesCodec,
    });
    for await (const letter of reading) {
      expect(letter.headers).toMatchObject({
        'Muster-Dead-Group': consumer.group,
        'Muster-Dead-Source': `${topic}/0/2`,
        'Muster-Dead-Code': 'HANDLER_FAILED',
        'Muster-Dead-Error': 'no such customer',
        'Muster-Dead-Attempts': '2',
      });
      letter.ack();
      break;
    }
    await Promise.all([consumer.close(), reading.close()]);
  });
});
