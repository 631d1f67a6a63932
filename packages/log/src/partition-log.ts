/**
 * The log of one partition that this process owns: group commit, one frame in flight.
 *
 * Knows neither leases nor groups; how the outcome of a frame is found out is append.ts, when a checkpoint has its turn
 * checkpoint-course.ts.
 * Everything here runs synchronously in the caller's turn or when a frame has settled.
 *
 *   idle --kick--> sending --ack--> idle
 *                  sending --no ack--> resolving --ack or own nonce--> idle
 *   any --fenced, broken, released, closed--> lost   (once, for good)
 *
 * W1 One frame in flight; no other is built before its outcome is known, and nothing is reported durable (L2).
 * W2 `durable` is called in the order of the log, before any barrier that the same frame proves, before the next frame is built.
 * W3 A release is the last append; what was queued goes first (O9).
 * W4 After `lost` there is no other callback and no other append.
 * W5 Whatever throws on the way, the store's adapter or the listener, costs the partition and not the process: the log is lost as
 *    broken, and a new claim loads it anew.
 */

import type { Epoch, GroupId, Incarnation, MonotonicMs, NodeId, Partition } from '@muster/protocol';
import { type FrameSender, type LogAccess, type ReadFrame, type Settled, settleFrame } from './append.js';
import { Barriers } from './barriers.js';
import type { CheckpointMeter, CheckpointSource } from './checkpoint.js';
import { CheckpointCourse } from './checkpoint-course.js';
import { encodeFrame, type FrameBody, liveEntries } from './frame.js';
import type { LogLimits } from './limits.js';
import type { LogListener, LostReason } from './listener.js';
import { RecordQueue } from './queue.js';
import { completesRecord, type LogRecord, type Packer, packRecord } from './record.js';
import { type Rooms, roomsOf } from './rooms.js';
import { StallWatch } from './stall-watch.js';

type InFlight = {
  readonly body: FrameBody;
  readonly nonce: string;
  readonly bytes: number;
  full: boolean;
};

type State =
  | { readonly kind: 'idle' }
  | { readonly kind: 'sending'; readonly frame: InFlight }
  | { readonly kind: 'resolving'; readonly frame: InFlight }
  | { readonly kind: 'lost'; readonly reason: LostReason };

type Releasing = {
  readonly target: NodeId | null;
  readonly settle: (outcome: 'released' | 'gave-up') => void;
  cancelGiveUp: () => void;
};

export type PartitionLogParts = {
  readonly access: LogAccess;
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  readonly epoch: Epoch;
  readonly listener: LogListener;
  readonly last: { readonly seq: number; readonly nonce: string };
  readonly provenAt: MonotonicMs | undefined;
  readonly meter: CheckpointMeter;
};

/** Made by `claimPartition` only. */
export class PartitionLog {
  readonly partition: Partition;
  readonly epoch: Epoch;
  readonly #access: LogAccess;
  readonly #limits: LogLimits;
  readonly #node: NodeId;
  readonly #incarnation: Incarnation;
  readonly #listener: LogListener;
  readonly #rooms: Rooms;
  readonly #pack: Packer;
  readonly #queue = new RecordQueue();
  readonly #barriers = new Barriers();
  readonly #checkpoints: CheckpointCourse;
  readonly #sender: FrameSender;
  readonly #stallWatch: StallWatch;
  #state: State = { kind: 'idle' };
  #lastSeq: number;
  #lastNonce: string;
  #proofSentAt: MonotonicMs | undefined;
  #queuedRecords = 0;
  #queuedBytes = 0;
  #releasing: Releasing | undefined;
  #reporting = false;

  constructor(parts: PartitionLogParts) {
    this.#access = parts.access;
    this.#limits = parts.access.limits;
    this.partition = parts.access.partition;
    this.epoch = parts.epoch;
    this.#node = parts.node;
    this.#incarnation = parts.incarnation;
    this.#listener = parts.listener;
    this.#lastSeq = parts.last.seq;
    this.#lastNonce = parts.last.nonce;
    this.#proofSentAt = parts.provenAt;
    this.#rooms = roomsOf(this.#limits, parts.access.store.frameBytesMax);
    const { recordBytesMax } = this.#limits;
    this.#pack = (record) => packRecord(record, this.#rooms.part, recordBytesMax, this.#access.newNonce);
    this.#checkpoints = new CheckpointCourse(this.#access, this.#rooms.checkpoint, this.#pack, parts.meter);
    this.#sender = this.#asSender();
    this.#stallWatch = new StallWatch(parts.access.clock, this.#limits.stallMs, () => this.#onStall());
  }

