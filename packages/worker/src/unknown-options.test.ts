/**
 * An option that there is none of is refused wherever options are taken, and beside it stands what there is: silence would let a program
 * believe that it has set something.
 */

import { describe, expect, it } from 'vitest';
import { consumerScene, orders } from '../test/consumer-scene.js';
import { connect } from './muster.js';
import { parseOffsets } from './offset-file.js';
import { closeOnSignals } from './shutdown.js';

type Scene = Awaited<ReturnType<typeof setUp>>;

async function setUp() {
  const scene = consumerScene();
  const consumer = await scene.consume();
  const producer = await scene.muster.producer({ topic: orders });
  const joining = scene.muster.member({
    group: 'cron',
    protocolType: 'cron',
    protocols: [{ name: 'one', metadata: new Uint8Array(0) }],
    assign: () => new Map(),
  });
  await scene.clock.advance(500);
  return { ...scene, consumer, producer, member: await joining, admin: scene.muster.admin() };
}

const group = { group: 'billing', topics: [orders] };
const member = { group: 'cron', protocolType: 'cron', protocols: [], assign: () => new Map() };
const inline = { ...orders, colour: 1 } as never;
const extra = { colour: 1 } as never;

/** Every place that takes options, called with one that there is none of; and an option that there is. */
const calls: [string, (scene: Scene) => unknown, string][] = [
  ['connect', () => connect({ ...(extra as object) }), 'cluster'],
  ['muster.consumer', ({ muster }) => muster.consumer({ ...group, ...(extra as object) }), 'instanceId'],
  ['muster.consumer, a topic given inline', ({ muster }) => muster.consumer({ ...group, topics: [inline] }), 'keyHash'],
  [
    'muster.consumer, its commit policy',
    ({ muster }) => muster.consumer({ ...group, commit: { kind: 'auto', ...(extra as object) } }),
    'intervalMs',
  ],
  [
    'muster.consumer, its failure policy',
    ({ muster }) => muster.consumer({ ...group, onFailure: { kind: 'retry', attempts: 1, ...(extra as object) } }),
    'backoffMs',
  ],
  [
    'muster.consumer, its last resort',
    ({ muster }) => {
      const lastly = { kind: 'dead-letter', topic: 'dead', ...(extra as object) } as const;
      return muster.consumer({ ...group, onFailure: { kind: 'retry', attempts: 1, lastly } });
    },
    'timeoutMs',
  ],
  [
    'muster.consumer, its start',
    ({ muster }) => muster.consumer({ ...group, start: { timeMs: 1, ...(extra as object) } }),
    'timeMs',
  ],
  ['muster.member', ({ muster }) => muster.member({ ...member, ...(extra as object) }), 'protocolType'],
  [
    'muster.member, a protocol',
    ({ muster }) => {
      const protocol = { name: 'one', metadata: new Uint8Array(0), ...(extra as object) };
      return muster.member({ ...member, protocols: [protocol] });
    },
    'metadata',
  ],
  ['muster.producer', ({ muster }) => muster.producer({ topic: orders, ...(extra as object) }), 'maxInFlight'],
  ['muster.producer, a topic given inline', ({ muster }) => muster.producer({ topic: inline }), 'keyHash'],
  ['muster.close', ({ muster }) => muster.close(extra), 'timeoutMs'],
  ['muster.admin', ({ muster }) => muster.admin(extra), 'timeoutMs'],
  ['topics.create', ({ muster }) => muster.topics.create({ name: 'a', partitions: 1, ...(extra as object) }), 'stream'],
  [
    'topics.adopt',
    ({ muster }) => {
      const adopted = { name: 'a', stream: 'a', subject: 'a.{partition}', partitions: 1 };
      return muster.topics.adopt({ ...adopted, ...(extra as object) });
    },
    'keyHash',
  ],
  ['consumer.run', ({ consumer }) => consumer.run({ eachMessage: () => {}, ...(extra as object) }), 'concurrency'],
  ['consumer.assigned', ({ consumer }) => consumer.assigned(extra), 'timeoutMs'],
  ['consumer.subscribe', ({ consumer }) => consumer.subscribe([inline]), 'keyHash'],
  [
    'consumer.seek',
    ({ consumer }) => consumer.seek({ topic: 'orders', partition: 0 }, { timeMs: 1, ...(extra as object) }),
    'timeMs',
  ],
  ['consumer.close', ({ consumer }) => consumer.close(extra), 'timeoutMs'],
  ['member.close', ({ member: plain }) => plain.close(extra), 'timeoutMs'],
  ['producer.send', ({ producer }) => producer.send({ value: 1, ...(extra as object) }), 'messageId'],
  ['producer.close', ({ producer }) => producer.close(extra), 'timeoutMs'],
  ['closeOnSignals', ({ muster }) => closeOnSignals(muster, extra), 'signals'],
  ['parseOffsets', () => parseOffsets('', extra), 'group'],
  ['admin.listGroups', ({ admin }) => admin.listGroups(extra), 'states'],
  ['admin.describeGroup', ({ admin }) => admin.describeGroup('g', extra), 'stable'],
  ['admin.commitOffsets', ({ admin }) => admin.commitOffsets('g', [], extra), 'isUnchecked'],
  ['admin.resetOffsets', ({ admin }) => admin.resetOffsets('g', { to: 'earliest' }, extra), 'dryRun'],
  [
    'admin.resetOffsets, its target',
    ({ admin }) => admin.resetOffsets('g', { to: 'time', timeMs: 1, ...(extra as object) }),
    'timeMs',
  ],
  ['admin.lag', ({ admin }) => admin.lag('g', extra), 'topics'],
  ['admin.lagMonitor', ({ admin }) => admin.lagMonitor('g', extra), 'stoppedAfterMs'],
  ['admin.watchLag', ({ admin }) => admin.watchLag('g', extra), 'intervalMs'],
  ['lagMonitor.watch', ({ admin }) => admin.lagMonitor('g').watch(extra).next(), 'intervalMs'],
];

describe('an option that there is none of', () => {
  it.each(calls)('%s: is refused, and told what there is', async (_, call, known) => {
    const scene = await setUp();
    const asked = async () => await call(scene);
    const refusal = await asked().catch((thrown: unknown) => thrown);
    expect(refusal).toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(String(refusal)).toContain('colour');
    expect(String(refusal)).toContain(known);
  });

  it('of a close has closed nothing: it goes on, and closes when asked properly', async () => {
    const { consumer, store, coordinator } = await setUp();
    const handled: number[] = [];
    const running = consumer.run({ eachMessage: ({ value }) => void handled.push(value) });
    await expect(consumer.close({ timeout: 5 } as never)).rejects.toThrow(
      /no such option: timeout; options are leave, timeoutMs/,
    );
    store(0, 1);
    await consumer.close();
    await running;
    expect(consumer.isClosed).toBe(true);
    expect(coordinator.of('leave')).toHaveLength(1);
  });
});
