/**
 * A producer and a consumer in one process. Start it several times: the partitions are shared.
 *
 *   node docs/examples/quickstart.mjs [servers] [cluster] [stop after so many messages]
 */

import { closeOnSignals, connect } from '@muster/worker';

const [servers = 'nats://127.0.0.1:4222', cluster = 'default', limit = 'none'] = process.argv.slice(2);
const muster = await connect({ servers: servers.split(','), cluster });
// SIGTERM and Ctrl-C: running handlers end, what is handled is committed, the partitions go to the others at once.
closeOnSignals(muster);

await muster.topics.create({ name: 'orders', partitions: 12 });
const producer = await muster.producer({ topic: 'orders' });
await Promise.all(Array.from({ length: 100 }, (_, n) => producer.send({ key: `customer-${n % 20}`, value: { n } })));

const consumer = await muster.consumer({ group: 'billing', topics: ['orders'] });
let handled = 0;
for await (const message of consumer) {
  handled += 1;
  console.log(
    `${message.topic}/${message.partition}@${message.offset} ${message.key} ${JSON.stringify(message.value)}`,
  );
  message.ack(); // handled: the commit follows by itself
  if (handled === Number(limit)) break;
}
await muster.close();
