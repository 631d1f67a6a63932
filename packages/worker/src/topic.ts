/**
 * A topic: a JetStream stream, a subject template, a partition count. Where a message of a key goes and what a reader of a
 * partition listens to.
 *
 * T1 the template has exactly one `{partition}` token, and `{key}` may be its last token.
 * T2 the partition of a key is FNV-1a over the key's subject tokens: what nats-server's own `{{partition(n, ...)}}` gives
 *    for the same tokens, so that foreign publishers behind a server mapping and our producer agree.
 */

import {
  decodeToken,
  encodeToken,
  murmur2Partition,
  natsPartition,
  TOPIC_LENGTH_MAX,
  utf8Encode,
} from '@muster/protocol';
import { MusterError } from './errors.js';

/** How keys become partitions; fixed for the life of a topic. `murmur2`: Kafka's default partitioner. */
export type KeyHash = 'fnv1a' | 'murmur2';

/** Everything that workers and producers need to know of a topic. */
export interface TopicSpec {
  readonly name: string;
  readonly stream: string;
  /** Such as `muster.default.t.orders.{partition}.{key}`. */
  readonly subject: string;
  readonly partitions: number;
  readonly keyHash: KeyHash;
  /**
   * Where to publish, such as `orders.{key}`, where the stream computes the partition itself (`subject_transform`); null where our
   * producers cannot publish into such a stream. Left out: under `subject`.
   */
  readonly publish?: string | null;
}

/** One token per element; a text is one token. */
export type Key = string | readonly string[];

export const PARTITIONS_MAX = 10_000;
/**
 * Longest subject of a message, in bytes. A server drops the connection at a protocol line above 4,096 bytes, which holds the subject,
 * the reply subject and some numbers.
 */
export const SUBJECT_BYTES_MAX = 2_048;
/** The key token of a message without a key. No key encodes to it. */
const NO_KEY = '~';
/** Carries the key where the template has no place for it. */
export const KEY_HEADER = 'Muster-Key';

const plainToken = /^[^\s.*>{}]+$/;

/** @returns the topic; throws MusterError INVALID_ARGUMENT that says what is wrong with it */
export function checkTopic(spec: TopicSpec): TopicSpec {
  const refuse = (why: string): never => {
    throw new MusterError('INVALID_ARGUMENT', `topic ${JSON.stringify(spec.name)}: ${why}`);
  };
  if (spec.name.length === 0 || spec.name.length > TOPIC_LENGTH_MAX)
    refuse(`a name has 1 to ${TOPIC_LENGTH_MAX} characters`);
  if (!/^[^\s.*>/\\]{1,255}$/.test(spec.stream)) refuse('the stream name has blanks, dots, wildcards or slashes');
  if (!Number.isInteger(spec.partitions) || spec.partitions < 1 || spec.partitions > PARTITIONS_MAX) {
    refuse(`partitions must be a whole number from 1 to ${PARTITIONS_MAX}`);
  }
  const tokens = spec.subject.split('.');
  const keyAt = tokens.indexOf('{key}');
  if (tokens.filter((token) => token === '{partition}').length !== 1) refuse('the subject needs one {partition} token');
  if (keyAt >= 0 && keyAt !== tokens.length - 1) refuse('{key} may only be the last token of the subject');
  if (!tokens.every((token) => token === '{partition}' || token === '{key}' || plainToken.test(token))) {
    refuse('a token of the subject is empty or has blanks or wildcards');
  }
  if (typeof spec.publish === 'string' && !/^(?:[^\s.*>{}]+\.)*\{key\}$/.test(spec.publish)) {
    refuse('publish must end with {key}, without {partition}');
  }
  return spec;
}

/** @returns the subject filter of one partition */
export function partitionFilter(topic: TopicSpec, partition: number): string {
  return topic.subject.replace('{partition}', String(partition)).replace(/\{key\}$/, '>');
}

/** @returns the partition of a message by its subject; undefined for a subject that is of no partition of the topic */
export function partitionOfSubject(topic: TopicSpec, subject: string): number | undefined {
  const token = subject.split('.')[topic.subject.split('.').indexOf('{partition}')] ?? '';
  const partition = /^\d+$/.test(token) ? Number(token) : -1;
  const isOurs = partition >= 0 && partition < topic.partitions && covers(partitionFilter(topic, partition), subject);
  return isOurs ? partition : undefined;
}

