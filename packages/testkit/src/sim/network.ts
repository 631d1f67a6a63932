/**
 * Simulated core NATS: servers joined by routes, processes each on one server, and everything that may happen to a message.
 *
 * N1 Nothing is delivered inside the call that sends it. N2 A message is delivered to whom the sender's server knows to be
 * interested, if the routes and links on its way carry it; "no responders" says only what that server sees (O10). N3 Lost,
 * delayed, doubled and overtaken messages are drawn from the seed; at rest there are none.
 */

import type { SeededRandom } from '../seeded-random.js';
import type { History } from './history.js';
import type { SimProcess } from './process.js';
import type { Scheduler } from './scheduler.js';

/** `silent`: both sides believe in it, nothing passes. `down`: both sides know. */
export type LinkState = 'up' | 'silent' | 'down';

/** What happens to messages on their way, all probabilities from 0 to 1. */
export type Weather = {
  readonly latencyMs: number;
  readonly jitterMs: number;
  readonly loss: number;
  readonly duplication: number;
  /** How likely a message is held up, and for how long at most: others overtake it. */
  readonly delay: number;
  readonly delayMsMax: number;
};

export const calm: Weather = { latencyMs: 0.5, jitterMs: 0.5, loss: 0, duplication: 0, delay: 0, delayMsMax: 0 };

export type Delivery = {
  readonly subject: string;
  readonly reply: string;
  readonly payload: Uint8Array;
  readonly from: string;
  readonly sentAt: number;
  readonly noResponders: boolean;
};

/** What a script does to one message: holds it up for so long, or sends a copy of it after so long. */
export type Meddling = { readonly kind: 'late' | 'copied'; readonly ms: number };

export type Interest = {
  readonly peer: Peer;
  readonly queue: string | undefined;
  readonly deliver: (message: Delivery) => void;
  isLive: boolean;
};

/** A connection of a process to one server. */
export type Peer = {
  readonly process: SimProcess;
  readonly server: number;
  link: LinkState;
  /** Grows with every loss: what was on its way over the earlier connection is gone. */
  session: number;
  readonly listeners: Set<(connected: boolean) => void>;
  readonly interests: Set<{ readonly list: Interest[]; readonly interest: Interest }>;
};

export class Network {
  readonly scheduler: Scheduler;
  readonly servers: number;
  #weather: Weather = calm;
  /** Set by a script that plays a trace; the seed has no part in it. */
  meddle: (message: Delivery) => Meddling | undefined = () => undefined;
  /** When a link, a route or the weather has changed last. */
  #changedAt = 0;
  readonly #peers = new Set<Peer>();
  readonly #random: SeededRandom;
  readonly #history: History;
  /** How the server sees each other one, directed: `routes[from][to]`. */
  readonly #routes: LinkState[][];
  readonly #exact = new Map<string, Interest[]>();
  /** Subscriptions that end in `>` or `*`, by what stands before it. */
  readonly #prefixes = new Map<string, Interest[]>();
  readonly #stateListeners = new Set<(peer: Peer) => void>();

  constructor(scheduler: Scheduler, servers: number, random: SeededRandom, history: History) {
    this.scheduler = scheduler;
    this.servers = servers;
    this.#random = random;
    this.#history = history;
    this.#routes = Array.from({ length: servers }, () => Array.from({ length: servers }, () => 'up' as LinkState));
  }

  get weather(): Weather {
    return this.#weather;
  }
  set weather(weather: Weather) {
    this.#weather = weather;
    this.#changedAt = this.scheduler.now;
  }

  /** Since when every message passes from everybody to everybody; undefined while some do not. */
  get wholeSince(): number | undefined {
    const { loss, delay } = this.#weather;
    return loss === 0 && delay === 0 ? this.linkedSince : undefined;
  }

