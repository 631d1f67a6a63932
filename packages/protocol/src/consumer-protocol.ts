// The opaque bytes of the "consumer" embedded protocol: Subscription and Assignment, versions 0 to 3, and the user data
// of the two sticky assignors. Byte for byte what Kafka clients write, so that clients of both kinds can share a group.
// Does not interpret them (that is @muster/assignors), does not limit their size (the transport does).
//
// C1: decoding never throws: malformed bytes are `{ kind: 'malformed' }`, for parseSubscribedTopics `undefined`.
// C2: what is absent has one form: no generation is NO_GENERATION, no rack and no user data are null.
// C3: encoding is canonical: the same value gives the same bytes whatever order its lists had, except for the
//     assignment, whose topics keep the order of first appearance.

import { BigEndianReader, BigEndianWriter, ConsumerProtocolEncodeError } from './big-endian.js';

export { ConsumerProtocolEncodeError };

/** The highest version known here, and the one written by default. */
export const CONSUMER_PROTOCOL_VERSION_MAX = 3;
/** Stands for "no generation yet" in subscriptions and user data. */
export const NO_GENERATION = -1;

/** Least bytes of one array entry: a string's length, a partition number, and a topic with its partition count. */
const STRING_BYTES_MIN = 2;
const PARTITION_BYTES = 4;
const TOPIC_PARTITIONS_BYTES_MIN = 6;

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

export interface ConsumerSubscription {
  readonly topics: readonly string[];
  readonly userData: Uint8Array | null;
  /** Version 1 and later; empty before. */
  readonly ownedPartitions: readonly TopicPartition[];
  /** Version 2 and later; NO_GENERATION before and for every negative number. */
  readonly generation: number;
  /** Version 3; null before and for the empty string. */
  readonly rackId: string | null;
}

export interface ConsumerAssignment {
  readonly partitions: readonly TopicPartition[];
  readonly userData: Uint8Array | null;
}

/** What the sticky assignor keeps between rebalances. */
export interface StickyUserData {
  readonly partitions: readonly TopicPartition[];
  readonly generation: number;
}

export type ConsumerProtocolDecoded<Value> =
  | { readonly kind: 'decoded'; readonly version: number; readonly value: Value }
  | { readonly kind: 'malformed'; readonly reason: string };

