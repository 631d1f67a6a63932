/**
 * JetStream in memory: streams of messages, readers that can be made to fail, publishes that can be refused.
 */

import { MusterError } from '../src/errors.js';
import type { StreamSubjects, SubjectTransform } from '../src/stream-shape.js';
import type {
  Bucket,
  Headers,
  PublishOutcome,
  ReaderConfig,
  ReaderEvents,
  StreamBounds,
  StreamConfig,
  StreamMessage,
  StreamReader,
  Streams,
} from '../src/streams.js';

interface Stored {
  readonly offset: number;
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly headers: Headers;
  readonly timestampMs: number;
}

class FakeReader implements StreamReader {
  readonly config: ReaderConfig;
  readonly events: ReaderEvents;
  readonly #stream: Stored[];
  #next: number;
  #wanted = 0;
  isClosed = false;
  /** Delivers nothing and says nothing, as a consumer that the server has forgotten. */
  isMute = false;

  constructor(config: ReaderConfig, events: ReaderEvents, stream: Stored[]) {
    this.config = config;
    this.events = events;
    this.#stream = stream;
    this.#next = config.startOffset;
  }
  get behind(): number {
    return this.#rest().length;
  }
  pull(count: number): void {
    this.#wanted += count;
    queueMicrotask(() => this.feed());
  }
  close(): void {
    this.isClosed = true;
  }
  feed(): void {
    for (const stored of this.#rest()) {
      if (this.isClosed || this.isMute || this.#wanted === 0) return;
      this.#wanted -= 1;
      this.#next = stored.offset + 1;
      const message: StreamMessage = { ...stored, behind: this.#rest().length };
      this.events.onMessage(message);
    }
  }
  fail(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.events.onFailed(new MusterError('STREAM_UNAVAILABLE', 'the test says so'));
  }
  #rest(): Stored[] {
    const { subject: filter } = this.config;
    return this.#stream.filter(({ offset, subject }) => offset >= this.#next && isWithin(filter, subject));
  }
}

export class FakeStreams implements Streams {
  readonly readers: FakeReader[] = [];
  readonly published: { readonly messageId: string; readonly subject: string; readonly headers: Headers }[] = [];
  /** Decides the next publishes; undefined stores. */
  onPublish: ((messageId: string) => PublishOutcome | undefined) | undefined;
  /** Whether the registry answers. */
  isUp = true;
  /** Makes every opening of a reader fail. */
  isReadable = true;
  /** Of each stream that exists; `store` makes none. */
  readonly subjects = new Map<string, readonly string[]>();
  /** What streams make of the subjects that they take in. */
  readonly transforms = new Map<string, SubjectTransform>();
  /** Streams that have been deleted. */
  readonly missing = new Set<string>();
  /** How often each stream was made anew. */
  readonly #lives = new Map<string, number>();
  /** When the next messages are stored. */
  timestampMs = 0;
  readonly #streams = new Map<string, Stored[]>();
  readonly #buckets = new Map<string, Map<string, Uint8Array>>();

