/**
 * Simulated log streams: conditional appends with replication, refusals, late requests, lost answers, stale reads, purges.
 *
 * G1 Sequences are shared by the partitions of a stream and never come back. G2 The condition is checked when the leader takes
 * the append; until it is replicated every other append of the subject is answered "busy" (10164, L3). G3 A change of leader
 * keeps or loses what was being replicated; either way nobody is told (L2). G4 A stream that was given a limit refuses what does not
 * fit (10077, L3); only a purge, or another limit, makes room.
 */

import {
  type AppendOutcome,
  decodeFrame,
  type LogRoom,
  type LogStore,
  LogStoreUnavailable,
  type StoredFrame,
} from '@muster/log';
import type { Partition } from '@muster/protocol';
import type { SeededRandom } from '../seeded-random.js';
import type { History } from './history.js';
import type { Network, Peer } from './network.js';
import { type Answer, type Exchange, StreamServer } from './stream-server.js';

const APPEND_TIMEOUT_MS = 2_000;
const READ_TIMEOUT_MS = 2_000;
const PURGE_TIMEOUT_MS = 10_000;
const FRAMES_PER_CHUNK = 5;

export type LandedFrame = {
  readonly partition: Partition;
  readonly seq: number;
  readonly bytes: Uint8Array;
  readonly by: string;
  readonly at: number;
};

type Subject = {
  frames: StoredFrame[];
  inFlight: { readonly commit: () => void; isOver: boolean } | undefined;
  /** Frames that ever landed. */
  landed: number;
};

/** The room of one stream. */
type Room = {
  bytesMax: number | undefined;
  /** Since when it is as full as new groups are refused (L7); undefined while it is not. */
  scarceSince: number | undefined;
  refusedAt: number;
};

/** From this share on no new group is taken in (L7). */
const SCARCE_SHARE = 0.8;

export class LogServer {
  readonly streams: readonly StreamServer[];
  readonly frameBytesMax: number;
  /** Every append that was carried out, in order, purged or not. */
  readonly landed: LandedFrame[] = [];
  readonly #network: Network;
  readonly #random: SeededRandom;
  readonly #history: History;
  readonly #subjects = new Map<Partition, Subject>();
  readonly #rooms: readonly Room[];
  readonly #onLanded: (frame: LandedFrame) => void;
  /** Reads that are under way: how far each has come. */
  readonly #reads = new Map<Exchange<StoredFrame[]>, { readonly partition: Partition; readonly throughSeq: number }>();
  #heldPurges: (() => void)[] | undefined;
  #nextSeq = 1;

