/**
 * A lane: one assigned partition, delivered in order, with the book of what was handled.
 *
 * Does not run handlers (runner.ts, consumer.ts) and does not commit (committer.ts).
 *
 * L1 messages are delivered in offset order. At most `unackedMax` are delivered and not acked.
 * L2 `mark` is the offset of the first message not handled: it never passes one that was given up or is still running.
 * L3 one lane is one period of ownership: its signal aborts when the ownership ends, and it never comes back.
 */

import type { Environment } from './clock.js';
import type { MusterError } from './errors.js';
import type { PartitionReader } from './reader.js';
import type { StreamMessage } from './streams.js';
import type { TopicSpec } from './topic.js';
import { type Deferred, deferred, withinMs } from './waiting.js';

/** A message on its way through a handler. */
export interface Delivery {
  readonly lane: Lane;
  readonly message: StreamMessage;
  /** Handled: may be committed once all before it are. Harmless when called twice or late. */
  ack(): void;
  /** Not handled, and nobody works on it any more: nothing from here on can be committed by this lane. */
  giveUp(): void;
}

interface Entry {
  readonly offset: number;
  state: 'running' | 'acked' | 'given-up';
}

export interface LaneOptions {
  readonly topic: TopicSpec;
  readonly partition: number;
  readonly environment: Environment;
  readonly unackedMax: number;
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
  /** Delivered and not yet behind the mark, in offset order. */
  readonly #book: Entry[] = [];
  #running = 0;
  #mark: number;
  #committed: number;
  #position: number;
  #isStopped = false;
  #idle: Deferred<void> | undefined;

  constructor(options: LaneOptions) {
    this.#options = options;
    this.topic = options.topic;
    this.partition = options.partition;
    this.#mark = options.startOffset;
    this.#position = options.startOffset;
    this.#committed = options.startIsNew ? -1 : options.startOffset;
    this.#reader = options.openReader(() => options.onReadable(this));
  }

  /** Aborts when this period of ownership ends. */
  get signal(): AbortSignal {
    return this.#abort.signal;
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
  get needsCommit(): boolean {
    return this.#mark > this.#committed;
  }
  get isReadable(): boolean {
    return !this.#isStopped && this.#book.length < this.#options.unackedMax && this.#reader.isReadable;
  }

  /** @returns the next message, if there is one and it may be delivered now */
  deliver(): Delivery | undefined {
    if (!this.isReadable) return undefined;
    const message = this.#reader.take();
    if (message === undefined) return undefined;
    const entry: Entry = { offset: message.offset, state: 'running' };
    this.#book.push(entry);
    this.#running += 1;
    this.#position = message.offset + 1;
    const settle = (state: 'acked' | 'given-up') => this.#settle(entry, state);
    return { lane: this, message, ack: () => settle('acked'), giveUp: () => settle('given-up') };
  }

  /** The coordinator has acknowledged this offset. */
  committedAt(offset: number): void {
    this.#committed = Math.max(this.#committed, offset);
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
      this.#idle ??= deferred();
      await withinMs(this.#options.environment.clock, timeoutMs, this.#idle.promise, this.signal);
    }
    return this.#running === 0;
  }

  /** Ends the period of ownership: handlers see their signal abort, nothing is delivered any more. */
  end(reason: MusterError): void {
    this.stop();
    this.#reader.close();
    if (!this.signal.aborted) this.#abort.abort(reason);
  }

  #settle(entry: Entry, state: 'acked' | 'given-up'): void {
    if (entry.state !== 'running') return;
    const wasFull = this.#book.length >= this.#options.unackedMax;
    entry.state = state;
    this.#running -= 1;
    let first = this.#book[0];
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

/** @returns one text for a topic's partition */
export function placeOf(topic: string, partition: number): string {
  return `${topic}/${partition}`;
}