  async openReader(config: ReaderConfig, events: ReaderEvents): Promise<StreamReader> {
    if (this.missing.has(config.stream)) throw new MusterError('UNKNOWN_STREAM', config.stream);
    if (!this.isReadable) throw new MusterError('STREAM_UNAVAILABLE', 'the test says so');
    const reader = new FakeReader(config, events, this.#stream(config.stream));
    this.readers.push(reader);
    return reader;
  }
  async publish(message: {
    readonly subject: string;
    readonly payload: Uint8Array;
    readonly messageId: string;
    readonly headers: Headers;
  }): Promise<PublishOutcome> {
    const { messageId, subject, headers } = message;
    this.published.push({ messageId, subject, headers });
    const outcome = this.onPublish?.(messageId);
    if (outcome !== undefined) return outcome;
    // The tests' streams are named like the first token of their subjects.
    const stream = subject.split('.')[0] ?? '';
    const offset = this.store(stream, subject, message.payload, headers);
    return { kind: 'stored', stream, offset, duplicate: false };
  }
  async bounds(stream: string): Promise<StreamBounds> {
    if (this.missing.has(stream)) throw new MusterError('UNKNOWN_STREAM', stream);
    const created = String(this.#lives.get(stream) ?? 0);
    return { firstOffset: 1, nextOffset: this.#stream(stream).length + 1, created };
  }
  async countFrom(config: ReaderConfig): Promise<number> {
    return new FakeReader(config, { onMessage: () => {}, onFailed: () => {} }, this.#stream(config.stream)).behind;
  }
  async offsetAt(at: { readonly stream: string; readonly subject: string; readonly timeMs: number }): Promise<number> {
    const messages = this.#stream(at.stream);
    const isIt = ({ timestampMs, subject }: Stored) => timestampMs >= at.timeMs && isWithin(at.subject, subject);
    return messages.find(isIt)?.offset ?? messages.length + 1;
  }
  async firstFrom(config: ReaderConfig): Promise<Stored | undefined> {
    const isIt = ({ offset, subject }: Stored) => offset >= config.startOffset && isWithin(config.subject, subject);
    return this.#stream(config.stream).find(isIt);
  }
  async lastOf(of: { readonly stream: string; readonly subject: string }) {
    return this.#stream(of.stream).findLast(({ subject }) => isWithin(of.subject, subject));
  }
  async subjectsOf(stream: string): Promise<StreamSubjects | undefined> {
    const takesIn = this.missing.has(stream) ? undefined : this.subjects.get(stream);
    if (takesIn === undefined) return undefined;
    const transform = this.transforms.get(stream);
    return transform === undefined ? { takesIn } : { takesIn, transform };
  }
  async createStream(config: StreamConfig): Promise<void> {
    this.subjects.set(config.name, config.subjects);
    this.#stream(config.name);
  }
  async deleteStream(name: string): Promise<boolean> {
    return this.#streams.delete(name);
  }
  bucket(name: string): Bucket {
    const entries = this.#buckets.get(name) ?? new Map<string, Uint8Array>();
    this.#buckets.set(name, entries);
    return {
      get: async (key) => {
        if (!this.isUp) throw new MusterError('STREAM_UNAVAILABLE', 'the test says so');
        return entries.get(key);
      },
      create: async (key, value) => {
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

  /** Deletes a stream with its messages; its readers fail. */
  drop(stream: string): void {
    this.missing.add(stream);
    this.#streams.delete(stream);
    for (const reader of this.readers) if (reader.config.stream === stream) reader.fail();
  }
  /** Makes a deleted stream anew, empty. */
  remake(stream: string): void {
    this.missing.delete(stream);
    this.#lives.set(stream, (this.#lives.get(stream) ?? 0) + 1);
  }

  /** Puts a message into a stream. @returns its offset */
  store(stream: string, subject: string, payload: Uint8Array, headers: Headers = {}): number {
    const messages = this.#stream(stream);
    const offset = messages.length + 1;
    messages.push({ offset, subject, payload, headers, timestampMs: this.timestampMs });
    for (const reader of this.readers) if (reader.config.stream === stream) reader.feed();
    return offset;
  }

  #stream(name: string): Stored[] {
    const known = this.#streams.get(name);
    if (known !== undefined) return known;
    const fresh: Stored[] = [];
    this.#streams.set(name, fresh);
    return fresh;
  }
}

/** @returns whether a subject filter takes a subject */
function isWithin(filter: string, subject: string): boolean {
  const wanted = filter.split('.');
  const given = subject.split('.');
  for (const [at, token] of wanted.entries()) {
    if (token === '>') return given.length > at;
    if (given[at] === undefined || (token !== '*' && token !== given[at])) return false;
  }
  return wanted.length === given.length;
}
