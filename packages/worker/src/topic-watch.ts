/**
 * Looks now and then whether the topics of a subscription are still what they were: a topic that is deleted is said, one that comes back
 * is shared out again.
 *
 * Does not read messages: a reader that finds no stream asks for a look at once (reader.ts).
 *
 * V1 a missing topic is told once, and so is its return.
 * V2 the leader begins a round when what it has shared out differs from what is there. kafka: its refresh of the metadata. A topic that is
 *    only missing begins none: its owners wait for it where they are.
 */

import type { Cancel, Environment } from './clock.js';
import { messageOf } from './errors.js';
import type { EventName, MemberEvent } from './events.js';
import type { Logger } from './logger.js';
import type { Topics } from './topics.js';

const LOOK_MS = 30_000;
/** While a topic is missing, and at least between two looks. */
const LOOK_SOON_MS = 2_000;

export interface TopicWatchOptions {
  readonly environment: Environment;
  readonly registry: Pick<Topics, 'lookUp'>;
  readonly logger: Logger;
  /** The subscription now. */
  topics(): readonly string[];
  /** What this member has shared out as the leader; undefined where it is not the leader. */
  sharedOut(): ReadonlyMap<string, number> | undefined;
  emit(name: EventName, what: Partial<MemberEvent>): void;
  onMissing(topic: string): void;
  rejoin(reason: string): void;
}

export class TopicWatch {
  readonly #options: TopicWatchOptions;
  readonly #missing = new Set<string>();
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #isLooking = false;
  #isStopped = false;
  #cancel: Cancel = () => {};

  constructor(options: TopicWatchOptions) {
    this.#options = options;
  }

  /** Which topics are missing; undefined where none is. */
  get problem(): string | undefined {
    if (this.#missing.size === 0) return undefined;
    return `there is no topic ${[...this.#missing].join(', ')}: was it deleted?`;
  }

  /** Whether there was no topic of this name at the last look. */
  isMissing(topic: string): boolean {
    return this.#missing.has(topic);
  }

  start(): void {
    this.#arm(LOOK_MS);
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel();
  }

  /** Something points to a change: looks at once, unless it has just looked. */
  soon(): void {
    const { clock } = this.#options.environment;
    if (!this.#isLooking) this.#arm(Math.max(0, this.#lookedAtMs + LOOK_SOON_MS - clock.now()));
  }

  #arm(ms: number): void {
    this.#cancel();
    if (this.#isStopped) return;
    this.#cancel = this.#options.environment.clock.after(ms, () => void this.#look());
  }

  async #look(): Promise<void> {
    const { environment, logger, topics, sharedOut } = this.#options;
    this.#lookedAtMs = environment.clock.now();
    this.#isLooking = true;
    const subscribed = topics();
    for (const topic of this.#missing) if (!subscribed.includes(topic)) this.#missing.delete(topic);
    const shared = sharedOut();
    try {
      for (const topic of new Set([...subscribed, ...(shared?.keys() ?? [])])) {
        await this.#lookAt(topic, subscribed.includes(topic), shared?.get(topic));
        if (this.#isStopped) return;
      }
    } catch (thrown) {
      logger.debug('the topics cannot be looked at', { reason: messageOf(thrown) });
    } finally {
      this.#isLooking = false;
      this.#arm(this.#missing.size > 0 ? LOOK_SOON_MS : LOOK_MS);
    }
  }

  async #lookAt(topic: string, isSubscribed: boolean, sharedCount: number | undefined): Promise<void> {
    const { logger, registry, onMissing, rejoin } = this.#options;
    const spec = await registry.lookUp(topic);
    if (this.#isStopped) return;
    if (spec === undefined) {
      if (!isSubscribed || this.#missing.has(topic)) return;
      this.#missing.add(topic);
      const problem = `there is no topic ${topic}: was it deleted?`;
      logger.error('a topic is missing: waiting for it', { topic });
      this.#options.emit('topic-missing', { topic, problem });
      onMissing(topic);
      return;
    }
    if (this.#missing.delete(topic)) {
      logger.info('a topic is there again', { topic });
      this.#options.emit('topic-returned', { topic });
    }
    if (sharedCount !== undefined && sharedCount !== spec.partitions) {
      rejoin(`topic ${topic} has ${spec.partitions} partitions, not ${sharedCount}`);
    }
  }
}
