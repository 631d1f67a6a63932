/**
 * The consumer: a member of a group that processes the messages of its partitions in order and commits what it handled.
 *
 * Puts the parts together; each rule lives in its part (membership, ownership, lane, dispatch, committer).
 */

import type { TopicPartition } from '@muster/protocol';
import type { Codec } from './codecs.js';
import { Committer } from './committer.js';
import { Dispatch } from './dispatch.js';
import { asMusterError, HandlerFailedError, MusterError, messageOf } from './errors.js';
import { emit } from './events.js';
import { type FailurePolicy, handleUnderPolicy } from './failure-policy.js';
import { type Delivery, Lane } from './lane.js';
import { startingPoints } from './lanes-opening.js';
import type { Logger } from './logger.js';
import { Membership } from './membership.js';
import { type Message, toMessage } from './message.js';
import type { MusterContext } from './muster-context.js';
import { assignorSettings, type ConsumerOptions, type MemberSettings, memberSettings, positive } from './options.js';
import { Ownership } from './ownership.js';
import { PartitionReader } from './reader.js';
import { deferred, withinMs } from './waiting.js';

export interface RunOptions<Value> {
  /** Resolves: handled. Throws: the failure policy decides. */
  readonly eachMessage: (message: Message<Value>) => Promise<void> | void;
  /** Handlers side by side, each of another partition. Default 16. */
  readonly concurrency?: number;
}

export interface CloseOptions {
  /** Default: dynamic members leave, static ones stay for their session timeout. */
  readonly leave?: boolean;
  /** Everything together: drain, hooks, last commit, leave. Default 30,000 ms. */
  readonly timeoutMs?: number;
}

export interface ConsumerHealth {
  readonly state: string;
  readonly memberId: string;
  readonly generation: number;
  /** Since the last successful heartbeat was sent; undefined before the first. */
  readonly heartbeatAgeMs: number | undefined;
  readonly partitions: readonly {
    readonly topic: string;
    readonly partition: number;
    /** The offset delivered next. */
    readonly position: number;
    /** -1 for none. */
    readonly committed: number;
    readonly running: number;
    /** Messages not delivered yet, as far as known. */
    readonly behind: number;
  }[];
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
  readonly #codec: Codec<Value>;
  readonly #onFailure: FailurePolicy;
  readonly #onDecodeFailure: 'stop' | 'skip';
  readonly #options: ConsumerOptions<Value>;
  readonly #membership: Membership;
  readonly #ownership: Ownership;
  readonly #committer: Committer;
  readonly #dispatch: Dispatch;
  readonly #closed = deferred<void>();
  #use: 'unused' | 'run' | 'iterate' = 'unused';
  #failure: MusterError | undefined;
  #closing: Promise<void> | undefined;
  #isClosed = false;

