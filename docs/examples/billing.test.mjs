/**
 * Unit tests of a handler with Muster in memory: real coordinator and worker code, no server, time that moves only when told.
 *
 *   node --test docs/examples/billing.test.mjs
 */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { createTestMuster } from '@muster/testkit';
import { billing } from './billing.mjs';

const topics = [
  { name: 'orders', partitions: 4 },
  { name: 'bad-orders', partitions: 1 },
];
let muster;
let charges;

beforeEach(async () => {
  muster = await createTestMuster({ topics });
  charges = [];
});
afterEach(() => muster.close());

async function start(worker) {
  const options = {
    group: 'billing',
    topics: ['orders'],
    sessionTimeoutMs: 10_000,
    onFailure: { kind: 'retry', attempts: 3, lastly: { kind: 'dead-letter', topic: 'bad-orders' } },
  };
  const consumer = await muster.consumer(options, worker);
  const charge = async (customer, total) => charges.push(`${customer} ${total}`);
  void consumer.run({ eachMessage: billing(charge) });
  return consumer;
}

test('charges every order and commits it', async () => {
  await muster.produce('orders', { key: 'ann', value: { total: 4 } }, { key: 'bob', value: { total: 5 } });
  const consumer = await start('a');
  await muster.until(() => charges.length === 2);
  await muster.settle(consumer.close());
  assert.deepEqual(charges.sort(), ['ann 4', 'bob 5']);
  assert.equal(Object.keys(await muster.committed('billing')).length, 4);
});

test('moves an order without a total away after three attempts and goes on', async () => {
  await muster.produce('orders', { key: 'ann', value: {} }, { key: 'ann', value: { total: 6 } });
  await start('a');
  await muster.until(() => charges.length === 1);
  const [letter] = await muster.messages('bad-orders');
  assert.equal(letter.headers['Muster-Dead-Attempts'], '3');
  assert.match(letter.headers['Muster-Dead-Error'], /needs a total/);
});

test('takes over from a worker that crashed, without losing an order', async () => {
  await start('a');
  muster.crash('a');
  await muster.produce('orders', { key: 'ann', value: { total: 7 } });
  const survivor = await start('b');
  await muster.until(() => survivor.assignment().length === 4);
  await muster.until(() => charges.includes('ann 7'));
});
