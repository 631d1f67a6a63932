/**
 * The library for workers: consumers, plain members, producers, topics and administration over one NATS connection.
 */

export {
  type Assignor,
  cooperativeStickyAssignor,
  rangeAssignor,
  roundRobinAssignor,
  stickyAssignor,
} from '@muster/assignors';
export { Admin, type ItemResult, type PartitionLag, type PartitionOffset } from './admin.js';
export { type Cancel, type Clock, type Environment, systemClock } from './clock.js';
export { bytesCodec, type Codec, jsonCodec, msgpackCodec, stringCodec } from './codecs.js';
export type { CommitPolicy } from './committer.js';
export { type CloseOptions, Consumer, type ConsumerHealth, type RunOptions } from './consumer.js';
export { HandlerFailedError, MusterError, type MusterErrorCode } from './errors.js';
export type { MemberEvent } from './events.js';
export type { FailurePolicy } from './failure-policy.js';
export { type Logger, silentLogger } from './logger.js';
export { type Holding, Member, type PlainMemberOptions } from './member.js';
export type { OfferedProtocol } from './member-handler.js';
export type { Message } from './message.js';
export { type ConnectOptions, connect, Muster, type ProducerOptions } from './muster.js';
export type { ConsumerOptions, MemberOptions } from './options.js';
export type { OwnershipHooks } from './ownership.js';
export { type OutgoingMessage, Producer, type ProducerLimits, type Stored } from './producer.js';
export type { Start, StartFallback } from './start-offset.js';
export type {
  Bucket,
  Headers,
  PublishOutcome,
  ReaderConfig,
  ReaderEvents,
  StreamBounds,
  StreamConfig,
  StreamMessage,
  StreamReader,
  Streams,
} from './streams.js';
export { type Key, type KeyHash, partitionOfKey, type TopicSpec } from './topic.js';
export { type TopicOptions, Topics } from './topics.js';
export type { ConnectionEvent, Incoming, Transport, Unsubscribe } from './transport.js';
