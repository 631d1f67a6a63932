// Numbers for topics, partitions and subscriptions, so that the assignors work on integers and typed arrays.
// Does not decide anything.
//
// N1: topics are numbered by name, partitions by (topic name, partition number): ascending numbers are that order.
// N2: only topics that are subscribed by somebody and known have numbers.

import type { TopicPartition } from '@muster/protocol';
import type { Assignment, AssignorMember, PartitionCounts } from './assignor.js';
import { compareText } from './member-order.js';

/** Stands for "no member" where a typed array holds member numbers. */
export const NOBODY = -1;

export class PartitionSpace {
  readonly topicCount: number;
  readonly partitionCount: number;
  /** The members, in the order given; a member's number is its place here. */
  readonly members: readonly AssignorMember[];
  /** By topic number: the numbers of its subscribers, ascending. */
  readonly subscribersOf: readonly (readonly number[])[];
  /** By member number: the numbers of the known topics it subscribes to. */
  readonly topicsOf: readonly ReadonlySet<number>[];
  readonly #topics: readonly string[];
  readonly #numberOfTopic: ReadonlyMap<string, number>;
  /** By topic number the number of its first partition, and one entry more for the end. */
  readonly #firstOf: Int32Array;
  readonly #topicOf: Int32Array;

  constructor(partitionCounts: PartitionCounts, members: readonly AssignorMember[]) {
    const subscribed = new Set(members.flatMap((member) => member.subscription.topics));
    this.members = members;
    this.#topics = [...subscribed].filter((topic) => knownCount(partitionCounts, topic) > 0).sort(compareText);
    this.topicCount = this.#topics.length;
    this.#numberOfTopic = new Map(this.#topics.map((topic, number) => [topic, number]));
    this.#firstOf = new Int32Array(this.topicCount + 1);
    for (const [number, topic] of this.#topics.entries()) {
      this.#firstOf[number + 1] = this.firstPartitionOf(number) + knownCount(partitionCounts, topic);
    }
    this.partitionCount = this.firstPartitionOf(this.topicCount);
    this.#topicOf = new Int32Array(this.partitionCount);
    for (let topic = 0; topic < this.topicCount; topic++) {
      this.#topicOf.fill(topic, this.firstPartitionOf(topic), this.firstPartitionOf(topic + 1));
    }
    this.topicsOf = members.map((member) => this.#numbersOf(member.subscription.topics));
    const subscribersOf: number[][] = this.#topics.map(() => []);
    for (const [member, topics] of this.topicsOf.entries()) {
      for (const topic of topics) {
        subscribersOf[topic]?.push(member);
      }
    }
    this.subscribersOf = subscribersOf;
  }

  /** The number of the first partition of the topic; of topic n + 1 it is also the end of topic n. */
  firstPartitionOf(topic: number): number {
    return this.#firstOf[topic] ?? this.partitionCount;
  }

  topicOfPartition(partition: number): number {
    return this.#topicOf[partition] ?? NOBODY;
  }

  /** The number of a partition, or undefined when its topic is unknown or too small to have it. */
  numberOf(partition: TopicPartition): number | undefined {
    const topic = this.#numberOfTopic.get(partition.topic);
    if (topic === undefined || !Number.isInteger(partition.partition) || partition.partition < 0) {
      return undefined;
    }
    const number = this.firstPartitionOf(topic) + partition.partition;
    return number < this.firstPartitionOf(topic + 1) ? number : undefined;
  }

  /** The partition of a number. */
  partitionAt(partition: number): TopicPartition {
    const topic = this.topicOfPartition(partition);
    return { topic: this.#topics[topic] ?? '', partition: partition - this.firstPartitionOf(topic) };
  }

  /** Where a partition stands in its topic. */
  partitionWithinTopic(partition: number): number {
    return partition - this.firstPartitionOf(this.topicOfPartition(partition));
  }

  /** The assignment in which partition p belongs to member `ownerOf[p]`, with an entry for every member. */
  assignmentFrom(ownerOf: Int32Array): Assignment {
    const lists: TopicPartition[][] = this.members.map(() => []);
    for (let partition = 0; partition < this.partitionCount; partition++) {
      lists[ownerOf[partition] ?? NOBODY]?.push(this.partitionAt(partition));
    }
    return new Map(this.members.map((member, number) => [member.memberId, lists[number] ?? []]));
  }

  #numbersOf(topics: readonly string[]): Set<number> {
    const numbers = new Set<number>();
    for (const topic of topics) {
      const number = this.#numberOfTopic.get(topic);
      if (number !== undefined) {
        numbers.add(number);
      }
    }
    return numbers;
  }
}

function knownCount(partitionCounts: PartitionCounts, topic: string): number {
  const count = partitionCounts.get(topic) ?? 0;
  return Number.isSafeInteger(count) && count > 0 ? count : 0;
}
