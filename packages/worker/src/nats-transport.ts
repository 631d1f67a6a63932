/**
 * The transport on real NATS (nats.js 2). Dials with the defaults that Muster needs (nats.md section 6); a connection of
 * the user's own is used as it is and never closed.
 */

import {
  type ConnectionOptions,
  connect,
  createInbox,
  ErrorCode,
  type Msg,
  type NatsConnection,
  NatsError,
  type Status,
} from 'nats';
import { MusterError, messageOf } from './errors.js';
import type { ConnectionEvent, Incoming, Transport, Unsubscribe } from './transport.js';

/** What may be said about the connection; everything of nats.js, with our defaults below. */
export type NatsOptions = Omit<ConnectionOptions, 'debug' | 'verbose' | 'pedantic'>;

const DEFAULT_PORT = 4_222;

const natsDefaults = {
  maxReconnectAttempts: -1,
  reconnectTimeWait: 250,
  reconnectJitter: 250,
  // A server that hangs is noticed within 6 s instead of minutes.
  pingInterval: 2_000,
  maxPingOut: 2,
  // A hung server accepts the TCP connection and says nothing.
  timeout: 2_000,
} as const satisfies NatsOptions;

/**
 * @param options where and how; `waitOnFirstConnect` makes it wait for a server instead of failing
 * @returns a connection; throws MusterError CONNECTION_FAILED
 */
export async function dialNats(options: NatsOptions): Promise<NatsConnection> {
  try {
    return await connect({ ...natsDefaults, ...options });
  } catch (cause) {
    throw new MusterError('CONNECTION_FAILED', `${serversOf(options)}: ${reasonOf(cause)}`, { cause });
  }
}

/** @returns where it was tried, without the passwords that an address may carry */
function serversOf({ servers, port }: NatsOptions): string {
  const given = servers === undefined ? [`127.0.0.1:${port ?? DEFAULT_PORT}`] : [servers].flat();
  return given.map((server) => server.replace(/\/\/[^@/]*@/, '//')).join(', ');
}

function reasonOf(cause: unknown): string {
  const code = cause instanceof NatsError ? cause.code : undefined;
  if (code === ErrorCode.ConnectionRefused) return 'nobody listens there; is nats-server running?';
  if (code === ErrorCode.Timeout || code === ErrorCode.ConnectionTimeout) {
    return 'no answer in time; is this a nats-server, and is it reachable from here?';
  }
  return messageOf(cause);
}

export class NatsTransport implements Transport {
  readonly #connection: NatsConnection;
  readonly #isOwn: boolean;
  readonly #inboxPrefix: string | undefined;
  readonly #listeners = new Set<(event: ConnectionEvent) => void>();
  /** Ends the watching of a connection that lives longer than this transport. */
  readonly #stopWatching: () => void;
  #isConnected = true;

  constructor(connection: NatsConnection, options: { readonly isOwn: boolean; readonly inboxPrefix?: string }) {
    this.#connection = connection;
    this.#isOwn = options.isOwn;
    this.#inboxPrefix = options.inboxPrefix;
    const statuses = connection.status();
    this.#stopWatching = stopOf(statuses);
    void this.#watch(statuses);
  }

  isConnected(): boolean {
    return this.#isConnected && !this.#connection.isClosed();
  }

  payloadBytesMax(): number | undefined {
    return this.#connection.info?.max_payload;
  }

  newInbox(): string {
    return createInbox(this.#inboxPrefix);
  }

  publish(subject: string, payload: Uint8Array, replyTo?: string): void {
    // nats.js would buffer while disconnected and drop the buffer at the reconnect: say no at once instead.
    if (!this.isConnected()) return;
    try {
      this.#connection.publish(subject, payload, replyTo === undefined ? {} : { reply: replyTo });
    } catch {
      // Closing or draining at this very moment: as lost as a message can be; the sender's deadline covers it.
    }
  }

  subscribe(subject: string, onMessage: (message: Incoming) => void): Unsubscribe {
    if (this.#connection.isClosed()) return () => {};
    const subscription = this.#connection.subscribe(subject, {
      callback: (error, message) => {
        if (error === null) onMessage(incomingOf(message));
      },
    });
    return () => {
      if (!this.#connection.isClosed()) subscription.unsubscribe();
    };
  }

  onConnection(listener: (event: ConnectionEvent) => void): Unsubscribe {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    if (this.#isOwn && !this.#connection.isClosed()) await this.#connection.close().catch(() => {});
    else this.#stopWatching();
  }

  async #watch(statuses: AsyncIterable<Status>): Promise<void> {
    for await (const status of statuses) {
      if (status.type === 'disconnect') this.#tell({ kind: 'disconnected' });
      else if (status.type === 'reconnect') this.#tell({ kind: 'connected' });
      else if (status.type === 'error' && status.permissionContext !== undefined) {
        this.#tell({ kind: 'denied', ...status.permissionContext });
      }
      // A server that shuts down in an orderly way says so ten seconds before it cuts: go while the others still wait.
      else if (status.type === 'ldm' && this.#isOwn) void this.#connection.reconnect().catch(() => {});
    }
    this.#tell({ kind: 'closed' });
  }

  #tell(event: ConnectionEvent): void {
    if (event.kind === 'connected') this.#isConnected = true;
    if (event.kind === 'disconnected' || event.kind === 'closed') this.#isConnected = false;
    for (const listener of [...this.#listeners]) listener(event);
  }
}

/** @returns what ends an iterator of nats.js: it is one of its queues, which its types do not say */
function stopOf(statuses: AsyncIterable<Status>): () => void {
  const stop: unknown = Reflect.get(statuses, 'stop');
  return typeof stop === 'function' ? () => void stop.call(statuses) : () => {};
}

function incomingOf(message: Msg): Incoming {
  const noResponders = message.data.byteLength === 0 && message.headers?.code === 503;
  return { subject: message.subject, payload: message.data, noResponders };
}
