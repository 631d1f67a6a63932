/**
 * The leader of one simulated JetStream stream: what lies between a client's request and its answer.
 *
 * J1 A request that was not answered may have been carried out, may be carried out later, or never (L2). J2 There is one leader
 * or none; a change of leader decides about what was being replicated and tells nobody. J3 What an answer says has happened.
 */

import type { SeededRandom } from '../seeded-random.js';
import type { Network, Peer } from './network.js';

/** What goes wrong at this stream, probabilities from 0 to 1. */
export type StreamTrouble = {
  /** A request arrives this much late, often after its timeout. */
  readonly late: number;
  readonly lateMsMax: number;
  /** The request is carried out, its answer is lost. */
  readonly ackLoss: number;
  /** How long replication takes at most. */
  readonly commitMsMax: number;
  /** A read is answered by a replica, or a deposed leader, that is behind. */
  readonly stale: number;
  /** How long a read takes from one piece to the next at most, and a purge to be carried out. */
  readonly readMsMax: number;
  readonly purgeMsMax: number;
  /** A refusal names no sequence, as some servers do. */
  readonly unnamed: number;
};

export const noTrouble: StreamTrouble = {
  late: 0,
  lateMsMax: 0,
  ackLoss: 0,
  commitMsMax: 1,
  stale: 0,
  readMsMax: 1,
  purgeMsMax: 0,
  unnamed: 0,
};

export type Answer<T> =
  | { readonly kind: 'answer'; readonly value: T }
  | { readonly kind: 'none'; readonly cause: string };

/** One request at the leader. */
export type Exchange<T> = {
  /** Whether the asker has stopped waiting. */
  readonly isOver: () => boolean;
  readonly respond: (value: T) => void;
  /** Called when the asker gives up. */
  onUnanswered: () => void;
};

export class StreamServer {
  #trouble: StreamTrouble = noTrouble;
  #untroubledSince = 0;
  #ledSince = 0;
  readonly random: SeededRandom;
  readonly network: Network;
  #leader: number | undefined;
  #electionEndsAt = 0;
  readonly #changeListeners = new Set<() => void>();

  constructor(network: Network, leader: number, random: SeededRandom) {
    this.network = network;
    this.random = random;
    this.#leader = leader % network.servers;
  }

  get trouble(): StreamTrouble {
    return this.#trouble;
  }
  set trouble(trouble: StreamTrouble) {
    this.#trouble = trouble;
    this.#untroubledSince = this.network.scheduler.now;
  }
  /** Since when requests are late, and answers lost, by nothing but the network; undefined while they are. */
  get untroubledSince(): number | undefined {
    return this.#trouble === noTrouble ? this.#untroubledSince : undefined;
  }

  /** Since when there has been one leader, and nothing in its way; undefined while that is not so. */
  get soundSince(): number | undefined {
    return this.#leader === undefined || this.#trouble !== noTrouble
      ? undefined
      : Math.max(this.#untroubledSince, this.#ledSince);
  }

  /** The server that leads; undefined while there is none. */
  get leader(): number | undefined {
    return this.#leader;
  }

  /** The leader goes; another is elected after `ms`. */
  changeLeader(ms: number): void {
    const next = (this.#leader ?? 0) + 1 + this.random.below(2);
    this.#leader = undefined;
    const endsAt = this.network.scheduler.now + ms;
    this.#electionEndsAt = Math.max(this.#electionEndsAt, endsAt);
    for (const listener of [...this.#changeListeners]) listener();
    this.network.scheduler.after(ms, () => {
      if (this.#leader !== undefined || this.network.scheduler.now < this.#electionEndsAt) return;
      this.#leader = next % this.network.servers;
      this.#ledSince = this.network.scheduler.now;
      for (const listener of [...this.#changeListeners]) listener();
    });
  }

  /** There is a leader from now on, whatever was going on. */
  heal(): void {
    this.trouble = noTrouble;
    this.#leader ??= 0;
    this.#electionEndsAt = 0;
    for (const listener of [...this.#changeListeners]) listener();
  }

  /** Calls back when the leader has gone or come. */
  onChange(listener: () => void): void {
    this.#changeListeners.add(listener);
  }

  /** One request of a process; settles within `timeoutMs` of its clock. */
  ask<T>(
    peer: Peer,
    isConnected: () => boolean,
    timeoutMs: number,
    serve: (exchange: Exchange<T>) => void,
  ): Promise<Answer<T>> {
    return new Promise((resolve) => {
      if (!isConnected()) return resolve({ kind: 'none', cause: 'disconnected' });
      let isOver = false;
      const settle = (answer: Answer<T>): void => {
        if (isOver) return;
        isOver = true;
        cancelTimer();
        peer.listeners.delete(onLink);
        if (answer.kind === 'none') exchange.onUnanswered();
        resolve(answer);
      };
      const onLink = (connected: boolean): void => {
        if (!connected) settle({ kind: 'none', cause: 'disconnected' });
      };
      const exchange: Exchange<T> = {
        isOver: () => isOver,
        respond: (value) => this.#answer(peer, () => settle({ kind: 'answer', value })),
        onUnanswered: () => {},
      };
      peer.listeners.add(onLink);
      const cancelTimer = peer.process.clock.after(timeoutMs, () => settle({ kind: 'none', cause: 'timeout' }));
      this.#request(peer, () => {
        if (this.#leader !== undefined) return serve(exchange);
        // nats.md: without a leader the API answers 503 at once, or nobody does.
        if (this.random.next() < 0.5) this.#back(peer, peer.server, () => settle({ kind: 'none', cause: 'no leader' }));
      });
    });
  }

  #request(peer: Peer, arrive: () => void): void {
    if (peer.link !== 'up' || !peer.process.isAlive) return;
    const ms = this.network.transitMs();
    if (ms === undefined) return;
    const { late, lateMsMax } = this.trouble;
    const lateMs = late > 0 && this.random.next() < late ? this.random.next() * lateMsMax : 0;
    this.network.scheduler.after(ms + lateMs, () => {
      if (this.#leader === undefined || this.network.passes(peer.server, this.#leader)) arrive();
    });
  }

  #answer(peer: Peer, run: () => void): void {
    const from = this.#leader ?? peer.server;
    const { ackLoss } = this.trouble;
    if (ackLoss > 0 && this.random.next() < ackLoss) return;
    this.#back(peer, from, run);
  }

  #back(peer: Peer, from: number, run: () => void): void {
    if (!this.network.passes(from, peer.server)) return;
    const ms = this.network.transitMs();
    if (ms !== undefined) this.network.arrive(peer, ms, run);
  }
}
