/**
 * A rolling deploy of 6 workers, once with static ids and once with cooperative-sticky alone: every worker is closed in good order
 * and started again, while a producer keeps sending. Prints the partitions that moved, the longest time without delivery of each
 * partition, and duplicates; exits with 1 where a goal was missed.
 *
 *   node docs/examples/rolling-deploy.mjs [servers] [cluster]
 */

import { connect } from '@muster/worker';

const WORKERS = 6;
const PARTITIONS = 24;
const SEND_EVERY_MS = 20;
const [servers = 'nats://127.0.0.1:4222', cluster = 'default'] = process.argv.slice(2);
const dial = () => connect({ servers: servers.split(','), cluster });
const admin = await dial();

async function until(what, condition) {
  const giveUpAt = Date.now() + 30_000;
  while (!condition()) {
    if (Date.now() > giveUpAt) throw new Error(`not within 30 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function deploy(isStatic) {
  const topic = `deploy-${isStatic ? 'static' : 'cooperative'}-${Date.now()}`;
  await admin.topics.create({ name: topic, partitions: PARTITIONS, storage: 'memory' });

  /** Partition -> slot that had it last; how often a partition changed its slot; how often one that stayed was interrupted. */
  const slotOf = new Map();
  let moved = 0;
  let interrupted = 0;
  const handled = new Map();
  const deliveredAt = new Map();
  const longestGapMs = new Map();
  const slots = [];

  const onMessage = ({ partition, offset }) => {
    const now = performance.now();
    const place = `${partition}/${offset}`;
    handled.set(place, (handled.get(place) ?? 0) + 1);
    const gapMs = now - (deliveredAt.get(partition) ?? now);
    longestGapMs.set(partition, Math.max(longestGapMs.get(partition) ?? 0, gapMs));
    deliveredAt.set(partition, now);
  };
  const start = async (slot) => {
    const muster = await dial();
    const revoked = new Set();
    const consumer = await muster.consumer({
      group: topic,
      topics: [topic],
      ...(isStatic ? { instanceId: `worker-${slot}` } : {}),
      onAssigned: (given) => {
        for (const { partition } of given) {
          if (revoked.has(partition)) interrupted += 1;
          if (slotOf.has(partition) && slotOf.get(partition) !== slot) moved += 1;
          slotOf.set(partition, slot);
        }
        revoked.clear();
      },
      onRevoked: (taken) => {
        for (const { partition } of taken) revoked.add(partition);
      },
    });
    void consumer.run({ eachMessage: onMessage });
    slots[slot] = { muster, consumer };
  };
  const owned = () => slots.map(({ consumer }) => consumer.assignment().length);
  const isBalanced = () => owned().every((count) => count === PARTITIONS / WORKERS);

  for (let slot = 0; slot < WORKERS; slot += 1) await start(slot);
  await until('balanced', isBalanced);
  const producer = await admin.producer({ topic });
  let sent = 0;
  const sending = setInterval(() => {
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      sent += 1;
      void producer.send({ key: `k${partition}`, partition, value: sent });
    }
  }, SEND_EVERY_MS);
  await until('every partition delivers', () => deliveredAt.size === PARTITIONS);
  moved = 0;
  interrupted = 0;
  longestGapMs.clear();

  for (let slot = 0; slot < WORKERS; slot += 1) {
    // What an orchestrator does: SIGTERM, wait, start the new version. A static member stays in the group meanwhile.
    await slots[slot].muster.close({ leave: !isStatic });
    await start(slot);
    await until('balanced again', isBalanced);
  }
  clearInterval(sending);
  await producer.close();
  await until('everything is handled', () => handled.size === sent);
  await Promise.all(slots.map(({ muster }) => muster.close({ leave: true })));
  const gaps = [...longestGapMs.values()].sort((a, b) => a - b).map(Math.round);
  return {
    mode: isStatic ? 'static ids' : 'cooperative-sticky',
    messages: sent,
    partitionsMoved: moved,
    stayingPartitionsInterrupted: interrupted,
    longestWithoutDeliveryMs: { median: gaps[gaps.length >> 1], worst: gaps.at(-1), ofEachPartition: gaps },
    duplicates: [...handled.values()].filter((times) => times > 1).length,
  };
}

const results = [await deploy(true), await deploy(false)];
await admin.close();
for (const result of results) console.log(JSON.stringify(result));
const [fixed, cooperative] = results;
const isGood =
  fixed.partitionsMoved === 0 &&
  cooperative.stayingPartitionsInterrupted === 0 &&
  results.every(({ duplicates }) => duplicates === 0);
console.log(isGood ? 'all goals met' : 'A GOAL WAS MISSED');
process.exitCode = isGood ? 0 : 1;
