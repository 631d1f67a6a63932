/**
 * The consumer: a member of a group that processes the messages of its partitions in order and commits what it handled.
 *
 * What users call; each rule lives in its part (membership, ownership, lane, dispatch, runner, committer, watchdog, topic-watch), and
 * consumer-parts.ts puts them together.
 */

import type { TopicPartition } from '@muster/protocol';
import { checkArguments } from './check-arguments.js';
import { checkOptions } from './check-options.js';
import type { Codec } from './codecs.js';
import type { Committer } from './committer.js';
import { COMMIT_TIMEOUT_MS, consumerParts } from './consumer-parts.js';
import { SILENCE_MS } from './contact.js';
import type { Dispatch } from './dispatch.js';
import { asMusterError, MusterError, messageOf } from './errors.js';
import { type EventName, emit, type MemberEvent } from './events.js';
import { deadLetterTopics, lastResort, requireNoLoop } from './failure-policy.js';
import { HandedOut } from './handed-out.js';
import { type ConsumerHealth, healthOf } from './health.js';
import { untilAnswered, untilJoined } from './joining.js';
import { type Lane, placeOf } from './lane.js';
import { type Logger, silentLogger } from './logger.js';
import type { Membership } from './membership.js';
import type { Message } from './message.js';
import type { LagReading } from './measured.js';
import type { MusterContext } from './muster-context.js';
import {
  type ConsumerOptions,
  type ConsumerSettings,
  consumerSettings,
  type MemberSettings,
  memberSettings,
  positive,
} from './options.js';
import type { Ownership } from './ownership.js';
import { offsetOfPosition, type Position } from './positions.js';
import { handlingOf, type RunOptions } from './run-options.js';
import type { Runner } from './runner.js';
import type { TopicSpec } from './topic.js';
import type { TopicWatch } from './topic-watch.js';
import { deferred, withinMs } from './waiting.js';
import type { Watchdog } from './watchdog.js';

export interface CloseOptions {
  /** Default: dynamic members leave, static ones stay for their session timeout. */
  readonly leave?: boolean;
  /** Everything together: drain, hooks, last commit, leave. Default 30,000 ms. */
  readonly timeoutMs?: number;
}

const CLOSE_TIMEOUT_MS = 30_000;
const CONCURRENCY = 16;
/** In the text of an error. */
const OWNED_SHOWN = 16;
/** What could not join is given up in this time. */
const CLOSE_FAILED_MS = 1_000;
/** Part of a close that is kept for the last commit and the leave. */
const CLOSE_RESERVE = 0.25;

