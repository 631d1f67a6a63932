/**
 * Core NATS in memory: subjects with wildcards, "no responders", a connection that can be cut.
 */

import type { ConnectionEvent, Incoming, Transport, Unsubscribe } from '../src/transport.js';

interface Subscriber {
  readonly pattern: string;
  readonly onMessage: (message: Incoming & { readonly replyTo?: string }) => void;
}

/** One NATS system that several transports share. */
export class FakeNats {
  readonly #subscribers = new Set<Subscriber>();
  inboxes = 0;

  /** How many subscriptions there are: what is left over after a close is a leak. */
  get subscriptions(): number {
    return this.#subscribers.size;
  }

  subscribe(pattern: string, onMessage: Subscriber['onMessage']): Unsubscribe {
    const subscriber = { pattern, onMessage };
    this.#subscribers.add(subscriber);
    return () => this.#subscribers.delete(subscriber);
  }

  publish(subject: string, payload: Uint8Array, replyTo?: string): void {
    const hit = [...this.#subscribers].filter(({ pattern }) => matches(pattern, subject));
    const message = { subject, payload, noResponders: false, ...(replyTo === undefined ? {} : { replyTo }) };
    queueMicrotask(() => {
      for (const { onMessage } of hit) onMessage(message);
      if (hit.length > 0 || replyTo === undefined) return;
      const nobody = { subject: replyTo, payload: new Uint8Array(0), noResponders: true };
      for (const { pattern, onMessage } of this.#subscribers) if (matches(pattern, replyTo)) onMessage(nobody);
    });
  }
}

export class FakeTransport implements Transport {
  readonly nats: FakeNats;
  /** Everything published, in order. */
  readonly sent: { readonly subject: string; readonly payload: Uint8Array }[] = [];
  readonly #listeners = new Set<(event: ConnectionEvent) => void>();
  #isConnected = true;

  constructor(nats = new FakeNats()) {
    this.nats = nats;
  }

  /** How many listen to the connection. */
  get listeners(): number {
    return this.#listeners.size;
  }
  isConnected(): boolean {
    return this.#isConnected;
  }
  /** What the server accepts; without a bound unless a test sets one. */
  bytesMax: number | undefined;
  payloadBytesMax(): number | undefined {
    return this.bytesMax;
  }
  newInbox(): string {
    this.nats.inboxes += 1;
    return `_INBOX.${this.nats.inboxes}`;
  }
  publish(subject: string, payload: Uint8Array, replyTo?: string): void {
    if (!this.#isConnected) return;
    this.sent.push({ subject, payload });
    this.nats.publish(subject, payload, replyTo);
  }
  subscribe(subject: string, onMessage: (message: Incoming) => void): Unsubscribe {
    return this.nats.subscribe(subject, (message) => {
      if (this.#isConnected) onMessage(message);
    });
  }
  onConnection(listener: (event: ConnectionEvent) => void): Unsubscribe {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  async close(): Promise<void> {
    this.#isConnected = false;
  }

  /** Cuts or restores the connection, or denies something. */
  event(event: ConnectionEvent): void {
    if (event.kind === 'connected') this.#isConnected = true;
    if (event.kind === 'disconnected' || event.kind === 'closed') this.#isConnected = false;
    for (const listener of [...this.#listeners]) listener(event);
  }
}

function matches(pattern: string, subject: string): boolean {
  const wanted = pattern.split('.');
  const given = subject.split('.');
  for (const [at, token] of wanted.entries()) {
    if (token === '>') return given.length > at;
    if (given[at] === undefined || (token !== '*' && token !== given[at])) return false;
  }
  return wanted.length === given.length;
}
