/**
 * A worker of a chaos run: an ordinary consumer that commits at its API and writes down what it was given, handled and had
 * acknowledged, before anything can kill it.
 */

import { subscribe } from 'node:diagnostics_channel';
import { type Consumer, connect, type Logger, type MemberEvent } from '@muster/worker';
import { HistoryWriter, nowMs } from './history.js';
import { readWorkerSettings, tell } from './messages.js';
import { watchOwnStalls } from './own-stalls.js';

const COMMIT_EVERY_MS = 250;

const { servers, cluster, historyFolder, group, topic, name, sessionTimeoutMs } = readWorkerSettings(process.argv[2]);
const history = new HistoryWriter(historyFolder, name);
const owned = new Set<number>();
let isCommitting = false;

follow('muster:assigned', (partition) => owned.add(partition));
follow('muster:revoked', (partition) => owned.delete(partition));
follow('muster:lost', (partition) => owned.delete(partition));
subscribe('muster:revoked', () => gaveUp('revoked', ''));
watchOwnStalls(name, (stall) => history.writeNow(stall));
/** What a member joins again for without being asked to, as its log tells it. */
const logger: Logger = {
  debug: (line, fields = {}) => {
    const { from, to, generation } = fields;
    say('debug', line, fields);
    if (line !== 'membership') return;
    // It leaves by itself before anybody here hears of its failure.
    if (to === 'failed')
      history.writeNow({ kind: 'worker', at: nowMs(), worker: name, event: 'stopping', detail: 'failed' });
    // The first round of all loses nothing.
    if (to === 'preparing' && from !== 'unjoined' && generation === -1) gaveUp('lost', '');
  },
  info: (line, fields) => say('info', line, fields),
  warn: (line, fields = {}) => {
    const { error } = fields;
    say('warn', line, fields);
    if (line.startsWith('cannot begin') || line.startsWith('the leader could not assign')) {
      gaveUp('not begun', `${line}: ${String(error)}`);
    }
  },
  error: (line, fields) => say('error', line, fields),
};

try {
  history.writeNow({ kind: 'worker', at: nowMs(), worker: name, event: 'started' });
  const muster = await connect({ cluster, servers: [...servers], name, waitOnFirstConnect: true, logger });
  const consumer = await muster.consumer<{ readonly id: number }>({
    group,
    topics: [topic],
    sessionTimeoutMs,
    heartbeatIntervalMs: Math.min(1_000, sessionTimeoutMs / 3),
    commit: { kind: 'manual' },
  });
  const committing = setInterval(() => void commit(consumer), COMMIT_EVERY_MS);
  let isEnding = false;
  const end = (): void => {
    if (isEnding) return;
    isEnding = true;
    clearInterval(committing);
    history.writeNow({ kind: 'worker', at: nowMs(), worker: name, event: 'stopping' });
    void consumer.close({ timeoutMs: 8_000 });
  };
  process.once('SIGTERM', end);
  process.on('SIGINT', () => {});
  process.once('disconnect', end);
  for await (const message of consumer) {
    const { partition, offset, generation, memberId: member, value } = message;
    // Before the ack: what a kill takes with it must not look handled by nobody.
    const what = { group, member, generation, partition, offset, id: value.id };
    history.writeNow({ kind: 'handled', at: nowMs(), ...what });
    message.ack();
  }
  await muster.close();
  history.writeNow({ kind: 'worker', at: nowMs(), worker: name, event: 'stopped' });
} catch (error) {
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
  history.writeNow({ kind: 'worker', at: nowMs(), worker: name, event: 'failed', detail });
  // The connection may be what failed, and would keep the process: whoever supervises it starts another.
  process.exit(1);
}
await history.close();
if (process.connected) process.disconnect();

function say(level: string, line: string, fields: object = {}): void {
  process.stdout.write(`${new Date().toISOString()} ${level} ${line} ${JSON.stringify(fields)}\n`);
}

function gaveUp(why: 'revoked' | 'lost' | 'not begun', detail: string): void {
  history.writeNow({ kind: 'gave-up', at: nowMs(), group, worker: name, why, detail });
}

function follow(channel: string, change: (partition: number) => void): void {
  subscribe(channel, (message) => {
    const { generation, memberId: member, partitions = [] } = message as MemberEvent;
    for (const { partition } of partitions) change(partition);
    const held = [...owned].sort((a, b) => a - b);
    history.writeNow({ kind: 'assignment', at: nowMs(), group, member, generation, partitions: held });
    tell({ kind: 'owns', group, partitions: owned.size });
  });
}

async function commit(consumer: Consumer<{ readonly id: number }>): Promise<void> {
  if (isCommitting) return;
  isCommitting = true;
  const at = nowMs();
  let error = '';
  try {
    await consumer.commit();
  } catch (thrown) {
    error = thrown instanceof Error ? thrown.message : String(thrown);
  }
  const places = consumer.health().partitions.filter(({ committed }) => committed >= 0);
  const offsets = places.map(({ partition, committed }): readonly [number, number] => [partition, committed]);
  history.writeNow({ kind: 'api-commit', at, done: nowMs(), group, worker: name, offsets, error });
  isCommitting = false;
}
