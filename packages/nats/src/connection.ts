/**
 * Opens a connection to NATS with defaults fit for a node that must notice trouble within seconds (nats.md section 6).
 *
 * Does not: subscribe, speak JetStream beyond one question, or read files other than the credentials it is told of.
 *
 * 1. A connection that was made once is never given up: it redials for ever, credentials refused in between or not.
 * 2. A server that stopped answering is noticed after three missed pings, not after minutes.
 */

import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { type ConnectionOptions as ConnectionOptionsOfTls, checkServerIdentity } from 'node:tls';
import type { Authenticator, ConnectionOptions, NatsConnection, TlsOptions } from 'nats';
import { connect, credsAuthenticator, jwtAuthenticator, NatsError, nkeyAuthenticator } from 'nats';
import { apiPrefixOf, type JetStreamPlace } from './jetstream-place.js';
import { linkOf } from './link.js';
import { connectThroughProxy, parseSocksProxy } from './proxied-transport.js';

/** Files and switches of TLS. Paths are read at every dial, so that renewed certificates are picked up. */
export type NatsTls = {
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
  /** The server starts with the TLS handshake instead of its INFO line. */
  readonly handshakeFirst?: boolean;
};

export type ConnectNatsOptions = {
  /** `host:port` or `nats://host:port`; at least one. */
  readonly servers: readonly string[];
  /** Shown in the server's connection list. */
  readonly name?: string;
  readonly user?: string;
  readonly pass?: string;
  readonly token?: string;
  /** Seed of an nkey, `SU...`. */
  readonly nkeySeed?: string;
  /** JWT of the user; `nkeySeed` signs for it. Without a seed the account must allow bearer tokens. */
  readonly userJwt?: string;
  /** Credentials file with a JWT and a seed; read once. */
  readonly credsFile?: string;
  readonly tls?: NatsTls;
  /** First token(s) of every inbox: lets permissions name them per role. Default `_INBOX`. */
  readonly inboxPrefix?: string;
  /** Which JetStream is meant by everything that is done over this connection. Default: that of the servers themselves. */
  readonly jetStream?: JetStreamPlace;
  /** `socks5://[user:password@]host:port`: every dial goes through it. Then all connections of the process must (proxied-transport.ts). */
  readonly socksProxy?: string;
  /** How long to go on while no server is reachable, in ms; 0 (default) = every server is tried once. */
  readonly waitOnFirstConnectMs?: number;
  /** Limit of one dial, in ms. */
  readonly dialTimeoutMs?: number;
  readonly pingIntervalMs?: number;
  /** Stay with the listed servers, whatever the cluster advertises. For proxies and tests. */
  readonly ignoreAdvertisedServers?: boolean;
};

/** Defaults of a connection and why: nats.md section 6, measured. */
export const CONNECTION_DEFAULTS = {
  /** A hung server accepts TCP and then blocks the dial. */
  dialTimeoutMs: 2_000,
  /** The client's own default of 120 s finds a hung server after minutes; 2 s finds it after 4 to 6 s. */
  pingIntervalMs: 2_000,
  pingOutMax: 2,
  reconnectWaitMs: 250,
  reconnectJitterMs: 250,
  /** Pause between rounds of `waitOnFirstConnectMs`. */
  firstConnectPauseMs: 250,
} as const;

/** What TLS of Node.js asks for where it was told no name. */
const NO_NAME = 'localhost';

export type NatsConnectErrorCode =
  /** The server refused the credentials: trying again does not help. */
  | 'AUTHENTICATION_FAILED'
  /** No server answered. */
  | 'UNREACHABLE'
  /** The handshake failed, or only one side wants TLS. */
  | 'TLS_FAILED'
  /** The options contradict each other, or a named file is not readable. */
  | 'BAD_OPTION';

/** A connection that could not be made. */
export class NatsConnectError extends Error {
  override readonly name = 'NatsConnectError';
  readonly code: NatsConnectErrorCode;
  readonly retriable: boolean;

  constructor(code: NatsConnectErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
    this.retriable = code === 'UNREACHABLE';
  }
}

/**
 * Connects.
 * @throws NatsConnectError
 */
export async function connectNats(options: ConnectNatsOptions): Promise<NatsConnection> {
  const clientOptions = await toClientOptions(options);
  const apiPrefix = orBadOption(() => apiPrefixOf(options.jetStream ?? {}));
  const { socksProxy } = options;
  const proxy = socksProxy === undefined ? undefined : orBadOption(() => parseSocksProxy(socksProxy));
  const giveUpAt = performance.now() + (options.waitOnFirstConnectMs ?? 0);
  for (;;) {
    try {
      const nc = await (proxy === undefined ? connect(clientOptions) : connectThroughProxy(proxy, clientOptions));
      linkOf(nc, { inboxPrefix: options.inboxPrefix, serverCount: options.servers.length, apiPrefix });
      return nc;
    } catch (cause) {
      const error = toConnectError(cause, options);
      if (!error.retriable || performance.now() >= giveUpAt) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, CONNECTION_DEFAULTS.firstConnectPauseMs));
  }
}