function compareText(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

function requireVersion(version: number): void {
  if (!Number.isInteger(version) || version < 0 || version > CONSUMER_PROTOCOL_VERSION_MAX) {
    throw new ConsumerProtocolEncodeError(`version ${version} is not one of 0 to ${CONSUMER_PROTOCOL_VERSION_MAX}`);
  }
}

/** Topics in order of first appearance, partitions in the order given. */
function writeTopicPartitions(writer: BigEndianWriter, partitions: readonly TopicPartition[]): void {
  const byTopic = new Map<string, number[]>();
  for (const { topic, partition } of partitions) {
    const numbers = byTopic.get(topic);
    if (numbers === undefined) {
      byTopic.set(topic, [partition]);
    } else {
      numbers.push(partition);
    }
  }
  writer.int32(byTopic.size, 'the number of topics');
  for (const [topic, numbers] of byTopic) {
    writer.nullableString(topic, 'a topic name');
    writer.int32(numbers.length, 'the number of partitions');
    for (const partition of numbers) {
      writer.int32(partition, 'a partition number');
    }
  }
}

function readTopicPartitions(reader: BigEndianReader): TopicPartition[] {
  const partitions: TopicPartition[] = [];
  const topicCount = reader.count(TOPIC_PARTITIONS_BYTES_MIN, 'a list of topics with partitions');
  for (let index = 0; index < topicCount && reader.problem === undefined; index++) {
    const topic = reader.string('a topic name');
    const partitionCount = reader.count(PARTITION_BYTES, 'a list of partitions');
    for (let seen = 0; seen < partitionCount; seen++) {
      partitions.push({ topic, partition: reader.int32('a partition number') });
    }
  }
  return partitions;
}

function readTopics(reader: BigEndianReader): string[] {
  const topics: string[] = [];
  const topicCount = reader.count(STRING_BYTES_MIN, 'the list of topics');
  for (let index = 0; index < topicCount && reader.problem === undefined; index++) {
    topics.push(reader.string('a topic name'));
  }
  return topics;
}

/** kafka: a version above the highest known is read as the highest, what follows is ignored; below 0 is an error. */
function readVersion(reader: BigEndianReader): number {
  const version = reader.int16('the version');
  if (version < 0) {
    reader.fail(`version ${version} is negative`);
  }
  return Math.min(version, CONSUMER_PROTOCOL_VERSION_MAX);
}

/**
 * The bytes of a subscription. Fields that `version` does not have are left out; topics and owned partitions are sorted.
 * Throws ConsumerProtocolEncodeError for an unknown version, a name above 32,767 bytes or a number beyond 32 bits.
 */
export function encodeSubscription(
  subscription: Pick<ConsumerSubscription, 'topics'> & Partial<ConsumerSubscription>,
  version: number = CONSUMER_PROTOCOL_VERSION_MAX,
): Uint8Array {
  requireVersion(version);
  const writer = new BigEndianWriter();
  writer.int16(version);
  writer.int32(subscription.topics.length, 'the number of topics');
  for (const topic of [...subscription.topics].sort(compareText)) {
    writer.nullableString(topic, 'a topic name');
  }
  writer.nullableBytes(subscription.userData ?? null);
  if (version >= 1) {
    const owned = [...(subscription.ownedPartitions ?? [])];
    owned.sort((left, right) => compareText(left.topic, right.topic) || left.partition - right.partition);
    writeTopicPartitions(writer, owned);
  }
  if (version >= 2) {
    writer.int32(subscription.generation ?? NO_GENERATION, 'the generation');
  }
  if (version >= 3) {
    writer.nullableString(subscription.rackId ?? null, 'the rack id');
  }
  return writer.finish();
}

/** The subscription in `bytes`, `version` being the one it was read as. Never throws. */
export function decodeSubscription(bytes: Uint8Array): ConsumerProtocolDecoded<ConsumerSubscription> {
  const reader = new BigEndianReader(bytes);
  const version = readVersion(reader);
  const topics = readTopics(reader);
  const userData = reader.nullableBytes('the user data');
  const ownedPartitions = version >= 1 ? readTopicPartitions(reader) : [];
  const generation = version >= 2 ? Math.max(reader.int32('the generation'), NO_GENERATION) : NO_GENERATION;
  const rackId = version >= 3 ? reader.nullableString('the rack id') : null;
  if (reader.problem !== undefined) {
    return { kind: 'malformed', reason: reader.problem };
  }
  const rackOrNull = rackId === '' ? null : rackId;
  return { kind: 'decoded', version, value: { topics, userData, ownedPartitions, generation, rackId: rackOrNull } };
}

/**
 * The bytes of an assignment; its layout is the same in all versions.
 * Throws ConsumerProtocolEncodeError like encodeSubscription.
 */
export function encodeAssignment(
  assignment: Pick<ConsumerAssignment, 'partitions'> & Partial<ConsumerAssignment>,
  version: number = CONSUMER_PROTOCOL_VERSION_MAX,
): Uint8Array {
  requireVersion(version);
  const writer = new BigEndianWriter();
  writer.int16(version);
  writeTopicPartitions(writer, assignment.partitions);
  writer.nullableBytes(assignment.userData ?? null);
  return writer.finish();
}

/** The assignment in `bytes`. Never throws. */
export function decodeAssignment(bytes: Uint8Array): ConsumerProtocolDecoded<ConsumerAssignment> {
  const reader = new BigEndianReader(bytes);
  const version = readVersion(reader);
  const partitions = readTopicPartitions(reader);
  const userData = reader.nullableBytes('the user data');
  if (reader.problem !== undefined) {
    return { kind: 'malformed', reason: reader.problem };
  }
  return { kind: 'decoded', version, value: { partitions, userData } };
}

/**
 * The topics a member subscribes to, as the coordinator reads them: any version number, then the version 0 prefix
 * (topics and user data), whatever follows (classic-protocol.md 1.1). Undefined when that does not parse. Never throws.
 */
export function parseSubscribedTopics(metadata: Uint8Array): readonly string[] | undefined {
  const reader = new BigEndianReader(metadata);
  // kafka: the coordinator does not look at the version, so a negative one is no error here.
  reader.int16('the version');
  const topics = readTopics(reader);
  reader.nullableBytes('the user data');
  return reader.problem === undefined ? topics : undefined;
}

/**
 * The user data of `sticky`: the previous assignment and, from version 1, its generation.
 * Throws ConsumerProtocolEncodeError for a name above 32,767 bytes or a number beyond 32 bits.
 */
export function encodeStickyUserData(previous: StickyUserData, version: 0 | 1 = 1): Uint8Array {
  const writer = new BigEndianWriter();
  writeTopicPartitions(writer, previous.partitions);
  if (version === 1) {
    writer.int32(previous.generation, 'the generation');
  }
  return writer.finish();
}

/** Reads version 1, else version 0 (no generation), else "owned nothing", as null is read. Never throws. */
export function decodeStickyUserData(userData: Uint8Array | null): StickyUserData {
  const reader = new BigEndianReader(userData ?? new Uint8Array(0));
  const partitions = readTopicPartitions(reader);
  if (reader.problem !== undefined) {
    return { partitions: [], generation: NO_GENERATION };
  }
  // The generation is the last field, so version 0 is exactly "the list was readable, four more bytes are not there".
  const generation = Math.max(reader.int32('the generation'), NO_GENERATION);
  return { partitions, generation: reader.problem === undefined ? generation : NO_GENERATION };
}

/** The user data of `cooperative-sticky`: the last generation, NO_GENERATION before the first assignment. */
export function encodeCooperativeStickyUserData(generation: number): Uint8Array {
  const writer = new BigEndianWriter();
  writer.int32(generation, 'the generation');
  return writer.finish();
}

/** The generation in it; NO_GENERATION for null, for unreadable bytes and for every negative number. Never throws. */
export function decodeCooperativeStickyUserData(userData: Uint8Array | null): number {
  const reader = new BigEndianReader(userData ?? new Uint8Array(0));
  const generation = reader.int32('the generation');
  return reader.problem === undefined ? Math.max(generation, NO_GENERATION) : NO_GENERATION;
}