  /** Records that were appended and are not durable yet. */
  get queuedRecords(): number {
    return this.#queuedRecords;
  }
  /** Their size in bytes, without what surrounds them in a frame. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }
  /** Whether the log has ended for this process. */
  get isLost(): boolean {
    return this.#state.kind === 'lost';
  }
  /** Send time of the youngest try that was acknowledged (O3); undefined until there is one. */
  get proofSentAt(): MonotonicMs | undefined {
    return this.#proofSentAt;
  }
  /** Whether a checkpoint would be worth its bytes now (checkpoint.ts). */
  get checkpointDue(): boolean {
    return this.#releasing === undefined && this.#checkpoints.isDue(false);
  }
  /** Whether one is due where the stream runs full (L7). */
  get urgentCheckpointDue(): boolean {
    return this.#releasing === undefined && this.#checkpoints.isDue(true);
  }
  /** Whether a checkpoint has begun and its end marker is not durable yet. */
  get checkpointRunning(): boolean {
    return this.#checkpoints.isRunning;
  }

  /**
   * Queues records of one group, in order. Sends nothing: `kick` does, at the end of the slice of turns.
   * @throws RangeError where a record is larger than a loader would take (L3), Error where the log is lost or being released: then
   *   none is queued
   */
  append(group: GroupId, records: readonly LogRecord[]): void {
    if (this.#state.kind === 'lost' || this.#releasing !== undefined) {
      throw new Error(`the log of partition ${this.partition} takes no more records`);
    }
    for (const pieces of records.map(this.#pack)) {
      this.#queue.add(group, pieces);
      this.#queuedRecords += 1;
      for (const piece of pieces) this.#queuedBytes += piece.bytes.length;
    }
  }

  /** Builds and sends a frame if none is in flight and something is due. To be called at the end of a slice of turns. */
  kick(): void {
    if (this.#state.kind !== 'idle' || this.#reporting) return;
    try {
      const body = this.#nextBody();
      if (body !== undefined) this.#send(body);
    } catch (error) {
      this.#threw(error);
    }
  }

  /**
   * Calls back when an append that was sent after this call is acknowledged (O7); never if the log is lost first. Sends
   * nothing itself: the next `kick` sends what is due, or one empty frame for all that wait.
   */
  barrier(onDurable: () => void): void {
    if (this.#state.kind === 'lost') return;
    this.#barriers.add({ proven: onDurable, lost: () => undefined });
  }

  /**
   * Proves by an append that the partition is still ours (O6): by the unresolved frame if there is one, else by whatever is due.
   * Waits as long as it takes. @returns false where the log is lost
   */
  verify(): Promise<boolean> {
    if (this.#state.kind === 'lost') return Promise.resolve(false);
    return new Promise((resolve) => {
      this.#barriers.add({ proven: () => resolve(true), lost: () => resolve(false) });
      this.kick();
    });
  }

  /**
   * Gives the partition away: everything queued first, then a release as the last append (O9); a running checkpoint is left.
   * Gives up after `releaseGiveUpMs` without any acknowledgement. The listener hears `lost('released')` either way.
   */
  release(target: NodeId | null): Promise<'released' | 'gave-up'> {
    if (this.#state.kind === 'lost' || this.#releasing !== undefined) return Promise.resolve('gave-up');
    return new Promise((settle) => {
      this.#releasing = { target, settle, cancelGiveUp: () => undefined };
      this.#checkpoints.abandon();
      this.#armGiveUp();
      this.kick();
    });
  }

  /**
   * Writes the durable state again and purges what is older (checkpoint.ts). Without effect while one runs or the log is being
   * released or lost.
   */
  checkpoint(source: CheckpointSource): void {
    if (this.checkpointRunning || this.#state.kind === 'lost' || this.#releasing !== undefined) return;
    this.#checkpoints.begin(source);
    this.kick();
  }

  /** Ends the log for this process without a word to others; a frame in flight may still land. */
  close(): void {
    this.#lose('closed', 'closed by its owner');
  }

  // What the next frame carries.

  #nextBody(): FrameBody | undefined {
    const checkpoints = this.#checkpoints;
    if (checkpoints.isNext(this.#queue)) {
      const body = checkpoints.nextBody(this.#queue, this.#lastSeq);
      if (body !== undefined) return body;
    }
    const entries = this.#queue.fill(this.#rooms.frame, this.#rooms.group, checkpoints.held);
    if (entries.length > 0) {
      checkpoints.letLiveFrameGo();
      return { kind: 'records', entries };
    }
    if (checkpoints.isRunning) return checkpoints.nextBody(this.#queue, this.#lastSeq);
    if (this.#releasing !== undefined) return { kind: 'release', target: this.#releasing.target };
    return this.#barriers.wanted ? { kind: 'barrier' } : undefined;
  }

  // The one frame in flight: each transition in one place.

  #send(body: FrameBody): void {
    const nonce = this.#access.newNonce();
    const bytes = encodeFrame({
      epoch: this.epoch,
      node: this.#node,
      incarnation: this.#incarnation,
      nonce,
      previousSeq: this.#lastSeq,
      previousNonce: this.#lastNonce,
      body,
    });
    const frame: InFlight = { body, nonce, bytes: bytes.length, full: false };
    this.#state = { kind: 'sending', frame };
    this.#stallWatch.started();
    settleFrame(this.#access, { bytes, nonce, expectedSeq: this.#lastSeq }, this.#sender)
      .then((settled) => this.#settled(frame, settled))
      .catch((error: unknown) => this.#threw(error));
  }

  /** W5 */
  #threw(error: unknown): void {
    this.#lose('broken', error instanceof Error ? error.message : String(error));
  }

  #asSender(): FrameSender {
    const isLost = (): boolean => this.#state.kind === 'lost';
    return {
      get stopped(): boolean {
        return isLost();
      },
      trying: () => this.#barriers.trySent(),
      undecided: (why) => this.#undecided(why),
    };
  }

  #undecided(why: 'refused' | 'busy' | 'full' | 'unknown'): void {
    if (this.#state.kind === 'sending') this.#state = { kind: 'resolving', frame: this.#state.frame };
    if (this.#state.kind !== 'resolving' || why !== 'full' || this.#state.frame.full) return;
    this.#state.frame.full = true;
    this.#listener.full();
  }

  #settled(frame: InFlight, settled: Settled): void {
    if (this.#state.kind === 'lost') return;
    switch (settled.kind) {
      case 'durable':
        this.#durable(frame, settled.seq, settled.provenAt);
        return;
      case 'displaced':
        this.#lose(...this.#judge(settled.last));
        return;
      case 'broken':
        this.#lose('broken', settled.detail);
        return;
      case 'stopped':
        return;
    }
  }

  /** Another frame stands where ours should: a claim of a later epoch put it there, or the log was tampered with. */
  #judge({ seq, frame }: ReadFrame): [LostReason, string] {
    if (frame.epoch > this.epoch)
      return ['fenced', `epoch ${frame.epoch} of ${frame.node} since frame ${seq} or earlier`];
    return ['broken', `frame ${seq} of epoch ${frame.epoch} stands where a frame of epoch ${this.epoch} should`];
  }

  #durable(frame: InFlight, seq: number, provenAt: MonotonicMs | undefined): void {
    this.#state = { kind: 'idle' };
    this.#stallWatch.ended();
    this.#lastSeq = seq;
    this.#lastNonce = frame.nonce;
    if (provenAt === undefined) this.#barriers.resolvedByRead();
    else this.#proofSentAt = provenAt;
    if (this.#releasing !== undefined) this.#armGiveUp();
    this.#checkpoints.durable(frame.body, frame.bytes, seq);
    this.#reporting = true;
    try {
      this.#report(frame);
    } finally {
      this.#reporting = false;
    }
    if (frame.body.kind === 'release') this.#lose('released', 'released by its owner', 'released');
    else this.kick();
  }

  #report({ body }: InFlight): void {
    for (const { group, pieces } of liveEntries(body)) {
      if (this.isLost) return;
      let count = 0;
      for (const piece of pieces) {
        this.#queuedBytes -= piece.bytes.length;
        if (completesRecord(piece)) count += 1;
      }
      this.#queuedRecords -= count;
      if (count > 0) this.#listener.durable(group, count);
    }
    for (const waiter of this.#barriers.tryAcknowledged()) {
      if (this.isLost) waiter.lost();
      else waiter.proven();
    }
  }

  #lose(reason: LostReason, detail: string, release: 'released' | 'gave-up' = 'gave-up'): void {
    if (this.#state.kind === 'lost') return;
    this.#state = { kind: 'lost', reason };
    this.#stallWatch.stop();
    this.#queue.clear();
    this.#queuedRecords = 0;
    this.#queuedBytes = 0;
    this.#checkpoints.abandon();
    const releasing = this.#releasing;
    releasing?.cancelGiveUp();
    for (const waiter of this.#barriers.drain()) waiter.lost();
    this.#listener.lost(reason, detail);
    releasing?.settle(release);
  }

  // Timers.

  #onStall(): void {
    if (this.#state.kind !== 'sending' && this.#state.kind !== 'resolving') return;
    this.#listener.stalled();
  }

  #armGiveUp(): void {
    const releasing = this.#releasing;
    if (releasing === undefined) return;
    releasing.cancelGiveUp();
    releasing.cancelGiveUp = this.#access.clock.after(this.#limits.releaseGiveUpMs, () =>
      this.#lose('released', 'gave up: the outcome of the last frame is unknown'),
    );
  }
}
