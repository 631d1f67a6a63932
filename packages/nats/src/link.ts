/**
 * The state of one connection as everybody on it sees it: connected or not, and who wants to hear of changes.
 *
 * Does not dial: the client redials by itself. One link per connection, whoever asks for it.
 *
 * 1. Listeners hear every change once, in order; `connected` has the new value when they do.
 * 2. A server in lame duck mode is left at once where there is another to go to (it would cut us 10 s later).
 * 3. A link that the client gave up as stale is closed hard: the client waits for its last bytes to leave, which a hung
 *    server with a full receive window never lets happen.
 */

import type { NatsConnection } from 'nats';
import { createInbox, DebugEvents, Events } from 'nats';
import { OWN_API } from './jetstream-place.js';

const STALE_GRACE_MS = 200;
/** What a server allows unless it was told otherwise. */
const PAYLOAD_BYTES_MAX_DEFAULT = 1_048_576;
const links = new WeakMap<NatsConnection, Link>();

/** What the connection was opened with; the client does not tell it. */
export type LinkOrigin = {
  readonly inboxPrefix?: string | undefined;
  readonly serverCount?: number;
  /** Default: the JetStream of the server itself. */
  readonly apiPrefix?: string;
};

/** @returns the one link of a connection */
export function linkOf(nc: NatsConnection, origin: LinkOrigin = {}): Link {
  const known = links.get(nc);
  if (known !== undefined) return known;
  const link = new Link(nc, origin);
  links.set(nc, link);
  return link;
}

/** A refusal of the server that belongs to no reply. */
export type PermissionDenied = { readonly operation: string; readonly subject: string };

export class Link {
  readonly #nc: NatsConnection;
  readonly #listeners = new Set<(connected: boolean) => void>();
  readonly #denials = new Set<(denied: PermissionDenied) => void>();
  readonly #origin: LinkOrigin;
  #connected: boolean;
  #payloadBytesMax = PAYLOAD_BYTES_MAX_DEFAULT;

  constructor(nc: NatsConnection, origin: LinkOrigin) {
    this.#nc = nc;
    this.#origin = origin;
    this.#connected = !nc.isClosed() && nc.info !== undefined;
    void this.#follow();
    void nc.closed().then(() => this.#set(false));
  }

  /** Whether there is a connection now. */
  get connected(): boolean {
    return this.#connected && !this.#nc.isClosed();
  }

  /** Largest payload of the connected server in bytes, or of the last one while disconnected. */
  get payloadBytesMax(): number {
    this.#payloadBytesMax = this.#nc.info?.max_payload ?? this.#payloadBytesMax;
    return this.#payloadBytesMax;
  }

  /** Prefix of the JetStream API that this connection is for. */
  get apiPrefix(): string {
    return this.#origin.apiPrefix ?? OWN_API;
  }

  /** @throws RangeError where the server would cut the connection for its size */
  checkPayload(payload: Uint8Array): void {
    if (payload.byteLength <= this.payloadBytesMax) return;
    throw new RangeError(`a payload of ${payload.byteLength} bytes, ${this.payloadBytesMax} are allowed`);
  }

  /** @returns a fresh inbox subject */
  newInbox(): string {
    return createInbox(this.#origin.inboxPrefix);
  }

  /** Calls back on every change; returns how to stop it. */
  onChange(listener: (connected: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls back when the server denies a publish or a subscription; returns how to stop it. */
  onDenied(listener: (denied: PermissionDenied) => void): () => void {
    this.#denials.add(listener);
    return () => this.#denials.delete(listener);
  }

  async #follow(): Promise<void> {
    for await (const status of this.#nc.status()) {
      switch (status.type) {
        case Events.Disconnect:
          this.#set(false);
          break;
        case Events.Reconnect:
          this.#set(true);
          break;
        case Events.LDM:
          this.#leaveLameDuck();
          break;
        case Events.Error:
          if (status.permissionContext !== undefined) this.#deny(status.permissionContext);
          break;
        case DebugEvents.StaleConnection:
          this.#closeHard();
          break;
        default:
          break;
      }
    }
  }

  #set(connected: boolean): void {
    if (this.#connected === connected) return;
    this.#connected = connected;
    for (const listener of [...this.#listeners]) listener(connected);
  }

  #deny(denied: PermissionDenied): void {
    for (const listener of [...this.#denials]) listener(denied);
  }

  #leaveLameDuck(): void {
    // The server that goes takes itself off the list that it advertises: what is left are the others. Where servers do not
    // advertise, there are others if more than one was named.
    const hasOthers = (this.#nc.info?.connect_urls?.length ?? 0) > 0 || (this.#origin.serverCount ?? 0) > 1;
    if (hasOthers) this.#nc.reconnect().catch(() => undefined);
  }

  #closeHard(): void {
    const stale = socketOf(this.#nc);
    if (stale === undefined) return;
    // Unconditional: closing a socket that was closed meanwhile does nothing, and the next dial has a socket of its own.
    setTimeout(() => stale.destroy(), STALE_GRACE_MS).unref();
  }
}

/** @throws RangeError where the text would not go over the wire as one subject */
export function checkSubject(subject: string): void {
  // A blank or a line end would be read as another argument or command of the protocol; the client does not check.
  if (!/^[^\s\0]+$/.test(subject)) throw new RangeError(`${JSON.stringify(subject)} is no subject`);
}

/** Lets an error of a callback surface as uncaught: thrown where it came up, it would end the connection's reader. */
export function throwOutside(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}

/** The client offers no way to its socket; where a later version hides it elsewhere, the hard close is just not done. */
function socketOf(nc: NatsConnection): { destroy(): void } | undefined {
  const socket = at(at(at(nc, 'protocol'), 'transport'), 'socket');
  const destroy = at(socket, 'destroy');
  return typeof destroy === 'function' ? { destroy: () => void destroy.call(socket) } : undefined;
}

function at(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
}