export class Consumer<Value> {
  readonly group: string;
  readonly #context: MusterContext;
  readonly #logger: Logger;
  readonly #settings: MemberSettings;
  readonly #own: ConsumerSettings;
  readonly #options: ConsumerOptions<Value>;
  readonly #membership: Membership;
  readonly #ownership: Ownership;
  readonly #committer: Committer;
  readonly #dispatch: Dispatch;
  readonly #runner: Runner<Value>;
  readonly #watchdog: Watchdog;
  readonly #topicWatch: TopicWatch;
  readonly #stopObserving: () => void;
  readonly #closed = deferred<void>();
  readonly #handedOut = new HandedOut();
  #topics: readonly string[];
  #use: 'unused' | 'run' | 'iterate' = 'unused';
  /** `for await` loops that have not ended. */
  #loops = 0;
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
    this.#topics = this.#declared(options.topics);
    requireNoLoop(this.#own, this.#topics);
    const parts = consumerParts<Value>({
      context,
      options,
      codec,
      logger: this.#logger,
      settings: this.#settings,
      own: this.#own,
      topics: () => this.#topics,
      isClosing: () => this.#closing !== undefined,
      emit: (name, what) => this.#emit(name, what),
      fail: (error) => this.#fail(error),
      expire: (lane, offset) => this.#expire(lane, offset),
    });
    this.#membership = parts.membership;
    this.#ownership = parts.ownership;
    this.#committer = parts.committer;
    this.#dispatch = parts.dispatch;
    this.#runner = parts.runner;
    this.#watchdog = parts.watchdog;
    this.#topicWatch = parts.topicWatch;
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
    this.#membership.start();
    void this.#membership.ended.then((error) => {
      if (error !== undefined) this.#fail(error);
    });
    this.#topicWatch.start();
    const giveUp = () => this.close({ timeoutMs: CLOSE_FAILED_MS });
    await untilJoined(this.#membership, clock, joinTimeoutMs, giveUp, startedAt);
    const { state } = this.#membership;
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
    const count = positive('concurrency', options.concurrency ?? CONCURRENCY);
    const handling = handlingOf(options);
    for (let worker = 0; worker < count; worker += 1) {
      this.#runner.work(handling).catch((thrown: unknown) => this.#fail(asMusterError(thrown, 'HANDLER_FAILED')));
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
    this.#dispatch.setExclusive(false);
    this.#watchdog.watchAcks();
    if (this.#loops === 0) for (const lane of this.#handedOut.takeBack()) lane.takeBack();
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
    checkArguments('consumer.commit', { offsets });
    for (const { offset, ...place } of offsets) this.#laneOf(place).markTo(offset);
    await this.#committer.flush([...this.#ownership.lanes()], COMMIT_TIMEOUT_MS);
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
    checkArguments('consumer.subscribe', { topics });
    const names = this.#declared(topics);
    requireNoLoop(this.#own, names);
    await this.#context.topics.require(topics);
    if (this.#closing !== undefined) throw new MusterError('CLOSED', `the consumer of ${this.group}`);
    this.#topics = names;
    this.#membership.rejoin('its subscription has changed');
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
      const change = Promise.race([this.#ownership.taken, this.#closed.promise]);
      const outcome = await withinMs(clock, Math.max(0, deadlineAt - clock.now()), change, options.signal);
      if (outcome.kind === 'aborted') throw new MusterError('CANCELLED', 'waiting for an assignment');
      if (outcome.kind === 'done') continue;
      const why = this.health().problem ?? 'are there more members than partitions?';
      throw new MusterError('TIMEOUT', `no partition of ${this.group} within ${timeoutMs} ms: ${why}`);
    }
  }

  /** @returns the partitions owned now */
  assignment(): TopicPartition[] {
    return this.#ownership.assignment();
  }

  /** @returns how it stands, partition by partition */
  health(): ConsumerHealth {
    const now = this.#context.environment.clock.now();
    const sources = {
      group: this.group,
      membership: this.#membership,
      lanes: this.#ownership.lanes(),
      lastBlocked: this.#watchdog.lastBlocked,
      topicProblem: this.#startProblem ?? this.#topicWatch.problem,
      isMissing: (topic: string) => this.#topicWatch.isMissing(topic),
      failure: this.#failure,
    };
    return healthOf(sources, now);
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
    this.#topicWatch.stop();
    this.#stopObserving();
    // A loop that was left by `break` or by a throw will ack nothing any more: there is nobody to wait for.
    if (this.#use === 'iterate' && this.#loops === 0) this.#handedOut.giveUpAll();
    try {
      await withinMs(clock, leftMs() - reserveMs, this.#membership.hold());
      const lanes = [...this.#ownership.lanes()].filter((lane) => !lane.signal.aborted);
      // Nobody has asked for this end: what still runs gets no longer than at a hand-over.
      const drainMsMax = this.#failure === undefined ? Number.POSITIVE_INFINITY : this.#own.drainTimeoutMs;
      const drainMs = Math.min(drainMsMax, Math.max(0, leftMs() - reserveMs));
      await withinMs(clock, leftMs(), this.#ownership.release(lanes, drainMs));
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

  *#lags(): Iterable<LagReading> {
    for (const { place, unhandled, isReading } of this.#ownership.lanes()) {
      if (isReading) yield { ...place, messages: unhandled };
    }
  }
}