  constructor(options: {
    readonly network: Network;
    readonly streamCount: number;
    readonly frameBytesMax: number;
    readonly random: SeededRandom;
    readonly history: History;
    readonly onLanded: (frame: LandedFrame) => void;
  }) {
    this.#network = options.network;
    this.#random = options.random;
    this.#history = options.history;
    this.#onLanded = options.onLanded;
    this.frameBytesMax = options.frameBytesMax;
    this.streams = Array.from({ length: options.streamCount }, (_, index) => {
      const stream = new StreamServer(options.network, index, options.random.fork(`stream-${index}`));
      stream.onChange(() => this.#decideInFlight(index));
      return stream;
    });
    this.#rooms = this.streams.map(() => ({ bytesMax: undefined, scarceSince: undefined, refusedAt: -1 }));
  }

  /** The store as one process sees it. */
  connect(peer: Peer, isConnected: () => boolean): LogStore {
    return {
      frameBytesMax: this.frameBytesMax,
      append: (partition, bytes, expectedSeq) => this.#append(peer, isConnected, partition, bytes.slice(), expectedSeq),
      last: async (partition) => {
        const stream = this.#streamOf(partition);
        const answer = await stream.ask<StoredFrame | undefined>(peer, isConnected, READ_TIMEOUT_MS, ({ respond }) =>
          respond(this.#visible(stream, partition).at(-1)),
        );
        return unwrap(answer);
      },
      read: async (partition, fromSeq, throughSeq, onFrame) => {
        const stream = this.#streamOf(partition);
        const answer = await stream.ask<StoredFrame[]>(peer, isConnected, READ_TIMEOUT_MS, (exchange) =>
          this.#read(stream, partition, fromSeq, throughSeq, exchange),
        );
        for (const frame of unwrap(answer)) onFrame(frame);
      },
      purgeBelow: async (partition, seq) => {
        const answer = await this.#streamOf(partition).ask<true>(peer, isConnected, PURGE_TIMEOUT_MS, (exchange) => {
          if (this.#heldPurges !== undefined) return void this.#heldPurges.push(() => this.purge(partition, seq));
          const carryOut = (): void => {
            if (exchange.isOver()) this.#history.mark('a purge that nobody waits for any more');
            if (this.readUpTo(partition) !== undefined) this.#history.mark('a purge overtook a load');
            this.purge(partition, seq);
            exchange.respond(true);
          };
          const { purgeMsMax } = this.#streamOf(partition).trouble;
          if (purgeMsMax > 0) this.#network.scheduler.after(this.#random.next() * purgeMsMax, carryOut);
          else carryOut();
        });
        unwrap(answer);
      },
    };
  }

  /** What nodes are told about the room of the streams. */
  get room(): LogRoom {
    return { fullness: (partition) => Promise.resolve(this.fullness(partition)) };
  }

  /** How full the stream of a partition is; 0 where it has no limit. */
  fullness(partition: Partition): number {
    const { bytesMax } = this.#roomOf(partition);
    return bytesMax === undefined ? 0 : this.#usedBytes(partition % this.streams.length) / bytesMax;
  }

  /** From now on the stream takes in as many bytes as it holds, divided by `share`; without a share it has no limit. */
  limit(streamIndex: number, share?: number): void {
    const room = this.#rooms[streamIndex];
    if (room === undefined) return;
    room.bytesMax = share === undefined ? undefined : this.#usedBytes(streamIndex) / share;
    this.#noteRoom(streamIndex);
  }

  /** Since when no new group may be taken in, with nothing refused since; undefined while one may. */
  scarceSince(partition: Partition): number | undefined {
    const { scarceSince, refusedAt } = this.#roomOf(partition);
    return scarceSince === undefined ? undefined : Math.max(scarceSince, refusedAt);
  }

  /** The stream of a partition. */
  streamOf(partition: Partition): StreamServer {
    return this.#streamOf(partition);
  }

  /** The frames that are there now. */
  frames(partition: Partition): readonly StoredFrame[] {
    return this.#subjects.get(partition)?.frames ?? [];
  }

  /** How many frames of a partition ever landed. */
  landedCount(partition: Partition): number {
    return this.#subjects.get(partition)?.landed ?? 0;
  }

  /** Removes the frames below `seq` at once. */
  purge(partition: Partition, seq: number): void {
    const subject = this.#subjectOf(partition);
    const before = subject.frames.length;
    subject.frames = subject.frames.filter((frame) => frame.seq >= seq);
    if (subject.frames.length === before) return;
    const wasScarce = this.#roomOf(partition).scarceSince !== undefined;
    this.#noteRoom(partition % this.streams.length);
    if (wasScarce && this.#roomOf(partition).scarceSince === undefined) this.#history.mark('a purge made room');
    this.#history.mark('purge');
    this.#history.note(`log ${partition}`, () => `purged below ${seq}: ${before - subject.frames.length} frames`);
  }

  /** From now on purges are taken in and carried out only by `releasePurges`. */
  holdPurges(): void {
    this.#heldPurges ??= [];
  }
  releasePurges(): void {
    const held = this.#heldPurges ?? [];
    this.#heldPurges = undefined;
    for (const purge of held) purge();
  }
  /** Up to which sequence a read of the partition has come that is not at its end; undefined = none is under way. */
  readUpTo(partition: Partition): number | undefined {
    for (const read of this.#reads.values()) if (read.partition === partition) return read.throughSeq;
    return undefined;
  }

  heal(): void {
    this.releasePurges();
    this.streams.forEach((stream, index) => {
      stream.heal();
      this.limit(index);
    });
  }

  #streamOf(partition: Partition): StreamServer {
    const stream = this.streams[partition % this.streams.length];
    if (stream === undefined) throw new RangeError(`partition ${partition} has no stream`);
    return stream;
  }

  #roomOf(partition: Partition): Room {
    const room = this.#rooms[partition % this.streams.length];
    if (room === undefined) throw new RangeError(`partition ${partition} has no stream`);
    return room;
  }

  #usedBytes(streamIndex: number): number {
    let bytes = 0;
    for (const [partition, { frames }] of this.#subjects) {
      if (partition % this.streams.length !== streamIndex) continue;
      for (const frame of frames) bytes += frame.bytes.byteLength;
    }
    return bytes;
  }