  /** Since when every link and route is up, in whatever weather; undefined while some are not. */
  get linkedSince(): number | undefined {
    const isWhole = this.#routes.every((row) => row.every((state) => state === 'up'));
    return isWhole && [...this.#peers].every(({ link }) => link === 'up') ? this.#changedAt : undefined;
  }

  connect(process: SimProcess, server: number): Peer {
    const peer: Peer = {
      process,
      server: server % this.servers,
      link: 'up',
      session: 0,
      listeners: new Set(),
      interests: new Set(),
    };
    this.#peers.add(peer);
    return peer;
  }

  /** The process has ended: its server sees the connection close. */
  disconnect(peer: Peer): void {
    peer.link = 'down';
    peer.session += 1;
    this.#peers.delete(peer);
    for (const { list, interest } of peer.interests) drop(list, interest);
    peer.interests.clear();
    peer.listeners.clear();
  }

  setLink(peer: Peer, link: LinkState): void {
    // A connection that both sides know to be lost cannot be lost unseen.
    const isWorse = peer.link === 'down' && link === 'silent';
    if (peer.link === link || isWorse || !peer.process.isAlive) return;
    const was = peer.link;
    peer.link = link;
    peer.session += 1;
    this.#changedAt = this.scheduler.now;
    if (link === 'down') peer.process.input(() => this.#tell(peer, false));
    else if (was === 'down' && link === 'up') peer.process.input(() => this.#tell(peer, true));
    for (const listener of [...this.#stateListeners]) listener(peer);
  }

  setRoute(from: number, to: number, state: LinkState): void {
    const row = this.#routes[from];
    if (row !== undefined && from !== to && row[to] !== state) {
      row[to] = state;
      this.#changedAt = this.scheduler.now;
    }
    for (const listener of [...this.#stateListeners]) listener(undefined as never);
  }
  healRoutes(): void {
    for (let from = 0; from < this.servers; from += 1) {
      for (let to = 0; to < this.servers; to += 1) this.setRoute(from, to, 'up');
    }
  }

  /** Calls back when a link or a route has changed. */
  onChange(listener: () => void): void {
    this.#stateListeners.add(listener);
  }

  /** Whether a message passes from one server to another at this moment. */
  passes(from: number, to: number): boolean {
    return from === to || this.#routes[from]?.[to] === 'up';
  }

  subscribe(peer: Peer, subject: string, queue: string | undefined, deliver: (message: Delivery) => void): () => void {
    const last = subject.at(-1);
    const isWild = last === '>' || last === '*';
    const index = isWild ? this.#prefixes : this.#exact;
    const key = isWild ? subject.slice(0, -1) : subject;
    let list = index.get(key);
    if (list === undefined) {
      list = [];
      index.set(key, list);
    }
    const interest: Interest = { peer, queue, deliver, isLive: true };
    list.push(interest);
    const entry = { list, interest };
    peer.interests.add(entry);
    return () => {
      interest.isLive = false;
      drop(list, interest);
      peer.interests.delete(entry);
      if (list.length === 0) index.delete(key);
    };
  }

  /** Sends a message; where its server sees nobody, "no responders" goes to `reply` if that is asked for. */
  publish(peer: Peer, subject: string, payload: Uint8Array, reply: string, wantsNoResponders: boolean): void {
    if (peer.link !== 'up' || !peer.process.isAlive) return;
    // A copy, as the wire makes one.
    const message = {
      subject,
      reply,
      payload: payload.slice(),
      from: peer.process.name,
      sentAt: this.scheduler.now,
      noResponders: false,
    };
    const isAnybody = this.#route(peer, message);
    if (isAnybody || !wantsNoResponders || reply === '') return;
    const none = { ...message, subject: reply, reply: '', payload: new Uint8Array(), noResponders: true };
    this.#forEach(reply, (interest) => {
      if (interest.peer === peer) this.#send(peer.server, interest, none);
    });
  }

  /** A message between a process and something that lives on a server; undefined = it is lost. */
  transitMs(): number | undefined {
    const { latencyMs, jitterMs, loss, delay, delayMsMax } = this.#weather;
    if (loss > 0 && this.#random.next() < loss) return undefined;
    const extra = delay > 0 && this.#random.next() < delay ? this.#random.next() * delayMsMax : 0;
    return latencyMs + this.#random.next() * jitterMs + extra;
  }

  #route(peer: Peer, message: Delivery): boolean {
    let isAnybody = false;
    let queues: Map<string, Interest[]> | undefined;
    this.#forEach(message.subject, (interest) => {
      const { server, link } = interest.peer;
      if (link === 'down' || !this.#sees(peer.server, server)) return;
      isAnybody = true;
      if (interest.queue === undefined) return this.#send(peer.server, interest, message);
      queues ??= new Map();
      const members = queues.get(interest.queue);
      if (members === undefined) queues.set(interest.queue, [interest]);
      else members.push(interest);
    });
    if (queues !== undefined) {
      for (const members of queues.values()) this.#send(peer.server, this.#random.pick(members), message);
    }
    return isAnybody;
  }

  /** Whether a server knows of interest on another: it has been told over the route from there. */
  #sees(from: number, to: number): boolean {
    return from === to || this.#routes[to]?.[from] !== 'down';
  }

  #forEach(subject: string, each: (interest: Interest) => void): void {
    const exact = this.#exact.get(subject);
    if (exact !== undefined) for (const interest of [...exact]) each(interest);
    for (let dot = subject.indexOf('.'); dot >= 0; dot = subject.indexOf('.', dot + 1)) {
      const list = this.#prefixes.get(subject.slice(0, dot + 1));
      if (list !== undefined) for (const interest of [...list]) each(interest);
    }
  }

  #send(from: number, interest: Interest, message: Delivery): void {
    if (!this.passes(from, interest.peer.server)) return;
    const meddling = this.meddle(message);
    if (meddling !== undefined) {
      this.arrive(interest.peer, meddling.ms, () => this.#deliver(interest, message));
      if (meddling.kind === 'late') return;
    }
    const copies = this.#weather.duplication > 0 && this.#random.next() < this.#weather.duplication ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      const ms = this.transitMs();
      if (ms !== undefined) this.arrive(interest.peer, ms, () => this.#deliver(interest, message));
    }
  }

  /** Puts something into the input of a process after `ms`, unless its connection is lost before. */
  arrive(peer: Peer, ms: number, run: () => void): void {
    const { session } = peer;
    this.scheduler.after(ms, () => {
      if (peer.session !== session || peer.link !== 'up') return;
      peer.process.input(run);
    });
  }

  #deliver(interest: Interest, message: Delivery): void {
    if (!interest.isLive) return;
    this.#history.take(this.scheduler.now);
    this.#history.take(message.subject.length * 4_096 + message.payload.byteLength);
    interest.deliver(message);
  }

  #tell(peer: Peer, connected: boolean): void {
    for (const listener of [...peer.listeners]) listener(connected);
  }
}

function drop(list: Interest[], interest: Interest): void {
  interest.isLive = false;
  const at = list.indexOf(interest);
  if (at >= 0) list.splice(at, 1);
}
