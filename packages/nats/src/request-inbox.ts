/**
 * Requests over one inbox of our own: tells no responders, timeout and loss of the connection apart, and settles at once
 * when the connection goes instead of letting the time run out.
 *
 * Does not retry. The client's own `request` cannot do this: it leaves requests of a lost connection open until they time
 * out, and its answers to many come through an iterator.
 *
 * 1. Every request settles once, within its time. 2. Nothing is sent while disconnected: the client would keep it and might
 * send it with the next connection, long after the caller has given up.
 */

import type { Msg, MsgHdrs, NatsConnection } from 'nats';
import type { Link } from './link.js';
import { checkSubject, linkOf, throwOutside } from './link.js';

export type Answer =
  | { readonly kind: 'reply'; readonly payload: Uint8Array }
  | { readonly kind: 'no-responders' }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'disconnected' };

/** Why an exchange ended before it was complete. */
type End = 'no-responders' | 'timeout' | 'disconnected';

/** One question and what becomes of its answers. */
type Exchange = {
  /** @returns whether that was all */
  onReply(payload: Uint8Array): boolean;
  onEnd(end: End): void;
};

type Pending = { readonly exchange: Exchange; readonly timer: NodeJS.Timeout };

const inboxes = new WeakMap<NatsConnection, RequestInbox>();

/** @returns the one inbox of a connection */
export function inboxOf(nc: NatsConnection): RequestInbox {
  const known = inboxes.get(nc);
  if (known !== undefined) return known;
  const inbox = new RequestInbox(nc);
  inboxes.set(nc, inbox);
  return inbox;
}

export class RequestInbox {
  readonly #nc: NatsConnection;
  readonly #link: Link;
  readonly #pending = new Map<string, Pending>();
  readonly #prefix: string;
  #subscribed = false;
  #next = 0;

  constructor(nc: NatsConnection) {
    this.#nc = nc;
    this.#link = linkOf(nc);
    this.#prefix = `${this.#link.newInbox()}.`;
    this.#link.onChange((connected) => {
      if (!connected) for (const token of [...this.#pending.keys()]) this.#end(token, 'disconnected');
    });
  }

  /** Asks one. Never rejects. @throws RangeError for a bad subject or a payload larger than the server accepts */
  ask(subject: string, payload: Uint8Array, timeoutMs: number, headers?: MsgHdrs): Promise<Answer> {
    const { promise, resolve } = settledLater<Answer>();
    this.#open(subject, payload, timeoutMs, headers, {
      onReply: (bytes) => {
        resolve({ kind: 'reply', payload: bytes });
        return true;
      },
      onEnd: (end) => resolve({ kind: end }),
    });
    return promise;
  }

  /** Asks everybody; settles with the replies that came, complete or not. @throws RangeError as `ask` */
  askMany(
    subject: string,
    payload: Uint8Array,
    timeoutMs: number,
    isComplete: (replies: readonly Uint8Array[]) => boolean,
  ): Promise<readonly Uint8Array[]> {
    const { promise, resolve } = settledLater<readonly Uint8Array[]>();
    const replies: Uint8Array[] = [];
    this.#open(subject, payload, timeoutMs, undefined, {
      onReply: (bytes) => {
        replies.push(bytes);
        if (!isComplete(replies)) return false;
        resolve(replies);
        return true;
      },
      onEnd: () => resolve(replies),
    });
    return promise;
  }

  #open(
    subject: string,
    payload: Uint8Array,
    timeoutMs: number,
    headers: MsgHdrs | undefined,
    exchange: Exchange,
  ): void {
    checkSubject(subject);
    this.#link.checkPayload(payload);
    if (!this.#link.connected) return exchange.onEnd('disconnected');
    const token = (this.#next++).toString(36);
    const timer = setTimeout(() => this.#end(token, 'timeout'), timeoutMs);
    this.#pending.set(token, { exchange, timer });
    try {
      this.#subscribe();
      const reply = this.#prefix + token;
      this.#nc.publish(subject, payload, headers === undefined ? { reply } : { reply, headers });
    } catch {
      // Subject and size were checked: what is left is a connection that is being drained.
      this.#end(token, 'disconnected');
    }
  }

  #subscribe(): void {
    if (this.#subscribed) return;
    this.#subscribed = true;
    this.#nc.subscribe(`${this.#prefix}*`, {
      callback: (error, message) => {
        // A denied inbox: the link reports it, the requests run into their time.
        if (error === null) this.#onMessage(message);
        else this.#subscribed = false;
      },
    });
  }

  #onMessage(message: Msg): void {
    const token = message.subject.slice(this.#prefix.length);
    const pending = this.#pending.get(token);
    if (pending === undefined) return;
    if (message.data.length === 0 && message.headers?.code === 503) return this.#end(token, 'no-responders');
    try {
      if (pending.exchange.onReply(message.data)) this.#close(token, pending);
    } catch (error) {
      throwOutside(error);
    }
  }

  #end(token: string, end: End): void {
    const pending = this.#pending.get(token);
    if (pending === undefined) return;
    this.#close(token, pending);
    pending.exchange.onEnd(end);
  }

  #close(token: string, pending: Pending): void {
    clearTimeout(pending.timer);
    this.#pending.delete(token);
  }
}

function settledLater<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
