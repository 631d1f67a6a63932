/**
 * The checkpoints of one log, one after the other: when one is worth its bytes, when it has its turn, what it lets a purge take.
 *
 * What a checkpoint writes is checkpoint.ts; building and sending frames is partition-log.ts. Synchronous but for the purge.
 *
 * CC1 One acknowledged live frame between two checkpoint frames while live records wait.
 * CC2 One checkpoint at a time, and none while the purge of the last one runs (K3).
 */

import type { LogAccess } from './append.js';
import type { CheckpointMeter, CheckpointSource } from './checkpoint.js';
import { Checkpoint, purgeBelow } from './checkpoint.js';
import type { FrameBody, FrameEntry } from './frame.js';
import type { RecordQueue } from './queue.js';
import { completesRecord, type Packer } from './record.js';

export class CheckpointCourse {
  readonly #access: LogAccess;
  readonly #frameRoom: number;
  readonly #pack: Packer;
  readonly #meter: CheckpointMeter;
  /** Sets of parts that are only partly durable: sequence of their first part (C3). */
  readonly #openSets = new Map<string, number>();
  /** Asked for, no frame of it is built yet. */
  #source: CheckpointSource | undefined;
  #checkpoint: Checkpoint | undefined;
  #hasTurn = true;
  #purging = false;

  /** @param frameRoom bytes for the entries of a frame of a checkpoint */
  constructor(access: LogAccess, frameRoom: number, pack: Packer, meter: CheckpointMeter) {
    this.#access = access;
    this.#frameRoom = frameRoom;
    this.#pack = pack;
    this.#meter = meter;
  }

  /** Whether a checkpoint was asked for and its end marker is not durable yet. */
  get isRunning(): boolean {
    return this.#source !== undefined || this.#checkpoint !== undefined;
  }

  /** Whether one would be worth its bytes now; @param isUrgent the stream runs full (L7) */
  isDue(isUrgent: boolean): boolean {
    return !this.isRunning && !this.#purging && this.#meter.isDue(isUrgent);
  }

  /** The group whose state is only partly written: its live records wait (C2). */
  get held(): Checkpoint['held'] {
    return this.#checkpoint?.held;
  }

  /** Asks for a checkpoint. */
  begin(source: CheckpointSource): void {
    this.#source = source;
    this.#hasTurn = true;
  }

  /** Leaves the one that runs: what it has written means nothing (K2). */
  abandon(): void {
    this.#source = undefined;
    this.#checkpoint = undefined;
  }

  /** Whether the next frame is the checkpoint's (CC1). */
  isNext(queue: RecordQueue): boolean {
    return this.isRunning && (this.#hasTurn || queue.isEmpty);
  }

  /** A live frame goes out: the one after it may be the checkpoint's (CC1). */
  letLiveFrameGo(): void {
    this.#hasTurn = true;
  }

  /**
   * @param lastSeq sequence of the last frame of the log
   * @returns what the checkpoint's next frame carries; undefined where none runs, or live records have to go first (C1)
   */
  nextBody(queue: RecordQueue, lastSeq: number): FrameBody | undefined {
    this.#hasTurn = false;
    if (this.#source !== undefined) {
      const coversFrom = Math.min(lastSeq + 1, ...this.#openSets.values());
      this.#checkpoint = new Checkpoint(this.#source, coversFrom, this.#pack);
      this.#source = undefined;
    }
    const checkpoint = this.#checkpoint;
    if (checkpoint === undefined) return undefined;
    const filled = checkpoint.fill(this.#frameRoom, queue);
    switch (filled.kind) {
      case 'entries':
        return { kind: 'checkpoint', live: filled.live, entries: filled.entries };
      case 'written':
        return { kind: 'checkpoint-end', coversFrom: checkpoint.coversFrom, bytes: checkpoint.bytes };
      case 'blocked':
        return undefined;
    }
  }

  /** Takes note of a frame that became durable. @param bytes its size */
  durable(body: FrameBody, bytes: number, seq: number): void {
    switch (body.kind) {
      case 'records':
        this.#meter.earn(bytes);
        this.#trackSets(body.entries, seq);
        return;
      case 'checkpoint':
        this.#checkpoint?.written(bytes);
        this.#trackSets(body.live, seq);
        return;
      case 'checkpoint-end':
        this.#meter.spend(body.bytes + bytes);
        this.abandon();
        this.#purge(body.coversFrom);
        return;
      case 'barrier':
      case 'claim':
      case 'release':
        this.#meter.earn(bytes);
        return;
    }
  }

  #trackSets(entries: readonly FrameEntry[], seq: number): void {
    for (const { pieces } of entries) {
      for (const piece of pieces) {
        if (piece.kind === 'whole') continue;
        if (piece.index === 1) this.#openSets.set(piece.set, seq);
        if (completesRecord(piece)) this.#openSets.delete(piece.set);
      }
    }
  }

  #purge(seq: number): void {
    this.#purging = true;
    void purgeBelow(this.#access, seq).finally(() => {
      this.#purging = false;
    });
  }
}
