/**
 * The bus port on a real NATS connection.
 *
 * Does not dial or close the connection, does not retry, keeps no messages.
 *
 * 1. A message's callback runs inside the connection's reader: no iterator, no promise. 2. Nothing is handed to the client
 * while disconnected: what it kept it might send with the next connection. 3. A throw of a callback never ends the reader.
 */

import type { Bus, BusMessage, BusReply, BusSubscription } from '@muster/cluster';
import type { NatsConnection } from 'nats';
import type { Link } from './link.js';
import { checkSubject, linkOf, throwOutside } from './link.js';
import type { RequestInbox } from './request-inbox.js';
import { inboxOf } from './request-inbox.js';

/** What nobody waits for but somebody should know. */
export type BusProblem =
  /** The server's permissions refuse it; a subscription that is refused stays dead. */
  | { readonly kind: 'denied'; readonly operation: string; readonly subject: string }
  | { readonly kind: 'callback-threw'; readonly subject: string; readonly error: unknown };

export type NatsBusOptions = {
  /** Without it a throw of a callback surfaces as an uncaught exception, and denials are silent. */
  readonly onProblem?: (problem: BusProblem) => void;
};

export class NatsBus implements Bus {
  readonly #nc: NatsConnection;
  readonly #link: Link;
  readonly #inbox: RequestInbox;
  readonly #onProblem: ((problem: BusProblem) => void) | undefined;

  constructor(nc: NatsConnection, options: NatsBusOptions = {}) {
    this.#nc = nc;
    this.#link = linkOf(nc);
    this.#inbox = inboxOf(nc);
    const { onProblem } = options;
    this.#onProblem = onProblem;
    if (onProblem !== undefined) this.#link.onDenied((denied) => onProblem({ kind: 'denied', ...denied }));
  }

  get connected(): boolean {
    return this.#link.connected;
  }

  get payloadBytesMax(): number {
    return this.#link.payloadBytesMax;
  }

  /** @throws RangeError for a bad subject or a payload above `payloadBytesMax`: the caller's mistake */
  publish(subject: string, payload: Uint8Array, reply?: string): void {
    checkSubject(subject);
    this.#link.checkPayload(payload);
    if (reply !== undefined && reply !== '') checkSubject(reply);
    if (!this.#link.connected) return;
    try {
      if (reply === undefined || reply === '') this.#nc.publish(subject, payload);
      else this.#nc.publish(subject, payload, { reply });
    } catch {
      // Subject and size were checked: what is left is a connection that is being drained.
    }
  }

  /** @throws RangeError for a bad subject */
  subscribe(
    subject: string,
    onMessage: (message: BusMessage) => void,
    options: { readonly queue?: string } = {},
  ): BusSubscription {
    checkSubject(subject);
    let live = true;
    const subscription = this.#nc.subscribe(subject, {
      ...(options.queue === undefined ? {} : { queue: options.queue }),
      callback: (error, message) => {
        // An error here is a denial, which the link reports.
        if (error !== null || !live) return;
        try {
          onMessage({ subject: message.subject, reply: message.reply ?? '', payload: message.data });
        } catch (thrown) {
          this.#threw(subject, thrown);
        }
      },
    });
    return {
      unsubscribe: () => {
        if (!live) return;
        live = false;
        subscription.unsubscribe();
      },
    };
  }

  /** @throws RangeError for a bad subject or a payload above `payloadBytesMax`: the caller's mistake */
  request(subject: string, payload: Uint8Array, timeoutMs: number): Promise<BusReply> {
    return this.#inbox.ask(subject, payload, timeoutMs);
  }

  /** @throws RangeError for a bad subject or a payload above `payloadBytesMax`: the caller's mistake */
  requestMany(
    subject: string,
    payload: Uint8Array,
    timeoutMs: number,
    isComplete: (replies: readonly Uint8Array[]) => boolean,
  ): Promise<readonly Uint8Array[]> {
    return this.#inbox.askMany(subject, payload, timeoutMs, isComplete);
  }

  async roundTrip(timeoutMs: number): Promise<boolean> {
    return flushWithin(this.#nc, this.#link, timeoutMs);
  }

  onConnection(listener: (connected: boolean) => void): () => void {
    return this.#link.onChange(listener);
  }

  #threw(subject: string, error: unknown): void {
    if (this.#onProblem === undefined) throwOutside(error);
    else this.#onProblem({ kind: 'callback-threw', subject, error });
  }
}

/** One PING/PONG. @returns false where it took longer, or the connection went */
export function flushWithin(nc: NatsConnection, link: Link, timeoutMs: number): Promise<boolean> {
  if (!link.connected) return Promise.resolve(false);
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), timeoutMs);
    nc.flush()
      .then(
        () => resolve(true),
        () => resolve(false),
      )
      .finally(() => clearTimeout(timer));
  });
}
