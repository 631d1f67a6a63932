/**
 * A NATS system in memory: named connections, subjects with wildcards, queue groups, no responders, and faults that a test
 * switches on and off. The bus of a connection is in `memory-bus.ts`.
 *
 * Does not keep messages: core NATS only. Streams have their own doubles, which hand their answers through `inputOf`, so
 * that they share the connection's faults and its order.
 *
 * 1. Deterministic: the same calls with the same clock and randomness give the same deliveries in the same order.
 * 2. Nothing is delivered inside the call that sends it. 3. What one connection sends to another arrives in the order sent,
 *    delayed or not. 4. What a connection misses while it is cut is gone.
 */

import type { Clock, Random } from '@muster/cluster';
import { MemoryBus } from './memory-bus.js';
import { ProcessClock } from './process-clock.js';
import { subjectMatches } from './subject-match.js';

/** A message on its way to one subscription of one connection. */
export type Transit = {
  /** Names of the connections. */
  readonly from: string;
  readonly to: string;
  readonly subject: string;
  readonly reply: string;
  readonly payload: Uint8Array;
};

export type MemoryNatsOptions = {
  readonly clock: Clock;
  /** Chooses within queue groups; without it they take turns. */
  readonly random?: Random;
  /** Largest payload, in bytes. Default 1 MiB, as nats-server. */
  readonly payloadBytesMax?: number;
  /** Time from one connection to another. Default 0: delivered before the clock moves, but never within the sending call. */
  readonly latencyMs?: number;
};

/**
 * How a connection stands with the server. `silent` is a pulled cable: both sides still believe in it, nothing passes.
 */
export type LinkState = 'up' | 'silent' | 'down';

/** What the system knows of a connection. `frozen` is a paused process: its input queues up, nothing of it runs. */
type Peer = {
  readonly name: string;
  readonly bus: MemoryBus;
  readonly clock: ProcessClock;
  state: LinkState;
  frozen: boolean;
  /** Grows with every loss: what was on its way over an earlier connection is gone. */
  session: number;
  readonly input: (() => void)[];
  draining: boolean;
  /** What is on the way from each other connection (invariant 3). */
  readonly arrivals: Map<string, Arrivals>;
};

type Arrivals = { lastAt: number; underWay: number };

/** A subscription as the server sees it. */
export type MemoryInterest = {
  readonly peer: string;
  readonly subject: string;
  readonly queue: string | undefined;
  readonly deliver: (subject: string, reply: string, payload: Uint8Array) => void;
};

const PAYLOAD_BYTES_MAX_DEFAULT = 1_048_576;

export class MemoryNats {
  readonly clock: Clock;
  readonly payloadBytesMax: number;
  readonly #random: Random | undefined;
  readonly #latencyMs: number;
  readonly #peers = new Map<string, Peer>();
  readonly #interests = new Set<MemoryInterest>();
  readonly #drops = new Set<(message: Transit) => boolean>();
  readonly #delays = new Set<(message: Transit) => number>();
  readonly #observers = new Set<(name: string, state: LinkState) => void>();
  #turns = 0;

  constructor(options: MemoryNatsOptions) {
    this.clock = options.clock;
    this.#random = options.random;
    this.payloadBytesMax = options.payloadBytesMax ?? PAYLOAD_BYTES_MAX_DEFAULT;
    this.#latencyMs = options.latencyMs ?? 0;
  }

