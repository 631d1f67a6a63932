/**
 * One worker of the demonstration: an ordinary consumer, as an application would write it, that also tells its parent what it
 * handled and what it owns.
 */

import { subscribe } from 'node:diagnostics_channel';
import { connect, type MemberEvent } from '@muster/worker';
import type { Handled } from './ledger.js';
import { report } from './messages.js';
import type { Order } from './producer-process.js';

const [servers = '', cluster = '', group = '', topic = '', name = ''] = process.argv.slice(2);
const reportIntervalMs = 100;

const owned = new Set<number>();
let handled: Handled[] = [];

function flush(): void {
  if (handled.length === 0) return;
  report({ kind: 'handled', messages: handled });
  handled = [];
}

function follow(channel: string, change: (partition: number) => void, isLoss: boolean): void {
  subscribe(channel, (message) => {
    const { generation, partitions = [] } = message as MemberEvent;
    for (const { partition } of partitions) change(partition);
    const lost = isLoss ? partitions.map(({ partition }) => partition) : [];
    report({ kind: 'assignment', generation, partitions: [...owned].sort((a, b) => a - b), lost });
  });
}
follow('muster:assigned', (partition) => owned.add(partition), false);
follow('muster:revoked', (partition) => owned.delete(partition), true);
follow('muster:lost', (partition) => owned.delete(partition), true);

try {
  const muster = await connect({ cluster, servers: servers.split(','), name });
  report({ kind: 'started' });
  const consumer = await muster.consumer<Order>({
    group,
    topics: [topic],
    heartbeatIntervalMs: 1_000,
    commit: { kind: 'auto', intervalMs: 500, count: 1_000 },
  });
  const flushing = setInterval(flush, reportIntervalMs);
  let isEnding = false;
  const end = () => {
    if (isEnding) return;
    isEnding = true;
    void consumer.close({ timeoutMs: 10_000 });
  };
  process.once('SIGTERM', end);
  process.once('SIGINT', () => {});
  process.once('disconnect', end);

  for await (const message of consumer) {
    const { key, seq } = message.value;
    handled.push([key, seq, performance.timeOrigin + performance.now()]);
    message.ack();
  }
  clearInterval(flushing);
  flush();
  await muster.close();
  if (process.connected) process.disconnect();
} catch (error) {
  flush();
  report({ kind: 'failed', detail: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  process.exitCode = 1;
  if (process.connected) process.disconnect();
}
