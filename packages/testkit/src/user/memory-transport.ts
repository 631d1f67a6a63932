/**
 * The worker's port `Transport` on the NATS system in memory.
 */

import type { ConnectionEvent, Incoming, Transport, Unsubscribe } from '@muster/worker';
import type { MemoryBus } from '../memory-bus.js';
import type { MemoryNats } from '../memory-nats.js';

export class MemoryTransport implements Transport {
  readonly #nats: MemoryNats;
  readonly #bus: MemoryBus;
  /** Who hears of "no responders": the prefixes of our inboxes. */
  readonly #inboxes = new Map<string, (message: Incoming) => void>();
  #inboxCount = 0;
  #isClosed = false;

  constructor(nats: MemoryNats, bus: MemoryBus) {
    this.#nats = nats;
    this.#bus = bus;
  }

  isConnected(): boolean {
    return !this.#isClosed && this.#bus.connected;
  }

  payloadBytesMax(): number {
    return this.#nats.payloadBytesMax;
  }

  newInbox(): string {
    this.#inboxCount += 1;
    return `_INBOX.${this.#bus.name}-${this.#inboxCount}`;
  }

  publish(subject: string, payload: Uint8Array, replyTo?: string): void {
    if (!this.isConnected() || this.#nats.stateOf(this.#bus.name) !== 'up') return;
    const isAnybody = this.#nats.route(this.#bus.name, subject, replyTo ?? '', payload.slice());
    if (isAnybody || replyTo === undefined) return;
    const hear = this.#inboxes.get(replyTo.slice(0, replyTo.lastIndexOf('.')));
    if (hear === undefined) return;
    const nobody = { subject: replyTo, payload: new Uint8Array(0), noResponders: true };
    this.#nats.inputOf(this.#bus.name, '$NATS', 0, () => hear(nobody));
  }

  subscribe(subject: string, onMessage: (message: Incoming) => void): Unsubscribe {
    const hear = (message: Incoming) => {
      if (!this.#isClosed) onMessage(message);
    };
    const isInbox = subject.startsWith('_INBOX.') && subject.endsWith('.*');
    if (isInbox) this.#inboxes.set(subject.slice(0, -2), hear);
    const subscription = this.#bus.subscribe(subject, ({ subject: published, payload }) =>
      hear({ subject: published, payload, noResponders: false }),
    );
    return () => {
      subscription.unsubscribe();
      if (isInbox) this.#inboxes.delete(subject.slice(0, -2));
    };
  }

  onConnection(listener: (event: ConnectionEvent) => void): Unsubscribe {
    return this.#bus.onConnection((connected) => listener({ kind: connected ? 'connected' : 'disconnected' }));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }
}
