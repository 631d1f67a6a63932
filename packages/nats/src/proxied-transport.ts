/**
 * Connections to NATS through a SOCKS5 proxy. The protocol of the proxy is the library's; here it takes the place of the dial.
 *
 * The client offers no way to bring a socket of one's own: this reaches into it, and only for connections that need it.
 *
 * 1. Names are left to the proxy to resolve, as `socks5h` has it: the network behind it may have names that ours does not know.
 * 2. Every dial goes through the proxy, also to servers that the cluster advertises. The client keeps one kind of transport for the
 *    whole process, and its own `connect` sets it back: a process that uses a proxy makes all its connections here, through the same.
 */

import { isIP, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { type ConnectionOptions, ErrorCode, type NatsConnection, NatsError } from 'nats';
import { NatsConnectionImpl, setTransportFactory } from 'nats/lib/nats-base-client/internal_mod.js';
import { NodeTransport } from 'nats/lib/src/node_transport.js';
import { SocksClient, type SocksProxy } from 'socks';

const DEFAULT_PORT = 1_080;

type Address = { readonly hostname: string; readonly port: number };

/**
 * @param url `socks5://[user:password@]host:port`, or `socks5h:`; the names of servers are resolved by the proxy with both
 * @throws RangeError for any other
 */
export function parseSocksProxy(url: string): SocksProxy {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^socks5h?:$/.test(parsed.protocol) || parsed.hostname === '') {
    throw new RangeError(
      `${JSON.stringify(withoutPassword(url))} is no SOCKS5 proxy: write socks5://[user:password@]host:port`,
    );
  }
  const { hostname, port, username, password } = parsed;
  return {
    type: 5,
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? DEFAULT_PORT : Number(port),
    ...(username === '' ? {} : { userId: decodeURIComponent(username), password: decodeURIComponent(password) }),
  };
}

/** As the client's `connect`, by way of the proxy. @throws what that throws */
export function connectThroughProxy(proxy: SocksProxy, options: ConnectionOptions): Promise<NatsConnection> {
  setTransportFactory({ factory: () => new ProxiedTransport(proxy) });
  // Invariant 1.
  return NatsConnectionImpl.connect({ ...options, resolve: false });
}

class ProxiedTransport extends NodeTransport {
  readonly #proxy: SocksProxy;

  constructor(proxy: SocksProxy) {
    super();
    this.#proxy = proxy;
  }

  /** The name that the certificate must bear: the client knows it only of names that it has resolved itself. */
  override connect(address: Address & { readonly tlsName: string }, options: ConnectionOptions): Promise<void> {
    const tlsName = address.tlsName !== '' || isIP(address.hostname) !== 0 ? address.tlsName : address.hostname;
    return super.connect({ ...address, tlsName }, options);
  }

  override async dial({ hostname: host, port }: Address): Promise<Socket> {
    const destination = { host, port };
    // Of the socket and of each step of the exchange; the client bounds the whole.
    const timeout = this.options.timeout ?? 0;
    try {
      const { socket } = await SocksClient.createConnection({
        proxy: this.#proxy,
        command: 'connect',
        destination,
        ...(timeout > 0 ? { timeout } : {}),
        set_tcp_nodelay: true,
      });
      return socket;
    } catch (cause) {
      const detail = cause instanceof Error ? cause.message : String(cause);
      const where = `${this.#proxy.host}:${this.#proxy.port}`;
      const error = cause instanceof Error ? cause : new Error(detail);
      throw new NatsError(
        `the proxy at ${where} does not lead to ${host}:${port}: ${detail}`,
        ErrorCode.ConnectionRefused,
        error,
      );
    }
  }

  /** The client would open a socket of its own here: TLS goes over the one that it has. */
  override async tlsFirst(address: Address): Promise<TLSSocket> {
    this.socket = await this.dial(address);
    return super.tlsFirst(address);
  }
}

function withoutPassword(url: string): string {
  return url.replace(/^.*@/, '...@');
}
