import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { NumberedQueue } from './numbered-queue.js';

test('a queue that was never used owns no array', () => {
  expect(new NumberedQueue<string>().capacity).toBe(0);
});

test('an empty queue owns no array, however large it was', () => {
  const queue = new NumberedQueue<number>();
  queue.push(0, 0);
  expect(queue.capacity).toBeLessThanOrEqual(4);
  queue.shift();
  expect(queue.capacity).toBe(0);
  for (let i = 0; i < 100; i += 1) queue.push(i, i);
  expect(queue.capacity).toBe(128);
  for (let i = 0; i < 100; i += 1) expect(queue.shift()).toBe(i);
  expect(queue.capacity).toBe(0);
});

test('drain hands out the items oldest first, also when the ring has wrapped, and frees it', () => {
  const queue = new NumberedQueue<string>();
  for (const item of ['a', 'b', 'c', 'd']) queue.push(item, 1);
  queue.shift();
  queue.shift();
  queue.push('e', 5);
  expect(queue.oldestNumber).toBe(1);
  expect(queue.drain()).toEqual(['c', 'd', 'e']);
  expect(queue.capacity).toBe(0);
  expect(queue.oldestNumber).toBeUndefined();
  expect(queue.drain()).toEqual([]);
});

test('a slot that was left does not keep its item alive', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const queue = new NumberedQueue<object>();
  let collected = false;
  const registry = new FinalizationRegistry(() => {
    collected = true;
  });
  // In a function of its own, so that no frame of the test holds the item.
  const passThrough = () => {
    const item = { name: 'left' };
    registry.register(item, undefined);
    queue.push(item, 1);
    queue.push({ name: 'stays' }, 2);
    queue.shift();
  };
  passThrough();
  const sawIt = () => {
    collect();
    return collected;
  };
  await expect.poll(sawIt, { timeout: 5000 }).toBe(true);
  expect(queue.count).toBe(1);
});