  /** Opens a connection. @throws RangeError where the name is taken */
  connect(name: string): MemoryBus {
    if (this.#peers.has(name)) throw new RangeError(`there is a connection ${name} already`);
    const clock = new ProcessClock(this.clock);
    const bus = new MemoryBus(this, name, clock);
    this.#peers.set(name, {
      name,
      bus,
      clock,
      state: 'up',
      frozen: false,
      session: 0,
      input: [],
      draining: false,
      arrivals: new Map(),
    });
    return bus;
  }

  /** The clock of a process: stands still for its timers while the process is frozen. */
  clockOf(name: string): Clock {
    return this.#peer(name).clock;
  }

  /** Ends a connection for good, as the death of its process does. The name may be used again. */
  kill(name: string): void {
    const peer = this.#peer(name);
    peer.session += 1;
    peer.state = 'down';
    peer.input.length = 0;
    peer.clock.stop();
    for (const interest of [...this.#interests]) if (interest.peer === name) this.#interests.delete(interest);
    this.#peers.delete(name);
  }

  /**
   * Takes the connection away. Normally both sides notice at once; `silently` neither does: the server still sees the
   * subscriptions, requests to them run into their time (rule O10). What has reached the process already it still reads.
   */
  cut(name: string, how: { readonly silently?: boolean } = {}): void {
    const peer = this.#peer(name);
    if (peer.state === 'down') return;
    peer.session += 1;
    if (how.silently === true) return this.#enter(peer, 'silent');
    this.#enter(peer, 'down');
    this.#tell(peer, false);
  }

  /** Gives the connection back, with its subscriptions; what it missed is gone. */
  heal(name: string): void {
    const peer = this.#peer(name);
    const wasDown = peer.state === 'down';
    if (wasDown) this.#tell(peer, true);
    this.#enter(peer, 'up');
  }

  /** Pauses the process: its timers stand still, its input queues up. */
  freeze(name: string): void {
    const peer = this.#peer(name);
    peer.frozen = true;
    peer.clock.freeze();
  }

  /** Goes on: first with the queued input, then with the timers that came due, as Node.js does (nats.md fact 10). */
  thaw(name: string): void {
    const peer = this.#peer(name);
    if (!peer.frozen) return;
    peer.frozen = false;
    peer.input.push(() => peer.clock.thaw());
    this.#drain(peer);
  }

  /** Loses the messages that the rule names; returns how to end it. */
  drop(rule: (message: Transit) => boolean): () => void {
    this.#drops.add(rule);
    return () => this.#drops.delete(rule);
  }

  /** Holds messages up by the ms that the rule says; what the same connection sends later waits behind. Returns how to end it. */
  delay(rule: (message: Transit) => number): () => void {
    this.#delays.add(rule);
    return () => this.#delays.delete(rule);
  }

  /** @returns how the connection stands */
  stateOf(name: string): LinkState {
    return this.#peers.get(name)?.state ?? 'down';
  }

  /** @returns the bus that `connect` gave out */
  busOf(name: string): MemoryBus {
    return this.#peer(name).bus;
  }

  /** Calls back when a connection is cut or healed: for other doubles, not for the code under test. */
  onState(observer: (name: string, state: LinkState) => void): () => void {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  }

  /** The server's side of a subscription; returns how to end it. */
  addInterest(interest: MemoryInterest): () => void {
    this.#interests.add(interest);
    return () => this.#interests.delete(interest);
  }

  /** @returns whether there was anybody to deliver to, as far as the server sees */
  route(from: string, subject: string, reply: string, payload: Uint8Array): boolean {
    const queues = new Map<string, MemoryInterest[]>();
    let isAnybody = false;
    for (const interest of this.#interests) {
      if (this.stateOf(interest.peer) === 'down' || !subjectMatches(interest.subject, subject)) continue;
      isAnybody = true;
      if (interest.queue === undefined) {
        this.#send(from, interest, subject, reply, payload);
        continue;
      }
      // nats-server keeps one group for each pair of subject and queue name.
      const group = `${interest.subject} ${interest.queue}`;
      const members = queues.get(group);
      if (members === undefined) queues.set(group, [interest]);
      else members.push(interest);
    }
    for (const members of queues.values()) {
      const chosen = members[this.#choose(members.length)];
      if (chosen !== undefined) this.#send(from, chosen, subject, reply, payload);
    }
    return isAnybody;
  }

  /**
   * Puts something into the input of a process, behind what is there: it runs soon, after `delayMs` at the earliest, unless
   * the connection is lost before. `from` names the other side: its inputs keep their order.
   */
  inputOf(name: string, from: string, delayMs: number, run: () => void): void {
    const peer = this.#peers.get(name);
    if (peer === undefined || peer.state !== 'up') return;
    const session = peer.session;
    const arrive = (): void => {
      if (peer.session !== session) return;
      peer.input.push(run);
      this.#drain(peer);
    };
    const arrivals = peer.arrivals.get(from) ?? { lastAt: 0, underWay: 0 };
    peer.arrivals.set(from, arrivals);
    const now = this.clock.now();
    if (delayMs <= 0 && arrivals.underWay === 0) return arrive();
    arrivals.lastAt = Math.max(now + delayMs, arrivals.lastAt);
    arrivals.underWay += 1;
    this.clock.after(arrivals.lastAt - now, () => {
      arrivals.underWay -= 1;
      arrive();
    });
  }

  #send(from: string, interest: MemoryInterest, subject: string, reply: string, payload: Uint8Array): void {
    const message = { from, to: interest.peer, subject, reply, payload };
    for (const isDropped of this.#drops) if (isDropped(message)) return;
    let delayMs = this.#latencyMs;
    for (const delay of this.#delays) delayMs += delay(message);
    this.inputOf(interest.peer, from, delayMs, () => interest.deliver(subject, reply, payload));
  }

  #drain(peer: Peer): void {
    if (peer.draining || peer.frozen || peer.input.length === 0) return;
    peer.draining = true;
    queueMicrotask(() => {
      peer.draining = false;
      if (peer.frozen) return;
      const run = peer.input.shift();
      try {
        run?.();
      } finally {
        this.#drain(peer);
      }
    });
  }

  /** A process hears of its connection as of everything else: in its own turn. */
  #tell(peer: Peer, connected: boolean): void {
    peer.input.push(() => peer.bus.linkChanged(connected));
    this.#drain(peer);
  }

  #enter(peer: Peer, state: LinkState): void {
    if (peer.state === state) return;
    peer.state = state;
    for (const listener of [...this.#observers]) listener(peer.name, state);
  }

  #choose(count: number): number {
    if (count === 1) return 0;
    if (this.#random !== undefined) return Math.floor(this.#random.next() * count);
    this.#turns += 1;
    return this.#turns % count;
  }

  #peer(name: string): Peer {
    const peer = this.#peers.get(name);
    if (peer === undefined) throw new RangeError(`there is no connection ${name}`);
    return peer;
  }
}
