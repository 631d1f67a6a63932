/**
 * What people complain about in other consumers (design page of the worker, "Complaints"), each as a test on a real server and a
 * real coordinator.
 */

import { type Consumer, type Logger, type Message, rangeAssignor } from '@muster/worker';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../world/processes.js';
import { options, WorkerWorld } from '../world/worker-world.js';

let world: WorkerWorld;
beforeAll(async () => {
  world = await WorkerWorld.start();
});
afterAll(async () => {
  await world.close();
});

function recording(): Logger & { readonly lines: string[] } {
  const lines: string[] = [];
  const write = (level: string) => (message: string) => void lines.push(`${level} ${message}`);
  return { lines, debug: () => {}, info: write('info'), warn: write('warn'), error: write('error') };
}

/** A consumer that counts how often it has handled each message of each partition. */
async function counting(topic: string, group: string, handled: Map<string, number>, more = {}) {
  const muster = await world.worker();
  const consumer = await muster.consumer<number>(options(group, topic, more));
  const running = consumer.run({
    eachMessage: ({ partition, value }) => {
      const place = `${partition}/${value}`;
      handled.set(place, (handled.get(place) ?? 0) + 1);
    },
  });
  return { muster, consumer, running };
}

describe('complaint', () => {
  it('1: endless "group is rebalancing" logged as errors: a normal rebalance logs neither error nor warning', async () => {
    const logger = recording();
    const admin = await world.worker();
    const topic = await world.topic(admin, 4, 5);
    const group = world.name('group');
    const handled = new Map<string, number>();
    const a = await counting(topic, group, handled, { logger });
    const b = await counting(topic, group, handled, { logger });
    await world.untilShared([a.consumer, b.consumer], [2, 2]);
    await b.consumer.close();
    await world.untilShared([a.consumer], [4]);
    expect(logger.lines).toEqual([]);
  });

  it('2: consumers that silently stop: the watchdog says so, mends the reading, and health knows', async () => {
    const logger = recording();
    const muster = await world.worker();
    const topic = await world.topic(muster, 1, 3);
    const consumer = await muster.consumer<number>(
      options(world.name('group'), topic, { stallTimeoutMs: 1_500, logger }),
    );
    // Nobody asks for messages: owned, lag, nothing moves.
    await until('it is called stalled', () => consumer.health().verdict === 'stalled');
    expect(logger.lines).toContain('error a partition does not move: reading it anew');
    const seen: number[] = [];
    void consumer.run({ eachMessage: ({ value }) => void seen.push(value) });
    await until('it moves again', () => seen.length === 3 && consumer.health().verdict === 'ok');
  });

  it('2, too: goes on by itself where the server has forgotten what it reads with', async () => {
    const muster = await world.worker();
    const topic = await world.topic(muster, 1, 1);
    const consumer = await muster.consumer<number>(options(world.name('group'), topic));
    const seen: number[] = [];
    void consumer.run({ eachMessage: ({ value }) => void seen.push(value) });
    await until('it reads', () => seen.length === 1);
    const { stream } = await muster.topics.describe(topic);
    const manager = await world.cluster.connection.jetstreamManager();
    for (const { name } of await manager.consumers.list(stream).next()) await manager.consumers.delete(stream, name);
    await world.produce(muster, topic, 1, 1, 1);
    await until('it reads again', () => seen.length === 2);
    expect(seen).toEqual([0, 1]);
  });

  it('3: handlers still working on partitions given away: their signal aborts and their commits are refused', async () => {
    const admin = await world.worker();
    const topic = await world.topic(admin, 2, 1);
    const group = world.name('group');
    const first = await world.worker();
    const consumer = await first.consumer<number>(options(group, topic, { drainTimeoutMs: 200 }));
    const held: Message<number>[] = [];
    void consumer.run({
      eachMessage: async (message) => {
        held.push(message);
        await new Promise(() => {});
      },
    });
    await until('both handlers run', () => held.length === 2);
    const second = await world.worker();
    const rival = await second.consumer<number>(options(group, topic));
    await world.untilShared([consumer, rival], [1, 1]);
    const given = held.find(({ partition }) => consumer.assignment()[0]?.partition !== partition);
    await until('its signal has aborted', () => given?.signal.aborted === true);
    await expect(given?.commit()).rejects.toMatchObject({ code: 'COMMIT_REFUSED' });
    const kept = held.find((message) => message !== given);
    expect(kept?.signal.aborted).toBe(false);
  });

  it('4: every deploy stops the world: what stays is delivered on while another joins (cooperative)', async () => {
    const admin = await world.worker();
    const topic = await world.topic(admin, 4);
    const group = world.name('group');
    const handled = new Map<string, number>();
    const a = await counting(topic, group, handled);
    const signals = new Map<number, AbortSignal>();
    const muster = await world.worker();
    const assigned: number[] = [];
    const b = await muster.consumer<number>(
      options(group, topic, { onAssigned: (given) => void assigned.push(given.length) }),
    );
    void b.run({ eachMessage: ({ partition, signal }) => void signals.set(partition, signal) });
    await world.untilShared([a.consumer, b], [2, 2]);
    await world.produce(admin, topic, 4, 0, 1);
    await until('b has handled its two', () => signals.size === 2);
    const c = await counting(topic, group, handled);
    await until('c has a share', () => c.consumer.assignment().length > 0);
    await world.untilShared([a.consumer, b, c.consumer], [1, 1, 2]);
    for (const { partition } of b.assignment()) expect(signals.get(partition)?.aborted).toBe(false);
    // No partition that stayed was ever assigned anew.
    expect(assigned.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(2);
  });

  it('5: heartbeats tied to handlers: a handler longer than the session keeps its membership', async () => {
    const muster = await world.worker();
    const topic = await world.topic(muster, 1, 1);
    const consumer = await muster.consumer<number>(options(world.name('group'), topic));
    const { generation } = consumer.health();
    let isDone = false;
    void consumer.run({
      eachMessage: async () => {
        // Longer than the session timeout: the membership must outlive it.
        await until('the session would be over', () => (consumer.health().partitions[0]?.runningForMs ?? 0) > 7_000);
        isDone = true;
      },
    });
    await until('the handler has ended', () => isDone);
    expect(consumer.health()).toMatchObject({ state: 'stable', generation });
  });

  it('6: finished but uncommitted work thrown away at a rebalance: it is committed before the partition goes', async () => {
    const admin = await world.worker();
    const topic = await world.topic(admin, 4, 20);
    const group = world.name('group');
    const handled = new Map<string, number>();
    // Only the hand-over commits: the interval is longer than the test.
    const commit = { kind: 'auto', intervalMs: 600_000, count: 1_000_000 } as const;
    const a = await counting(topic, group, handled, { commit });
    await until('all is handled', () => handled.size === 80);
    const b = await counting(topic, group, handled, { commit });
    await world.untilShared([a.consumer, b.consumer], [2, 2]);
    await world.produce(admin, topic, 4, 20, 1);
    await until('the new ones are handled', () => handled.size === 84);
    expect([...handled.values()].every((times) => times === 1)).toBe(true);
  });

  it('7: no awaited revoke hook, shutdown that keeps consuming: the hook is awaited, and after close nothing is handled', async () => {
    const admin = await world.worker();
    const topic = await world.topic(admin, 1, 1);
    const group = world.name('group');
    const story: string[] = [];
    const a = await (await world.worker()).consumer<number>(
      options(group, topic, {
        assignors: [rangeAssignor],
        onRevoked: async () => {
          story.push('hook begins');
          await new Promise((resolve) => setTimeout(resolve, 300));
          story.push('hook ends');
        },
      }),
    );
    const seen: string[] = [];
    const running = a.run({ eachMessage: ({ value }) => void seen.push(`a ${value}`) });
    await until('a has begun', () => seen.length === 1);
    const b = await (await world.worker()).consumer<number>(
      options(group, topic, { assignors: [rangeAssignor], onAssigned: () => void story.push('others begin') }),
    );
    void b.run({ eachMessage: ({ value }) => void seen.push(`b ${value}`) });
    expect(story.slice(0, 3)).toEqual(['hook begins', 'hook ends', 'others begin']);
    await a.close();
    await running;
    await world.produce(admin, topic, 1, 1, 1);
    await until('the other goes on', () => seen.includes('b 1'));
    expect(seen).not.toContain('a 1');
    expect(a.health().verdict).toBe('stopped');
  });

  it('8: retry and crash policies that contradict each other: one policy, with an end', async () => {
    const muster = await world.worker();
    const topic = await world.topic(muster, 1, 3);
    const group = world.name('group');
    const policy = { kind: 'retry', attempts: 2, backoffMs: 10, lastly: 'stop' } as const;
    const consumer = await muster.consumer<number>(options(group, topic, { onFailure: policy }));
    const tried: number[] = [];
    const running = consumer.run({
      eachMessage: ({ value }) => {
        tried.push(value);
        if (value === 1) throw new Error('always');
      },
    });
    await expect(running).rejects.toMatchObject({ code: 'HANDLER_FAILED', offset: 2 });
    expect(tried).toEqual([0, 1, 1]);
    expect(await muster.admin().fetchOffsets(group)).toMatchObject([{ partition: 0, offset: 2 }]);
  });

  it('9: off-by-one commits: after a commit by message the next consumer begins with the message after it', async () => {
    const muster = await world.worker();
    const topic = await world.topic(muster, 1, 5);
    const group = world.name('group');
    const manual = { commit: { kind: 'manual' } } as const;
    const first = await muster.consumer<number>(options(group, topic, manual));
    for await (const message of first) {
      message.ack();
      if (message.value !== 2) continue;
      await message.commit();
      break;
    }
    await first.close();
    const second = await muster.consumer<number>(options(group, topic, manual));
    for await (const message of second) {
      expect(message.value).toBe(3);
      break;
    }
    await second.close({ timeoutMs: 500 });
  });

  it('10: a slow partition blocks the others: they go on while one handler hangs', async () => {
    const muster = await world.worker();
    const topic = await world.topic(muster, 4, 25);
    const consumer = await muster.consumer<number>(options(world.name('group'), topic));
    let handled = 0;
    void consumer.run({
      eachMessage: async ({ partition }) => {
        if (partition === 0) await new Promise(() => {});
        handled += 1;
      },
    });
    await until('the other three are done', () => handled === 75);
    const hanging = () => consumer.health().partitions.find(({ partition }) => partition === 0)?.running;
    // Its reader may be the last to open.
    await until('and one hangs', () => hanging() === 1);
    await consumer.close({ timeoutMs: 300 });
  });

  it('11: no health answer: partition by partition, with lag, heartbeat age and a verdict', async () => {
    const muster = await world.worker();
    const topic = await world.topic(muster, 2, 10);
    const consumer = await muster.consumer<number>(options(world.name('group'), topic));
    void consumer.run({ eachMessage: () => {} });
    await until('all is handled', () =>
      consumer.health().partitions.every(({ behind, isReading, position }) => {
        return isReading && behind === 0 && position > 1;
      }),
    );
    await consumer.commit();
    const health = consumer.health();
    expect(health).toMatchObject({ verdict: 'ok', state: 'stable', lastBlocked: undefined });
    expect(health.heartbeatAgeMs).toBeLessThan(6_000);
    expect(health.partitions.map(({ committed, position }) => committed === position)).toEqual([true, true]);
  });

  it('12: not sticky: 20 partitions from 4 to 5 workers move 4', async () => {
    const admin = await world.worker();
    const topic = await world.topic(admin, 20);
    const group = world.name('group');
    const consumers: Consumer<number>[] = [];
    const join = async () => {
      const muster = await world.worker();
      consumers.push(await muster.consumer<number>(options(group, topic)));
    };
    for (let count = 0; count < 4; count += 1) await join();
    await world.untilShared(consumers, [5, 5, 5, 5]);
    const owners = () =>
      new Map(
        consumers.flatMap((consumer, at) => consumer.assignment().map(({ partition }) => [partition, at] as const)),
      );
    const before = owners();
    await join();
    await world.untilShared(consumers, [4, 4, 4, 4, 4]);
    const after = owners();
    expect([...after].filter(([partition, at]) => before.get(partition) !== at)).toHaveLength(4);
  });
});
