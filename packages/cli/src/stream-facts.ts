/**
 * What JetStream itself says of topics: where partitions end, how many messages there are. Never changes anything.
 */

import type { TopicPartition } from '@muster/protocol';
import { MusterError, type TopicSpec } from '@muster/worker';
import { AckPolicy, DeliverPolicy, type JetStreamManager, NatsError, nanos, nuid, type StoredMsg } from 'nats';
import type { Session } from './session.js';

const NO_MESSAGE = 10_037;
/** JetStream's error code for a stream that does not exist. */
export const NO_STREAM = 10_059;
const REQUESTS_AT_ONCE = 16;
/** A consumer that could not be deleted goes by itself. */
const INACTIVE_MS = 5_000;

/** @returns the subject filter of one partition of a topic, or of all */
export function subjectOf(topic: TopicSpec, partition: number | '*'): string {
  return topic.subject.replace('{partition}', String(partition)).replace(/\{key\}$/, '>');
}

/** @returns JetStream's administration on the session's connection */
export function manager({ nats, connection }: Session): Promise<JetStreamManager> {
  return nats.jetstreamManager({ timeout: connection.timeoutMs, checkAPI: false });
}

/**
 * The offset after the last message of each partition. The partitions of a topic share the sequence of their stream, so the
 * lag in messages is less than the distance of two offsets.
 * @returns ends by `topic/partition`; empty partitions and topics that are not registered are missing
 */
export async function logEnds(
  session: Session,
  places: readonly TopicPartition[],
): Promise<ReadonlyMap<string, number>> {
  const ends = new Map<string, number>();
  const topics = await registered(session, [...new Set(places.map(({ topic }) => topic))]);
  const jetstream = await manager(session);
  await eachAtOnce(places, async ({ topic, partition }) => {
    const spec = topics.get(topic);
    const last = spec === undefined ? undefined : await lastOffset(jetstream, spec.stream, subjectOf(spec, partition));
    if (last !== undefined) ends.set(`${topic}/${partition}`, last + 1);
  });
  return ends;
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

async function lastOffset(jetstream: JetStreamManager, stream: string, subject: string): Promise<number | undefined> {
  return (await messageOrNothing(jetstream, stream, subject))?.seq;
}

/** @returns the last message of the subject; undefined where there is none, or no such stream */
export async function messageOrNothing(
  jetstream: JetStreamManager,
  stream: string,
  subject: string,
): Promise<StoredMsg | undefined> {
  try {
    return await jetstream.streams.getMessage(stream, { last_by_subj: subject });
  } catch (thrown) {
    const code = apiErrorOf(thrown);
    if (code === NO_MESSAGE || code === NO_STREAM) return undefined;
    throw thrown;
  }
}

/** @returns JetStream's own error code; undefined where something else failed */
export function apiErrorOf(thrown: unknown): number | undefined {
  return thrown instanceof NatsError ? thrown.api_error?.err_code : undefined;
}

/** How many messages a subject has at or after an offset, without reading or listing any. */
export async function messageCount(
  jetstream: JetStreamManager,
  stream: string,
  subject: string,
  fromOffset = 1,
): Promise<number> {
  // A consumer that never reads: what the server says when it makes one is the answer.
  const { name, num_pending: count } = await jetstream.consumers.add(stream, {
    name: nuid.next(),
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: Math.max(1, fromOffset),
    filter_subject: subject,
    mem_storage: true,
    num_replicas: 1,
    inactive_threshold: nanos(INACTIVE_MS),
  });
  await jetstream.consumers.delete(stream, name);
  return count;
}

/** Runs for each item, a few at a time. */
export async function eachAtOnce<Item>(items: readonly Item[], run: (item: Item) => Promise<void>): Promise<void> {
  const waiting = [...items];
  const work = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await run(item);
  };
  await Promise.all(Array.from({ length: Math.min(REQUESTS_AT_ONCE, items.length) }, work));
}
