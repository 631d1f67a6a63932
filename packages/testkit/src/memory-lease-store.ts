/**
 * The lease store port in memory, with faults: the double of `JetStreamLeaseStore`, held to the same contract.
 *
 * One store, seen through the connections of a `MemoryNats`: a cut connection gets no answer and misses what a watch says, a
 * frozen process hears of both later.
 *
 * 1. A write takes effect in the call or, where a fault says so, later or never; its condition is checked when it takes
 * effect. 2. A watch delivers revisions in growing order and nothing twice; what it missed comes after the connection is
 * back, the newest of each key.
 */

import type { LeaseEntry, LeaseOutcome, LeaseStore } from '@muster/cluster';
import { LeaseStoreUnavailable } from '@muster/cluster';
import type { MemoryNats } from './memory-nats.js';

export type MemoryLeaseStoreOptions = {
  readonly nats: MemoryNats;
  /** Limit of one write or read, in ms. Default 2,000, as the real one. */
  readonly timeoutMs?: number;
  /** How long a watch needs to start again after its connection is back, in ms. Default 200. */
  readonly watchRecoveryMs?: number;
};

/** A write as a fault rule sees it. */
export type LeaseWrite = {
  readonly from: string;
  readonly key: string;
  readonly value: Uint8Array;
  readonly expectedRevision: number;
};

export type LeaseWriteFault =
  /** It takes effect, the writer hears nothing. */
  | { readonly kind: 'ack-lost' }
  /** It never takes effect, the writer hears nothing. */
  | { readonly kind: 'lost' }
  /** It takes effect after `ms`, if its condition still holds then; the writer hears nothing. */
  | { readonly kind: 'late'; readonly ms: number };

/** `no-leader`: answered at once that nothing can be done. `hanging`: not answered. */
export type LeaseOutage = 'no-leader' | 'hanging';

/** Name of the store as the other side of a connection. */
const SERVER = '$JS';

type Watch = {
  readonly name: string;
  readonly onEntry: (entry: LeaseEntry) => void;
  readonly onReady: () => void;
  /** Handed to the connection, and arrived there. */
  sentRevision: number;
  deliveredRevision: number;
  isReadySent: boolean;
  isStalled: boolean;
  delayMs: number;
  isStopped: boolean;
};

export class MemoryLeaseStore {
  readonly #nats: MemoryNats;
  readonly #timeoutMs: number;
  readonly #watchRecoveryMs: number;
  readonly #entries = new Map<string, LeaseEntry>();
  readonly #watches = new Set<Watch>();
  readonly #faults = new Set<(write: LeaseWrite) => LeaseWriteFault | undefined>();
  #revision = 0;
  #outage: LeaseOutage | undefined;

