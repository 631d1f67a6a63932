/**
 * A simulated topic: one stream that messages are produced to, with readers that come and go.
 *
 * T1 A reader hands out its partition in order and without a gap, or it fails: then and only then does somebody have to open
 * another. T2 What a reader cannot hear, as its link or a route is cut or the stream has no leader, it finds out by silence.
 */

import {
  MusterError,
  type ReaderConfig,
  type ReaderEvents,
  type StreamMessage,
  type StreamReader,
  type Streams,
  type TopicSpec,
} from '@muster/worker';
import type { SeededRandom } from '../seeded-random.js';
import type { Network, Peer } from './network.js';
import { StreamServer } from './stream-server.js';

const REQUEST_TIMEOUT_MS = 5_000;
/** As often as a reader looks whether it has heard anything; after two looks without, it fails. */
const LOOK_MS = 2_200;
/** A message that core NATS would lose takes longer on a reader's connection. */
const AGAIN_MS = 200;
const nothing = new Uint8Array();

type Stored = { readonly offset: number; readonly subject: string; readonly timestampMs: number };

export class TopicServer {
  readonly spec: TopicSpec;
  readonly stream: StreamServer;
  readonly #network: Network;
  readonly #random: SeededRandom;
  readonly #stored: Stored[] = [];
  readonly #readers = new Set<TopicReader>();

