/**
 * What bad input gets from the worker library: each a documented, typed answer, and a consumer that goes on or stops as configured.
 * No unhandled rejection (the test runner fails on one) and no close that hangs.
 */

import { connect, type Muster, type MusterErrorCode } from '@muster/worker';
import { connect as connectNats } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../world/processes.js';
import { options, WorkerWorld } from '../world/worker-world.js';

/** `stranger` may use everything but the group `secret` and reading of the stream `CLOSED`. */
const extraConfig = `
accounts {
  APP {
    jetstream: enabled
    users: [
      { user: app, password: app }
      { user: stranger, password: stranger, permissions: {
        publish: { allow: [">"], deny: ["muster.real.g.*.secret.>", "$JS.API.CONSUMER.CREATE.CLOSED.>", "$JS.API.CONSUMER.CREATE.CLOSED"] }
        subscribe: { allow: [">"] }
      } }
      { user: deaf, password: deaf, permissions: {
        publish: { allow: [">"], deny: ["$JS.API.CONSUMER.MSG.NEXT.CLOSED.>"] }
        subscribe: { allow: [">"] }
      } }
    ]
  }
}
no_auth_user: app
`;

let world: WorkerWorld;
let muster: Muster;
beforeAll(async () => {
  world = await WorkerWorld.start({ nats: { extraConfig } });
  muster = await world.worker();
});
afterAll(async () => {
  await world.close();
});

/** @returns the code that a call fails with */
async function codeOf(call: Promise<unknown>): Promise<MusterErrorCode | 'none'> {
  return await call.then(
    () => 'none' as const,
    (error: { code: MusterErrorCode }) => error.code,
  );
}

describe('an unknown topic', () => {
  it('is refused before joining, for consumer, producer and administration', async () => {
    const group = world.name('group');
    expect(await codeOf(muster.consumer(options(group, 'nowhere')))).toBe('UNKNOWN_TOPIC');
    expect(await codeOf(muster.producer({ topic: 'nowhere' }))).toBe('UNKNOWN_TOPIC');
    expect(await codeOf(muster.topics.delete('nowhere'))).toBe('UNKNOWN_TOPIC');
    const reset = await muster.admin().resetOffsets(group, { to: 'earliest' }, { topics: ['nowhere'] });
    expect(reset).toMatchObject([{ topic: 'nowhere', error: 'UNKNOWN_TOPIC' }]);
    expect((await muster.admin().describeGroup(group)).state).toBe('Dead');
  });
});

describe('a partition count that does not match', () => {
  it('is refused by the registry and at the adoption of a stream', async () => {
    const name = await world.topic(muster, 3);
    expect(await codeOf(muster.topics.create({ name, partitions: 4 }))).toBe('TOPIC_EXISTS');
    const spec = await muster.topics.describe(name);
    const inline = { ...options(world.name('group'), name), topics: [{ ...spec, partitions: 2 }] };
    expect(await codeOf((await world.worker()).consumer(inline))).toBe('PARTITION_COUNT_MISMATCH');
    const nats = await connectNats({ servers: [...world.cluster.nats.urls] });
    const manager = await nats.jetstreamManager();
    await manager.streams.add({ name: 'EVENTS', subjects: ['ev.>'] });
    for (const partition of [0, 1, 5]) await nats.jetstream().publish(`ev.${partition}.k`, '1');
    await nats.close();
    const adopt = { name: 'events', stream: 'EVENTS', subject: 'ev.{partition}.{key}' };
    expect(await codeOf(muster.topics.adopt({ ...adopt, partitions: 5 }))).toBe('PARTITION_COUNT_MISMATCH');
    expect(await codeOf(muster.topics.adopt({ ...adopt, stream: 'NONE', partitions: 6 }))).toBe('UNKNOWN_STREAM');
    expect(await codeOf(muster.topics.adopt({ ...adopt, partitions: 6 }))).toBe('none');
    const group = world.name('group');
    const consumer = await muster.consumer(options(group, 'events'));
    let handled = 0;
    void consumer.run({
      eachMessage: () => {
        handled += 1;
      },
    });
    await until('the adopted stream is read', () => handled === 3);
    await consumer.close();
  });
});

