/**
 * Priorities: normal work waits while there is urgent work. Two topics, one consumer; the normal partitions are paused for as long as
 * urgent ones have something left.
 *
 *   node docs/examples/priorities.mjs [servers] [cluster]
 */

import { connect } from '@muster/worker';

const COUNT = 30;
const [servers = 'nats://127.0.0.1:4222', cluster = 'default'] = process.argv.slice(2);
const muster = await connect({ servers: servers.split(','), cluster });
const id = Date.now();
const [urgent, normal] = [`urgent-${id}`, `normal-${id}`];

for (const topic of [normal, urgent]) {
  await muster.topics.create({ name: topic, partitions: 2, storage: 'memory' });
  const producer = await muster.producer({ topic });
  await Promise.all(Array.from({ length: COUNT }, (_, n) => producer.send({ value: n })));
}

const order = [];
const consumer = await muster.consumer({ group: `jobs-${id}`, topics: [urgent, normal] });

/** Pauses or resumes what is normal, by what is left of what is urgent. */
function prioritise() {
  const { partitions } = consumer.health();
  const isUrgentLeft = partitions.some((p) => p.topic === urgent && (!p.isReading || p.behind > 0 || p.running > 0));
  const others = consumer.assignment().filter(({ topic }) => topic === normal);
  if (isUrgentLeft) consumer.pause(others);
  else consumer.resume(others);
}

prioritise();
const timer = setInterval(prioritise, 20);
await new Promise((resolve) => {
  consumer.run({
    eachMessage: async ({ topic }) => {
      await new Promise((done) => setTimeout(done, 5));
      order.push(topic === urgent ? 'urgent' : 'normal');
      if (order.length === 2 * COUNT) resolve();
    },
  });
});
clearInterval(timer);
await muster.close();
const urgentFirst = order.slice(0, COUNT).filter((kind) => kind === 'urgent').length;
console.log(JSON.stringify({ handled: order.length, urgentAmongTheFirst: urgentFirst, of: COUNT }));
process.exitCode = urgentFirst === COUNT ? 0 : 1;