  /** Use `muster.consumer`. Throws MusterError INVALID_ARGUMENT. */
  constructor(context: MusterContext, options: ConsumerOptions<Value>, codec: Codec<Value>) {
    this.#context = context;
    this.#options = options;
    this.#logger = options.logger ?? context.logger;
    this.#settings = memberSettings(options);
    this.#codec = codec;
    this.#onFailure = options.onFailure ?? { kind: 'stop' };
    this.#onDecodeFailure = options.onDecodeFailure ?? 'stop';
    this.group = options.group;
    if (options.topics.length === 0) throw new MusterError('INVALID_ARGUMENT', 'a consumer needs a topic');
    context.topics.declare(options.topics.filter((topic) => typeof topic !== 'string'));
    this.#ownership = this.#makeOwnership();
    const { client, environment, clientId } = context;
    this.#membership = new Membership({
      client,
      environment,
      logger: this.#logger,
      clientId,
      protocolType: 'consumer',
      handler: this.#ownership,
      ...this.#settings,
    });
    this.#committer = new Committer({
      client,
      environment,
      logger: this.#logger,
      membership: this.#membership,
      groupId: this.#settings.groupId,
      resendMs: this.#settings.heartbeatIntervalMs,
      policy: options.commit ?? { kind: 'auto' },
      lanes: () => this.#ownership.lanes(),
    });
    this.#dispatch = new Dispatch({ mayDeliver: () => this.#membership.mayHandle() });
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Joins the group. Resolves when the first assignment is in place; throws what the coordinator refused with. */
  async start(): Promise<void> {
    for (const topic of this.#topicNames()) await this.#context.topics.describe(topic);
    this.#membership.start();
    void this.#membership.ended.then((error) => {
      if (error !== undefined) this.#fail(error);
    });
    await this.#membership.firstStable;
    const { state } = this.#membership;
    if (state.kind === 'failed') this.#fail(state.error);
    if (this.#closing === undefined) return;
    await this.#closing;
    throw this.#failure ?? new MusterError('CLOSED', `the consumer of ${this.group}`);
  }

  /**
   * Handles messages with a function, partitions side by side.
   * @returns when the consumer is closed; throws HandlerFailedError or MusterError when it ended by a failure
   */
  async run(options: RunOptions<Value>): Promise<void> {
    this.#begin('run');
    const count = positive('concurrency', options.concurrency ?? CONCURRENCY);
    for (let worker = 0; worker < count; worker += 1) {
      this.#work(options.eachMessage).catch((thrown: unknown) => this.#fail(asMusterError(thrown, 'HANDLER_FAILED')));
    }
    // Not for the workers: one may hang in a handler that did not end in the time of the close.
    await this.#closed.promise;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Messages one by one; `message.ack()` marks them as handled. Ends at `close`, throws when the consumer failed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Message<Value>, void, void> {
    this.#begin('iterate');
    this.#dispatch.setExclusive(false);
    while (true) {
      const delivery = await this.#dispatch.next();
      if (delivery === undefined) break;
      const message = this.#messageOf(delivery);
      if (message !== undefined) yield message;
    }
    if (this.#failure !== undefined) {
      await this.#closed.promise;
      throw this.#failure;
    }
  }

  /** Commits everything marked as handled. Throws as `message.commit`. */
  async commit(): Promise<void> {
    const lanes = [...this.#ownership.lanes()];
    await this.#committer.flush(lanes, COMMIT_TIMEOUT_MS);
  }

  /** @returns the partitions owned now */
  assignment(): TopicPartition[] {
    return this.#ownership.assignment();
  }

  /** @returns how it stands, partition by partition */
  health(): ConsumerHealth {
    const { lastSuccessAt } = this.#membership.heartbeats;
    return {
      state: this.#membership.state.kind,
      memberId: this.#membership.memberId,
      generation: this.#membership.identity()?.generationId ?? -1,
      heartbeatAgeMs: lastSuccessAt === undefined ? undefined : this.#context.environment.clock.now() - lastSuccessAt,
      partitions: [...this.#ownership.lanes()].map((lane) => ({
        topic: lane.topic.name,
        partition: lane.partition,
        position: lane.position,
        committed: lane.committed,
        running: lane.running,
        behind: lane.behind,
      })),
    };
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
    this.#isClosed = true;
    this.#closed.resolve();
  }

  async #work(eachMessage: RunOptions<Value>['eachMessage']): Promise<void> {
    const { environment } = this.#context;
    while (true) {
      const delivery = await this.#dispatch.next();
      if (delivery === undefined) return;
      const message = this.#messageOf(delivery);
      if (message !== undefined) {
        const result = await handleUnderPolicy(message, eachMessage, this.#onFailure, environment, this.#logger);
        if (result.kind === 'handled' || result.kind === 'skipped') delivery.ack();
        else delivery.giveUp();
        if (result.kind === 'failed') this.#fail(result.error);
      }
      this.#dispatch.giveBack(delivery.lane);
    }
  }

  /** @returns the message; undefined where it could not be decoded, which the policy has dealt with */
  #messageOf(delivery: Delivery): Message<Value> | undefined {
    const identity = this.#membership.identity();
    if (identity === undefined) {
      delivery.giveUp();
      return undefined;
    }
    try {
      return toMessage(delivery, {
        codec: this.#codec,
        generation: identity.generationId,
        memberId: identity.memberId,
        commit: ({ lane }) => this.#committer.flush([lane], COMMIT_TIMEOUT_MS),
      });
    } catch (thrown) {
      this.#logger.error('message value could not be decoded', { error: messageOf(thrown) });
      if (this.#onDecodeFailure === 'skip' || !(thrown instanceof HandlerFailedError)) delivery.ack();
      else {
        delivery.giveUp();
        this.#fail(thrown);
      }
      return undefined;
    }
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
    this.#logger.error('consumer stops', { group: this.group, error: error.message });
    const generation = this.#membership.identity()?.generationId ?? -1;
    emit('failed', { group: this.group, memberId: this.#membership.memberId, generation, error });
    void this.close();
  }

  #topicNames(): string[] {
    return this.#options.topics.map((topic) => (typeof topic === 'string' ? topic : topic.name));
  }

  #makeOwnership(): Ownership {
    const { environment, topics } = this.#context;
    const { onAssigned, onRevoked, onLost, drainTimeoutMs } = this.#options;
    const { rebalanceTimeoutMs } = this.#settings;
    return new Ownership({
      group: this.group,
      topics: this.#topicNames(),
      registry: topics,
      ...assignorSettings(this.#options.assignors),
      hooks: {
        ...(onAssigned === undefined ? {} : { onAssigned }),
        ...(onRevoked === undefined ? {} : { onRevoked }),
        ...(onLost === undefined ? {} : { onLost }),
      },
      environment,
      logger: this.#logger,
      drainTimeoutMs: drainTimeoutMs ?? rebalanceTimeoutMs / 3,
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
    const { start = 'earliest', startFallback = 'earliest', bufferMessages = 256 } = this.#options;
    const times = { timeoutMs: rebalanceTimeoutMs / 2, resendMs: heartbeatIntervalMs };
    const points = await startingPoints(
      { client, streams, registry, environment, groupId, start, startFallback, ...times },
      partitions,
    );
    return points.map(({ topic, partition, offset, isNew }) => () => {
      return new Lane({
        topic,
        partition,
        environment,
        startOffset: offset,
        startIsNew: isNew,
        unackedMax: this.#options.unackedMessages ?? 1_000,
        openReader: (onReadable) =>
          PartitionReader.of(topic, partition, offset, bufferMessages, onReadable, this.#context),
        onReadable: (lane) => this.#dispatch.offer(lane),
        onAck: () => this.#committer.onAck(),
      });
    });
  }
}
