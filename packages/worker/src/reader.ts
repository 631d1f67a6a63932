/**
 * Reads one partition from an offset on, for as long as it is wanted: a bounded buffer over stream readers that come and go.
 *
 * B1 messages come out in offset order, each once, without gaps: a new stream reader starts at the next offset.
 * B2 a stream that was made anew has other offsets: nothing of it is read from the old place. Who uses the reader says where to go on.
 * B3 never more than `bufferMessagesMax` messages are buffered or asked for, and of large ones not more than about `BUFFER_BYTES`: how
 *    many those are is judged by the messages seen last.
 */

import { backoffMs, type Cancel, type Environment } from './clock.js';
import { asMusterError, type MusterError } from './errors.js';
import type { Logger } from './logger.js';
import type { StreamBounds, StreamMessage, StreamReader, Streams } from './streams.js';
import { partitionFilter, type TopicSpec } from './topic.js';

const REOPEN_LEAST_MS = 100;
const REOPEN_MOST_MS = 5_000;
/** Of one partition. differs from kafka: max.partition.fetch.bytes (1 MiB) is for one answer, not for what is buffered. */
const BUFFER_BYTES = 8 * 1024 * 1024;
/** A message of which nothing is known yet: the max_payload that servers have by default. */
const UNKNOWN_BYTES = 1024 * 1024;
/** How fast the estimate forgets a large message: it takes the larger one at once, and comes down by this part with each smaller one. */
const FORGETTING = 1 / 16;

/** What a reader needs of JetStream. */
export type ReaderStreams = Pick<Streams, 'openReader' | 'bounds'>;

export interface PartitionReaderOptions {
  readonly streams: ReaderStreams;
  readonly environment: Environment;
  readonly logger: Logger;
  readonly stream: string;
  readonly subject: string;
  readonly startOffset: number;
  readonly bufferMessagesMax: number;
  /** Which stream of that name `startOffset` belongs to (B2). */
  readonly created: string;
  /** A message has come into an empty buffer. */
  onReadable(): void;
  /** Reading is not allowed: trying again cannot help. */
  onDenied(error: MusterError): void;
  /** There is no such stream at the moment. It is tried again. */
  onMissing(error: MusterError): void;
  /** B2: reading goes on after a `restart`. */
  onReplaced(bounds: StreamBounds): void;
}

/** Where a reader begins, and in which stream. */
export type ReaderStart = Pick<PartitionReaderOptions, 'startOffset' | 'created'>;
/** What a reader works with and whom it tells. */
export type ReaderContext = Pick<
  PartitionReaderOptions,
  'streams' | 'environment' | 'logger' | 'onDenied' | 'onMissing' | 'onReplaced'
>;

export class PartitionReader {
  readonly #options: PartitionReaderOptions;
  readonly #buffer: StreamMessage[] = [];
  #reader: StreamReader | undefined;
  /** Asked for and not yet come. */
  #asked = 0;
  /** What a message of this partition takes, judged from above. */
  #messageBytes: number | undefined;
  #nextOffset: number;
  #behind = 0;
  #failures = 0;
  #problem: string | undefined;
  #problemSinceMs: number | undefined;
  /** Which opening of a stream reader counts: what an earlier one says is ignored. */
  #opening = 0;
  #cancelReopen: Cancel = () => {};
  #isClosed = false;
  #created: string;
  /** B2: what has failed may have been deleted and made anew since. */
  #isInDoubt = false;

  constructor(options: PartitionReaderOptions) {
    this.#options = options;
    this.#created = options.created;
    this.#nextOffset = options.startOffset;
    void this.#open();
  }

  /** @returns a reader of one partition of a topic */
  static of(
    topic: TopicSpec,
    partition: number,
    start: ReaderStart,
    bufferMessagesMax: number,
    onReadable: () => void,
    context: ReaderContext,
  ): PartitionReader {
    const { streams, environment, logger, onDenied, onMissing, onReplaced } = context;
    const subject = partitionFilter(topic, partition);
    const { startOffset, created } = start;
    const position = { stream: topic.stream, subject, startOffset, created };
    const told = { onReadable, onDenied, onMissing, onReplaced };
    return new PartitionReader({ streams, environment, logger, ...position, bufferMessagesMax, ...told });
  }

  /** Messages of the partition not taken yet, as far as known. */
  get behind(): number {
    return this.#behind + this.#buffer.length;
  }

  get isReadable(): boolean {
    return this.#buffer.length > 0;
  }

  /** The next offset to come from the stream. */
  get nextOffset(): number {
    return this.#nextOffset;
  }

