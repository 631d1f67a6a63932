/**
 * Reading topics without a group: an ordered JetStream consumer for each, which leaves no trace.
 */

import { decodeToken } from '@muster/protocol';
import type { Key, TopicSpec } from '@muster/worker';
import { type ConsumerOptsBuilder, consumerOpts, type JetStreamSubscription, type JsMsg } from 'nats';
import { exitCodes } from './exit-codes.js';
import { CliError } from './failure.js';
import { aborted } from './io.js';
import type { ShownMessage } from './message-writer.js';
import type { Session } from './session.js';
import { manager, noSuchPartition, subjectOf } from './stream-facts.js';
import type { TopicChoice } from './values.js';

const NANOS_PER_MS = 1_000_000;
/** The key token of a message without a key. */
const NO_KEY = '~';
const KEY_HEADER = 'Muster-Key';

/** Where to begin. */
export type From =
  | { readonly kind: 'earliest' }
  | { readonly kind: 'latest' }
  | { readonly kind: 'offset'; readonly offset: number }
  | { readonly kind: 'time'; readonly atMs: number };

/** Shows messages until the signal aborts. @throws MusterError UNKNOWN_TOPIC, CliError for a partition that is not there */
export async function lookAt(
  session: Session,
  choices: readonly TopicChoice[],
  from: From,
  signal: AbortSignal,
  onMessage: (message: ShownMessage) => Promise<void>,
): Promise<void> {
  const jetstream = session.nats.jetstream(session.connection.jetStream);
  const readers: JetStreamSubscription[] = [];
  const topics: [TopicSpec, readonly number[] | undefined][] = [];
  for (const { topic: name, partitions } of choices) {
    const topic = await session.muster.topics.describe(name);
    const missing = partitions?.find((partition) => partition >= topic.partitions);
    const why = missing === undefined ? undefined : noSuchPartition(topic, missing);
    if (why !== undefined) throw new CliError(exitCodes.notFound, why, 'leave out the partitions to see all of them');
    topics.push([topic, partitions]);
  }
  if (from.kind === 'offset') for (const [topic] of topics) await sayWhereEndIs(session, topic, from.offset);
  try {
    for (const [topic, partitions] of topics) {
      const options = startOf(consumerOpts(), from).orderedConsumer().bindStream(topic.stream);
      readers.push(await jetstream.subscribe(filterOf(topic, partitions), options));
    }
    const reading = readers.map(async (reader, at) => {
      const [topic, partitions] = topics[at] ?? [];
      for await (const message of reader) {
        const shown = topic === undefined ? undefined : shownMessage(topic, message);
        if (shown !== undefined && (partitions === undefined || partitions.includes(shown.partition)))
          await onMessage(shown);
      }
    });
    // A reader ends by itself only when it has failed.
    await Promise.race([aborted(signal), ...reading]);
    if (!signal.aborted) throw new CliError(exitCodes.failed, 'reading ended: the stream or the connection is gone');
  } finally {
    for (const reader of readers) reader.unsubscribe();
  }
}

/** Nothing comes for as long as the stream has not got there: that should not look like an empty topic. */
async function sayWhereEndIs(session: Session, topic: TopicSpec, offset: number): Promise<void> {
  const { state } = await (await manager(session)).streams.info(topic.stream);
  const end = state.last_seq + 1;
  if (offset > end) session.io.err(`waiting for offset ${offset} of ${topic.name}: the end is ${end}\n`);
}

/** One filter only: several need nats-server 2.10. The rest is left out here. */
function filterOf(topic: TopicSpec, partitions: readonly number[] | undefined): string {
  const [only] = partitions?.length === 1 ? partitions : [];
  return only === undefined ? subjectOf(topic, '*') : subjectOf(topic, only);
}

function startOf(options: ConsumerOptsBuilder, from: From): ConsumerOptsBuilder {
  switch (from.kind) {
    case 'earliest':
      return options.deliverAll();
    case 'latest':
      return options.deliverNew();
    case 'offset':
      return options.startSequence(Math.max(1, from.offset));
    case 'time':
      return options.startTime(new Date(from.atMs));
    default:
      return unknownStart(from);
  }
}

function unknownStart(from: never): never {
  throw new Error(`unhandled start ${JSON.stringify(from)}`);
}

/** @returns the message; undefined where its subject is none of the topic's partitions */
function shownMessage(topic: TopicSpec, message: JsMsg): ShownMessage | undefined {
  const template = topic.subject.split('.');
  const tokens = message.subject.split('.');
  const partition = Number(tokens[template.indexOf('{partition}')]);
  if (!Number.isInteger(partition) || partition < 0 || partition >= topic.partitions) return undefined;
  const headers: Record<string, string> = {};
  for (const name of message.headers?.keys() ?? []) headers[name] = message.headers?.get(name) ?? '';
  const keyTokens = template.at(-1) === '{key}' ? tokens.slice(template.length - 1) : headers[KEY_HEADER]?.split('.');
  return {
    topic: topic.name,
    partition,
    offset: message.seq,
    timestampMs: message.info.timestampNanos / NANOS_PER_MS,
    key: keyOf(keyTokens ?? []),
    headers,
    value: message.data,
  };
}

function keyOf(tokens: readonly string[]): Key | undefined {
  const [first, ...others] = tokens;
  if (first === undefined || (first === NO_KEY && others.length === 0)) return undefined;
  const keys = tokens.map((token) => decodeToken(token) ?? token);
  const [only] = keys;
  return keys.length === 1 && only !== undefined ? only : keys;
}
