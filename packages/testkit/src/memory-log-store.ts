/**
 * A partition log in memory, with faults on demand: what JetStream does, and what it does to its clients on a bad day.
 *
 * Deterministic: time comes from the clock, faults from the plan. Several clients (`connect`) share one log; each can be cut off.
 *
 * M1 Sequences are shared by all partitions and never come back, not after a purge either.
 * M2 A conditional append compares with the last sequence of its subject at the moment when it lands.
 * M3 What an answer says is what happened, or nothing is known; a client never hears a wrong outcome.
 */

import {
  type AppendOutcome,
  type LogClock,
  type LogRoom,
  type LogStore,
  LogStoreUnavailable,
  type StoredFrame,
} from '@muster/log';
import type { Partition } from '@muster/protocol';

export type AppendFault =
  /** It lands at once, or is refused at once, but the answer is lost. */
  | { readonly kind: 'ack-lost' }
  /** It lands `landsAfterMs` after it was sent; if that is after the timeout, the client hears nothing. */
  | { readonly kind: 'delayed'; readonly landsAfterMs: number }
  /** It never lands; the client hears nothing. */
  | { readonly kind: 'dropped' }
  /** Refused without a sequence, as some servers do. */
  | { readonly kind: 'refusal-unnamed' }
  /** A deposed leader refuses it and names an older last sequence. */
  | { readonly kind: 'deposed'; readonly lastSeq: number }
  | { readonly kind: 'busy' }
  | { readonly kind: 'full' }
  /** It neither lands nor is answered before `releaseHung`; then it lands, if its expectation still holds. */
  | { readonly kind: 'hang' };

export type ReadFault =
  | { readonly kind: 'unavailable' }
  /** Answered by a replica or leader that lacks the newest `behind` frames of the subject. */
  | { readonly kind: 'stale'; readonly behind: number }
  /** Fails after so many frames (only `read`). */
  | { readonly kind: 'cut'; readonly afterFrames: number }
  | { readonly kind: 'hang' };

export type PurgeFault =
  | { readonly kind: 'unavailable' }
  /** Reported as done, carried out later. */
  | { readonly kind: 'delayed'; readonly landsAfterMs: number }
  | { readonly kind: 'hang' };

/** One call as a plan sees it. `call` counts the calls of all clients from 1. */
export type LogCall = { readonly client: string; readonly partition: Partition; readonly call: number };

/** Decides, call by call, what goes wrong. Undefined = nothing. */
export type LogFaultPlan = {
  readonly append?: (
    call: LogCall & { readonly bytes: Uint8Array; readonly expectedSeq: number },
  ) => AppendFault | undefined;
  readonly last?: (call: LogCall) => ReadFault | undefined;
  readonly read?: (call: LogCall) => ReadFault | undefined;
  /** Called before each frame that a read delivers: what happens in the middle of a read. */
  readonly reading?: (call: LogCall & { readonly seq: number }) => void;
  readonly purge?: (call: LogCall & { readonly seq: number }) => PurgeFault | undefined;
};

export type MemoryLogOptions = {
  readonly clock: LogClock;
  readonly plan?: LogFaultPlan;
  readonly frameBytesMax?: number;
  /** How long an answer takes. */
  readonly latencyMs?: number;
  /** After how long a client gives up waiting for an answer. */
  readonly timeoutMs?: number;
  /** Appends beyond this are refused as full. */
  readonly bytesMax?: number;
};

/** An append that was carried out, as a checker wants to see it. */
export type LandedAppend = {
  readonly client: string;
  readonly partition: Partition;
  readonly seq: number;
  readonly bytes: Uint8Array;
};

export class MemoryLogStore implements LogStore, LogRoom {
  readonly frameBytesMax: number;
  /** May be replaced at any time. */
  plan: LogFaultPlan;
  readonly #clock: LogClock;
  readonly #latencyMs: number;
  readonly #timeoutMs: number;
  #bytesMax: number;
  readonly #subjects = new Map<Partition, StoredFrame[]>();
  readonly #landed: LandedAppend[] = [];
  readonly #cut = new Set<string>();
  #hung: (() => void)[] = [];
  #nextSeq = 1;
  #bytes = 0;
  #calls = 0;
  readonly #self: MemoryLogClient;

  constructor(options: MemoryLogOptions) {
    this.#clock = options.clock;
    this.plan = options.plan ?? {};
    this.frameBytesMax = options.frameBytesMax ?? 1024 * 1024;
    this.#latencyMs = options.latencyMs ?? 1;
    this.#timeoutMs = options.timeoutMs ?? 2_000;
    this.#bytesMax = options.bytesMax ?? Number.POSITIVE_INFINITY;
    this.#self = new MemoryLogClient(this, 'main');
  }

