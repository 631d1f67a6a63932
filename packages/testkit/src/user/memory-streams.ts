/**
 * JetStream in memory, as one worker sees it: streams, readers, a key-value bucket. The double of the worker's port `Streams`.
 *
 * 1. Everything reaches the worker through the input of its process: a frozen one reads it later, a cut or dead one never.
 * 2. A reader of a worker that loses its connection fails, as a real one does. 3. Message ids are remembered for ever.
 */

import {
  type Bucket,
  type Headers,
  MusterError,
  type PublishOutcome,
  type ReaderConfig,
  type ReaderEvents,
  type StreamBounds,
  type StreamConfig,
  type StreamMessage,
  type StreamReader,
  type StreamSubjects,
  type Streams,
} from '@muster/worker';
import type { MemoryBus } from '../memory-bus.js';
import type { MemoryNats } from '../memory-nats.js';
import { subjectMatches } from '../subject-match.js';

export interface StoredMessage {
  readonly offset: number;
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly headers: Headers;
  readonly timestampMs: number;
}

interface Stream {
  readonly subjects: readonly string[];
  readonly messages: StoredMessage[];
  readonly offsetById: Map<string, number>;
  /** Which stream of this name it is. */
  readonly life: number;
}

/** What all workers share: the streams themselves. */
export class MemoryStreamServer {
  readonly buckets = new Map<string, Map<string, Uint8Array>>();
  readonly #streams = new Map<string, Stream>();
  readonly #readers = new Set<() => void>();
  readonly #onDeleted = new Set<(name: string) => void>();
  #lives = 0;
  readonly #wallNow: () => number;

  constructor(wallNow: () => number) {
    this.#wallNow = wallNow;
  }

