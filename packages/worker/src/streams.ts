/**
 * The narrow port to JetStream: read a partition in order, publish, manage streams and a key-value bucket.
 *
 * An offset is a stream sequence. Readers end by themselves when they can no longer promise order and completeness; who
 * uses one opens another at its next offset (reader.ts).
 */

import type { MusterError } from './errors.js';
import type { StreamSubjects } from './stream-shape.js';

export type Headers = Readonly<Record<string, string>>;

/** A message of a stream as it was stored. */
export interface StreamMessage {
  readonly offset: number;
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly headers: Headers;
  /** When JetStream stored it, wall clock. */
  readonly timestampMs: number;
  /** Messages of this reader's subject behind this one. */
  readonly behind: number;
}

export interface ReaderConfig {
  readonly stream: string;
  /** Only messages of this subject filter. */
  readonly subject: string;
  /** The first offset wanted. */
  readonly startOffset: number;
}

export interface ReaderEvents {
  onMessage(message: StreamMessage): void;
  /** Nothing more comes. Called at most once, never after `close`. */
  onFailed(error: MusterError): void;
}

export interface StreamReader {
  /** Messages waiting in the stream when the reader was opened. */
  readonly behind: number;
  /** Asks for up to `count` more messages; nothing comes unasked. */
  pull(count: number): void;
  close(): void;
}

export type PublishOutcome =
  | { readonly kind: 'stored'; readonly stream: string; readonly offset: number; readonly duplicate: boolean }
  /** Unknown or not stored: the same message id may be sent again. */
  | { readonly kind: 'unavailable'; readonly reason: string }
  | { readonly kind: 'refused'; readonly reason: string };

export interface StreamBounds {
  /** Offset of the oldest message still there. */
  readonly firstOffset: number;
  /** Offset that the next message will get. */
  readonly nextOffset: number;
  /** When the stream was made: another value is another stream, whose offsets have nothing to do with the old ones. */
  readonly created: string;
}

export interface StreamConfig {
  readonly name: string;
  readonly subjects: readonly string[];
  readonly replicas: number;
  readonly storage: 'file' | 'memory';
  /** 0 = for ever. */
  readonly maxAgeMs: number;
  /** 0 = no limit. */
  readonly maxBytes: number;
  /** How long the message ids of producers are remembered. */
  readonly duplicateWindowMs: number;
}

export interface Streams {
  /** Throws MusterError STREAM_UNAVAILABLE, STREAM_REFUSED, UNKNOWN_STREAM. */
  openReader(config: ReaderConfig, events: ReaderEvents): Promise<StreamReader>;
  /** Never throws. */
  publish(message: {
    readonly subject: string;
    readonly payload: Uint8Array;
    readonly messageId: string;
    readonly headers: Headers;
    readonly timeoutMs: number;
  }): Promise<PublishOutcome>;
  /** Throws as `openReader`. */
  bounds(stream: string): Promise<StreamBounds>;
  /** Messages of the subject at or after an offset: the lag of a consumer that reads there next. Throws as above. */
  countFrom(config: ReaderConfig): Promise<number>;
  /**
   * The offset of the first message of the subject stored at or after a time; the stream's next offset where there is none.
   * Throws as above.
   */
  offsetAt(at: { readonly stream: string; readonly subject: string; readonly timeMs: number }): Promise<number>;
  /** The first message of the subject at or after an offset, without its value; undefined where there is none. */
  firstFrom(
    config: ReaderConfig,
  ): Promise<{ readonly offset: number; readonly subject: string; readonly timestampMs: number } | undefined>;
  /** The last message of the subject; undefined where there is none. Throws as above. */
  lastOf(of: { readonly stream: string; readonly subject: string }): Promise<{ readonly offset: number } | undefined>;
  /** The subjects of a stream; undefined where there is no such stream. Throws as above. */
  subjectsOf(stream: string): Promise<StreamSubjects | undefined>;
  /** Creates a stream; one with the same name and settings is fine. Throws as above. */
  createStream(config: StreamConfig): Promise<void>;
  /** @returns false where there was none */
  deleteStream(name: string): Promise<boolean>;
  bucket(name: string): Bucket;
}

/** A key-value bucket. All calls throw MusterError STREAM_UNAVAILABLE or STREAM_REFUSED. */
export interface Bucket {
  /** Undefined where key or bucket are missing. */
  get(key: string): Promise<Uint8Array | undefined>;
  /** Makes the bucket if needed. @returns false where the key exists */
  create(key: string, value: Uint8Array, replicas: number): Promise<boolean>;
  /** Every key with its value. */
  entries(): Promise<ReadonlyMap<string, Uint8Array>>;
  delete(key: string): Promise<void>;
}
