/**
 * The result for one item of a request about several: one that fails holds up no other, and none vanishes.
 */

import { errorName, type TopicPartition } from '@muster/protocol';
import { asMusterError, type MusterErrorCode } from './errors.js';
import { placeOf } from './lane.js';

export interface ItemResult<Item> {
  readonly item: Item;
  /** `NONE` where it worked. */
  readonly error: MusterErrorCode;
  /** What the error was about. */
  readonly detail?: string;
}

/** @returns what became of an item that could not be done */
export function failed<Item>(item: Item, thrown: unknown): ItemResult<Item> {
  const { code, message } = asMusterError(thrown, 'UNKNOWN_SERVER_ERROR');
  return { item, error: code, detail: message };
}

/** Does the same for each item, one after the other. @returns a result for each, in their order */
export async function eachItem<Item>(
  items: readonly Item[],
  call: (item: Item) => Promise<unknown>,
): Promise<ItemResult<Item>[]> {
  const results: ItemResult<Item>[] = [];
  for (const item of items) {
    try {
      await call(item);
      results.push({ item, error: 'NONE' });
    } catch (thrown) {
      results.push(failed(item, thrown));
    }
  }
  return results;
}

/** @returns a coordinator's answers about partitions, in the order in which they were asked for */
export function perPartition<Item extends TopicPartition>(
  items: readonly Item[],
  answers: readonly { readonly topic: string; readonly partition: number; readonly error: number }[],
): ItemResult<Item>[] {
  const errors = new Map(answers.map(({ topic, partition, error }) => [placeOf(topic, partition), error]));
  return items.map((item) => ({ item, error: errorName(errors.get(placeOf(item.topic, item.partition)) ?? -1) }));
}
