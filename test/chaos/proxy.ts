/**
 * A TCP proxy in front of every NATS server, one set for each role (a node, the light clients, the workers): connections of one
 * role are cut or held up while all others go on.
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

export class RoleProxy {
  readonly role: string;
  readonly urls: readonly string[];
  readonly #listeners: readonly Server[];
  readonly #pairs: Set<Pair>;
  readonly #state: { value: ProxyState };

  private constructor(
    role: string,
    listeners: readonly Server[],
    urls: readonly string[],
    pairs: Set<Pair>,
    state: { value: ProxyState },
  ) {
    this.role = role;
    this.urls = urls;
    this.#listeners = listeners;
    this.#pairs = pairs;
    this.#state = state;
  }

  /** Starts one listener for each server. @param targets `nats://host:port` */
  static async start(role: string, targets: readonly string[]): Promise<RoleProxy> {
    const pairs = new Set<Pair>();
    const state: { value: ProxyState } = { value: 'open' };
    const listeners: Server[] = [];
    const urls: string[] = [];
    for (const target of targets) {
      const { hostname, port } = new URL(target);
      const server = createServer((client) => accept(client, hostname, Number(port), pairs, state));
      urls.push(`nats://${LOOPBACK}:${await listen(server)}`);
      listeners.push(server);
    }
    return new RoleProxy(role, listeners, urls, pairs, state);
  }

  /** From now on, for all connections of the role. */
  set(state: ProxyState): void {
    this.#state.value = state;
    for (const pair of this.#pairs) apply(pair, state);
  }

  /** Ends the trouble. `reset` closes what was held up, otherwise it is delivered late. */
  heal(how: 'deliver' | 'reset'): void {
    if (how === 'reset') this.set('cut');
    this.set('open');
  }

  async stop(): Promise<void> {
    this.set('cut');
    await Promise.all(this.#listeners.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

function accept(client: Socket, host: string, port: number, pairs: Set<Pair>, state: { value: ProxyState }): void {
  if (state.value === 'cut') {
    client.destroy();
    return;
  }
  const server = tcpConnect({ host, port });
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
