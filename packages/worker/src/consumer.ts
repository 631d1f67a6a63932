/**
 * The consumer: a member of a group that processes the messages of its partitions in order and commits what it handled.
 *
 * Puts the parts together; each rule lives in its part (membership, ownership, lane, dispatch, runner, committer, watchdog).
 */

import type { TopicPartition } from '@muster/protocol';
import type { Codec } from './codecs.js';
import { Committer } from './committer.js';
import { DeadLetters } from './dead-letters.js';
import type { Delivery } from './delivery.js';
import { Dispatch } from './dispatch.js';
import { asMusterError, MusterError, messageOf } from './errors.js';
import { type EventName, emit, type MemberEvent } from './events.js';
import { deadLetterTopics, lastResort } from './failure-policy.js';
import { HandedOut } from './handed-out.js';
import { type ConsumerHealth, healthOf } from './health.js';
import type { Lane } from './lane.js';
import { lanesAt, startingPoints } from './lanes-opening.js';
import type { Logger } from './logger.js';
import { Membership } from './membership.js';
import { type Message, toMessage } from './message.js';
import type { MusterContext } from './muster-context.js';
import {
  assignorSettings,
  type ConsumerOptions,
  type ConsumerSettings,
  consumerSettings,
  type MemberSettings,
  memberSettings,
  positive,
} from './options.js';
import { hooksIn, Ownership } from './ownership.js';
import { offsetOfPosition, type Position } from './positions.js';
import { handlingOf, type RunOptions } from './run-options.js';
import { Runner } from './runner.js';
import type { TopicSpec } from './topic.js';
import { deferred, withinMs } from './waiting.js';
import { Watchdog } from './watchdog.js';

export interface CloseOptions {
  /** Default: dynamic members leave, static ones stay for their session timeout. */
  readonly leave?: boolean;
  /** Everything together: drain, hooks, last commit, leave. Default 30,000 ms. */
  readonly timeoutMs?: number;
}

const CLOSE_TIMEOUT_MS = 30_000;
const CONCURRENCY = 16;
const COMMIT_TIMEOUT_MS = 10_000;
/** Part of a close that is kept for the last commit and the leave. */
const CLOSE_RESERVE = 0.25;

export class Consumer<Value> {
  readonly group: string;
  readonly #context: MusterContext;
  readonly #logger: Logger;
  readonly #settings: MemberSettings;
  readonly #own: ConsumerSettings;
  readonly #codec: Codec<Value>;
  readonly #options: ConsumerOptions<Value>;
  readonly #membership: Membership;
  readonly #ownership: Ownership;
  readonly #committer: Committer;
  readonly #dispatch: Dispatch;
  readonly #runner: Runner<Value>;
  readonly #watchdog: Watchdog;
  readonly #closed = deferred<void>();
  readonly #handedOut = new HandedOut();
  #topics: readonly string[];
  #use: 'unused' | 'run' | 'iterate' = 'unused';
  /** `for await` loops that have not ended. */
  #loops = 0;
  #failure: MusterError | undefined;
  #closing: Promise<void> | undefined;
  #isClosed = false;