/** @returns the subjects of the topic's stream */
export function streamSubjects(topic: TopicSpec): string[] {
  return [topic.subject.replace('{partition}', '*').replace(/\{key\}$/, '>')];
}

/** @returns whether everything that a subject filter takes in is taken in by another */
export function covers(wide: string, narrow: string): boolean {
  const wides = wide.split('.');
  const narrows = narrow.split('.');
  for (const [at, token] of wides.entries()) {
    const other = narrows[at];
    if (token === '>') return other !== undefined;
    if (other === undefined || other === '>' || (token !== '*' && token !== other)) return false;
  }
  return wides.length === narrows.length;
}

/** @returns the subject tokens of a key */
export function keyTokens(key: Key): string[] {
  const tokens = typeof key === 'string' ? [key] : key;
  if (!Array.isArray(tokens) || !tokens.every((token) => typeof token === 'string') || tokens.length === 0) {
    throw new MusterError('INVALID_ARGUMENT', `a key is a text or a list of texts, not ${JSON.stringify(key)}`);
  }
  return tokens.map(encodeToken);
}

/** @returns the partition of a key */
export function partitionOfKey(topic: TopicSpec, key: Key): number {
  if (topic.keyHash === 'fnv1a') return natsPartition(keyTokens(key), topic.partitions);
  // kafka: the hash of the key's own bytes.
  return murmur2Partition(utf8Encode(typeof key === 'string' ? key : key.join('')), topic.partitions);
}

/** @returns the subject of a message; throws MusterError INVALID_ARGUMENT for a partition that does not exist or too long a key */
export function messageSubject(topic: TopicSpec, partition: number, key: Key | undefined): string {
  if (!Number.isInteger(partition) || partition < 0 || partition >= topic.partitions) {
    throw new MusterError('INVALID_ARGUMENT', `topic ${topic.name} has no partition ${partition}`);
  }
  if (topic.publish !== undefined) requireOwnPartition(topic, partition, key);
  const tokens = key === undefined ? NO_KEY : keyTokens(key).join('.');
  const template = topic.publish ?? topic.subject;
  const subject = template.replace('{partition}', String(partition)).replace(/\{key\}$/, () => tokens);
  if (subject.length > SUBJECT_BYTES_MAX) {
    const excess = `a key of ${tokens.length} bytes (encoded for a subject) is too long`;
    throw new MusterError(
      'INVALID_ARGUMENT',
      `${excess}: subject and key together have at most ${SUBJECT_BYTES_MAX} bytes`,
    );
  }
  return subject;
}

/** The stream puts a message where its key belongs, whatever we say. */
function requireOwnPartition(topic: TopicSpec, partition: number, key: Key | undefined): void {
  const refuse = (why: string): never => {
    throw new MusterError(
      'INVALID_ARGUMENT',
      `topic ${topic.name}: the stream ${topic.stream} computes the partition itself: ${why}`,
    );
  };
  if (topic.publish === null) refuse('publish under its own subjects, without this library');
  if (key === undefined) refuse('a message needs a key');
  else if (partition !== partitionOfKey(topic, key))
    refuse(`this key belongs to ${partitionOfKey(topic, key)}, not ${partition}`);
}

/** @returns whether messages carry their key in the subject */
export function hasKeyInSubject(topic: TopicSpec): boolean {
  return topic.subject.endsWith('{key}');
}

/** @returns the key of a message, several tokens as a list; undefined for a message without */
export function keyOf(topic: TopicSpec, subject: string, keyHeader: string | undefined): Key | undefined {
  const tokens = hasKeyInSubject(topic)
    ? subject.split('.').slice(topic.subject.split('.').length - 1)
    : (keyHeader?.split('.') ?? []);
  const [first, ...others] = tokens;
  if (first === undefined || (first === NO_KEY && others.length === 0)) return undefined;
  // A foreign publisher may use tokens that no text of ours encodes to: the token itself is the key then.
  const keys = tokens.map((token) => decodeToken(token) ?? token);
  const [only] = keys;
  return keys.length === 1 && only !== undefined ? only : keys;
}