describe('a handler', () => {
  it('that throws stops the consumer with the place, or is passed over as configured', async () => {
    const topic = await world.topic(muster, 1, 3);
    const stopping = await muster.consumer<number>(options(world.name('group'), topic));
    const stopped = stopping.run({
      eachMessage: () => {
        throw new TypeError('bad');
      },
    });
    await expect(stopped).rejects.toMatchObject({ code: 'HANDLER_FAILED', topic, partition: 0, offset: 1 });
    expect(stopping.isClosed).toBe(true);
    const skipping = await muster.consumer<number>(
      options(world.name('group'), topic, { onFailure: { kind: 'skip' } }),
    );
    let handled = 0;
    void skipping.run({
      eachMessage: ({ value }) => {
        handled += 1;
        if (value === 0) throw new TypeError('bad');
      },
    });
    await until('the rest is handled', () => handled === 3);
    await skipping.close();
  });

  it('that never returns: typed error with the message, close within its time, and the message comes again', async () => {
    const topic = await world.topic(muster, 1, 1);
    const group = world.name('group');
    const consumer = await muster.consumer<number>(
      options(group, topic, { maxPollIntervalMs: 500, drainTimeoutMs: 200 }),
    );
    const running = consumer.run({ eachMessage: () => new Promise(() => {}) });
    await expect(running).rejects.toMatchObject({ code: 'HANDLER_TIMEOUT', topic, partition: 0, offset: 1 });
    const next = await muster.consumer<number>(options(group, topic));
    for await (const message of next) {
      expect(message.value).toBe(0);
      break;
    }
    await next.close({ timeoutMs: 500 });
  });

  it('that blocks the event loop is reported; the consumer goes on', async () => {
    const topic = await world.topic(muster, 1, 2);
    const warnings: string[] = [];
    const logger = {
      debug: () => {},
      info: () => {},
      error: () => {},
      warn: (line: string) => void warnings.push(line),
    };
    const consumer = await muster.consumer<number>(
      options(world.name('group'), topic, { blockedWarningMs: 300, logger }),
    );
    let handled = 0;
    void consumer.run({
      eachMessage: ({ value }) => {
        handled += 1;
        if (value === 1) return;
        // Really blocks: no timer, no I/O.
        const until = performance.now() + 2_000;
        while (performance.now() < until);
      },
    });
    await until('it is reported', () => warnings.some((line) => line.includes('event loop')));
    await until('it goes on', () => handled === 2);
    expect(consumer.health()).toMatchObject({ state: 'stable' });
    expect(consumer.health().lastBlocked?.blockedMs).toBeGreaterThan(300);
    await consumer.close();
  });
});

describe('a value that cannot be decoded', () => {
  it('stops, is passed over, or goes to the dead-letter topic with its bytes', async () => {
    const topic = await world.topic(muster, 1);
    const dead = await world.topic(muster, 1);
    const { bytesCodec } = await import('@muster/worker');
    const producer = await muster.producer({ topic, codec: bytesCodec });
    await producer.send({ key: 'k', value: Uint8Array.of(0x7b) });
    await producer.send({ key: 'k', value: new TextEncoder().encode('7') });
    const stopping = await muster.consumer<number>(options(world.name('group'), topic));
    const stopped = stopping.run({ eachMessage: () => {} });
    await expect(stopped).rejects.toMatchObject({ code: 'DECODE_FAILED', offset: 1 });
    const onDecodeFailure = { kind: 'dead-letter', topic: dead } as const;
    const moving = await muster.consumer<number>(options(world.name('group'), topic, { onDecodeFailure }));
    const handled: number[] = [];
    void moving.run({ eachMessage: ({ value }) => void handled.push(value) });
    await until('the good one is handled', () => handled.length === 1);
    const letters = await muster.consumer({
      ...options<Uint8Array>(world.name('group'), dead),
      codec: bytesCodec,
    });
    for await (const letter of letters) {
      expect([...letter.value]).toEqual([0x7b]);
      expect(letter).toMatchObject({ key: 'k', headers: { 'Muster-Dead-Source': `${topic}/0/1` } });
      letter.ack();
      break;
    }
    await Promise.all([moving.close(), letters.close()]);
  });
});

