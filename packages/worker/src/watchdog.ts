/**
 * Looks once a second whether this consumer really gets on, and says so where it does not: a consumer must never stop silently.
 *
 * G1 stall: a lane with nothing running that has not moved for `stallTimeoutMs` although the stream has more for it. It is
 *    reported, and its reader is replaced, again each `stallTimeoutMs` until it moves.
 * G2 event loop: a tick that comes more than `blockedMs` late is reported: heartbeats were late too.
 * G3 in a `for await` loop, a message not acked for `maxPollIntervalMs` is reported to `onExpired`. Handlers of `run` have a
 *    clock of their own (failure-policy.ts).
 */

import type { Cancel, Environment } from './clock.js';
import { messageOf } from './errors.js';
import type { EventName, MemberEvent } from './events.js';
import type { Lane } from './lane.js';
import type { Logger } from './logger.js';
import type { Streams } from './streams.js';
import { partitionFilter } from './topic.js';

const TICK_MS = 1_000;

export interface WatchdogOptions {
  readonly environment: Environment;
  readonly streams: Streams;
  readonly logger: Logger;
  readonly stallTimeoutMs: number;
  readonly blockedMs: number;
  readonly maxPollIntervalMs: number;
  lanes(): Iterable<Lane>;
  /** Whether lanes are expected to move now. */
  isWorking(): boolean;
  emit(name: EventName, what: Partial<MemberEvent>): void;
  onExpired(lane: Lane, offset: number): void;
}

interface Watched {
  progress: string;
  sinceMs: number;
  isAsking: boolean;
}

export class Watchdog {
  readonly #options: WatchdogOptions;
  readonly #watched = new WeakMap<Lane, Watched>();
  #watchesAcks = false;
  #lastBlocked: { readonly atMs: number; readonly blockedMs: number } | undefined;
  #cancel: Cancel = () => {};

  constructor(options: WatchdogOptions) {
    this.#options = options;
    this.#arm();
  }

  /** When the event loop last stood still, and for how long. */
  get lastBlocked(): { readonly atMs: number; readonly blockedMs: number } | undefined {
    return this.#lastBlocked;
  }

  /** From now on unacked messages have a deadline (G3). */
  watchAcks(): void {
    this.#watchesAcks = true;
  }

  stop(): void {
    this.#cancel();
  }

  #arm(): void {
    const { clock } = this.#options.environment;
    const dueAtMs = clock.now() + TICK_MS;
    this.#cancel = clock.after(TICK_MS, () => {
      this.#arm();
      const now = clock.now();
      if (now - dueAtMs > this.#options.blockedMs) this.#blocked(now, now - dueAtMs);
      for (const lane of [...this.#options.lanes()]) this.#look(lane, now);
    });
  }

  #blocked(atMs: number, blockedMs: number): void {
    this.#lastBlocked = { atMs, blockedMs };
    this.#options.logger.warn('the event loop stood still: heartbeats were late', { blockedMs: Math.round(blockedMs) });
    this.#options.emit('blocked', { blockedMs });
  }

  #look(lane: Lane, now: number): void {
    const { maxPollIntervalMs, stallTimeoutMs, isWorking, logger, emit } = this.#options;
    const oldest = this.#watchesAcks ? lane.oldestRunning : undefined;
    if (oldest !== undefined && now - oldest.deliveredAtMs > maxPollIntervalMs) {
      this.#options.onExpired(lane, oldest.offset);
    }
    const { progress } = lane;
    const watched = this.#watched.get(lane);
    const isQuiet = lane.running === 0 && !lane.isPaused && isWorking() && !lane.signal.aborted;
    if (watched === undefined || watched.progress !== progress || !isQuiet) {
      this.#watched.set(lane, { progress, sinceMs: now, isAsking: watched?.isAsking ?? false });
      if (!lane.isStalled || watched?.progress === progress) return;
      lane.isStalled = false;
      logger.info('a partition moves again', { ...lane.place });
      emit('recovered', { partitions: [lane.place] });
    } else if (now - watched.sinceMs >= stallTimeoutMs && !watched.isAsking) {
      watched.sinceMs = now;
      watched.isAsking = true;
      void this.#ask(lane, watched).finally(() => {
        watched.isAsking = false;
      });
    }
  }

  /** Asks the stream itself: what this process believes may be the mistake. */
  async #ask(lane: Lane, watched: Watched): Promise<void> {
    const { streams, logger, emit } = this.#options;
    const subject = partitionFilter(lane.topic, lane.partition);
    try {
      // One read, not a consumer made to count: many quiet partitions ask.
      const waiting = await streams.firstFrom({ stream: lane.topic.stream, subject, startOffset: lane.position });
      if (waiting === undefined || lane.signal.aborted || lane.isPaused || lane.progress !== watched.progress) return;
      lane.isStalled = true;
      // A buffer that is full of messages nobody asks for is not mended by another reader.
      const reason = lane.isReadable ? 'the application asks for no messages' : (lane.problem ?? 'nothing comes');
      const found = `messages wait from offset ${waiting.offset} on: ${reason}`;
      logger.error('a partition does not move: reading it anew', { ...lane.place, reason: found });
      emit('stalled', { partitions: [lane.place] });
      if (!lane.isReadable) lane.reread();
      else lane.resume();
    } catch (thrown) {
      logger.warn('the stream of a quiet lane cannot be asked', { topic: lane.topic.name, error: messageOf(thrown) });
    }
  }
}