  /** Use `muster.consumer`. Throws MusterError INVALID_ARGUMENT. */
  constructor(context: MusterContext, options: ConsumerOptions<Value>, codec: Codec<Value>) {
    this.#context = context;
    this.#options = options;
    this.#logger = options.logger ?? context.logger;
    this.#settings = memberSettings(options);
    this.#own = consumerSettings(options, this.#settings);
    this.#codec = codec;
    this.group = options.group;
    this.#topics = this.#declared(options.topics);
    this.#ownership = this.#makeOwnership();
    const { client, environment, clientId, clientHost } = context;
    const common = { client, environment, logger: this.#logger, ...this.#settings };
    const handler = this.#ownership;
    this.#membership = new Membership({ ...common, clientId, clientHost, protocolType: 'consumer', handler });
    this.#committer = new Committer({
      ...common,
      membership: this.#membership,
      resendMs: this.#settings.heartbeatIntervalMs,
      policy: options.commit ?? { kind: 'auto' },
      lanes: () => this.#ownership.lanes(),
    });
    this.#dispatch = new Dispatch({ mayDeliver: () => this.#membership.mayHandle() });
    this.#runner = this.#makeRunner();
    this.#watchdog = this.#makeWatchdog();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Joins the group. Resolves when the first assignment is in place; throws what the coordinator refused with. */
  async start(): Promise<void> {
    try {
      const last = [lastResort(this.#own.onFailure), this.#own.onDecodeFailure];
      for (const topic of deadLetterTopics(...last)) await this.#context.topics.describe(topic);
      await this.#context.topics.require(this.#options.topics);
    } catch (thrown) {
      await this.close();
      throw thrown;
    }
    this.#membership.start();
    void this.#membership.ended.then((error) => {
      if (error !== undefined) this.#fail(error);
    });
    await this.#firstAssignment();
    const { state } = this.#membership;
    if (state.kind === 'failed') this.#fail(state.error);
    if (this.#closing === undefined) return;
    await this.#closing;
    throw this.#failure ?? new MusterError('CLOSED', `the consumer of ${this.group}`);
  }

  /** Bounded, so that a cluster without coordinators is an error and not silence. */
  async #firstAssignment(): Promise<void> {
    const { clock } = this.#context.environment;
    const timeoutMs = this.#own.joinTimeoutMs;
    const outcome = await withinMs(clock, timeoutMs, this.#membership.firstStable);
    if (outcome.kind === 'done') return;
    await this.close({ timeoutMs: 1_000 });
    const advice = 'is a coordinator of this cluster running?';
    throw new MusterError('TIMEOUT', `no assignment of ${this.group} within ${timeoutMs} ms: ${advice}`);
  }

  /**
   * Handles messages with a function, partitions side by side.
   * @returns when the consumer is closed; throws HandlerFailedError or MusterError when it ended by a failure
   */
  async run(options: RunOptions<Value>): Promise<void> {
    this.#begin('run');
    const count = positive('concurrency', options.concurrency ?? CONCURRENCY);
    const handling = handlingOf(options);
    for (let worker = 0; worker < count; worker += 1) {
      this.#runner.work(handling).catch((thrown: unknown) => this.#fail(asMusterError(thrown, 'HANDLER_FAILED')));
    }
    // Not for the workers: one may hang in a handler that did not end in the time of the close.
    await this.#closed.promise;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Messages one by one; `message.ack()` marks them as handled. Ends at `close`, throws when the consumer failed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Message<Value>, void, void> {
    this.#begin('iterate');
    this.#dispatch.setExclusive(false);
    this.#watchdog.watchAcks();
    this.#loops += 1;
    try {
      while (true) {
        const delivery = await this.#dispatch.next();
        if (delivery === undefined) break;
        const message = await this.#runner.decode(delivery);
        if (message === undefined) continue;
        this.#handedOut.add(delivery);
        yield message;
      }
    } finally {
      this.#loops -= 1;
    }
    if (this.#failure !== undefined) {
      await this.#closed.promise;
      throw this.#failure;
    }
  }

  /**
   * Commits everything marked as handled; with offsets, marks everything before them first. An offset is that of the next
   * message to handle. Throws MusterError as `message.commit`, NOT_ASSIGNED, and OFFSET_OUT_OF_RANGE for an offset before the
   * first message not handled or beyond what was delivered.
   */
  async commit(offsets: readonly (TopicPartition & { readonly offset: number })[] = []): Promise<void> {
    for (const { offset, ...place } of offsets) this.#laneOf(place).markTo(offset);
    await this.#committer.flush([...this.#ownership.lanes()], COMMIT_TIMEOUT_MS);
  }

  /** Delivers nothing of these partitions (default: all owned) until `resume`. Ownership and reading ahead go on. */
  pause(partitions: readonly TopicPartition[] = this.assignment()): void {
    for (const lane of partitions.map((place) => this.#laneOf(place))) lane.pause();
  }

  /** Goes on with these partitions (default: all owned). Throws MusterError NOT_ASSIGNED, as `pause`. */
  resume(partitions: readonly TopicPartition[] = this.assignment()): void {
    for (const lane of partitions.map((place) => this.#laneOf(place))) lane.resume();
  }

  /** @returns the partitions that are paused; a partition that is given up and comes back is not */
  paused(): TopicPartition[] {
    return [...this.#ownership.lanes()].filter(({ isPaused }) => isPaused).map(({ place }) => place);
  }

  /**
   * Goes on elsewhere in a partition. What was delivered before it counts no more; the next commit says the new place.
   * Throws MusterError NOT_ASSIGNED, OFFSET_OUT_OF_RANGE, STREAM_UNAVAILABLE.
   */
  async seek(place: TopicPartition, to: Position): Promise<void> {
    const lane = this.#laneOf(place);
    const offset = await offsetOfPosition(this.#context.streams, lane.topic, lane.partition, to);
    if (lane.signal.aborted) throw new MusterError('NOT_ASSIGNED', `${place.topic}/${place.partition}`);
    lane.seek(offset);
  }

  /**
   * Subscribes to other topics from the next round on, which begins at once; `onAssigned` and `onRevoked` tell what changes.
   * Throws MusterError UNKNOWN_TOPIC, INVALID_ARGUMENT; then nothing changes.
   */
  async subscribe(topics: readonly (string | TopicSpec)[]): Promise<void> {
    if (topics.length === 0) throw new MusterError('INVALID_ARGUMENT', 'a consumer needs a topic');
    const names = this.#declared(topics);
    await this.#context.topics.require(topics);
    if (this.#closing !== undefined) throw new MusterError('CLOSED', `the consumer of ${this.group}`);
    this.#topics = names;
    this.#membership.rejoin('its subscription has changed');
  }

  /** @returns the topics subscribed to */
  subscription(): readonly string[] {
    return this.#topics;
  }

  /** @returns the partitions owned now */
  assignment(): TopicPartition[] {
    return this.#ownership.assignment();
  }

  /** @returns how it stands, partition by partition */
  health(): ConsumerHealth {
    const now = this.#context.environment.clock.now();
    return healthOf(this.#membership, this.#ownership.lanes(), now, this.#watchdog.lastBlocked);
  }

  /**
   * Stops: no more messages, running handlers end or run out of time, hooks, last commit, leave. Always ends within
   * `timeoutMs` and never throws; called again, it returns the same promise.
   */
  close(options: CloseOptions = {}): Promise<void> {
    this.#closing ??= this.#close(options);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(options: CloseOptions): Promise<void> {
    const { clock } = this.#context.environment;
    const deadlineAt = clock.now() + (options.timeoutMs ?? CLOSE_TIMEOUT_MS);
    const leftMs = () => Math.max(0, deadlineAt - clock.now());
    const reserveMs = leftMs() * CLOSE_RESERVE;
    this.#dispatch.close();
    this.#watchdog.stop();
    // A loop that was left by `break` or by a throw will ack nothing any more: there is nobody to wait for.
    if (this.#use === 'iterate' && this.#loops === 0) this.#handedOut.giveUpAll();
    try {
      await withinMs(clock, leftMs() - reserveMs, this.#membership.hold());
      const lanes = [...this.#ownership.lanes()].filter((lane) => !lane.signal.aborted);
      await withinMs(clock, leftMs(), this.#ownership.release(lanes, Math.max(0, leftMs() - reserveMs)));
    } catch (thrown) {
      this.#logger.error('closing went on after a failure', { error: messageOf(thrown) });
    }
    this.#ownership.fence(new MusterError('OWNERSHIP_LOST', 'the consumer is closed'));
    this.#committer.close();
    const leave = options.leave ?? this.#settings.groupInstanceId === null;
    await this.#membership.end({ leave, timeoutMs: leftMs() });
    this.#runner.stop();
    this.#isClosed = true;
    this.#closed.resolve();
  }

  #laneOf({ topic, partition }: TopicPartition): Lane {
    const lane = this.#ownership.lane(topic, partition);
    if (lane === undefined) throw new MusterError('NOT_ASSIGNED', `${topic}/${partition}`);
    return lane;
  }

  #expire(lane: Lane, offset: number): void {
    const expired = this.#handedOut.takeExpired(lane, offset, this.#own.maxPollIntervalMs);
    if (expired === undefined) return;
    this.#runner.expire(...expired).catch((thrown: unknown) => this.#fail(asMusterError(thrown, 'HANDLER_FAILED')));
  }

  #begin(use: 'run' | 'iterate'): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closing !== undefined) throw new MusterError('CLOSED', `the consumer of ${this.group}`);
    if (this.#use === 'run' || (this.#use === 'iterate' && use === 'run')) {
      throw new MusterError('INVALID_ARGUMENT', 'a consumer has one run, or for await loops one after another');
    }
    this.#use = use;
  }

  #fail(error: MusterError): void {
    if (this.#failure !== undefined || this.#closing !== undefined) return;
    this.#failure = error;
    this.#logger.error('consumer stops', { group: this.group, code: error.code, error: error.message });
    this.#emit('failed', { error });
    void this.close();
  }

  #emit(name: EventName, what: Partial<MemberEvent>): void {
    const generation = this.#membership.identity()?.generationId ?? -1;
    emit(name, { group: this.group, memberId: this.#membership.memberId, generation, ...what });
  }

  #declared(topics: readonly (string | TopicSpec)[]): string[] {
    this.#context.topics.declare(topics.filter((topic) => typeof topic !== 'string'));
    return topics.map((topic) => (typeof topic === 'string' ? topic : topic.name));
  }

  #makeRunner(): Runner<Value> {
    const { environment, telemetry, topics, streams } = this.#context;
    return new Runner<Value>({
      group: this.group,
      dispatch: this.#dispatch,
      environment,
      telemetry,
      logger: this.#logger,
      ...this.#own,
      deadLetters: new DeadLetters({ group: this.group, topics, streams, environment }),
      toMessage: (delivery) => {
        const identity = this.#membership.identity();
        if (identity === undefined) return undefined;
        const { generationId: generation, memberId } = identity;
        const commit = ({ lane }: Delivery) => this.#committer.flush([lane], COMMIT_TIMEOUT_MS);
        return toMessage(delivery, { codec: this.#codec, generation, memberId, commit });
      },
      onDeadLetter: ({ lane }, error) => this.#emit('dead-letter', { partitions: [lane.place], error }),
      onFatal: (error) => this.#fail(error),
    });
  }

  #makeWatchdog(): Watchdog {
    const { environment, streams } = this.#context;
    return new Watchdog({
      environment,
      streams,
      logger: this.#logger,
      ...this.#own,
      blockedMs: this.#own.blockedWarningMs,
      lanes: () => this.#ownership.lanes(),
      isWorking: () => this.#membership.mayHandle() && this.#closing === undefined,
      emit: (name, what) => this.#emit(name, what),
      onExpired: (lane, offset) => this.#expire(lane, offset),
    });
  }

  #makeOwnership(): Ownership {
    const { environment, topics } = this.#context;
    const { rebalanceTimeoutMs } = this.#settings;
    return new Ownership({
      group: this.group,
      topics: () => this.#topics,
      registry: topics,
      ...assignorSettings(this.#options.assignors),
      hooks: hooksIn(this.#options),
      environment,
      logger: this.#logger,
      drainTimeoutMs: this.#own.drainTimeoutMs,
      hookTimeoutMs: rebalanceTimeoutMs,
      commitTimeoutMs: Math.min(COMMIT_TIMEOUT_MS, rebalanceTimeoutMs / 3),
      committer: () => this.#committer,
      onResumed: () => this.#dispatch.wake(),
      openLanes: (partitions) => this.#openLanes(partitions),
    });
  }

  async #openLanes(partitions: readonly TopicPartition[]): Promise<(() => Lane)[]> {
    const { client, streams, topics: registry, environment } = this.#context;
    const { groupId, rebalanceTimeoutMs, heartbeatIntervalMs } = this.#settings;
    const { start, startFallback, bufferMessages, unackedMessages, stallTimeoutMs } = this.#own;
    const times = { timeoutMs: rebalanceTimeoutMs / 2, resendMs: heartbeatIntervalMs };
    const points = await startingPoints(
      { client, streams, registry, environment, groupId, start, startFallback, ...times },
      partitions,
    );
    return lanesAt(points, {
      context: { ...this.#context, logger: this.#logger },
      bufferMessages,
      unackedMessages,
      stoppedAfterMs: stallTimeoutMs,
      onDenied: (error) => this.#fail(error),
      onReadable: (lane) => this.#dispatch.offer(lane),
      onAck: () => this.#committer.onAck(),
    });
  }
}
