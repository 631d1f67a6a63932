/**
 * What the registry and JetStream itself say, beside what the worker library answers. Never changes anything.
 */

import { MusterError, type TopicSpec } from '@muster/worker';
import type { JetStreamManager } from 'nats';
import type { Session } from './session.js';

const REQUESTS_AT_ONCE = 16;

/** @returns the subject filter of one partition of a topic, or of all */
export function subjectOf(topic: TopicSpec, partition: number | '*'): string {
  return topic.subject.replace('{partition}', String(partition)).replace(/\{key\}$/, '>');
}

/** @returns what to say of a partition that is none of the topic's; undefined where it is one, or the topic is not known */
export function noSuchPartition(topic: TopicSpec | undefined, partition: number): string | undefined {
  if (topic === undefined || partition < topic.partitions) return undefined;
  const { name, partitions } = topic;
  const which = partitions === 1 ? 'one partition, 0' : `partitions 0 to ${partitions - 1}`;
  return `the topic ${JSON.stringify(name)} has ${which}: there is no ${partition}`;
}

/** @returns JetStream's administration on the session's connection */
export function manager({ nats, connection }: Session): Promise<JetStreamManager> {
  return nats.jetstreamManager({ ...connection.jetStream, timeout: connection.timeoutMs, checkAPI: false });
}

/** @returns the topics that exist, by name */
export async function registered(
  { muster }: Session,
  names: readonly string[],
): Promise<ReadonlyMap<string, TopicSpec>> {
  const topics = new Map<string, TopicSpec>();
  for (const name of names) {
    try {
      topics.set(name, await muster.topics.describe(name));
    } catch (thrown) {
      if (!(thrown instanceof MusterError) || thrown.code !== 'UNKNOWN_TOPIC') throw thrown;
    }
  }
  return topics;
}

/** Runs for each item, a few at a time. */
export async function eachAtOnce<Item>(items: readonly Item[], run: (item: Item) => Promise<void>): Promise<void> {
  const waiting = [...items];
  const work = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await run(item);
  };
  await Promise.all(Array.from({ length: Math.min(REQUESTS_AT_ONCE, items.length) }, work));
}