async function toClientOptions(options: ConnectNatsOptions): Promise<ConnectionOptions> {
  if (options.servers.length === 0) throw new NatsConnectError('BAD_OPTION', 'no NATS server is named');
  const authenticator = await toAuthenticator(options);
  const { user, pass, token, name, inboxPrefix } = options;
  return {
    servers: [...options.servers],
    timeout: options.dialTimeoutMs ?? CONNECTION_DEFAULTS.dialTimeoutMs,
    maxReconnectAttempts: -1,
    reconnectTimeWait: CONNECTION_DEFAULTS.reconnectWaitMs,
    reconnectJitter: CONNECTION_DEFAULTS.reconnectJitterMs,
    reconnectJitterTLS: CONNECTION_DEFAULTS.reconnectJitterMs,
    pingInterval: options.pingIntervalMs ?? CONNECTION_DEFAULTS.pingIntervalMs,
    maxPingOut: CONNECTION_DEFAULTS.pingOutMax,
    // Invariant 1: users are reloaded on servers one after the other; a refusal in between is no reason to stop.
    ignoreAuthErrorAbort: true,
    // A stack for every request costs more than the request.
    noAsyncTraces: true,
    ignoreClusterUpdates: options.ignoreAdvertisedServers ?? false,
    ...(name === undefined ? {} : { name }),
    ...(user === undefined ? {} : { user }),
    ...(pass === undefined ? {} : { pass }),
    ...(token === undefined ? {} : { token }),
    ...(inboxPrefix === undefined ? {} : { inboxPrefix }),
    ...(options.tls === undefined ? {} : { tls: toTls(options.tls, options.servers) }),
    ...(authenticator === undefined ? {} : { authenticator }),
  };
}

async function toAuthenticator(options: ConnectNatsOptions): Promise<Authenticator | undefined> {
  const { userJwt } = options;
  const ways = [options.user, options.token, userJwt ?? options.nkeySeed, options.credsFile].filter(
    (way) => way !== undefined,
  );
  if (ways.length > 1) {
    throw new NatsConnectError('BAD_OPTION', 'user, token, nkeySeed or userJwt, and credsFile exclude each other');
  }
  const seed = options.nkeySeed === undefined ? undefined : new TextEncoder().encode(options.nkeySeed);
  if (userJwt !== undefined) return seed === undefined ? jwtAuthenticator(userJwt) : jwtAuthenticator(userJwt, seed);
  if (seed !== undefined) return nkeyAuthenticator(seed);
  if (options.credsFile === undefined) return undefined;
  try {
    return credsAuthenticator(await readFile(options.credsFile));
  } catch (cause) {
    throw new NatsConnectError('BAD_OPTION', `the credentials file ${options.credsFile} is not readable`, cause);
  }
}

function orBadOption<Value>(read: () => Value): Value {
  try {
    return read();
  } catch (cause) {
    throw new NatsConnectError('BAD_OPTION', cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function toTls(
  tls: NatsTls,
  servers: readonly string[],
): TlsOptions & Pick<ConnectionOptionsOfTls, 'checkServerIdentity'> {
  return {
    checkServerIdentity: identityCheckOf(servers),
    ...(tls.caFile === undefined ? {} : { caFile: tls.caFile }),
    ...(tls.certFile === undefined ? {} : { certFile: tls.certFile }),
    ...(tls.keyFile === undefined ? {} : { keyFile: tls.keyFile }),
    ...(tls.handshakeFirst === undefined ? {} : { handshakeFirst: tls.handshakeFirst }),
  };
}

/**
 * The client tells TLS the names of servers, and of those that are named by address nothing at all: whatever certificate they show
 * would be held against `localhost`.
 */
function identityCheckOf(servers: readonly string[]): typeof checkServerIdentity {
  const addresses = servers.map(hostOf).filter((host) => isIP(host) !== 0);
  return (name, certificate) => {
    const wrong = checkServerIdentity(name, certificate);
    if (wrong === undefined || name !== NO_NAME) return wrong;
    const wrongs = addresses.map((address) => checkServerIdentity(address, certificate));
    return wrongs.includes(undefined) ? undefined : (wrongs[0] ?? wrong);
  };
}

function hostOf(server: string): string {
  const url = server.includes('://') ? server : `nats://${server}`;
  return URL.canParse(url) ? new URL(url).hostname.replace(/^\[|\]$/g, '') : '';
}

function toConnectError(cause: unknown, { servers, tls }: ConnectNatsOptions): NatsConnectError {
  const detail = cause instanceof Error ? cause.message : String(cause);
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const where = servers.join(', ');
  if ((cause instanceof NatsError && (cause.isAuthError() || cause.isAuthTimeout())) || code.startsWith('BAD_')) {
    return new NatsConnectError('AUTHENTICATION_FAILED', `NATS at ${where} refused the credentials: ${detail}`, cause);
  }
  if (
    code === 'TLS' ||
    code === 'SERVER_OPT_NA' ||
    /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO)/.test(code)
  ) {
    return new NatsConnectError('TLS_FAILED', `TLS with NATS at ${where} failed: ${detail || code}`, cause);
  }
  if (code === 'INVALID_OPTION' || code === 'NOT_FUNC') return new NatsConnectError('BAD_OPTION', detail, cause);
  // TLS 1.3: the handshake is over for the client before the server misses its certificate, and the client hears no more.
  const isPerhapsRefused = code === 'TIMEOUT' && tls !== undefined && tls.certFile === undefined;
  const hint = isPerhapsRefused ? ' (does the server want a client certificate? none was given)' : '';
  return new NatsConnectError('UNREACHABLE', `no NATS server answers at ${where}: ${detail || code}${hint}`, cause);
}