  /** When the next message to take was stored; undefined where none is buffered. */
  get nextTimestampMs(): number | undefined {
    return this.#buffer[0]?.timestampMs;
  }

  /** Whether there is a stream reader at the moment: only then `behind` is known. */
  get isOpen(): boolean {
    return this.#reader !== undefined;
  }

  /** Why there is no stream reader at the moment. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Since when `problem` lasts. */
  get problemSinceMs(): number | undefined {
    return this.#problemSinceMs;
  }

  /** Drops what is buffered and reads on at another offset. */
  restart(offset: number): void {
    if (this.#isClosed) return;
    this.#cancelReopen();
    this.#reader?.close();
    this.#reader = undefined;
    this.#buffer.length = 0;
    this.#behind = 0;
    this.#nextOffset = offset;
    void this.#open();
  }

  /** @returns the next message, if one is there */
  take(): StreamMessage | undefined {
    const message = this.#buffer.shift();
    // Half empty: one larger pull instead of many small ones.
    if (message !== undefined && this.#buffer.length + this.#asked <= this.#roomMessages() / 2) this.#pull();
    return message;
  }

  /** B3 */
  #roomMessages(): number {
    const byBytes = Math.floor(BUFFER_BYTES / (this.#messageBytes ?? UNKNOWN_BYTES));
    return Math.max(1, Math.min(this.#options.bufferMessagesMax, byBytes));
  }

  #weigh(bytes: number): void {
    const known = this.#messageBytes ?? bytes;
    this.#messageBytes = Math.max(1, bytes, known - (known - bytes) * FORGETTING);
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelReopen();
    this.#reader?.close();
    this.#buffer.length = 0;
  }

  async #open(): Promise<void> {
    const { streams, stream, subject } = this.#options;
    this.#opening += 1;
    const opening = this.#opening;
    const isCurrent = () => this.#opening === opening && !this.#isClosed;
    try {
      if (this.#isInDoubt) {
        const bounds = await streams.bounds(stream);
        if (!isCurrent()) return;
        this.#isInDoubt = false;
        if (bounds.created !== this.#created) {
          this.#created = bounds.created;
          this.#options.onReplaced(bounds);
          return;
        }
      }
      // A reader may fail before it is handed over; then it is no longer the one to keep.
      let hasFailed = false;
      const reader = await streams.openReader(
        { stream, subject, startOffset: this.#nextOffset },
        {
          onMessage: (message) => {
            if (isCurrent()) this.#onMessage(message);
          },
          onFailed: (error) => {
            hasFailed = true;
            if (isCurrent()) this.#onFailed(error);
          },
        },
      );
      if (hasFailed) return;
      if (!isCurrent()) {
        reader.close();
        return;
      }
      this.#reader = reader;
      this.#problem = undefined;
      this.#problemSinceMs = undefined;
      this.#behind = reader.behind;
      this.#asked = 0;
      this.#pull();
    } catch (thrown) {
      if (isCurrent()) this.#onFailed(asMusterError(thrown, 'STREAM_UNAVAILABLE'));
    }
  }

  #pull(): void {
    const count = this.#roomMessages() - this.#buffer.length - this.#asked;
    if (this.#reader === undefined || count <= 0) return;
    this.#asked += count;
    this.#reader.pull(count);
  }

  #onMessage(message: StreamMessage): void {
    if (message.offset < this.#nextOffset) return;
    this.#failures = 0;
    this.#asked = Math.max(0, this.#asked - 1);
    this.#nextOffset = message.offset + 1;
    this.#behind = message.behind;
    this.#weigh(message.payload.byteLength);
    this.#buffer.push(message);
    if (this.#buffer.length === 1) this.#options.onReadable();
  }

  #onFailed(error: MusterError): void {
    const { environment, logger, stream, subject, onDenied, onMissing } = this.#options;
    this.#reader = undefined;
    this.#problem = error.message;
    this.#problemSinceMs ??= environment.clock.now();
    this.#isInDoubt = true;
    if (error.code === 'UNKNOWN_STREAM') onMissing(error);
    if (error.code === 'TOPIC_AUTHORIZATION_FAILED') {
      onDenied(error);
      return;
    }
    const delayMs = backoffMs(this.#failures, REOPEN_LEAST_MS, REOPEN_MOST_MS, environment.random);
    this.#failures += 1;
    const fields = { stream, subject, offset: this.#nextOffset, reason: error.message, delayMs };
    logger.warn('reading again from the next offset', fields);
    this.#cancelReopen();
    this.#cancelReopen = environment.clock.after(delayMs, () => void this.#open());
  }
}
