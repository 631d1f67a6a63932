/**
 * The worker's side of JetStream on a real server: topics, producer, lanes. The coordinator is a scripted one that speaks
 * the wire protocol over the same server; it gives this worker whatever partitions the test says.
 */

import { type NatsServerHandle, startNatsServer } from '@muster/nats-server';
import { natsPartition, type TopicPartition } from '@muster/protocol';
import { connect as connectWorker, type Message, type Muster } from '@muster/worker';
import { connect as connectNats, type NatsConnection } from 'nats';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ScriptedCoordinator, type Wire } from '../../packages/worker/test/scripted-coordinator.js';

const WAIT_MS = 30_000;
const PARTITIONS = 4;
const everyPartition: TopicPartition[] = [0, 1, 2, 3].map((partition) => ({ topic: 'orders', partition }));

/** What a foreign publisher behind the server's own mapping gets: one and two key tokens. */
const extraConfig = `
mappings = {
  "raw.one.*": "mapped.one.{{partition(7,1)}}.{{wildcard(1)}}"
  "raw.two.*.*": "mapped.two.{{partition(7,1,2)}}.{{wildcard(1)}}.{{wildcard(2)}}"
  "foreign.*": "muster.default.t.orders.{{partition(4,1)}}.{{wildcard(1)}}"
}
`;

let server: NatsServerHandle;
let nats: NatsConnection;
let muster: Muster;
let coordinator: ScriptedCoordinator;

beforeEach(async () => {
  server = await startNatsServer({ extraConfig });
  nats = await connectNats({ servers: server.url, maxReconnectAttempts: -1, reconnectTimeWait: 100 });
  coordinator = new ScriptedCoordinator(wireOf(nats));
  coordinator.assigned = everyPartition;
  muster = await connectWorker({ servers: server.url });
});

afterEach(async () => {
  await muster.close({ timeoutMs: 2_000 });
  await nats.close();
  await server.stop();
});

