/**
 * The consumer: a member of a group that processes the messages of its partitions in order and commits what it handled.
 *
 * What users call; each rule lives in its part (membership, ownership, lane, dispatch, runner, committer, watchdog, topic-watch, closing),
 * and consumer-parts.ts puts them together.
 */

import type { TopicPartition } from '@muster/protocol';
import { checkArguments } from './check-arguments.js';
import { checkOptions } from './check-options.js';
import { CLOSE_FAILED_MS, type CloseOptions, closeInOrder } from './closing.js';
import type { Codec } from './codecs.js';
import { COMMIT_TIMEOUT_MS, type ConsumerParts, consumerParts } from './consumer-parts.js';
import { SILENCE_MS } from './contact.js';
import { asMusterError, MusterError } from './errors.js';
import { type EventName, emit, type MemberEvent } from './events.js';
import { deadLetterTopics, lastResort, requireNoLoop } from './failure-policy.js';
import { HandedOut } from './handed-out.js';
import { type ConsumerHealth, healthOf } from './health.js';
import { untilAnswered, untilJoined } from './joining.js';
import { type Lane, placeOf } from './lane.js';
import { type Logger, silentLogger } from './logger.js';
import type { LagReading } from './measured.js';
import type { Message } from './message.js';
import type { MusterContext } from './muster-context.js';
import {
  type ConsumerOptions,
  type ConsumerSettings,
  consumerSettings,
  type MemberSettings,
  memberSettings,
} from './options.js';
import { offsetOfPosition, type Position } from './positions.js';
import { handlingOf, type RunOptions } from './run-options.js';
import type { TopicSpec } from './topic.js';
import { deferred, Occasion } from './waiting.js';

export type { CloseOptions } from './closing.js';

const CONCURRENCY = 16;
/** In the text of an error. */
const OWNED_SHOWN = 16;

export class Consumer<Value> {
  readonly group: string;
  readonly #context: MusterContext;
  readonly #logger: Logger;
  readonly #settings: MemberSettings;
  readonly #own: ConsumerSettings;
  readonly #options: ConsumerOptions<Value>;
  readonly #parts: ConsumerParts<Value>;
  readonly #stopObserving: () => void;
  readonly #closed = deferred<void>();
  readonly #handedOut = new HandedOut();
  /** Partitions were taken, or it is over: whoever waits for an assignment looks again. */
  readonly #taken: Occasion;
  #topics: readonly string[];
  #use: 'unused' | 'run' | 'iterate' = 'unused';
  #failure: MusterError | undefined;
  /** What JetStream says while the topics cannot be looked at yet. */
  #startProblem: string | undefined;
  #isStartProblemTold = false;
  #closing: Promise<void> | undefined;
  #isClosed = false;

