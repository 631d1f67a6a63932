/**
 * Effects exactly once, although messages come at least once: the effect and the offset are written in one step, guarded by the
 * generation as a fencing token. The "database" is a map here; in SQL it is one transaction (see docs/worker.md).
 *
 *   node docs/examples/exactly-once.mjs [servers] [cluster]
 */

import { connect } from '@muster/worker';

const PARTITIONS = 4;
const MESSAGES = 200;
const [servers = 'nats://127.0.0.1:4222', cluster = 'default'] = process.argv.slice(2);

/** One row per partition: who wrote last under which generation, up to which offset, and the sum. */
const accounts = new Map();

/** The transaction: refuses an owner of an earlier generation, ignores an offset that is in already. */
function book({ partition, offset, generation, value }) {
  // In SQL: INSERT ... ON CONFLICT DO NOTHING. Without it the first UPDATE finds no row, which looks like being fenced.
  const row = accounts.get(partition) ?? { generation: -1, offset: -1, sum: 0 };
  if (generation < row.generation)
    throw new Error(`fenced: generation ${generation} is over, ${row.generation} has written`);
  // Also where there is nothing to add: from here on nobody of an earlier generation can write.
  const isNew = offset > row.offset;
  accounts.set(partition, isNew ? { generation, offset, sum: row.sum + value } : { ...row, generation });
  return isNew ? 'booked' : 'had it';
}

const muster = await connect({ servers: servers.split(','), cluster });
const topic = `payments-${Date.now()}`;
await muster.topics.create({ name: topic, partitions: PARTITIONS, storage: 'memory' });
const producer = await muster.producer({ topic });
await Promise.all(Array.from({ length: MESSAGES }, (_, n) => producer.send({ key: `k${n}`, value: 1 })));

let hadIt = 0;
/** Handles messages and never commits to Muster: every restart gets all of them again. */
async function worker() {
  const consumer = await muster.consumer({ group: topic, topics: [topic], commit: { kind: 'manual' } });
  let seen = 0;
  let last;
  const all = new Promise((resolve) => {
    consumer.run({
      eachMessage: (message) => {
        if (book(message) === 'had it') hadIt += 1;
        last = message;
        seen += 1;
        if (seen === MESSAGES) resolve();
      },
    });
  });
  await all;
  return { consumer, last };
}

const first = await worker();
await first.consumer.close();
// What was committed is lost, as if the process had died before any commit: everything comes again.
await muster.admin().resetOffsets(topic, { to: 'earliest' }, { topics: [topic], dryRun: false });
const second = await worker();

// A straggler of the first ownership wakes up and wants to write: its generation is over.
let fenced = 'not fenced';
try {
  book({ ...first.last, partition: first.last.partition, offset: 1e9, generation: first.last.generation, value: 1e6 });
} catch (error) {
  fenced = error.message;
}
await second.consumer.close();
await muster.close();

const sum = [...accounts.values()].reduce((total, row) => total + row.sum, 0);
console.log(JSON.stringify({ messages: MESSAGES, sum, redelivered: hadIt, straggler: fenced }));
process.exitCode = sum === MESSAGES && hadIt > 0 && fenced.startsWith('fenced') ? 0 : 1;