function wireOf(connection: NatsConnection): Wire {
  return {
    subscribe: (pattern, onMessage) => {
      const callback = (_: unknown, message: { subject: string; data: Uint8Array; reply?: string }) => {
        const { subject, data: payload, reply } = message;
        onMessage({ subject, payload, ...(reply === undefined ? {} : { replyTo: reply }) });
      };
      const subscription = connection.subscribe(pattern, { callback });
      return () => subscription.unsubscribe();
    },
    publish: (subject, payload) => connection.publish(subject, payload),
  };
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + WAIT_MS;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`${what} did not come true within ${WAIT_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

interface Order {
  readonly customer: string;
  readonly number: number;
}

/** Sends `count` orders of each of 20 customers, pipelined. */
async function produce(from: number, count: number): Promise<void> {
  const producer = await muster.producer<Order>({ topic: 'orders' });
  const sends: Promise<unknown>[] = [];
  for (let number = from; number < from + count; number += 1) {
    for (let customer = 0; customer < 20; customer += 1) {
      const key = `customer ${customer}`;
      sends.push(producer.send({ key, value: { customer: key, number } }));
    }
  }
  await Promise.all(sends);
  await producer.close();
}

/** Checks that every customer's orders came once each, in order. */
function expectInOrder(handled: readonly Order[], from: number, count: number): void {
  const numbers = Array.from({ length: count }, (_, at) => from + at);
  const byCustomer = new Map<string, number[]>();
  for (const { customer, number } of handled) {
    byCustomer.set(customer, [...(byCustomer.get(customer) ?? []), number]);
  }
  expect(byCustomer.size).toBe(20);
  for (const seen of byCustomer.values()) expect(seen).toEqual(numbers);
}

const joinTimes = { group: 'billing', topics: ['orders'], sessionTimeoutMs: 30_000 };

describe('a consumer on a real stream', () => {
  it('handles the messages of each key in order, and the next one goes on where it left off', async () => {
    await muster.topics.create({ name: 'orders', partitions: PARTITIONS });
    await produce(0, 50);
    const first = await muster.consumer<Order>(joinTimes);
    const handled: Order[] = [];
    const places = new Map<string, Set<number>>();
    const running = first.run({
      eachMessage: ({ value, key, partition }: Message<Order>) => {
        expect(key).toBe(value.customer);
        places.set(value.customer, (places.get(value.customer) ?? new Set()).add(partition));
        handled.push(value);
      },
    });
    await until('all are handled', () => handled.length === 1_000);
    expectInOrder(handled, 0, 50);
    expect([...places.values()].every((partitions) => partitions.size === 1)).toBe(true);
    expect(new Set([...places.values()].flatMap((partitions) => [...partitions])).size).toBe(PARTITIONS);
    await first.close();
    await running;

    await produce(50, 10);
    const lags = await muster.admin().lag('billing');
    const second = await muster.consumer<Order>(joinTimes);
    const later: Order[] = [];
    void second.run({ eachMessage: ({ value }) => void later.push(value) });
    await until('the rest is handled', () => later.length === 200);
    expectInOrder(later, 50, 10);
    expect(lags).toHaveLength(PARTITIONS);
    expect(lags.reduce((sum, { lag }) => sum + lag, 0)).toBe(200);
  });

  it('loses and repeats nothing within a lane when the server is killed and comes back', async () => {
    await muster.topics.create({ name: 'orders', partitions: PARTITIONS });
    await produce(0, 20);
    const consumer = await muster.consumer<Order>({ ...joinTimes, bufferMessages: 16 });
    const handled: Order[] = [];
    void consumer.run({ eachMessage: ({ value }) => void handled.push(value) });
    await until('the first are handled', () => handled.length === 400);
    const [process] = server.servers;
    await process?.kill();
    await process?.restart();
    await produce(20, 20);
    await until('all are handled', () => handled.length >= 800);
    expectInOrder(handled, 0, 40);
    expect(consumer.health().partitions.every(({ behind }) => behind === 0)).toBe(true);
  });

  it('reads only its own partitions', async () => {
    await muster.topics.create({ name: 'orders', partitions: PARTITIONS });
    await produce(0, 5);
    coordinator.assigned = everyPartition.slice(1, 2);
    const consumer = await muster.consumer<Order>(joinTimes);
    const partitions = new Set<number>();
    let handled = 0;
    void consumer.run({
      eachMessage: ({ partition }) => {
        partitions.add(partition);
        handled += 1;
      },
    });
    const { stream } = await muster.topics.describe('orders');
    const manager = await nats.jetstreamManager();
    const filter = { subjects_filter: 'muster.default.t.orders.1.>' };
    const info = await manager.streams.info(stream, filter);
    const expected = Object.values(info.state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
    await until('its partition is handled', () => handled === expected);
    expect([...partitions]).toEqual([1]);
  });
});

describe('a producer on a real stream', () => {
  it('stores a message id once', async () => {
    await muster.topics.create({ name: 'orders', partitions: PARTITIONS });
    const producer = await muster.producer({ topic: 'orders' });
    const first = await producer.send({ key: 'a', value: 1, messageId: 'once' });
    const again = await producer.send({ key: 'a', value: 1, messageId: 'once' });
    expect(again).toEqual({ ...first, duplicate: true });
  });

  it('is told once, in plain words, why a message is too large, and that one server keeps no three replicas', async () => {
    await muster.topics.create({ name: 'orders', partitions: PARTITIONS });
    const producer = await muster.producer({ topic: 'orders' });
    const failure = await producer.send({ value: 'x'.repeat(2 * 1_048_576) }).catch((thrown: unknown) => thrown);
    expect(failure).toMatchObject({ code: 'STREAM_REFUSED', retriable: false });
    expect(String(failure)).toMatch(
      /^MusterError: JetStream refused: a value of 2097154 bytes .*: max_payload of the server is 1048576 bytes$/,
    );
    const creating = muster.topics.create({ name: 'replicated', partitions: 1, replicas: 3 });
    const refusal = await creating.catch((thrown: unknown) => thrown);
    expect(refusal).toMatchObject({ code: 'STREAM_REFUSED', retriable: false });
    expect(String(refusal)).toMatch(/replicas > 1 not supported/);
  });

  it('delivers headers and several key tokens', async () => {
    await muster.topics.create({ name: 'orders', partitions: PARTITIONS });
    const producer = await muster.producer({ topic: 'orders' });
    await producer.send({ key: ['eu', 'c 1'], value: { total: 3 }, headers: { trace: 'abc' } });
    const consumer = await muster.consumer(joinTimes);
    for await (const message of consumer) {
      expect(message).toMatchObject({ key: ['eu', 'c 1'], value: { total: 3 }, headers: { trace: 'abc' } });
      expect(Math.abs(Date.now() - message.timestampMs)).toBeLessThan(WAIT_MS);
      message.ack();
      break;
    }
  });

  it("computes the partitions of nats-server's own subject mapping", async () => {
    const seen = new Map<string, number>();
    const subscription = nats.subscribe('mapped.>', {
      callback: (_, { subject }) => {
        const [, kind, partition, ...tokens] = subject.split('.');
        seen.set(`${kind}:${tokens.join('.')}`, Number(partition));
      },
    });
    const tokens = ['a', 'orders', 'payments-eu', 'é日本', 'c=201', ...Array.from({ length: 200 }, (_, n) => `k${n}`)];
    for (const token of tokens) {
      nats.publish(`raw.one.${token}`);
      nats.publish(`raw.two.${token}.x`);
    }
    await nats.flush();
    await until('all have come', () => seen.size === 2 * tokens.length);
    subscription.unsubscribe();
    for (const token of tokens) {
      expect(seen.get(`one:${token}`)).toBe(natsPartition([token], 7));
      expect(seen.get(`two:${token}.x`)).toBe(natsPartition([token, 'x'], 7));
    }
  });

  it('publishes into a stream that computes the partition itself, beside foreign publishers', async () => {
    const manager = await nats.jetstreamManager();
    const subject_transform = { src: 'foo.*', dest: `{{partition(${PARTITIONS},1)}}.foo.{{wildcard(1)}}` };
    await manager.streams.add({ name: 'FOO', subjects: ['foo.*'], subject_transform });
    await muster.topics.adopt({
      name: 'orders',
      stream: 'FOO',
      subject: '{partition}.foo.{key}',
      partitions: PARTITIONS,
    });
    const producer = await muster.producer<number>({ topic: 'orders' });
    const keys = Array.from({ length: 20 }, (_, number) => `k${number}`);
    for (const [number, key] of keys.entries()) {
      const { partition, offset } = await producer.send({ key, value: number });
      const stored = await manager.streams.getMessage('FOO', { seq: offset });
      expect(stored.subject).toBe(`${partition}.foo.${key}`);
      await nats.jetstream().publish(`foo.${key}`, JSON.stringify(100 + number));
    }
    const consumer = await muster.consumer<number>(joinTimes);
    const handled = new Map<string, number[]>();
    void consumer.run({
      eachMessage: ({ key, value, partition }) => {
        expect(partition).toBe(natsPartition([String(key)], PARTITIONS));
        handled.set(String(key), [...(handled.get(String(key)) ?? []), value]);
      },
    });
    await until('all are handled', () => [...handled.values()].flat().length === 2 * keys.length);
    for (const [number, key] of keys.entries()) expect(handled.get(key)).toEqual([number, 100 + number]);
  });

  it('shares partitions with a foreign publisher behind a server mapping', async () => {
    await muster.topics.create({ name: 'orders', partitions: PARTITIONS });
    const producer = await muster.producer({ topic: 'orders' });
    for (const key of ['a', 'b', 'c', 'd', 'e']) {
      const ours = await producer.send({ key, value: 1 });
      await nats.jetstream().publish(`foreign.${key}`, '2');
      const { stream } = await muster.topics.describe('orders');
      const manager = await nats.jetstreamManager();
      const last = await manager.streams.getMessage(stream, { seq: ours.offset + 1 });
      expect(last.subject).toBe(`muster.default.t.orders.${ours.partition}.${key}`);
    }
  });
});
