/**
 * The producer of a chaos run: numbered messages at a steady rate over all topics. Writes down what JetStream has acknowledged.
 */

import { connect, type Producer } from '@muster/worker';
import { HistoryWriter, nowMs } from './history.js';
import { readProducerSettings, tell } from './messages.js';

const SLICE_MS = 20;
const KEYS = 500;
const UNANSWERED_MAX = 2_000;

const { servers, cluster, historyFolder, topics, perSecond } = readProducerSettings(process.argv[2]);
const history = new HistoryWriter(historyFolder, 'producer');
let acknowledged: number[] = [];
let sent = 0;
let unanswered = 0;

const muster = await connect({ cluster, servers: [...servers], name: 'chaos-producer', waitOnFirstConnect: true });
const producers = await Promise.all(topics.map((topic) => muster.producer<{ id: number }>({ topic })));
const startedAt = performance.now();
const pacing = setInterval(sendWhatIsDue, SLICE_MS);
const flushing = setInterval(flush, 200);
tell({ kind: 'ready' });

process.on('SIGINT', () => {});
process.once('disconnect', () => process.exit(0));
process.once('SIGTERM', () => void end());

let due = 0;
function sendWhatIsDue(): void {
  const dueNow = Math.floor(((performance.now() - startedAt) / 1_000) * perSecond);
  for (; due < dueNow; due += 1) {
    // While NATS is away nothing is piled up: the rate is a rate, not a debt.
    const producer = producers[sent % producers.length];
    if (producer === undefined || unanswered >= UNANSWERED_MAX) continue;
    sent += 1;
    void send(producer, sent);
  }
}

async function send(producer: Producer<{ id: number }>, id: number): Promise<void> {
  unanswered += 1;
  try {
    await producer.send({ key: `key-${id % KEYS}`, value: { id } });
    acknowledged.push(id);
  } catch {
    // Not acknowledged: nothing is promised about it.
  }
  unanswered -= 1;
}

function flush(): void {
  if (acknowledged.length === 0) return;
  history.write({ kind: 'produced', at: nowMs(), ids: acknowledged });
  acknowledged = [];
}

async function end(): Promise<void> {
  clearInterval(pacing);
  await Promise.race([
    Promise.all(producers.map((producer) => producer.flush())),
    new Promise((resolve) => setTimeout(resolve, 10_000)),
  ]);
  clearInterval(flushing);
  flush();
  await history.close();
  await muster.close({ timeoutMs: 2_000 });
  process.exit(0);
}