  append(partition: Partition, bytes: Uint8Array, expectedSeq: number): Promise<AppendOutcome> {
    return this.#self.append(partition, bytes, expectedSeq);
  }
  last(partition: Partition): Promise<StoredFrame | undefined> {
    return this.#self.last(partition);
  }
  read(
    partition: Partition,
    fromSeq: number,
    throughSeq: number,
    onFrame: (frame: StoredFrame) => void,
  ): Promise<void> {
    return this.#self.read(partition, fromSeq, throughSeq, onFrame);
  }
  purgeBelow(partition: Partition, seq: number): Promise<void> {
    return this.#self.purgeBelow(partition, seq);
  }
  fullness(): Promise<number> {
    return Promise.resolve(this.#bytesMax === Number.POSITIVE_INFINITY ? 0 : this.#bytes / this.#bytesMax);
  }

  /** @returns the same log as another client sees it; the plan knows it by its name */
  connect(client: string): LogStore {
    return new MemoryLogClient(this, client);
  }
  /** Cuts a client off: from now on nothing that it sends arrives; what is on its way does. */
  cut(client: string): void {
    this.#cut.add(client);
  }
  /** Ends `cut`. */
  heal(client: string): void {
    this.#cut.delete(client);
  }
  /** Carries out, in order, what has been hanging. */
  releaseHung(): void {
    const hung = this.#hung;
    this.#hung = [];
    for (const run of hung) run();
  }
  /** How many calls hang. */
  get hanging(): number {
    return this.#hung.length;
  }
  /** The frames that are there now. */
  frames(partition: Partition): readonly StoredFrame[] {
    return this.#subjects.get(partition) ?? [];
  }
  /** Every append that was ever carried out, in order, also those that were purged. */
  get landed(): readonly LandedAppend[] {
    return this.#landed;
  }
  /** Writes bytes past all conditions: damage, or another program. @returns the sequence */
  inject(partition: Partition, bytes: Uint8Array): number {
    return this.#store('inject', partition, bytes);
  }
  /** From now on the store takes so many bytes more, then it is full. */
  limit(bytes: number): void {
    this.#bytesMax = this.#bytes + bytes;
  }
  /** Removes one frame, as a broken disk does. */
  remove(partition: Partition, seq: number): void {
    const kept = this.frames(partition).filter((frame) => frame.seq !== seq);
    this.#subjects.set(partition, kept);
  }
  /** Removes the frames below `seq` at once. */
  purgeNow(partition: Partition, seq: number): void {
    const kept: StoredFrame[] = [];
    for (const frame of this.frames(partition)) {
      if (frame.seq >= seq) kept.push(frame);
      else this.#bytes -= frame.bytes.length;
    }
    this.#subjects.set(partition, kept);
  }

  /** For the clients of this store only. */
  call(client: string, partition: Partition): LogCall {
    this.#calls += 1;
    return { client, partition, call: this.#calls };
  }
  isCut(client: string): boolean {
    return this.#cut.has(client);
  }
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.after(ms, resolve);
    });
  }
  waitLatency(): Promise<void> {
    return this.wait(this.#latencyMs);
  }
  waitTimeout(): Promise<void> {
    return this.wait(this.#timeoutMs);
  }
  waitReleased(): Promise<void> {
    return new Promise((resolve) => {
      this.#hung.push(resolve);
    });
  }
  later(ms: number, run: () => void): void {
    this.#clock.after(ms, run);
  }
  get timeoutMs(): number {
    return this.#timeoutMs;
  }

  /** Compares and stores (M2). */
  land(client: string, partition: Partition, bytes: Uint8Array, expectedSeq: number): AppendOutcome {
    const lastSeq = this.frames(partition).at(-1)?.seq ?? 0;
    if (lastSeq !== expectedSeq) return { kind: 'refused', lastSeq };
    if (this.#bytes + bytes.length > this.#bytesMax) return { kind: 'full' };
    return { kind: 'stored', seq: this.#store(client, partition, bytes) };
  }

  #store(client: string, partition: Partition, bytes: Uint8Array): number {
    const seq = this.#nextSeq;
    this.#nextSeq += 1;
    const frame = { seq, bytes: bytes.slice() };
    const frames = this.#subjects.get(partition);
    if (frames === undefined) this.#subjects.set(partition, [frame]);
    else frames.push(frame);
    this.#bytes += bytes.length;
    this.#landed.push({ client, partition, seq, bytes: frame.bytes });
    return seq;
  }
}

/** The store as one client sees it. */
class MemoryLogClient implements LogStore {
  readonly #store: MemoryLogStore;
  readonly #name: string;

  constructor(store: MemoryLogStore, name: string) {
    this.#store = store;
    this.#name = name;
  }

  get frameBytesMax(): number {
    return this.#store.frameBytesMax;
  }

  async append(partition: Partition, bytes: Uint8Array, expectedSeq: number): Promise<AppendOutcome> {
    const store = this.#store;
    const call = store.call(this.#name, partition);
    const land = (): AppendOutcome => store.land(this.#name, partition, bytes, expectedSeq);
    const fault: AppendFault | undefined = store.isCut(this.#name)
      ? { kind: 'dropped' }
      : store.plan.append?.({ ...call, bytes, expectedSeq });
    switch (fault?.kind) {
      case undefined: {
        const outcome = land();
        await store.waitLatency();
        return outcome;
      }
      case 'ack-lost':
        land();
        await store.waitTimeout();
        return unknown('the answer was lost');
      case 'dropped':
        await store.waitTimeout();
        return unknown('no answer in time');
      case 'delayed':
        return this.#delayed(land, fault.landsAfterMs);
      case 'hang': {
        await store.waitReleased();
        const outcome = land();
        await store.waitLatency();
        return outcome;
      }
      case 'refusal-unnamed': {
        const outcome = land();
        await store.waitLatency();
        return outcome.kind === 'refused' ? { kind: 'refused', lastSeq: undefined } : outcome;
      }
      case 'deposed':
        await store.waitLatency();
        return { kind: 'refused', lastSeq: fault.lastSeq };
      case 'busy':
      case 'full':
        await store.waitLatency();
        return { kind: fault.kind };
    }
  }

  async last(partition: Partition): Promise<StoredFrame | undefined> {
    const call = this.#store.call(this.#name, partition);
    const visible = await this.#visible(partition, this.#store.plan.last?.(call));
    await this.#store.waitLatency();
    return visible.at(-1);
  }

  async read(
    partition: Partition,
    fromSeq: number,
    throughSeq: number,
    onFrame: (frame: StoredFrame) => void,
  ): Promise<void> {
    const store = this.#store;
    const call = store.call(this.#name, partition);
    const fault = store.plan.read?.(call);
    const visible = await this.#visible(partition, fault);
    await store.waitLatency();
    const end = visible.at(-1)?.seq ?? 0;
    let seq = fromSeq;
    for (let count = 0; ; count += 1) {
      // What is purged while the read goes on is not delivered any more.
      const frame = store.frames(partition).find((stored) => stored.seq >= seq);
      if (frame === undefined || frame.seq > Math.min(end, throughSeq)) return;
      if (fault?.kind === 'cut' && count >= fault.afterFrames) throw new LogStoreUnavailable('the read was cut');
      onFrame(frame);
      store.plan.reading?.({ ...call, seq: frame.seq });
      seq = frame.seq + 1;
    }
  }

  async purgeBelow(partition: Partition, seq: number): Promise<void> {
    const store = this.#store;
    const call = store.call(this.#name, partition);
    const fault: PurgeFault | undefined = store.isCut(this.#name)
      ? { kind: 'unavailable' }
      : store.plan.purge?.({ ...call, seq });
    if (fault?.kind === 'hang') await store.waitReleased();
    if (fault?.kind === 'unavailable') {
      await store.waitTimeout();
      throw new LogStoreUnavailable('no answer in time');
    }
    if (fault?.kind === 'delayed') store.later(fault.landsAfterMs, () => store.purgeNow(partition, seq));
    else store.purgeNow(partition, seq);
    await store.waitLatency();
  }

  async #delayed(land: () => AppendOutcome, landsAfterMs: number): Promise<AppendOutcome> {
    const store = this.#store;
    if (landsAfterMs < store.timeoutMs) {
      await store.wait(landsAfterMs);
      return land();
    }
    store.later(landsAfterMs, land);
    await store.waitTimeout();
    return unknown('no answer in time');
  }

  async #visible(partition: Partition, fault: ReadFault | undefined): Promise<readonly StoredFrame[]> {
    const store = this.#store;
    if (fault?.kind === 'hang') await store.waitReleased();
    if (fault?.kind === 'unavailable' || store.isCut(this.#name)) {
      await store.waitTimeout();
      throw new LogStoreUnavailable('no answer in time');
    }
    const frames = store.frames(partition);
    return fault?.kind === 'stale' ? frames.slice(0, Math.max(0, frames.length - fault.behind)) : frames.slice();
  }
}

function unknown(cause: string): AppendOutcome {
  return { kind: 'unknown', cause };
}
