/**
 * The simulated lease bucket: conditional keys with revisions, and watches that may stall but lie about nothing.
 *
 * B1 A write's condition is checked when it arrives. B2 A watch delivers revisions in growing order, nothing twice; what a cut kept
 * from it comes afterwards, the newest of each key.
 */

import type { LeaseEntry, LeaseOutcome, LeaseStore } from '@muster/cluster';
import { LeaseStoreUnavailable } from '@muster/cluster';
import type { SeededRandom } from '../seeded-random.js';
import type { History } from './history.js';
import type { Network, Peer } from './network.js';
import type { SimProcess } from './process.js';
import { StreamServer } from './stream-server.js';

const TIMEOUT_MS = 2_000;
const WATCH_RECOVERY_MS = 200;

type Watch = {
  readonly peer: Peer;
  readonly onEntry: (entry: LeaseEntry) => void;
  readonly onReady: () => void;
  sentRevision: number;
  deliveredRevision: number;
  /** Grows with every new start: what an earlier start had sent is not delivered. */
  start: number;
  lastArrivalAt: number;
  isReadySent: boolean;
};

/** A write that was carried out. */
export type LeaseWritten = { readonly entry: LeaseEntry; readonly by: SimProcess };

export class LeaseServer {
  readonly stream: StreamServer;
  readonly #network: Network;
  readonly #history: History;
  readonly #entries = new Map<string, LeaseEntry>();
  readonly #watches = new Set<Watch>();
  readonly #onWritten: (written: LeaseWritten) => void;
  #revision = 0;
  #isRestarting = false;

  constructor(
    network: Network,
    random: SeededRandom,
    history: History,
    onWritten: (written: LeaseWritten) => void = () => {},
  ) {
    this.#onWritten = onWritten;
    this.#network = network;
    this.#history = history;
    this.stream = new StreamServer(network, 0, random);
    this.stream.onChange(() => this.#restartSoon());
    network.onChange(() => this.#restartSoon());
  }

  /** The bucket as one process sees it. */
  connect(peer: Peer, isConnected: () => boolean): LeaseStore {
    return {
      write: async (key, value, expectedRevision): Promise<LeaseOutcome> => {
        const bytes = value.slice();
        const answer = await this.stream.ask<LeaseOutcome>(peer, isConnected, TIMEOUT_MS, ({ respond }) =>
          respond(this.#write(key, bytes, expectedRevision, peer.process)),
        );
        return answer.kind === 'answer' ? answer.value : { kind: 'unknown', cause: answer.cause };
      },
      read: async (key) => {
        const answer = await this.stream.ask<LeaseEntry | undefined>(peer, isConnected, TIMEOUT_MS, ({ respond }) =>
          respond(this.#entries.get(key)),
        );
        if (answer.kind === 'answer') return answer.value;
        throw new LeaseStoreUnavailable(`${key}: ${answer.cause}`);
      },
      watch: (onEntry, onReady) => Promise.resolve(this.#watch(peer, onEntry, onReady)),
    };
  }

  /** @returns the key as it stands: for checkers */
  entryOf(key: string): LeaseEntry | undefined {
    return this.#entries.get(key);
  }

  #write(key: string, value: Uint8Array, expectedRevision: number, by: SimProcess): LeaseOutcome {
    const revision = this.#entries.get(key)?.revision ?? 0;
    if (revision !== expectedRevision) {
      this.#history.mark('a lease write was refused');
      return { kind: 'refused' };
    }
    this.#revision += 1;
    const entry = { key, value, revision: this.#revision };
    this.#entries.set(key, entry);
    this.#history.take(this.#revision);
    this.#onWritten({ entry, by });
    for (const watch of [...this.#watches]) this.#pump(watch);
    return { kind: 'written', revision: this.#revision };
  }

  #watch(peer: Peer, onEntry: (entry: LeaseEntry) => void, onReady: () => void): { stop(): void } {
    const watch: Watch = {
      peer,
      onEntry,
      onReady,
      sentRevision: 0,
      deliveredRevision: 0,
      start: 0,
      lastArrivalAt: 0,
      isReadySent: false,
    };
    this.#watches.add(watch);
    this.#pump(watch);
    return { stop: () => this.#watches.delete(watch) };
  }

  #restartSoon(): void {
    if (this.#isRestarting) return;
    this.#isRestarting = true;
    this.#network.scheduler.after(WATCH_RECOVERY_MS, () => {
      this.#isRestarting = false;
      for (const watch of [...this.#watches]) {
        if (!watch.peer.process.isAlive) {
          this.#watches.delete(watch);
          continue;
        }
        watch.start += 1;
        watch.sentRevision = watch.deliveredRevision;
        this.#pump(watch);
      }
    });
  }

  #pump(watch: Watch): void {
    const { leader } = this.stream;
    if (leader === undefined || watch.peer.link !== 'up' || !this.#network.passes(leader, watch.peer.server)) return;
    const due = [...this.#entries.values()].filter((entry) => entry.revision > watch.sentRevision);
    due.sort((a, b) => a.revision - b.revision);
    for (const entry of due) {
      watch.sentRevision = entry.revision;
      this.#input(watch, () => {
        if (entry.revision <= watch.deliveredRevision) return;
        watch.deliveredRevision = entry.revision;
        watch.onEntry(entry);
      });
    }
    if (watch.isReadySent) return;
    this.#input(watch, () => {
      if (watch.isReadySent) return;
      watch.isReadySent = true;
      watch.onReady();
    });
  }

  /** In order (B2): held up, but overtaken by nothing. */
  #input(watch: Watch, run: () => void): void {
    const { start } = watch;
    const { now } = this.#network.scheduler;
    const at = Math.max(now + (this.#network.transitMs() ?? WATCH_RECOVERY_MS), watch.lastArrivalAt);
    watch.lastArrivalAt = at;
    this.#network.arrive(watch.peer, at - now, () => {
      if (watch.start === start && this.#watches.has(watch)) run();
    });
  }
}
