/**
 * TCP proxies: in front of every NATS server, one set for each role (a node, the light clients, the workers), so that connections of
 * one role are cut or held up while all others go on; route-proxies.ts has those between the servers.
 *
 * Does not read what passes. X1: nothing that passes is lost or reordered within a connection that stays; a held-up connection
 * delivers late or is reset, as TCP does.
 */

import { createServer, type Server, type Socket, connect as tcpConnect } from 'node:net';

/**
 * `cut`: connections are closed, new ones too. `stalled`: connections stay and carry nothing, in both directions or in one;
 * new ones are accepted and carry nothing either (half-open).
 */
export type ProxyState = 'open' | 'cut' | 'stalled' | 'stalled-to-server' | 'stalled-to-client';

type Pair = { readonly client: Socket; readonly server: Socket };

const LOOPBACK = '127.0.0.1';
const PORT_MIN = 32_100;
const PORTS = 600;

/** One listener in front of one port, with a state of its own. */
export class ProxyLink {
  readonly port: number;
  readonly #listener: Server;
  readonly #pairs: Set<Pair>;
  readonly #state: { value: ProxyState };

  private constructor(port: number, listener: Server, pairs: Set<Pair>, state: { value: ProxyState }) {
    this.port = port;
    this.#listener = listener;
    this.#pairs = pairs;
    this.#state = state;
  }

  static async start(targetPort: number): Promise<ProxyLink> {
    const pairs = new Set<Pair>();
    const state: { value: ProxyState } = { value: 'open' };
    const listener = createServer((client) => accept(client, targetPort, pairs, state));
    return new ProxyLink(await listen(listener), listener, pairs, state);
  }

  /** From now on, for the connections that are there and those that come. */
  set(state: ProxyState): void {
    this.#state.value = state;
    for (const pair of this.#pairs) apply(pair, state);
  }

  async stop(): Promise<void> {
    this.set('cut');
    await new Promise((resolve) => this.#listener.close(resolve));
  }
}

/** The way of one role to each of the servers. */
export class RoleProxy {
  readonly role: string;
  readonly urls: readonly string[];
  readonly #links: readonly ProxyLink[];
  #state: ProxyState = 'open';
  #avoided: readonly number[] = [];

  private constructor(role: string, links: readonly ProxyLink[]) {
    this.role = role;
    this.#links = links;
    this.urls = links.map(({ port }) => `nats://${LOOPBACK}:${port}`);
  }

  /** Starts one listener for each server. @param targets `nats://host:port` */
  static async start(role: string, targets: readonly string[]): Promise<RoleProxy> {
    const links: ProxyLink[] = [];
    for (const target of targets) links.push(await ProxyLink.start(Number(new URL(target).port)));
    return new RoleProxy(role, links);
  }

  /** From now on, for all connections of the role. */
  set(state: ProxyState): void {
    this.#state = state;
    this.#apply();
  }

  /** Keeps the role away from some servers (indexes), so that it connects to others, until told otherwise. */
  avoid(servers: readonly number[]): void {
    this.#avoided = servers;
    this.#apply();
  }

  /** Ends the trouble. `reset` closes what was held up, otherwise it is delivered late. */
  heal(how: 'deliver' | 'reset'): void {
    if (how === 'reset') this.set('cut');
    this.set('open');
  }

  async stop(): Promise<void> {
    await Promise.all(this.#links.map((link) => link.stop()));
  }

  #apply(): void {
    this.#links.forEach((link, server) => {
      link.set(this.#avoided.includes(server) ? 'cut' : this.#state);
    });
  }
}

function accept(client: Socket, port: number, pairs: Set<Pair>, state: { value: ProxyState }): void {
  if (state.value === 'cut') {
    client.destroy();
    return;
  }
  const server = tcpConnect({ host: LOOPBACK, port });
  const pair: Pair = { client, server };
  pairs.add(pair);
  const end = (): void => {
    pairs.delete(pair);
    client.destroy();
    server.destroy();
  };
  for (const socket of [client, server]) {
    socket.setNoDelay(true);
    // An error is followed by `close`; without a listener it would end this process.
    socket.on('error', () => {});
    socket.on('close', end);
  }
  apply(pair, state.value);
}

function apply({ client, server }: Pair, state: ProxyState): void {
  switch (state) {
    case 'cut':
      client.destroy();
      server.destroy();
      return;
    case 'open':
      flow(client, server);
      flow(server, client);
      return;
    case 'stalled':
      hold(client, server);
      hold(server, client);
      return;
    case 'stalled-to-server':
      hold(client, server);
      flow(server, client);
      return;
    case 'stalled-to-client':
      flow(client, server);
      hold(server, client);
      return;
  }
}

const flowing = new WeakSet<Socket>();

function flow(from: Socket, to: Socket): void {
  if (flowing.has(from)) return;
  flowing.add(from);
  from.pipe(to);
}

function hold(from: Socket, to: Socket): void {
  flowing.delete(from);
  from.unpipe(to);
  from.pause();
}

async function listen(server: Server): Promise<number> {
  for (let tries = 0; tries < 100; tries += 1) {
    const port = PORT_MIN + Math.floor(Math.random() * PORTS);
    if (await tryListen(server, port)) return port;
  }
  throw new Error(`no free port from ${PORT_MIN} to ${PORT_MIN + PORTS}`);
}

function tryListen(server: Server, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const onError = (): void => resolve(false);
    server.once('error', onError);
    server.listen({ host: LOOPBACK, port, exclusive: true }, () => {
      server.off('error', onError);
      resolve(true);
    });
  });
}