  /** Use `muster.consumer`. Throws MusterError INVALID_ARGUMENT. */
  constructor(context: MusterContext, options: ConsumerOptions<Value>, codec: Codec<Value>) {
    this.#context = context;
    this.#options = options;
    this.#logger = options.logger ?? context.logger;
    this.#settings = memberSettings(options);
    this.#own = consumerSettings(options, this.#settings);
    this.group = options.group;
    this.#topics = namesOf(options.topics);
    requireNoLoop(this.#own, this.#topics);
    this.#taken = new Occasion(context.environment.clock);
    this.#parts = consumerParts<Value>({
      context,
      options,
      codec,
      logger: this.#logger,
      settings: this.#settings,
      own: this.#own,
      topics: () => this.#topics,
      isClosing: () => this.#closing !== undefined,
      onTaken: () => this.#taken.happens(),
      emit: (name, what) => this.#emit(name, what),
      fail: (error) => this.#fail(error),
      expire: (lane, offset) => this.#expire(lane, offset),
    });
    this.#stopObserving = context.telemetry.observeLag(this.group, () => this.#lags());
  }

  /** Why it is over, if it has failed: known at once, while what still runs is drained. */
  get failure(): MusterError | undefined {
    return this.#failure;
  }
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Joins the group. Resolves when the first round has ended; throws what the coordinator refused with, or TIMEOUT. */
  async start(): Promise<void> {
    const { clock } = this.#context.environment;
    const { joinTimeoutMs } = this.#settings;
    const startedAt = clock.now();
    try {
      await untilAnswered(clock, joinTimeoutMs, () => this.#requireTopics(), {
        isOver: () => this.#closing !== undefined,
        onProblem: (problem, silentForMs) => this.#waitsFor(problem, silentForMs),
      });
      this.#startProblem = undefined;
    } catch (thrown) {
      await this.close();
      throw thrown;
    }
    this.#parts.membership.start();
    void this.#parts.membership.ended.then((error) => {
      if (error !== undefined) this.#fail(error);
    });
    this.#parts.topicWatch.start();
    const giveUp = () => this.close({ timeoutMs: CLOSE_FAILED_MS });
    await untilJoined(this.#parts.membership, clock, joinTimeoutMs, giveUp, startedAt);
    const { state } = this.#parts.membership;
    if (state.kind === 'failed') this.#fail(state.error);
    if (this.#closing === undefined) return;
    await this.#closing;
    throw this.#failure ?? new MusterError('CLOSED', `the consumer of ${this.group}`);
  }

  /** It says so once, when this is no short failover any more. */
  #waitsFor(problem: string, silentForMs: number): void {
    this.#startProblem = problem;
    if (this.#isStartProblemTold || silentForMs < SILENCE_MS) return;
    this.#isStartProblemTold = true;
    this.#logger.warn('the topics cannot be looked at yet', { group: this.group, problem });
    if (this.#context.logger === silentLogger) this.#context.environment.warn?.(`group ${this.group}: ${problem}`);
  }

  async #requireTopics(): Promise<void> {
    const { topics } = this.#context;
    const last = [lastResort(this.#own.onFailure), this.#own.onDecodeFailure];
    for (const topic of deadLetterTopics(...last)) await topics.describe(topic);
    await topics.require(this.#options.topics);
  }

  /**
   * Handles messages with a function, partitions side by side.
   * @returns when the consumer is closed; throws HandlerFailedError or MusterError when it ended by a failure
   */
  async run(options: RunOptions<Value>): Promise<void> {
    checkOptions('run', options);
    this.#begin('run');
    const { concurrency = CONCURRENCY } = options;
    const handling = handlingOf(options);
    for (let worker = 0; worker < concurrency; worker += 1) {
      this.#parts.runner.work(handling).catch((thrown: unknown) => this.#fail(asMusterError(thrown, 'HANDLER_FAILED')));
    }
    // Not for the workers: one may hang in a handler that did not end in the time of the close.
    await this.#closed.promise;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /**
   * Messages one by one; `message.ack()` marks them as handled. Ends at `close`, throws when the consumer failed. A loop after another begins
   * with the first message that is not acked by then: what was left behind is handed out again, and what came after it in its partition too.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<Message<Value>, void, void> {
    this.#begin('iterate');
    this.#parts.dispatch.setExclusive(false);
    this.#parts.watchdog.watchAcks();
    this.#handedOut.begin();
    try {
      while (true) {
        const delivery = await this.#parts.dispatch.next();
        if (delivery === undefined) break;
        const message = await this.#parts.runner.decode(delivery);
        if (message === undefined) continue;
        this.#handedOut.add(delivery);
        yield message;
      }
    } finally {
      this.#handedOut.end();
    }
    if (this.#failure !== undefined) {
      await this.#closed.promise;
      throw this.#failure;
    }
  }

  /**
   * Commits everything marked as handled; with offsets, marks everything before them first. An offset is that of the next
   * message to handle. Throws MusterError as `message.commit`, NOT_ASSIGNED, and OFFSET_OUT_OF_RANGE for an offset before the
   * first message not handled or beyond what was delivered; of several offsets either all are marked or none.
   */
  async commit(offsets: readonly (TopicPartition & { readonly offset: number })[] = []): Promise<void> {
    checkArguments('consumer.commit', { offsets });
    for (const { offset, ...place } of offsets) this.#laneOf(place).requireMarkable(offset);
    for (const { offset, ...place } of offsets) this.#laneOf(place).markTo(offset);
    await this.#parts.committer.flush([...this.#parts.ownership.lanes()], COMMIT_TIMEOUT_MS);
  }

  /** Delivers nothing of these partitions (default: all owned) until `resume`. Ownership and reading ahead go on. */
  pause(partitions: readonly TopicPartition[] = this.assignment()): void {
    checkArguments('consumer.pause', { partitions });
    for (const lane of partitions.map((place) => this.#laneOf(place))) lane.pause();
  }

  /** Goes on with these partitions (default: all owned). Throws MusterError NOT_ASSIGNED, as `pause`. */
  resume(partitions: readonly TopicPartition[] = this.assignment()): void {
    checkArguments('consumer.resume', { partitions });
    for (const lane of partitions.map((place) => this.#laneOf(place))) lane.resume();
  }

  /** @returns the partitions that are paused; a partition that is given up and comes back is not */
  paused(): TopicPartition[] {
    return [...this.#parts.ownership.lanes()].filter(({ isPaused }) => isPaused).map(({ place }) => place);
  }

  /**
   * Goes on elsewhere in a partition. What was delivered before it counts no more; the next commit says the new place.
   * Throws MusterError NOT_ASSIGNED, OFFSET_OUT_OF_RANGE, STREAM_UNAVAILABLE.
   */
  async seek(place: TopicPartition, to: Position): Promise<void> {
    checkArguments('consumer.seek', { place, to });
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
    checkArguments('consumer.subscribe', { topics });
    const names = namesOf(topics);
    requireNoLoop(this.#own, names);
    await this.#context.topics.require(topics);
    if (this.#closing !== undefined) throw new MusterError('CLOSED', `the consumer of ${this.group}`);
    this.#topics = names;
    this.#parts.membership.rejoin('its subscription has changed');
  }

  /** @returns the topics subscribed to */
  subscription(): readonly string[] {
    return this.#topics;
  }

  /**
   * Waits until this consumer owns a partition. A newcomer of a cooperative group owns none after its first round: the others give up
   * first, and it gets its share in the next.
   * @returns what it owns then; throws MusterError TIMEOUT after `timeoutMs` (default: the join timeout; a group with more members than
   *   partitions leaves some without), or CANCELLED, CLOSED or the failure of the consumer
   */
  async assigned(
    options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {},
  ): Promise<TopicPartition[]> {
    checkArguments('consumer.assigned', { options });
    const { clock } = this.#context.environment;
    const timeoutMs = options.timeoutMs ?? this.#settings.joinTimeoutMs;
    const deadlineAt = clock.now() + timeoutMs;
    while (true) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#closing !== undefined) throw new MusterError('CLOSED', `the consumer of ${this.group}`);
      const owned = this.assignment();
      if (owned.length > 0) return owned;
      const outcome = await this.#taken.next(Math.max(0, deadlineAt - clock.now()), options.signal);
      if (outcome === 'aborted') throw new MusterError('CANCELLED', 'waiting for an assignment');
      if (outcome === 'done') continue;
      const why = this.health().problem ?? 'are there more members than partitions?';
      throw new MusterError('TIMEOUT', `no partition of ${this.group} within ${timeoutMs} ms: ${why}`);
    }
  }

  /** @returns the partitions owned now */
  assignment(): TopicPartition[] {
    return this.#parts.ownership.assignment();
  }

  /** @returns how it stands, partition by partition */
  health(): ConsumerHealth {
    const now = this.#context.environment.clock.now();
    const sources = {
      group: this.group,
      membership: this.#parts.membership,
      lanes: this.#parts.ownership.lanes(),
      lastBlocked: this.#parts.watchdog.lastBlocked,
      topicProblem: this.#startProblem ?? this.#parts.topicWatch.problem,
      isMissing: (topic: string) => this.#parts.topicWatch.isMissing(topic),
      failure: this.#failure,
    };
    return healthOf(sources, now);
  }

  /**
   * Stops: no more messages, running handlers end or run out of time, hooks, last commit, leave. Always ends within `timeoutMs`; throws
   * nothing but MusterError INVALID_ARGUMENT for an option that there is none of. Called again, it waits for the same end.
   */
  async close(options: CloseOptions = {}): Promise<void> {
    checkOptions('close', options);
    this.#closing ??= this.#close(options);
    await this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(options: CloseOptions): Promise<void> {
    this.#stopObserving();
    const closing = {
      parts: this.#parts,
      handedOut: this.#handedOut,
      environment: this.#context.environment,
      logger: this.#logger,
      drainTimeoutMs: this.#own.drainTimeoutMs,
      leavesByDefault: this.#settings.groupInstanceId === null,
    };
    await closeInOrder(closing, options);
    this.#isClosed = true;
    this.#closed.resolve();
    this.#taken.happens();
  }

  #laneOf({ topic, partition }: TopicPartition): Lane {
    const lane = this.#parts.ownership.lane(topic, partition);
    if (lane !== undefined) return lane;
    const owned = this.assignment().map((place) => placeOf(place.topic, place.partition));
    const shown = owned.slice(0, OWNED_SHOWN).join(', ');
    const rest = owned.length > OWNED_SHOWN ? ` and ${owned.length - OWNED_SHOWN} more` : '';
    throw new MusterError(
      'NOT_ASSIGNED',
      `${placeOf(topic, partition)}; it owns ${shown === '' ? 'none' : shown}${rest}`,
    );
  }

  #expire(lane: Lane, offset: number): void {
    const expired = this.#handedOut.takeExpired(lane, offset, this.#own.maxPollIntervalMs);
    if (expired === undefined) return;
    this.#parts.runner
      .expire(...expired)
      .catch((thrown: unknown) => this.#fail(asMusterError(thrown, 'HANDLER_FAILED')));
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
    const generation = this.#parts.membership.identity()?.generationId ?? -1;
    emit(name, { group: this.group, memberId: this.#parts.membership.memberId, generation, ...what });
  }

  *#lags(): Iterable<LagReading> {
    for (const { place, unhandled, isReading } of this.#parts.ownership.lanes()) {
      if (isReading) yield { ...place, messages: unhandled };
    }
  }
}

function namesOf(topics: readonly (string | TopicSpec)[]): string[] {
  return topics.map((topic) => (typeof topic === 'string' ? topic : topic.name));
}
