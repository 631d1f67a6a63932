/**
 * A map keyed by topic and partition. One inner map per topic: a group with many partitions stores each topic name once.
 */

import type { TopicPartition } from './commands.js';

export class PartitionMap<V> {
  readonly #topics = new Map<string, Map<number, V>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(topic: string, partition: number): V | undefined {
    return this.#topics.get(topic)?.get(partition);
  }

  has(topic: string, partition: number): boolean {
    return this.#topics.get(topic)?.has(partition) ?? false;
  }

  set(topic: string, partition: number, value: V): void {
    let partitions = this.#topics.get(topic);
    if (partitions === undefined) {
      partitions = new Map();
      this.#topics.set(topic, partitions);
    }
    const before = partitions.size;
    partitions.set(partition, value);
    this.#size += partitions.size - before;
  }

  /** @returns whether there was a value */
  delete(topic: string, partition: number): boolean {
    const partitions = this.#topics.get(topic);
    if (partitions?.delete(partition) !== true) return false;
    this.#size -= 1;
    if (partitions.size === 0) this.#topics.delete(topic);
    return true;
  }

  /** Deleting the entry at hand while walking is allowed. */
  *entries(): IterableIterator<TopicPartition & { readonly value: V }> {
    for (const [topic, partitions] of this.#topics) {
      for (const [partition, value] of partitions) yield { topic, partition, value };
    }
  }

  *values(): IterableIterator<V> {
    for (const partitions of this.#topics.values()) yield* partitions.values();
  }
}
