/**
 * A lane: one assigned partition, delivered in order, with the book of what was handled.
 *
 * Does not run handlers (runner.ts, consumer.ts) and does not commit (committer.ts).
 *
 * L1 messages are delivered in offset order. At most `unackedMax` are delivered and not acked.
 * L2 `mark` is the offset of the first message not handled: it never passes one that was given up or is still running.
 * L3 one lane is one period of ownership: its signal aborts when the ownership ends, and it never comes back.
 */

import type { TopicPartition } from '@muster/protocol';
import type { Environment } from './clock.js';
import { Delivery } from './delivery.js';
import { MusterError } from './errors.js';
import { ProgressWindow } from './progress.js';
import type { PartitionReader } from './reader.js';
import type { TopicSpec } from './topic.js';
import { type Deferred, deferred, withinMs } from './waiting.js';

interface Entry {
  readonly offset: number;
  readonly timestampMs: number;
  readonly deliveredAtMs: number;
  readonly delivery: Delivery | undefined;
  state: 'running' | 'acked' | 'given-up';
}

export interface LaneOptions {
  readonly topic: TopicSpec;
  readonly partition: number;
  readonly environment: Environment;
  readonly unackedMax: number;
  /** Without a commit for so long, a lane with messages left counts as stopped. */
  readonly stoppedAfterMs: number;
  /** What is handled is committed in this time, else something is wrong; infinite where the application commits. */
  readonly commitDueMs: number;
  /** Where reading starts; counts as committed until a message is handled. */
  readonly startOffset: number;
  /** The start was decided here, not read from a commit: it has to be committed to last. */
  readonly startIsNew: boolean;
  openReader(onReadable: () => void): PartitionReader;
  /** There may be something to deliver. */
  onReadable(lane: Lane): void;
  onAck(lane: Lane): void;
}

export class Lane {
  readonly topic: TopicSpec;
  readonly partition: number;
  readonly #options: LaneOptions;
  readonly #reader: PartitionReader;
  readonly #abort = new AbortController();
  readonly #handover = new AbortController();
  /** Deliveries with a signal that somebody has asked for. */
  readonly #watching = new Set<Delivery>();
  readonly #window: ProgressWindow;
  /** Delivered and not yet behind the mark, in offset order. */
  readonly #book: Entry[] = [];
  #running = 0;
  #mark: number;
  #committed: number;
  #position: number;
  #isStopped = false;
  #isPaused = false;
  /** Since when something is handled and not committed. */
  #uncommittedSinceMs: number | undefined;
  /** Set by the watchdog (watchdog.ts) while nothing moves. */
  isStalled = false;
  /** Why what is running cannot end; undefined where it can. */
  #heldBy: string | undefined;
  #idle: Deferred<void> | undefined;

  constructor(options: LaneOptions) {
    this.#options = options;
    this.topic = options.topic;
    this.partition = options.partition;
    this.#mark = options.startOffset;
    this.#position = options.startOffset;
    this.#committed = options.startIsNew ? -1 : options.startOffset;
    this.#window = new ProgressWindow(options.environment.clock.now(), options.stoppedAfterMs);
    this.#reader = options.openReader(() => options.onReadable(this));
  }

