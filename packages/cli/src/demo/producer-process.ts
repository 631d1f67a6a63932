/**
 * The producer of the demonstration: keyed messages at a steady rate, numbered within each key. Reports what JetStream has
 * acknowledged, and nothing else.
 */

import { connect } from '@muster/worker';
import type { ParentOrder } from './messages.js';
import { report } from './messages.js';

/** What a message of the demonstration holds. */
export type Order = { readonly key: number; readonly seq: number };

const keyCount = 200;
const sliceMs = 10;
const reportIntervalMs = 100;

const [servers = '', cluster = '', topic = '', rate = '0'] = process.argv.slice(2);
const perSlice = (Number(rate) * sliceMs) / 1_000;

const nextSeq = new Array<number>(keyCount).fill(0);
let acknowledged: (readonly [number, number])[] = [];

function flush(): void {
  if (acknowledged.length === 0) return;
  report({ kind: 'acknowledged', messages: acknowledged });
  acknowledged = [];
}

try {
  const muster = await connect({ cluster, servers: servers.split(','), name: 'demo-producer' });
  const producer = await muster.producer<Order>({ topic });
  const flushing = setInterval(flush, reportIntervalMs);

  const send = async (key: number) => {
    const seq = nextSeq[key] ?? 0;
    nextSeq[key] = seq + 1;
    await producer.send({ key: `order-${key}`, value: { key, seq } });
    acknowledged.push([key, seq]);
  };
  const startedAt = performance.now();
  let sent = 0;
  const pace = setInterval(() => {
    const due = Math.floor(((performance.now() - startedAt) / sliceMs) * perSlice);
    // A stall of ours is not made up for in one burst.
    for (const end = Math.min(due, sent + 4 * Math.ceil(perSlice)); sent < end; sent += 1)
      void send(sent % keyCount).catch(fail);
    sent = Math.max(sent, due - 8 * Math.ceil(perSlice));
  }, sliceMs);

  const stopped = new Promise<void>((resolve) => {
    process.on('message', (order: ParentOrder) => order.kind === 'stop' && resolve());
    process.once('disconnect', resolve);
    process.once('SIGTERM', resolve);
  });
  process.on('SIGINT', () => {});
  await stopped;
  clearInterval(pace);
  await producer.flush();
  clearInterval(flushing);
  flush();
  await muster.close();
  if (process.connected) process.disconnect();
} catch (error) {
  fail(error);
}

function fail(error: unknown): void {
  report({ kind: 'failed', detail: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  process.exitCode = 1;
  if (process.connected) process.disconnect();
}
