import { describe, expect, it } from 'vitest';
import { consumerScene } from '../test/consumer-scene.js';
import { settle } from '../test/virtual-clock.js';
import type { Delivery } from './delivery.js';
import { HandedOut } from './handed-out.js';
import { Lane } from './lane.js';
import { silentLogger } from './logger.js';
import { PartitionReader } from './reader.js';

describe('what a loop has been given', () => {
  it('is forgotten when it is settled, also behind one that never is, and the right one expires', async () => {
    const { streams, store, environment } = consumerScene();
    const values = Array.from({ length: 2_000 }, (_, number) => number);
    store(0, ...values);
    const topic = {
      name: 'orders',
      stream: 'orders',
      subject: 'orders.{partition}.{key}',
      partitions: 4,
      keyHash: 'fnv1a',
    } as const;
    const told = { onDenied: () => {}, onMissing: () => {}, onReplaced: () => {} };
    const context = { streams, environment, logger: silentLogger, ...told };
    const start = { startOffset: 1, created: '0' };
    const lane = new Lane({
      topic,
      partition: 0,
      environment,
      unackedMax: 10_000,
      stoppedAfterMs: 1_000,
      commitDueMs: 1_000,
      startOffset: 1,
      startIsNew: false,
      openReader: (onReadable) => PartitionReader.of(topic, 0, start, 5_000, onReadable, context),
      onReadable: () => {},
      onAck: () => {},
    });
    await settle();
    const handedOut = new HandedOut();
    const deliveries: Delivery[] = [];
    while (deliveries.length < values.length) {
      const next = lane.deliver();
      if (next === undefined) {
        await settle();
        continue;
      }
      handedOut.add(next);
      deliveries.push(next);
      if (deliveries.length > 2) next.ack();
    }
    expect(deliveries).toHaveLength(2_000);
    expect(handedOut.size).toBeLessThan(100);
    expect(handedOut.takeExpired(lane, 3, 1)).toBeUndefined();
    const [expired, error] = handedOut.takeExpired(lane, 2, 1) ?? [];
    expect(expired).toBe(deliveries[1]);
    expect(error).toMatchObject({ code: 'HANDLER_TIMEOUT', offset: 2 });
    handedOut.giveUpAbandoned();
    expect(deliveries.filter(({ isSettled }) => !isSettled)).toEqual([deliveries[1]]);
  });
});