  get place(): TopicPartition {
    return { topic: this.topic.name, partition: this.partition };
  }
  /** Aborts when this period of ownership ends. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }
  /** Aborts when the group waits for what is running here: finish soon. */
  get handover(): AbortSignal {
    return this.#handover.signal;
  }
  /** The offset to commit: of the first message not handled. */
  get mark(): number {
    return this.#mark;
  }
  /** The last offset the coordinator acknowledged; -1 for none. */
  get committed(): number {
    return this.#committed;
  }
  /** The offset after the last one delivered. */
  get position(): number {
    return this.#position;
  }
  /** Messages not delivered yet, as far as known. */
  get behind(): number {
    return this.#reader.behind;
  }
  get running(): number {
    return this.#running;
  }
  /** Since when the first message that is delivered and not behind the mark has been out; undefined where there is none. */
  get waitingSinceMs(): number | undefined {
    return this.#book[0]?.deliveredAtMs;
  }
  /** @returns what keeps commits from moving for longer than they may stand; undefined where nothing does */
  standsStillBy(nowMs: number): string | undefined {
    const { stoppedAfterMs, commitDueMs } = this.#options;
    const oldest = this.oldestRunning;
    if (oldest !== undefined && nowMs - oldest.deliveredAtMs > stoppedAfterMs) {
      const since = `offset ${oldest.offset} was delivered ${nowMs - oldest.deliveredAtMs} ms ago`;
      return `${since} and is not handled yet (or not acked): no commit can pass it`;
    }
    const troubledSinceMs = this.#reader.problemSinceMs;
    if (troubledSinceMs !== undefined && nowMs - troubledSinceMs > stoppedAfterMs) return this.#reader.problem;
    if (this.#uncommittedSinceMs === undefined || nowMs - this.#uncommittedSinceMs <= commitDueMs) return undefined;
    return `handled up to offset ${this.#mark} and committed ${this.#committed}: no commit has gone through`;
  }
  get needsCommit(): boolean {
    return this.#mark !== this.#committed;
  }
  get isPaused(): boolean {
    return this.#isPaused;
  }
  get window(): ProgressWindow {
    return this.#window;
  }
  /** Messages not handled yet, as far as known: those to deliver and those delivered. */
  get unhandled(): number {
    return this.#reader.behind + this.#book.length;
  }
  /** When the oldest message not handled yet was stored, wall clock; undefined where none is known. */
  get oldestTimestampMs(): number | undefined {
    return this.#book[0]?.timestampMs ?? this.#reader.nextTimestampMs;
  }
  /** The first message that was delivered and neither acked nor given up. */
  get oldestRunning(): { readonly offset: number; readonly deliveredAtMs: number } | undefined {
    return this.#book.find(({ state }) => state === 'running');
  }
  /** Changes whenever anything moves here. */
  get progress(): string {
    return `${this.#mark}/${this.#position}/${this.#reader.nextOffset}`;
  }
  get isReading(): boolean {
    return this.#reader.isOpen;
  }
  /** Why it does not get on at the moment: reading does not work, or what is running cannot end. Undefined where it does. */
  get problem(): string | undefined {
    return this.#heldBy ?? this.#reader.problem;
  }
  get isReadable(): boolean {
    return (
      !this.#isStopped && !this.#isPaused && this.#book.length < this.#options.unackedMax && this.#reader.isReadable
    );
  }

  /** @returns the next message, if there is one and it may be delivered now */
  deliver(): Delivery | undefined {
    if (!this.isReadable) return undefined;
    const message = this.#reader.take();
    if (message === undefined) return undefined;
    const entry: Entry = {
      offset: message.offset,
      timestampMs: message.timestampMs,
      deliveredAtMs: this.#options.environment.clock.now(),
      delivery: new Delivery(this, message, (state) => this.#settle(entry, state)),
      state: 'running',
    };
    this.#book.push(entry);
    this.#running += 1;
    this.#position = message.offset + 1;
    return entry.delivery;
  }

  /** The coordinator has acknowledged this offset. */
  committedAt(offset: number, behind: number): void {
    const atMs = this.#options.environment.clock.now();
    this.#committed = offset;
    this.#uncommittedSinceMs = this.#mark === offset ? undefined : atMs;
    this.#window.add({ atMs, offset, behind });
  }

  /** Says why what is running cannot end, or that it can again. */
  hold(reason: string | undefined): void {
    this.#heldBy = reason;
  }

  /** Delivers nothing until `resume`; reading ahead and what is running go on. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    if (this.isReadable) this.#options.onReadable(this);
  }

  /** Goes on at another offset. What was delivered before counts no more, whatever becomes of it. */
  seek(offset: number): void {
    for (const entry of this.#book) entry.state = 'given-up';
    this.#book.length = 0;
    this.#running = 0;
    this.#idle?.resolve();
    this.#mark = offset;
    this.#position = offset;
    this.#reader.restart(offset);
  }

  /** Delivers again from the first message that was not handled: nobody works any more on what was delivered; who does is told. */
  takeBack(): void {
    this.#endWatched(new MusterError('CANCELLED', 'the message is handed out again'));
    this.seek(this.#mark);
  }

  /** Reads again from the same place, over a new stream reader. */
  reread(): void {
    this.#reader.restart(this.#position);
    if (this.isReadable) this.#options.onReadable(this);
  }

  /** Throws what `markTo` would. */
  requireMarkable(offset: number): void {
    requireOffset(offset);
    if (offset >= this.#mark && offset <= this.#position) return;
    const range = `${this.#mark} to ${this.#position}`;
    throw new MusterError('OFFSET_OUT_OF_RANGE', `${this.topic.name}/${this.partition}: ${offset} is outside ${range}`);
  }

  /**
   * Counts everything before the offset as handled. Throws MusterError OFFSET_OUT_OF_RANGE for an offset before the mark or
   * beyond what was delivered, INVALID_ARGUMENT for what is no offset.
   */
  markTo(offset: number): void {
    this.requireMarkable(offset);
    for (const entry of [...this.#book]) if (entry.offset < offset) entry.delivery?.ack();
    // Offsets between two messages of this partition belong to others of the stream.
    if (this.#book.length === 0 || (this.#book[0]?.offset ?? 0) >= offset) this.#mark = Math.max(this.#mark, offset);
  }

  /** Tells a delivery when somebody waits for this lane and when the ownership ends, unless `forget` comes first. */
  watch(delivery: Delivery): void {
    this.#watching.add(delivery);
  }

  forget(delivery: Delivery): void {
    this.#watching.delete(delivery);
  }

  /** Delivers no more; what is running goes on. */
  stop(): void {
    this.#isStopped = true;
  }

  /**
   * Delivers no more and waits for what is running.
   * @returns whether all of it ended in time; what did not is aborted
   */
  async drain(timeoutMs: number): Promise<boolean> {
    this.stop();
    if (this.#running > 0 && !this.signal.aborted) {
      const reason = new MusterError('REBALANCE_IN_PROGRESS', 'the group waits for this handler');
      this.#handover.abort(reason);
      for (const delivery of [...this.#watching]) delivery.handOver(reason);
      this.#idle ??= deferred();
      await withinMs(this.#options.environment.clock, timeoutMs, this.#idle.promise, this.signal);
    }
    return this.#running === 0;
  }

  /** Ends the period of ownership: handlers see their signal abort, nothing is delivered any more. */
  end(reason: MusterError): void {
    this.stop();
    this.#reader.close();
    if (this.signal.aborted) return;
    this.#abort.abort(reason);
    // Whoever waits to be asked for the partition hears that it is gone.
    this.#handover.abort(reason);
    this.#endWatched(reason);
  }

  #endWatched(reason: MusterError): void {
    for (const delivery of [...this.#watching]) delivery.end(reason);
    this.#watching.clear();
  }

  #settle(entry: Entry, state: 'acked' | 'given-up'): void {
    if (entry.state !== 'running') return;
    const wasFull = this.#book.length >= this.#options.unackedMax;
    entry.state = state;
    this.#running -= 1;
    let first = this.#book[0];
    if (first?.state === 'acked') this.#uncommittedSinceMs ??= this.#options.environment.clock.now();
    while (first?.state === 'acked') {
      this.#mark = first.offset + 1;
      this.#book.shift();
      first = this.#book[0];
    }
    if (this.#running === 0) this.#idle?.resolve();
    if (state === 'acked' && !this.signal.aborted) this.#options.onAck(this);
    if (wasFull && this.isReadable) this.#options.onReadable(this);
  }
}

/** Throws MusterError INVALID_ARGUMENT unless it is a whole number, as offsets in texts (KafkaJS) are not. */
export function requireOffset(offset: unknown): void {
  if (Number.isInteger(offset)) return;
  throw new MusterError('INVALID_ARGUMENT', `an offset is a whole number, not ${JSON.stringify(offset)}`);
}

/** @returns one text for a topic's partition */
export function placeOf(topic: string, partition: number): string {
  return `${topic}/${partition}`;
}

/** @returns the partition that such a text names */
export function partitionOfPlace(place: string): TopicPartition {
  const slash = place.lastIndexOf('/');
  return { topic: place.slice(0, slash), partition: Number(place.slice(slash + 1)) };
}
