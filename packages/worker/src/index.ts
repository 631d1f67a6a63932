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
export { type CommitNote, encodeCommitNote, parseCommitNote } from '@muster/protocol';
export {
  Admin,
  type ClusterDescription,
  type CoordinatorDescription,
  type ItemResult,
  type NodeDescription,
  type ResetOptions,
} from './admin.js';
export type { Batch } from './batch.js';
export { type Cancel, type Clock, type Environment, systemClock } from './clock.js';
export { bytesCodec, type Codec, jsonCodec, msgpackCodec, stringCodec } from './codecs.js';
export type { CommitPolicy } from './committer.js';
export { type CloseOptions, Consumer } from './consumer.js';
export { type FailedPlace, HandlerFailedError, MusterError, type MusterErrorCode } from './errors.js';
export type { MemberEvent } from './events.js';
export type { DeadLetterPolicy, FailurePolicy, LastResort } from './failure-policy.js';
export type { ConsumerHealth, MemberHealth, OverallVerdict, PartitionHealth } from './health.js';
export type { PartitionLag } from './lag.js';
export {
  type GroupLook,
  type GroupProgress,
  LagMonitor,
  type LagMonitorOptions,
  type PartitionProgress,
  type WatchLagOptions,
} from './lag-monitor.js';
export { type Logger, silentLogger } from './logger.js';
export type { LagReading, TimedOperation } from './measured.js';
export { type Holding, Member, type PlainMemberOptions } from './member.js';
export type { OfferedProtocol } from './member-handler.js';
export type { Message } from './message.js';
export { type ConnectOptions, connect, Muster, type MusterHealth, type ProducerOptions } from './muster.js';
export type { JetStreamPlace } from './nats-streams.js';
export { parseOffsets } from './offset-file.js';
export type { OffsetReset, PartitionOffset, ResetTarget } from './offset-reset.js';
export type { ConsumerOptions, MemberOptions } from './options.js';
export type { OwnershipHooks } from './ownership.js';
export type { PartitionCount, PartitionEnd } from './partition-facts.js';
export type { Position } from './positions.js';
export { type OutgoingMessage, Producer, type ProducerLimits, type Stored } from './producer.js';
export { PROGRESS_WINDOW_MAX, type ProgressSample, type ProgressVerdict, ProgressWindow } from './progress.js';
export type { RunOptions } from './run-options.js';
export { type CloseOnSignalsOptions, type Closing, closeOnSignals } from './shutdown.js';
export type { Start, StartFallback } from './start-offset.js';
export type { StreamSubjects, SubjectTransform } from './stream-shape.js';
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
export { noTelemetry, openTelemetry, type Telemetry, type TracedMessage } from './telemetry.js';
export {
  type Key,
  type KeyHash,
  keyOf,
  partitionFilter,
  partitionOfKey,
  partitionOfSubject,
  streamSubjects,
  type TopicSpec,
} from './topic.js';
export { type AdoptOptions, type TopicOptions, Topics } from './topics.js';
export type { ConnectionEvent, Incoming, Transport, Unsubscribe } from './transport.js';
