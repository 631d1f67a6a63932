/**
 * The table of the worker's design page, row by row, on a real server and a real coordinator; rows that the complaints and the bad
 * input have tests for are not repeated here.
 */

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import {
  bytesCodec,
  type Codec,
  closeOnSignals,
  type MemberEvent,
  type Muster,
  msgpackCodec,
  type Position,
  type ResetTarget,
  stringCodec,
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

describe('order', () => {
  it('a batch has one partition, in order, and nothing is handled twice or left out', async () => {
    const topic = await world.topic(muster, 3, 100);
    const consumer = await muster.consumer<number>(options(world.name('group'), topic));
    const seen = new Map<number, number[]>();
    void consumer.run({
      batchMessages: 32,
      eachBatch: ({ partition, messages }) => {
        expect(messages.length).toBeLessThanOrEqual(32);
        seen.set(partition, [...(seen.get(partition) ?? []), ...messages.map(({ value }) => value)]);
      },
    });
    await until('all is handled', () => [...seen.values()].flat().length === 300);
    const numbers = Array.from({ length: 100 }, (_, number) => number);
    for (const values of seen.values()) expect(values).toEqual(numbers);
    await consumer.close();
  });
});

describe('start', () => {
  it('begins at a time: the first message stored at or after it', async () => {
    const topic = await world.topic(muster, 1, 5);
    const stream = await muster.consumer<number>(options(world.name('group'), topic));
    let lastTimestampMs = 0;
    for await (const message of stream) {
      lastTimestampMs = message.timestampMs;
      message.ack();
      if (message.value === 4) break;
    }
    await stream.close();
    await until('the clock has moved on', () => Date.now() > lastTimestampMs + 5);
    const timeMs = Date.now();
    await world.produce(muster, topic, 1, 5, 3);
    const consumer = await muster.consumer<number>(options(world.name('group'), topic, { start: { timeMs } }));
    const seen: number[] = [];
    void consumer.run({ eachMessage: ({ value }) => void seen.push(value) });
    await until('the later ones are handled', () => seen.length === 3);
    expect(seen).toEqual([5, 6, 7]);
    await consumer.close();
  });
});

describe('control', () => {
  it('pauses and resumes a partition, and seeks to an offset, an end and a time', async () => {
    const topic = await world.topic(muster, 2, 3);
    const consumer = await muster.consumer<number>(options(world.name('group'), topic));
    const place = { topic, partition: 0 };
    const seen: string[] = [];
    consumer.pause([place]);
    void consumer.run({ eachMessage: ({ partition, value }) => void seen.push(`${partition}/${value}`) });
    await until('the other is handled', () => seen.length === 3);
    expect(seen).toEqual(['1/0', '1/1', '1/2']);
    const from = async (to: Position, expected: readonly string[]) => {
      consumer.pause([place]);
      await consumer.seek(place, to);
      seen.length = 0;
      consumer.resume([place]);
      await until(`as many as expected after ${JSON.stringify(to)}`, () => seen.length === expected.length);
      expect(seen).toEqual(expected);
    };
    await from('earliest', ['0/0', '0/1', '0/2']);
    // The partitions take turns in the stream: its third message is the second of partition 0.
    await from(3, ['0/1', '0/2']);
    await from({ timeMs: 1_000 }, ['0/0', '0/1', '0/2']);
    await from('latest', []);
    await consumer.commit();
    const [committed] = await muster.admin().fetchOffsets(consumer.group, [place]);
    expect(committed?.offset).toBe(7);
    await consumer.close();
  });

  it('changes the subscription of a running consumer', async () => {
    const first = await world.topic(muster, 2, 1);
    const second = await world.topic(muster, 3, 1);
    const consumer = await muster.consumer<number>(options(world.name('group'), first));
    const seen: string[] = [];
    void consumer.run({ eachMessage: ({ topic, partition }) => void seen.push(`${topic}/${partition}`) });
    await until('the first topic is handled', () => seen.length === 2);
    await consumer.subscribe([first, second]);
    await until('the second is, too', () => seen.length === 5);
    await consumer.subscribe([second]);
    await until('the first is given up', () => consumer.assignment().length === 3);
    expect(consumer.assignment().every(({ topic }) => topic === second)).toBe(true);
    expect(await muster.admin().fetchOffsets(consumer.group)).toHaveLength(5);
    await consumer.close();
  });
});

describe('stop and static membership', () => {
  it('a restart within the session gets the same partitions in the same generation', async () => {
    const topic = await world.topic(muster, 4);
    const group = world.name('group');
    const start = async (instanceId: string) => {
      return await (await world.worker()).consumer<number>(options(group, topic, { instanceId }));
    };
    const a = await start('a');
    const b = await start('b');
    await world.untilShared([a, b], [2, 2]);
    const before = { partitions: a.assignment(), generation: b.health().generation };
    await a.close();
    const again = await start('a');
    expect(again.assignment()).toEqual(before.partitions);
    expect([again, b].map((consumer) => consumer.health().generation)).toEqual([before.generation, before.generation]);
    await Promise.all([again.close({ leave: true }), b.close({ leave: true })]);
  });

  it('leaves at once when told so: the others need not wait for a session', async () => {
    const topic = await world.topic(muster, 2);
    const group = world.name('group');
    const long = { sessionTimeoutMs: 60_000 };
    const a = await (await world.worker()).consumer<number>(options(group, topic, long));
    const leaving = await world.worker();
    const b = await leaving.consumer<number>(options(group, topic, long));
    await world.untilShared([a, b], [1, 1]);
    let exitCode: number | undefined;
    const host = Object.assign(new (await import('node:events')).EventEmitter(), {
      exit: (code: number) => {
        exitCode = code;
      },
    });
    closeOnSignals(leaving, { process: host as never });
    host.emit('SIGTERM', 'SIGTERM');
    await until('the process would have exited', () => exitCode === 0);
    await world.untilShared([a], [2]);
    await a.close();
  });
});

describe('plain membership', () => {
  it('elects one leader, and another when it closes', async () => {
    const group = world.name('election');
    const leading = new Set<string>();
    const candidate = async (name: string) => {
      const worker = await world.worker();
      return await worker.member({
        group,
        sessionTimeoutMs: 6_000,
        protocolType: 'election',
        protocols: [{ name: 'first', metadata: new Uint8Array(0) }],
        // The first by id does it; everybody else gets nothing.
        assign: (_, members) => {
          const [first] = members.map(({ memberId }) => memberId).sort();
          return new Map(first === undefined ? [] : [[first, Uint8Array.of(1)]]);
        },
        onAssigned: ({ assignment }) => void (assignment.byteLength > 0 && leading.add(name)),
        onRevoked: () => void leading.delete(name),
        onLost: () => void leading.delete(name),
      });
    };
    const members = new Map([
      ['a', await candidate('a')],
      ['b', await candidate('b')],
    ]);
    await until('one leads', () => leading.size === 1);
    const [leader = ''] = leading;
    await members.get(leader)?.close();
    await until('the other leads', () => leading.size === 1 && !leading.has(leader));
    for (const member of members.values()) await member.close();
  });
});

describe('admin', () => {
  it('resets to an end, a time, a shift and another group; says before and after; refuses an active group', async () => {
    const topic = await world.topic(muster, 2, 4);
    const group = world.name('group');
    const admin = muster.admin();
    const consumer = await muster.consumer<number>(options(group, topic));
    let handled = 0;
    void consumer.run({
      eachMessage: () => {
        handled += 1;
      },
    });
    await until('all is handled', () => handled === 8);
    await expect(admin.resetOffsets(group, { to: 'earliest' })).rejects.toMatchObject({ code: 'NON_EMPTY_GROUP' });
    await consumer.close();
    const after = async (target: ResetTarget, dryRun = true) => {
      const resets = await admin.resetOffsets(group, target, { dryRun });
      expect(resets.every(({ error, before }) => error === 'NONE' && (before ?? 0) > 1)).toBe(true);
      return resets.map((reset) => reset.after).sort();
    };
    expect(await after({ to: 'latest' })).toEqual([8, 9]);
    expect(await after({ to: 'duration', durationMs: 3_600_000 })).toEqual([1, 2]);
    expect(await after({ to: 'time', timeMs: Date.now() + 60_000 })).toEqual([9, 9]);
    // Two messages of the partition: the two partitions share one sequence.
    expect(await after({ to: 'shift', by: -2 })).toEqual([5, 6]);
    expect(await after({ to: 'group', group })).toEqual([8, 9]);
    expect((await admin.fetchOffsets(group)).map(({ offset }) => offset).sort()).toEqual([8, 9]);
    expect(await after({ to: 'earliest' }, false)).toEqual([1, 1]);
    expect((await admin.fetchOffsets(group)).map(({ offset }) => offset)).toEqual([1, 1]);
  });

  it('tells lag in messages and in time, also of partitions that nobody consumes', async () => {
    const topic = await world.topic(muster, 3, 4);
    const group = world.name('group');
    const admin = muster.admin();
    await admin.commitOffsets(group, [{ topic, partition: 0, offset: 4 }]);
    const lags = await admin.lag(group);
    expect(lags.map(({ partition, offset, lag }) => [partition, offset, lag])).toEqual([
      [0, 4, 3],
      [1, -1, 4],
      [2, -1, 4],
    ]);
    await until('the messages are older', async () => (await admin.lag(group)).every(({ lagMs }) => lagMs > 20));
    const consumer = await muster.consumer<number>(options(group, topic));
    let handled = 0;
    void consumer.run({
      eachMessage: () => {
        handled += 1;
      },
    });
    await until('nothing is left', () => handled === 11);
    // The last handler has returned; its message is acked right after.
    await until('all is acked', () => consumer.health().partitions.every(({ running }) => running === 0));
    await consumer.commit();
    const done = await admin.lag(group);
    expect(done.map(({ lag, lagMs, memberId }) => [lag, lagMs, memberId])).toEqual(
      [0, 1, 2].map(() => [0, 0, consumer.health().memberId]),
    );
    await consumer.close();
  });

  it('shows the nodes with what they own and finds the coordinator of a group', async () => {
    const admin = muster.admin();
    const cluster = await admin.describeCluster();
    expect(cluster).toEqual({
      partitionCount: 4,
      nodes: [{ nodeId: 'node-1', partitions: [0, 1, 2, 3] }],
      unowned: [],
    });
    const coordinator = await admin.findCoordinator('any');
    expect(coordinator).toMatchObject({ nodeId: 'node-1', partitionCount: 4 });
    expect(coordinator.epoch).toBeGreaterThan(0);
  });
});

describe('typing', () => {
  it('a codec types and carries the value: text, bytes, msgpack, an own one', async () => {
    const own: Codec<Date> = {
      name: 'date',
      encode: (value) => stringCodec.encode(value.toISOString()),
      decode: (bytes) => new Date(stringCodec.decode(bytes)),
    };
    const roundTrip = async <Value>(codec: Codec<Value>, value: Value): Promise<Value | undefined> => {
      const topic = await world.topic(muster, 1);
      const producer = await muster.producer<Value>({ topic, codec });
      await producer.send({ key: 'k', value });
      await producer.close();
      const consumer = await muster.consumer<Value>({ ...options<Value>(world.name('group'), topic), codec });
      for await (const message of consumer) {
        message.ack();
        await consumer.close();
        return message.value;
      }
      return undefined;
    };
    expect(await roundTrip(stringCodec, 'é日本')).toBe('é日本');
    expect([...((await roundTrip(bytesCodec, Uint8Array.of(0, 255))) ?? [])]).toEqual([0, 255]);
    expect(await roundTrip(msgpackCodec, { list: [1, 'a', null] })).toEqual({ list: [1, 'a', null] });
    expect(await roundTrip(own, new Date(0))).toEqual(new Date(0));
  });
});

describe('visibility', () => {
  it('tells diagnostics_channel what happens to a member, with group, generation and partitions', async () => {
    const topic = await world.topic(muster, 2);
    const group = world.name('group');
    const told: string[] = [];
    const listen = (name: string) => (event: unknown) => {
      const { group: of, generation, partitions = [] } = event as MemberEvent;
      if (of === group && partitions.length > 0) told.push(`${name} ${partitions.length} g${generation > 0}`);
    };
    const listeners = ['muster:assigned', 'muster:revoked'].map((name) => [name, listen(name)] as const);
    for (const [name, listener] of listeners) subscribe(name, listener);
    const consumer = await muster.consumer<number>(options(group, topic));
    await consumer.close();
    for (const [name, listener] of listeners) unsubscribe(name, listener);
    expect(told).toEqual(['muster:assigned 2 gtrue', 'muster:revoked 2 gtrue']);
  });
});

describe('producer', () => {
  it("uses Kafka's murmur2 where told so", async () => {
    const topic = await world.topic(muster, 100);
    const producer = await muster.producer<number>({ topic, keyHash: 'murmur2' });
    // Kafka: toPositive(murmur2("21")) = 1,173,551,340 (org.apache.kafka.common.utils.UtilsTest, key "21": -973932308).
    const stored = await producer.send({ key: '21', value: 1 });
    expect(stored.partition).toBe((-973932308 & 0x7fffffff) % 100);
    await producer.close();
  });
});