  constructor(options: MemoryLeaseStoreOptions) {
    this.#nats = options.nats;
    this.#timeoutMs = options.timeoutMs ?? 2_000;
    this.#watchRecoveryMs = options.watchRecoveryMs ?? 200;
    this.#nats.onState((name, state) => {
      if (state !== 'up') return;
      this.#nats.clock.after(this.#watchRecoveryMs, () => this.#restart((watch) => watch.name === name));
    });
  }

  /** @returns the store as the connection of that name sees it */
  storeOf(name: string): LeaseStore {
    return {
      write: (key, value, expectedRevision) => this.#write({ from: name, key, value: value.slice(), expectedRevision }),
      read: (key) => this.#read(name, key),
      watch: (onEntry, onReady) => Promise.resolve(this.#watch(name, onEntry, onReady)),
    };
  }

  /** @returns the key as it stands, whatever faults there are: for the checks of a test */
  entryOf(key: string): LeaseEntry | undefined {
    return this.#entries.get(key);
  }

  /** Deletes a key, as an operator with `nats kv del` does. */
  remove(key: string): void {
    this.#store(key, undefined);
  }

  /** Nobody can read or write, and no watch says anything, until `undefined` ends it. */
  setOutage(outage: LeaseOutage | undefined): void {
    this.#outage = outage;
    if (outage === undefined) for (const watch of [...this.#watches]) this.#pump(watch);
  }

  /** Asks the rule for every write; returns how to end it. */
  onWrite(rule: (write: LeaseWrite) => LeaseWriteFault | undefined): () => void {
    this.#faults.add(rule);
    return () => this.#faults.delete(rule);
  }

  /** The next write, of that connection if one is named, suffers the fault. */
  failNextWrite(fault: LeaseWriteFault, from?: string): void {
    const end = this.onWrite((write) => {
      if (from !== undefined && write.from !== from) return undefined;
      end();
      return fault;
    });
  }

  /** The watches of that connection say nothing until `resumeWatch`: the loss of the server that a watch lives on. */
  stallWatch(name: string): void {
    for (const watch of this.#watches) if (watch.name === name) watch.isStalled = true;
  }

  resumeWatch(name: string): void {
    for (const watch of this.#watches) if (watch.name === name) watch.isStalled = false;
    this.#restart((watch) => watch.name === name);
  }

  /** The watches of that connection say everything `ms` later from now on. */
  delayWatch(name: string, ms: number): void {
    for (const watch of this.#watches) if (watch.name === name) watch.delayMs = ms;
  }

  async #write(write: LeaseWrite): Promise<LeaseOutcome> {
    checkKey(write.key);
    const bus = this.#nats.busOf(write.from);
    if (!bus.connected) return { kind: 'unknown', cause: 'disconnected' };
    const answer = await this.#call<LeaseOutcome>(write.from, () => this.#takeWrite(write));
    return answer.kind === 'answer' ? answer.value : { kind: 'unknown', cause: answer.kind };
  }

  #takeWrite(write: LeaseWrite): LeaseOutcome | undefined {
    if (this.#outage === 'no-leader') return { kind: 'unknown', cause: 'no-responders' };
    if (this.#outage === 'hanging') return undefined;
    const fault = this.#faultOf(write);
    if (fault === undefined) return this.#apply(write);
    switch (fault.kind) {
      case 'lost':
        return undefined;
      case 'ack-lost':
        this.#apply(write);
        return undefined;
      case 'late':
        this.#nats.clock.after(fault.ms, () => this.#apply(write));
        return undefined;
    }
  }

  #faultOf(write: LeaseWrite): LeaseWriteFault | undefined {
    for (const rule of [...this.#faults]) {
      const fault = rule(write);
      if (fault !== undefined) return fault;
    }
    return undefined;
  }

  #apply(write: LeaseWrite): LeaseOutcome {
    const revision = this.#entries.get(write.key)?.revision ?? 0;
    if (revision !== write.expectedRevision) return { kind: 'refused' };
    return { kind: 'written', revision: this.#store(write.key, write.value) };
  }

  #store(key: string, value: Uint8Array | undefined): number {
    this.#revision += 1;
    this.#entries.set(key, { key, value, revision: this.#revision });
    for (const watch of [...this.#watches]) this.#pump(watch);
    return this.#revision;
  }

  async #read(name: string, key: string): Promise<LeaseEntry | undefined> {
    checkKey(key);
    const answer = await this.#call<{ readonly entry: LeaseEntry | undefined } | 'no-leader'>(name, () => {
      if (this.#outage !== undefined) return this.#outage === 'no-leader' ? 'no-leader' : undefined;
      return { entry: copyOf(this.#entries.get(key)) };
    });
    if (answer.kind !== 'answer') throw new LeaseStoreUnavailable(`${key}: ${answer.kind}`);
    if (answer.value === 'no-leader') throw new LeaseStoreUnavailable(`${key}: no-responders`);
    return answer.value.entry;
  }

  /** One request to the store: what the server does happens now, its answer comes as input; undefined = no answer. */
  #call<T>(
    name: string,
    serve: () => T | undefined,
  ): Promise<{ readonly kind: 'answer'; readonly value: T } | { readonly kind: 'timeout' | 'disconnected' }> {
    return new Promise((resolve) => {
      const bus = this.#nats.busOf(name);
      if (!bus.connected) return resolve({ kind: 'disconnected' });
      const settle = (outcome: Parameters<typeof resolve>[0]): void => {
        cancelTimer();
        forget();
        resolve(outcome);
      };
      const cancelTimer = this.#nats.clockOf(name).after(this.#timeoutMs, () => settle({ kind: 'timeout' }));
      const forget = bus.onConnection((connected) => {
        if (!connected) settle({ kind: 'disconnected' });
      });
      if (this.#nats.stateOf(name) !== 'up') return;
      const value = serve();
      if (value !== undefined) this.#nats.inputOf(name, SERVER, 0, () => settle({ kind: 'answer', value }));
    });
  }

  #watch(name: string, onEntry: (entry: LeaseEntry) => void, onReady: () => void): { stop(): void } {
    const watch: Watch = {
      name,
      onEntry,
      onReady,
      sentRevision: 0,
      deliveredRevision: 0,
      isReadySent: false,
      isStalled: false,
      delayMs: 0,
      isStopped: false,
    };
    this.#watches.add(watch);
    this.#pump(watch);
    return {
      stop: () => {
        watch.isStopped = true;
        this.#watches.delete(watch);
      },
    };
  }

  /** What was on its way when the connection went is sent again. */
  #restart(which: (watch: Watch) => boolean): void {
    for (const watch of [...this.#watches].filter(which)) {
      watch.sentRevision = watch.deliveredRevision;
      this.#pump(watch);
    }
  }

  #pump(watch: Watch): void {
    if (watch.isStalled || this.#outage !== undefined || this.#nats.stateOf(watch.name) !== 'up') return;
    const due = [...this.#entries.values()].filter((entry) => entry.revision > watch.sentRevision);
    due.sort((a, b) => a.revision - b.revision);
    for (const entry of due) {
      watch.sentRevision = entry.revision;
      this.#input(watch, () => {
        if (entry.revision <= watch.deliveredRevision) return;
        watch.deliveredRevision = entry.revision;
        watch.onEntry(copyOf(entry));
      });
    }
    this.#input(watch, () => {
      if (watch.isReadySent) return;
      watch.isReadySent = true;
      watch.onReady();
    });
  }

  #input(watch: Watch, run: () => void): void {
    this.#nats.inputOf(watch.name, SERVER, watch.delayMs, () => {
      if (!watch.isStopped) run();
    });
  }
}

function copyOf<T extends LeaseEntry | undefined>(entry: T): T {
  return entry?.value === undefined ? entry : { ...entry, value: entry.value.slice() };
}

/** @throws RangeError where `nats kv` would refuse the key */
function checkKey(key: string): void {
  if (!/^[-/_=.a-zA-Z0-9]+$/.test(key) || key.startsWith('.') || key.endsWith('.') || key.includes('..')) {
    throw new RangeError(`${JSON.stringify(key)} is no key`);
  }
}
