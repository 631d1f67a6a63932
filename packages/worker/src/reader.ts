/**
 * Reads one partition from an offset on, for as long as it is wanted: a bounded buffer over stream readers that come and go.
 *
 * B1 messages come out in offset order, each once, without gaps: a new stream reader starts at the next offset.
 * B2 never more than `bufferMessagesMax` messages are buffered or asked for.
 */

import { backoffMs, type Cancel, type Environment } from './clock.js';
import { asMusterError, messageOf } from './errors.js';
import type { Logger } from './logger.js';
import type { StreamMessage, StreamReader, Streams } from './streams.js';
import { partitionFilter, type TopicSpec } from './topic.js';

const REOPEN_LEAST_MS = 100;
const REOPEN_MOST_MS = 5_000;

export interface PartitionReaderOptions {
  readonly streams: Streams;
  readonly environment: Environment;
  readonly logger: Logger;
  readonly stream: string;
  readonly subject: string;
  readonly startOffset: number;
  readonly bufferMessagesMax: number;
  /** A message has come into an empty buffer. */
  onReadable(): void;
}

export class PartitionReader {
  readonly #options: PartitionReaderOptions;
  readonly #buffer: StreamMessage[] = [];
  #reader: StreamReader | undefined;
  /** Asked for and not yet come. */
  #asked = 0;
  #nextOffset: number;
  #behind = 0;
  #failures = 0;
  #cancelReopen: Cancel = () => {};
  #isClosed = false;

  constructor(options: PartitionReaderOptions) {
    this.#options = options;
    this.#nextOffset = options.startOffset;
    void this.#open();
  }

  /** @returns a reader of one partition of a topic */
  static of(
    topic: TopicSpec,
    partition: number,
    startOffset: number,
    bufferMessagesMax: number,
    onReadable: () => void,
    context: Pick<PartitionReaderOptions, 'streams' | 'environment' | 'logger'>,
  ): PartitionReader {
    const { streams, environment, logger } = context;
    const subject = partitionFilter(topic, partition);
    const position = { stream: topic.stream, subject, startOffset };
    return new PartitionReader({ streams, environment, logger, ...position, bufferMessagesMax, onReadable });
  }

  /** Messages of the partition not taken yet, as far as known. */
  get behind(): number {
    return this.#behind + this.#buffer.length;
  }

  get isReadable(): boolean {
    return this.#buffer.length > 0;
  }

  /** @returns the next message, if one is there */
  take(): StreamMessage | undefined {
    const message = this.#buffer.shift();
    // Half empty: one larger pull instead of many small ones.
    if (message !== undefined && this.#buffer.length + this.#asked <= this.#options.bufferMessagesMax / 2) this.#pull();
    return message;
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelReopen();
    this.#reader?.close();
    this.#buffer.length = 0;
  }

  async #open(): Promise<void> {
    const { streams, stream, subject } = this.#options;
    try {
      // A reader may fail before it is handed over; then it is no longer the one to keep.
      let hasFailed = false;
      const reader = await streams.openReader(
        { stream, subject, startOffset: this.#nextOffset },
        {
          onMessage: (message) => this.#onMessage(message),
          onFailed: (error) => {
            hasFailed = true;
            this.#onFailed(error.message);
          },
        },
      );
      if (hasFailed) return;
      if (this.#isClosed) {
        reader.close();
        return;
      }
      this.#reader = reader;
      this.#behind = reader.behind;
      this.#asked = 0;
      this.#pull();
    } catch (thrown) {
      this.#onFailed(messageOf(asMusterError(thrown, 'STREAM_UNAVAILABLE')));
    }
  }

  #pull(): void {
    const count = this.#options.bufferMessagesMax - this.#buffer.length - this.#asked;
    if (this.#reader === undefined || count <= 0) return;
    this.#asked += count;
    this.#reader.pull(count);
  }

  #onMessage(message: StreamMessage): void {
    if (this.#isClosed || message.offset < this.#nextOffset) return;
    this.#failures = 0;
    this.#asked = Math.max(0, this.#asked - 1);
    this.#nextOffset = message.offset + 1;
    this.#behind = message.behind;
    this.#buffer.push(message);
    if (this.#buffer.length === 1) this.#options.onReadable();
  }

  #onFailed(reason: string): void {
    if (this.#isClosed) return;
    const { environment, logger, stream, subject } = this.#options;
    this.#reader = undefined;
    const delayMs = backoffMs(this.#failures, REOPEN_LEAST_MS, REOPEN_MOST_MS, environment.random);
    this.#failures += 1;
    logger.warn('reading again from the next offset', { stream, subject, offset: this.#nextOffset, reason, delayMs });
    this.#cancelReopen();
    this.#cancelReopen = environment.clock.after(delayMs, () => void this.#open());
  }
}
