/**
 * The bus port of a coordinator on the simulated network.
 *
 * Every request settles once: reply, no responders, its time, or the loss of the connection.
 */

import type { Bus, BusMessage, BusReply, BusSubscription } from '@muster/cluster';
import type { Network, Peer } from './network.js';

const PAYLOAD_BYTES_MAX = 1_048_576;

export class SimBus implements Bus {
  readonly payloadBytesMax = PAYLOAD_BYTES_MAX;
  readonly #network: Network;
  readonly #peer: Peer;
  readonly #pending = new Set<() => void>();
  #isConnected = true;
  #requests = 0;

  constructor(network: Network, peer: Peer) {
    this.#network = network;
    this.#peer = peer;
    peer.listeners.add((connected) => {
      this.#isConnected = connected;
      if (!connected) for (const end of [...this.#pending]) end();
    });
  }

  get connected(): boolean {
    return this.#isConnected;
  }

  publish(subject: string, payload: Uint8Array, reply = ''): void {
    if (this.#isConnected) this.#network.publish(this.#peer, subject, payload, reply, false);
  }

  subscribe(
    subject: string,
    onMessage: (message: BusMessage) => void,
    options: { readonly queue?: string } = {},
  ): BusSubscription {
    return { unsubscribe: this.#network.subscribe(this.#peer, subject, options.queue, onMessage) };
  }

  request(subject: string, payload: Uint8Array, timeoutMs: number): Promise<BusReply> {
    return new Promise((resolve) => {
      if (!this.#isConnected) return resolve({ kind: 'disconnected' });
      this.#requests += 1;
      const inbox = `_INBOX.${this.#peer.process.name}.${this.#requests}`;
      const settle = (reply: BusReply): void => {
        cancelTimer();
        stop();
        this.#pending.delete(lose);
        resolve(reply);
      };
      const lose = (): void => settle({ kind: 'disconnected' });
      const cancelTimer = this.#peer.process.clock.after(timeoutMs, () => settle({ kind: 'timeout' }));
      const stop = this.#network.subscribe(this.#peer, inbox, undefined, (message) =>
        settle(message.noResponders ? { kind: 'no-responders' } : { kind: 'reply', payload: message.payload }),
      );
      this.#pending.add(lose);
      this.#network.publish(this.#peer, subject, payload, inbox, true);
    });
  }

  /** Nothing in a simulated node asks everybody. */
  requestMany(): Promise<readonly Uint8Array[]> {
    return Promise.resolve([]);
  }

  roundTrip(timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      if (!this.#isConnected) return resolve(false);
      const settle = (isThere: boolean): void => {
        cancelTimer();
        this.#pending.delete(lose);
        resolve(isThere);
      };
      const lose = (): void => settle(false);
      const cancelTimer = this.#peer.process.clock.after(timeoutMs, lose);
      this.#pending.add(lose);
      if (this.#peer.link === 'up') this.#network.arrive(this.#peer, 1, () => settle(true));
    });
  }

  onConnection(listener: (connected: boolean) => void): () => void {
    this.#peer.listeners.add(listener);
    return () => this.#peer.listeners.delete(listener);
  }
}