  /** Throws MusterError UNKNOWN_STREAM for a stream that does not exist. */
  stream(name: string): Stream {
    const stream = this.#streams.get(name);
    if (stream === undefined) throw new MusterError('UNKNOWN_STREAM', name);
    return stream;
  }
  has(name: string): boolean {
    return this.#streams.has(name);
  }
  create(name: string, subjects: readonly string[]): void {
    if (this.#streams.has(name)) return;
    this.#lives += 1;
    this.#streams.set(name, { subjects, messages: [], offsetById: new Map(), life: this.#lives });
  }
  /** Deletes a stream with its messages; its readers fail. */
  delete(name: string): boolean {
    const isDeleted = this.#streams.delete(name);
    for (const onDeleted of [...this.#onDeleted]) onDeleted(name);
    return isDeleted;
  }

  /** Puts a message into the stream that takes its subject. */
  publish(subject: string, payload: Uint8Array, headers: Headers, messageId: string): PublishOutcome {
    const found = [...this.#streams].find(([, { subjects }]) => subjects.some((wide) => subjectMatches(wide, subject)));
    if (found === undefined) return { kind: 'refused', reason: `no stream takes ${subject}` };
    const [name, { messages, offsetById }] = found;
    const known = offsetById.get(messageId);
    if (known !== undefined) return { kind: 'stored', stream: name, offset: known, duplicate: true };
    const offset = messages.length + 1;
    messages.push({ offset, subject, payload, headers, timestampMs: this.#wallNow() });
    offsetById.set(messageId, offset);
    for (const feed of [...this.#readers]) feed();
    return { kind: 'stored', stream: name, offset, duplicate: false };
  }

  /** @returns the messages of a subject filter from an offset on */
  from(config: ReaderConfig): StoredMessage[] {
    const { messages } = this.stream(config.stream);
    return messages.filter(
      ({ offset, subject }) => offset >= config.startOffset && subjectMatches(config.subject, subject),
    );
  }

  /** Calls back with the name of every stream that is deleted. @returns how to stop */
  onDeleted(hear: (name: string) => void): () => void {
    this.#onDeleted.add(hear);
    return () => this.#onDeleted.delete(hear);
  }

  /** Calls back after every message. @returns how to stop */
  onStored(feed: () => void): () => void {
    this.#readers.add(feed);
    return () => this.#readers.delete(feed);
  }
}

export class MemoryStreams implements Streams {
  readonly #server: MemoryStreamServer;
  readonly #nats: MemoryNats;
  readonly #bus: MemoryBus;

  constructor(server: MemoryStreamServer, nats: MemoryNats, bus: MemoryBus) {
    this.#server = server;
    this.#nats = nats;
    this.#bus = bus;
  }

  async openReader(config: ReaderConfig, events: ReaderEvents): Promise<StreamReader> {
    this.#require();
    const server = this.#server;
    const behind = server.from(config).length;
    let next = config.startOffset;
    let wanted = 0;
    const feed = () => {
      if (wanted === 0 || !server.has(config.stream)) return;
      const rest = server.from({ ...config, startOffset: next });
      const some = rest.slice(0, wanted);
      wanted -= some.length;
      for (const [at, stored] of some.entries()) {
        next = stored.offset + 1;
        const message: StreamMessage = { ...stored, behind: rest.length - at - 1 };
        this.#nats.inputOf(this.#bus.name, '$JS', 0, () => events.onMessage(message));
      }
    };
    const close = () => {
      wanted = 0;
      stopFeed();
      stopLink();
      stopDeleted();
    };
    const fail = (reason: string) => {
      close();
      events.onFailed(new MusterError('STREAM_UNAVAILABLE', reason));
    };
    const stopFeed = server.onStored(feed);
    const stopLink = this.#bus.onConnection((connected) => {
      if (!connected) fail('the connection was lost');
    });
    // As a real server does when it ends the readers of a stream.
    const stopDeleted = server.onDeleted((name) => {
      if (name === config.stream) this.#nats.inputOf(this.#bus.name, '$JS', 0, () => fail('the stream was deleted'));
    });
    const pull = (count: number) => {
      wanted += count;
      feed();
    };
    return { behind, pull, close };
  }

  async publish(message: {
    readonly subject: string;
    readonly payload: Uint8Array;
    readonly messageId: string;
    readonly headers: Headers;
  }): Promise<PublishOutcome> {
    if (!this.#bus.connected) return { kind: 'unavailable', reason: 'not connected' };
    return this.#server.publish(message.subject, message.payload, message.headers, message.messageId);
  }

  async bounds(stream: string): Promise<StreamBounds> {
    this.#require();
    const { messages, life } = this.#server.stream(stream);
    return { firstOffset: 1, nextOffset: messages.length + 1, created: String(life) };
  }

  async countFrom(config: ReaderConfig): Promise<number> {
    this.#require();
    return this.#server.from(config).length;
  }

  async offsetAt(at: { readonly stream: string; readonly subject: string; readonly timeMs: number }): Promise<number> {
    this.#require();
    const { messages } = this.#server.stream(at.stream);
    const isIt = (message: StoredMessage) =>
      message.timestampMs >= at.timeMs && subjectMatches(at.subject, message.subject);
    return messages.find(isIt)?.offset ?? messages.length + 1;
  }

  async firstFrom(config: ReaderConfig): Promise<StoredMessage | undefined> {
    this.#require();
    return this.#server.from(config)[0];
  }

  async lastOf(of: { readonly stream: string; readonly subject: string }): Promise<StoredMessage | undefined> {
    this.#require();
    return this.#server.stream(of.stream).messages.findLast(({ subject }) => subjectMatches(of.subject, subject));
  }

  async subjectsOf(stream: string): Promise<StreamSubjects | undefined> {
    this.#require();
    return this.#server.has(stream) ? { takesIn: this.#server.stream(stream).subjects } : undefined;
  }

  async createStream(config: StreamConfig): Promise<void> {
    this.#require();
    this.#server.create(config.name, config.subjects);
  }

  async deleteStream(name: string): Promise<boolean> {
    this.#require();
    return this.#server.delete(name);
  }

  bucket(name: string): Bucket {
    const entries = this.#server.buckets.get(name) ?? new Map<string, Uint8Array>();
    this.#server.buckets.set(name, entries);
    return {
      get: async (key) => {
        this.#require();
        return entries.get(key);
      },
      create: async (key, value) => {
        this.#require();
        if (entries.has(key)) return false;
        entries.set(key, value);
        return true;
      },
      entries: async () => entries,
      delete: async (key) => {
        entries.delete(key);
      },
    };
  }

  #require(): void {
    if (!this.#bus.connected) throw new MusterError('STREAM_UNAVAILABLE', 'not connected');
  }
}
