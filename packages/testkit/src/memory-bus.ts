/**
 * The bus port on a connection of the NATS system in memory: the double of `NatsBus`, held to the same contract.
 *
 * 1. Every request settles once: reply, no responders, its time, or the loss of the connection. 2. Callbacks run in the
 * input of the process, one after the other, never while it is frozen.
 */

import type { Bus, BusMessage, BusReply, BusSubscription, Clock } from '@muster/cluster';
import type { MemoryNats } from './memory-nats.js';
import { checkSubject } from './subject-match.js';

/** One question and what becomes of its answers; `end` is called unless `onReply` said that all are there. */
type Exchange = {
  onReply(payload: Uint8Array): boolean;
  onEnd(end: 'no-responders' | 'timeout' | 'disconnected'): void;
};

export class MemoryBus implements Bus {
  readonly name: string;
  readonly #nats: MemoryNats;
  readonly #clock: Clock;
  readonly #listeners = new Set<(connected: boolean) => void>();
  readonly #pending = new Set<(end: 'disconnected') => void>();
  #connected = true;
  #requests = 0;

  /** Made by `MemoryNats.connect`. */
  constructor(nats: MemoryNats, name: string, clock: Clock) {
    this.#nats = nats;
    this.name = name;
    this.#clock = clock;
  }

  get connected(): boolean {
    return this.#connected;
  }

  get payloadBytesMax(): number {
    return this.#nats.payloadBytesMax;
  }

  /** @throws RangeError for a bad subject or a payload above `payloadBytesMax`: the caller's mistake */
  publish(subject: string, payload: Uint8Array, reply = ''): void {
    this.#check(subject, payload);
    if (reply !== '') checkSubject(reply);
    this.#send(subject, payload, reply);
  }

  subscribe(
    subject: string,
    onMessage: (message: BusMessage) => void,
    options: { readonly queue?: string } = {},
  ): BusSubscription {
    checkSubject(subject);
    let live = true;
    const end = this.#nats.addInterest({
      peer: this.name,
      subject,
      queue: options.queue,
      deliver: (published, reply, payload) => {
        if (live) onMessage({ subject: published, reply, payload });
      },
    });
    return {
      unsubscribe: () => {
        live = false;
        end();
      },
    };
  }

  request(subject: string, payload: Uint8Array, timeoutMs: number): Promise<BusReply> {
    this.#check(subject, payload);
    return new Promise((resolve) => {
      this.#open(subject, payload, timeoutMs, {
        onReply: (bytes) => {
          resolve({ kind: 'reply', payload: bytes });
          return true;
        },
        onEnd: (end) => resolve({ kind: end }),
      });
    });
  }

  requestMany(
    subject: string,
    payload: Uint8Array,
    timeoutMs: number,
    isComplete: (replies: readonly Uint8Array[]) => boolean,
  ): Promise<readonly Uint8Array[]> {
    this.#check(subject, payload);
    return new Promise((resolve) => {
      const replies: Uint8Array[] = [];
      this.#open(subject, payload, timeoutMs, {
        onReply: (bytes) => {
          replies.push(bytes);
          if (!isComplete(replies)) return false;
          resolve(replies);
          return true;
        },
        onEnd: () => resolve(replies),
      });
    });
  }

  roundTrip(timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const settle = this.#within(timeoutMs, (isThere) => resolve(isThere));
      if (settle === undefined) return;
      this.#nats.inputOf(this.name, this.name, 0, () => settle(true));
    });
  }

  onConnection(listener: (connected: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The system tells of the loss or return of the connection. */
  linkChanged(connected: boolean): void {
    if (this.#connected === connected) return;
    this.#connected = connected;
    if (!connected) for (const end of [...this.#pending]) end('disconnected');
    for (const listener of [...this.#listeners]) listener(connected);
  }

  #check(subject: string, payload: Uint8Array): void {
    checkSubject(subject);
    if (payload.byteLength <= this.payloadBytesMax) return;
    throw new RangeError(`a payload of ${payload.byteLength} bytes, ${this.payloadBytesMax} are allowed`);
  }

  /** @returns whether the server saw it and knew somebody to deliver it to; undefined where it did not see it */
  #send(subject: string, payload: Uint8Array, reply: string): boolean | undefined {
    if (!this.#connected || this.#nats.stateOf(this.name) !== 'up') return undefined;
    // A copy, as the wire makes one: the sender may use its buffer again.
    return this.#nats.route(this.name, subject, reply, payload.slice());
  }

  #open(subject: string, payload: Uint8Array, timeoutMs: number, exchange: Exchange): void {
    if (!this.#connected) return exchange.onEnd('disconnected');
    this.#requests += 1;
    const inbox = `_INBOX.${this.name}.${this.#requests}`;
    let isOpen = true;
    const close = (): void => {
      isOpen = false;
      subscription.unsubscribe();
      cancelTimer();
      this.#pending.delete(end);
    };
    const end = (how: 'no-responders' | 'timeout' | 'disconnected'): void => {
      if (!isOpen) return;
      close();
      exchange.onEnd(how);
    };
    const subscription = this.subscribe(inbox, (message) => {
      if (isOpen && exchange.onReply(message.payload)) close();
    });
    const cancelTimer = this.#clock.after(timeoutMs, () => end('timeout'));
    this.#pending.add(end);
    const isSeen = this.#send(subject, payload, inbox);
    if (isSeen === false) this.#nats.inputOf(this.name, this.name, 0, () => end('no-responders'));
  }

  /** Calls back once: with true when the returned function says so, with false when time or connection ran out. */
  #within(timeoutMs: number, done: (isThere: boolean) => void): ((isThere: boolean) => void) | undefined {
    if (!this.#connected) {
      done(false);
      return undefined;
    }
    const settle = (isThere: boolean): void => {
      cancelTimer();
      if (this.#pending.delete(lose)) done(isThere);
    };
    const lose = (): void => settle(false);
    const cancelTimer = this.#clock.after(timeoutMs, lose);
    this.#pending.add(lose);
    return settle;
  }
}
