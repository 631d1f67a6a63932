/**
 * A rolling deploy of 6 worker processes, once with static ids and once with cooperative-sticky alone: every process gets SIGTERM, ends in
 * good order and is started again, while a producer keeps sending. Prints the partitions that moved, the longest time without delivery of
 * each partition, and duplicates; exits with 1 where a goal was missed.
 *
 *   node docs/examples/rolling-deploy.mjs [servers] [cluster]
 */

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { closeOnSignals, connect } from '@muster/worker';

const WORKERS = 6;
const PARTITIONS = 24;
const SEND_EVERY_MS = 20;
const [servers = 'nats://127.0.0.1:4222', cluster = 'default', ...role] = process.argv.slice(2);
const dial = () => connect({ servers: servers.split(','), cluster });

/** What runs in each worker process: a consumer that tells its parent what it owns and what it has handled. */
async function worker(topic, instanceId) {
  const muster = await dial();
  // What an orchestrator sends. A static member stays in the group: its next process gets the same partitions.
  const lastWord = () => process.send({ kind: 'closed' }, () => process.exit(0));
  closeOnSignals(muster, { leave: instanceId === undefined, onClosed: lastWord });
  // A worker must not outlive the deploy that it is part of.
  process.once('disconnect', () => process.exit(1));
  const tell = (kind) => (places) => void process.send({ kind, partitions: places.map((place) => place.partition) });
  const consumer = await muster.consumer({
    group: topic,
    topics: [topic],
    ...(instanceId === undefined ? {} : { instanceId }),
    onAssigned: tell('assigned'),
    onRevoked: tell('revoked'),
    onLost: tell('lost'),
  });
  await consumer.run({
    eachMessage: ({ partition, offset }) => void process.send({ kind: 'handled', partition, offset }),
  });
}

async function until(what, condition) {
  const giveUpAt = Date.now() + 30_000;
  while (!condition()) {
    if (Date.now() > giveUpAt) throw new Error(`not within 30 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** What all worker processes together have done. */
class Ledger {
  /** Partition -> slot that had it last; how often a partition changed its slot; how often one that stayed was interrupted. */
  slotOf = new Map();
  moved = 0;
  interrupted = 0;
  handled = new Map();
  deliveredAt = new Map();
  longestGapMs = new Map();

  /** Listens to the process of one slot. @returns the process, with what it owns */
  follow(slot, child) {
    const owned = new Set();
    const revoked = new Set();
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.on('message', ({ kind, partitions = [], partition, offset }) => {
      if (kind === 'handled') this.onHandled(partition, offset);
      if (kind === 'assigned') this.onAssigned(slot, partitions, revoked);
      for (const gone of kind === 'revoked' || kind === 'lost' ? partitions : []) {
        owned.delete(gone);
        revoked.add(gone);
      }
      for (const given of kind === 'assigned' ? partitions : []) owned.add(given);
    });
    return { child, owned, exited };
  }

  onAssigned(slot, given, revoked) {
    for (const partition of given) {
      if (revoked.has(partition)) this.interrupted += 1;
      if (this.slotOf.has(partition) && this.slotOf.get(partition) !== slot) this.moved += 1;
      this.slotOf.set(partition, slot);
    }
    revoked.clear();
  }

  onHandled(partition, offset) {
    const now = performance.now();
    const place = `${partition}/${offset}`;
    this.handled.set(place, (this.handled.get(place) ?? 0) + 1);
    const gapMs = now - (this.deliveredAt.get(partition) ?? now);
    this.longestGapMs.set(partition, Math.max(this.longestGapMs.get(partition) ?? 0, gapMs));
    this.deliveredAt.set(partition, now);
  }

  /** What came before the deploy does not count. */
  reset() {
    this.moved = 0;
    this.interrupted = 0;
    this.longestGapMs.clear();
  }
}

async function deploy(admin, isStatic) {
  const topic = `deploy-${isStatic ? 'static' : 'cooperative'}-${Date.now()}`;
  await admin.topics.create({ name: topic, partitions: PARTITIONS, storage: 'memory' });
  const ledger = new Ledger();
  const slots = [];
  const start = (slot) => {
    const id = isStatic ? [`worker-${slot}`] : [];
    const child = fork(fileURLToPath(import.meta.url), [servers, cluster, topic, ...id]);
    slots[slot] = ledger.follow(slot, child);
  };
  const isBalanced = () => slots.every(({ owned }) => owned.size === PARTITIONS / WORKERS);

  for (let slot = 0; slot < WORKERS; slot += 1) start(slot);
  await until('balanced', isBalanced);
  const producer = await admin.producer({ topic });
  let sent = 0;
  const sending = setInterval(() => {
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      sent += 1;
      void producer.send({ key: `k${partition}`, partition, value: sent });
    }
  }, SEND_EVERY_MS);
  await until('every partition delivers', () => ledger.deliveredAt.size === PARTITIONS);
  ledger.reset();

  for (let slot = 0; slot < WORKERS; slot += 1) {
    // What an orchestrator does: SIGTERM, wait, start the new version.
    slots[slot].child.kill('SIGTERM');
    const code = await slots[slot].exited;
    if (code !== 0) throw new Error(`worker ${slot} ended with ${code}`);
    start(slot);
    await until('balanced again', isBalanced);
  }
  clearInterval(sending);
  await producer.close();
  await until('everything is handled', () => ledger.handled.size === sent);
  for (const { child } of slots) child.kill('SIGTERM');
  await Promise.all(slots.map(({ exited }) => exited));
  const gaps = [...ledger.longestGapMs.values()].sort((a, b) => a - b).map(Math.round);
  return {
    mode: isStatic ? 'static ids' : 'cooperative-sticky',
    messages: sent,
    partitionsMoved: ledger.moved,
    stayingPartitionsInterrupted: ledger.interrupted,
    longestWithoutDeliveryMs: { median: gaps[gaps.length >> 1], worst: gaps.at(-1), ofEachPartition: gaps },
    duplicates: [...ledger.handled.values()].filter((times) => times > 1).length,
  };
}

async function main() {
  const admin = await dial();
  const results = [await deploy(admin, true), await deploy(admin, false)];
  await admin.close();
  for (const result of results) console.log(JSON.stringify(result));
  const [fixed, cooperative] = results;
  const isGood =
    fixed.partitionsMoved === 0 &&
    cooperative.stayingPartitionsInterrupted === 0 &&
    results.every(({ duplicates }) => duplicates === 0);
  console.log(isGood ? 'all goals met' : 'A GOAL WAS MISSED');
  process.exitCode = isGood ? 0 : 1;
}

if (role.length > 0) await worker(...role);
else await main();