describe('a commit outside of the stream', () => {
  it('is refused by administration and by the consumer', async () => {
    const topic = await world.topic(muster, 1, 3);
    const group = world.name('group');
    const place = { topic, partition: 0 };
    const results = await muster.admin().commitOffsets(group, [{ ...place, offset: 99 }]);
    expect(results).toMatchObject([{ error: 'OFFSET_OUT_OF_RANGE' }]);
    const consumer = await muster.consumer<number>(options(group, topic));
    expect(await codeOf(consumer.commit([{ ...place, offset: 99 }]))).toBe('OFFSET_OUT_OF_RANGE');
    expect(await codeOf(consumer.commit([{ ...place, offset: 0 }]))).toBe('OFFSET_OUT_OF_RANGE');
    expect(await codeOf(consumer.seek(place, 99))).toBe('OFFSET_OUT_OF_RANGE');
    await consumer.close();
  });

  it('that is there already makes the next consumer start at an end, or fail, as configured', async () => {
    const topic = await world.topic(muster, 1, 3);
    const group = world.name('group');
    const offsets = [{ topic, partition: 0, offset: 99 }];
    await muster.admin().commitOffsets(group, offsets, { isUnchecked: true });
    const failing = muster.consumer<number>(options(group, topic, { startFallback: 'fail' }));
    expect(await codeOf(failing)).toBe('OFFSET_OUT_OF_RANGE');
    const consumer = await muster.consumer<number>(options(group, topic, { startFallback: 'earliest' }));
    expect(consumer.health().partitions[0]).toMatchObject({ position: 1 });
    await consumer.close();
  });
});

describe('two consumers with one instance id', () => {
  it('the later one takes over, the earlier one ends with FENCED_INSTANCE_ID', async () => {
    const topic = await world.topic(muster, 2, 1);
    const group = world.name('group');
    const first = await muster.consumer<number>(options(group, topic, { instanceId: 'one', heartbeatIntervalMs: 200 }));
    const running = first.run({ eachMessage: () => {} });
    const ended = running.catch((error: unknown) => error);
    const other = await world.worker();
    const second = await other.consumer<number>(options(group, topic, { instanceId: 'one' }));
    expect(await ended).toMatchObject({ code: 'FENCED_INSTANCE_ID' });
    expect(second.assignment()).toHaveLength(2);
    await second.close({ leave: true });
  });
});

describe('credentials without permission', () => {
  it('on the group: GROUP_AUTHORIZATION_FAILED', async () => {
    const topic = await world.topic(muster, 1, 1);
    const stranger = await world.worker({ user: 'stranger', pass: 'stranger' });
    expect(await codeOf(stranger.consumer(options('secret', topic)))).toBe('GROUP_AUTHORIZATION_FAILED');
  });

  it.each(['stranger', 'deaf'])(
    'on the stream (%s): the consumer ends with TOPIC_AUTHORIZATION_FAILED',
    async (user) => {
      if ((await muster.topics.list()).every(({ name }) => name !== 'closed')) {
        await muster.topics.create({ name: 'closed', partitions: 1, stream: 'CLOSED' });
        await world.produce(muster, 'closed', 1, 0, 1);
      }
      const worker = await world.worker({ user, pass: user });
      const consumer = await worker.consumer(options(world.name('group'), 'closed'));
      const running = consumer.run({ eachMessage: () => {} });
      await expect(running).rejects.toMatchObject({ code: 'TOPIC_AUTHORIZATION_FAILED' });
      expect(consumer.isClosed).toBe(true);
    },
  );

  it('wrong ones: CONNECTION_FAILED', async () => {
    const servers = [...world.cluster.nats.urls];
    expect(await codeOf(connect({ servers, user: 'nobody', pass: 'x', maxReconnectAttempts: 0 }))).toBe(
      'CONNECTION_FAILED',
    );
  });
});

describe('closing', () => {
  it('ends in its time while the server is gone', async () => {
    const own = await WorkerWorld.start();
    try {
      const worker = await own.worker();
      const topic = await own.topic(worker, 1, 1);
      const consumer = await worker.consumer<number>(options(own.name('group'), topic));
      void consumer.run({ eachMessage: () => new Promise(() => {}) });
      const [process] = own.cluster.nats.servers;
      await process?.kill();
      let isClosed = false;
      void worker.close({ timeoutMs: 1_000 }).then(() => {
        isClosed = true;
      });
      await until('it has closed', () => isClosed, 5_000);
      await process?.restart();
    } finally {
      await own.close();
    }
  });
});