  #noteRoom(streamIndex: number): void {
    const room = this.#rooms[streamIndex];
    if (room === undefined) return;
    const isScarce = room.bytesMax !== undefined && this.#usedBytes(streamIndex) >= SCARCE_SHARE * room.bytesMax;
    room.scarceSince = isScarce ? (room.scarceSince ?? this.#network.scheduler.now) : undefined;
  }

  /** G4 */
  #isFull(partition: Partition, bytes: Uint8Array): boolean {
    const room = this.#roomOf(partition);
    if (room.bytesMax === undefined) return false;
    if (this.#usedBytes(partition % this.streams.length) + bytes.byteLength <= room.bytesMax) return false;
    room.refusedAt = this.#network.scheduler.now;
    this.#history.mark('full (10077)');
    return true;
  }

  #subjectOf(partition: Partition): Subject {
    let subject = this.#subjects.get(partition);
    if (subject === undefined) {
      subject = { frames: [], inFlight: undefined, landed: 0 };
      this.#subjects.set(partition, subject);
    }
    return subject;
  }

  async #append(
    peer: Peer,
    isConnected: () => boolean,
    partition: Partition,
    bytes: Uint8Array,
    expectedSeq: number,
  ): Promise<AppendOutcome> {
    const stream = this.#streamOf(partition);
    let isLanded = false;
    const answer = await stream.ask<AppendOutcome>(peer, isConnected, APPEND_TIMEOUT_MS, (exchange) => {
      exchange.onUnanswered = () => {
        if (isLanded) this.#history.mark('an append of unknown outcome had landed');
      };
      this.#take(stream, partition, bytes, expectedSeq, peer, exchange, () => {
        isLanded = true;
        if (exchange.isOver()) this.#history.mark('a frame landed after its timeout');
      });
    });
    return answer.kind === 'answer' ? answer.value : { kind: 'unknown', cause: answer.cause };
  }

  #take(
    stream: StreamServer,
    partition: Partition,
    bytes: Uint8Array,
    expectedSeq: number,
    peer: Peer,
    exchange: Exchange<AppendOutcome>,
    onLanded: () => void,
  ): void {
    const subject = this.#subjectOf(partition);
    if (subject.inFlight !== undefined) {
      this.#history.mark('busy (10164)');
      return exchange.respond({ kind: 'busy' });
    }
    const lastSeq = subject.frames.at(-1)?.seq ?? 0;
    // Which of the two a server looks at first is its own affair.
    const isRoomFirst = this.#roomOf(partition).bytesMax !== undefined && this.#random.next() < 0.5;
    if (isRoomFirst && this.#isFull(partition, bytes)) return exchange.respond({ kind: 'full' });
    if (lastSeq !== expectedSeq) {
      this.#markRefusal(subject, bytes);
      const isUnnamed = stream.trouble.unnamed > 0 && this.#random.next() < stream.trouble.unnamed;
      return exchange.respond({ kind: 'refused', lastSeq: isUnnamed ? undefined : lastSeq });
    }
    if (this.#isFull(partition, bytes)) return exchange.respond({ kind: 'full' });
    const inFlight = {
      isOver: false,
      commit: (): void => {
        if (inFlight.isOver) return;
        inFlight.isOver = true;
        subject.inFlight = undefined;
        const seq = this.#store(partition, subject, bytes, peer.process.name);
        onLanded();
        exchange.respond({ kind: 'stored', seq });
      },
    };
    subject.inFlight = inFlight;
    this.#network.scheduler.after(this.#random.next() * stream.trouble.commitMsMax, inFlight.commit);
  }

  #store(partition: Partition, subject: Subject, bytes: Uint8Array, by: string): number {
    const seq = this.#nextSeq;
    this.#nextSeq += 1;
    subject.frames.push({ seq, bytes });
    subject.landed += 1;
    if (this.#roomOf(partition).bytesMax !== undefined) this.#noteRoom(partition % this.streams.length);
    const frame = { partition, seq, bytes, by, at: this.#network.scheduler.now };
    this.landed.push(frame);
    this.#history.take(seq);
    this.#history.take(frame.at + bytes.byteLength);
    this.#onLanded(frame);
    return seq;
  }

  /** G3 */
  #decideInFlight(streamIndex: number): void {
    for (const [partition, subject] of this.#subjects) {
      const { inFlight } = subject;
      if (partition % this.streams.length !== streamIndex || inFlight === undefined) continue;
      if (this.streams[streamIndex]?.leader !== undefined) continue;
      this.#history.mark('a leader went with an append in flight');
      if (this.#random.next() < 0.5) inFlight.commit();
      else {
        inFlight.isOver = true;
        subject.inFlight = undefined;
      }
    }
  }

  #visible(stream: StreamServer, partition: Partition): readonly StoredFrame[] {
    const { frames } = this.#subjectOf(partition);
    if (stream.trouble.stale <= 0 || this.#random.next() >= stream.trouble.stale) return frames;
    this.#history.mark('a stale read');
    return frames.slice(0, Math.max(0, frames.length - 1 - this.#random.below(3)));
  }

  #read(
    stream: StreamServer,
    partition: Partition,
    fromSeq: number,
    throughSeq: number,
    exchange: Exchange<StoredFrame[]>,
  ): void {
    const endSeq = Math.min(this.#visible(stream, partition).at(-1)?.seq ?? 0, throughSeq);
    const found: StoredFrame[] = [];
    let seq = fromSeq;
    const chunk = (): void => {
      const wanted = this.frames(partition).filter((frame) => frame.seq >= seq && frame.seq <= endSeq);
      const some = wanted.slice(0, FRAMES_PER_CHUNK);
      found.push(...some);
      seq = (some.at(-1)?.seq ?? endSeq) + 1;
      this.#reads.set(exchange, { partition, throughSeq: seq - 1 });
      if (wanted.length <= FRAMES_PER_CHUNK) {
        this.#reads.delete(exchange);
        return exchange.respond(found);
      }
      this.#network.scheduler.after(this.#random.next() * stream.trouble.readMsMax, chunk);
    };
    chunk();
  }

  #markRefusal(subject: Subject, bytes: Uint8Array): void {
    const last = subject.frames.at(-1);
    if (last === undefined) return;
    const mine = decodeFrame(bytes);
    const theirs = decodeFrame(last.bytes);
    if (!mine.ok || !theirs.ok) return;
    if (mine.frame.body.kind === 'claim') this.#history.mark('a claim was refused');
    else if (mine.frame.epoch < theirs.frame.epoch) this.#history.mark('a stale owner wrote after a claim');
    if (mine.frame.nonce === theirs.frame.nonce) this.#history.mark('a resent frame found itself in the log');
  }
}

function unwrap<T>(answer: Answer<T>): T {
  if (answer.kind === 'answer') return answer.value;
  throw new LogStoreUnavailable(answer.cause);
}