  constructor(network: Network, name: string, partitions: number, random: SeededRandom) {
    this.#network = network;
    this.#random = random;
    this.spec = { name, stream: `T_${name}`, subject: `t.${name}.{partition}`, partitions, keyHash: 'fnv1a' };
    this.stream = new StreamServer(network, random.below(network.servers), random.fork('stream'));
    this.stream.onChange(() => {
      // The consumer of a reader in memory may live on the server that has gone.
      if (this.stream.leader === undefined) {
        for (const reader of this.#readers) if (this.#random.next() < 0.4) reader.isForsaken = true;
      }
      this.#feed();
    });
    network.onChange(() => this.#feed());
  }

  /** Stores a message. @returns its offset */
  produce(partition: number): number {
    const offset = this.#stored.length + 1;
    const timestampMs = Math.floor(1_700_000_000_000 + this.#network.scheduler.now);
    this.#stored.push({ offset, subject: this.#subject(partition), timestampMs });
    this.#feed();
    return offset;
  }

  /** The streams as one process sees them. */
  connect(peer: Peer, isConnected: () => boolean): Streams {
    const ask = async <Value>(serve: () => Value): Promise<Value> => {
      const answer = await this.stream.ask<{ readonly value: Value }>(
        peer,
        isConnected,
        REQUEST_TIMEOUT_MS,
        ({ respond }) => respond({ value: serve() }),
      );
      if (answer.kind === 'answer') return answer.value.value;
      throw new MusterError('STREAM_UNAVAILABLE', answer.cause);
    };
    const refuse = (): never => {
      throw new MusterError('STREAM_REFUSED', 'nothing of that kind happens in the simulation');
    };
    const end = (): number => this.#stored.length + 1;
    return {
      openReader: async (config, events) => {
        const behind = await ask(() => this.#from(config).length);
        const reader = new TopicReader(this.#network, this.stream, peer, config, behind, events, (from) =>
          this.#from({ ...config, startOffset: from }),
        );
        this.#readers.add(reader);
        reader.onOver = () => this.#readers.delete(reader);
        return reader;
      },
      publish: async () => ({ kind: 'refused', reason: 'nobody publishes in the simulation' }),
      bounds: () => ask(() => ({ firstOffset: 1, nextOffset: end(), created: 'once' })),
      countFrom: (config) => ask(() => this.#from(config).length),
      offsetAt: ({ timeMs }) => ask(() => this.#stored.find((each) => each.timestampMs >= timeMs)?.offset ?? end()),
      firstFrom: (config) => ask(() => this.#from(config)[0]),
      lastOf: ({ subject }) => ask(() => this.#stored.findLast((each) => each.subject === subject)),
      subjectsOf: () => ask(() => ({ takesIn: [this.spec.subject.replace('{partition}', '*')] })),
      createStream: async () => refuse(),
      deleteStream: async () => refuse(),
      // No topic is registered: consumers bring theirs.
      bucket: () => ({
        get: () => ask(() => undefined),
        create: async () => refuse(),
        entries: () => ask(() => new Map()),
        delete: async () => refuse(),
      }),
    };
  }

  #subject(partition: number): string {
    return this.spec.subject.replace('{partition}', String(partition));
  }

  #from({ subject, startOffset }: ReaderConfig): Stored[] {
    return this.#stored.slice(Math.max(0, startOffset - 1)).filter((each) => each.subject === subject);
  }

  #feed(): void {
    for (const reader of [...this.#readers]) reader.feed();
  }
}

class TopicReader implements StreamReader {
  readonly behind: number;
  /** Its consumer is gone, and nobody says so (T2). */
  isForsaken = false;
  onOver: () => void = () => {};
  readonly #network: Network;
  readonly #stream: StreamServer;
  readonly #peer: Peer;
  readonly #session: number;
  readonly #events: ReaderEvents;
  readonly #from: (offset: number) => readonly Stored[];
  readonly #endings: (() => void)[] = [];
  #next: number;
  #wanted = 0;
  #lastArrivalAt = 0;
  #silentLooks = 0;
  #isOver = false;

  constructor(
    network: Network,
    stream: StreamServer,
    peer: Peer,
    config: ReaderConfig,
    behind: number,
    events: ReaderEvents,
    from: (offset: number) => readonly Stored[],
  ) {
    this.#network = network;
    this.#stream = stream;
    this.#peer = peer;
    this.#session = peer.session;
    this.#events = events;
    this.#from = from;
    this.#next = config.startOffset;
    this.behind = behind;
    const onLink = (connected: boolean): void => {
      if (!connected) this.#fail('the connection was lost');
    };
    peer.listeners.add(onLink);
    this.#endings.push(() => peer.listeners.delete(onLink));
    this.#look();
  }

  pull(count: number): void {
    this.#wanted += count;
    this.feed();
  }

  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const end of this.#endings.splice(0)) end();
    this.onOver();
  }

  /** Sends what is there and wanted, where it passes. */
  feed(): void {
    if (this.#wanted === 0 || !this.#isHeard) return;
    const { scheduler } = this.#network;
    const rest = this.#from(this.#next);
    const some = rest.slice(0, this.#wanted);
    this.#wanted -= some.length;
    some.forEach((stored, index) => {
      this.#next = stored.offset + 1;
      const message: StreamMessage = { ...stored, payload: nothing, headers: {}, behind: rest.length - index - 1 };
      const at = Math.max(scheduler.now + (this.#network.transitMs() ?? AGAIN_MS), this.#lastArrivalAt);
      this.#lastArrivalAt = at;
      this.#network.arrive(this.#peer, at - scheduler.now, () => {
        if (!this.#isOver) this.#events.onMessage(message);
      });
    });
  }

  /** Whether anything gets through. Over a link that was lost meanwhile nothing does, as something may be missing (T1). */
  get #isHeard(): boolean {
    const { leader } = this.#stream;
    const { link, session, server } = this.#peer;
    if (this.#isOver || this.isForsaken || leader === undefined || link !== 'up') return false;
    return session === this.#session && this.#network.passes(leader, server);
  }

  #look(): void {
    const cancel = this.#peer.process.clock.after(LOOK_MS, () => {
      this.#silentLooks = this.#isHeard ? 0 : this.#silentLooks + 1;
      if (this.#silentLooks >= 2) this.#fail('nothing heard for two looks');
      else if (!this.#isOver) this.#look();
    });
    this.#endings.push(cancel);
    if (this.#endings.length > 3) this.#endings.splice(1, 1);
  }

  #fail(reason: string): void {
    if (this.#isOver) return;
    this.close();
    this.#events.onFailed(new MusterError('STREAM_UNAVAILABLE', reason));
  }
}
