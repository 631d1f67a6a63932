/**
 * A consumer beside a scripted coordinator and an in-memory stream: topic `orders` with four partitions.
 */

import { type TopicPartition, utf8Encode } from '@muster/protocol';
import { silentLogger } from '../src/logger.js';
import { Muster } from '../src/muster.js';
import type { ConsumerOptions } from '../src/options.js';
import type { Telemetry } from '../src/telemetry.js';
import { messageSubject } from '../src/topic.js';
import { FakeStreams } from './fake-streams.js';
import { FakeNats, FakeTransport } from './fake-transport.js';
import { ScriptedCoordinator } from './scripted-coordinator.js';
import { settle, virtualEnvironment } from './virtual-clock.js';

export const orders = {
  name: 'orders',
  stream: 'orders',
  subject: 'orders.{partition}.{key}',
  partitions: 4,
  keyHash: 'fnv1a',
} as const;

/** @returns partitions of `orders` */
export function partitions(...numbers: number[]): TopicPartition[] {
  return numbers.map((partition) => ({ topic: 'orders', partition }));
}

export function consumerScene(parts: { readonly telemetry?: Telemetry; readonly warn?: (text: string) => void } = {}) {
  const nats = new FakeNats();
  const transport = new FakeTransport(nats);
  const { warn, ...others } = parts;
  const environment = { ...virtualEnvironment(), ...(warn === undefined ? {} : { warn }) };
  const { clock } = environment;
  const coordinator = new ScriptedCoordinator(nats);
  const streams = new FakeStreams();
  for (const name of ['orders', 'bills', 'dead']) streams.subjects.set(name, [`${name}.>`]);
  const ports = { transport, streams, environment, logger: silentLogger, ...others };
  const muster = new Muster({ cluster: 'default', clientId: 'test', ...ports });
  coordinator.assigned = partitions(0, 1);

  /** Puts numbered messages into one partition. */
  const store = (partition: number, ...values: number[]) => {
    for (const value of values) {
      streams.store('orders', messageSubject(orders, partition, `k${partition}`), utf8Encode(JSON.stringify(value)));
    }
  };
  const consume = async (options: Partial<ConsumerOptions<number>> = {}) => {
    const starting = muster.consumer<number>({
      group: 'billing',
      topics: [orders],
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 30_000,
      ...options,
    });
    // The caller looks at it only after time has moved.
    starting.catch(() => {});
    await clock.advance(500);
    return await starting;
  };
  /** Begins a rebalance in which this member gets `assigned`, and waits until it is stable again. */
  const reassign = async (assigned: TopicPartition[]) => {
    coordinator.assigned = assigned;
    coordinator.notice('billing', { kind: 'rebalance' });
    for (let turn = 0; turn < 10; turn += 1) await settle();
  };
  const { wallNow } = environment;
  return { transport, environment, clock, wallNow, coordinator, streams, muster, store, consume, reassign };
}
