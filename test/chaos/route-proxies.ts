/**
 * The routes between the NATS servers, each pair through TCP proxies of its own: two servers are parted, in both directions or in
 * one, while clients of both go on talking to them.
 *
 * R1: either server of a pair may have dialled, so what passes from one to the other may pass two proxies: a cut is made on both.
 */

import { ProxyLink, type ProxyState } from './proxy.js';

/** How two servers are parted: by closed connections, by silence both ways, or by silence of what `from` sends to `to`. */
export type RouteCut = 'cut' | 'stalled' | 'stalled-one-way';

export class RouteProxies {
  /** By dialling server, then by the one that it reaches. */
  readonly #links = new Map<string, ProxyLink>();

  /** For `startNatsCluster({ routeVia })`. Asked again where the servers had to be started once more: the last answer counts. */
  readonly via = async (from: number, to: number, port: number): Promise<number> => {
    const link = await ProxyLink.start(port);
    await this.#links.get(nameOf(from, to))?.stop();
    this.#links.set(nameOf(from, to), link);
    return link.port;
  };

  part(from: number, to: number, how: RouteCut): void {
    this.#set(from, to, how === 'stalled-one-way' ? 'stalled-to-server' : how);
    this.#set(to, from, how === 'stalled-one-way' ? 'stalled-to-client' : how);
  }

  /** `reset` closes what was held up, otherwise it is delivered late. */
  heal(how: 'deliver' | 'reset'): void {
    for (const link of this.#links.values()) {
      if (how === 'reset') link.set('cut');
      link.set('open');
    }
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#links.values()].map((link) => link.stop()));
  }

  #set(from: number, to: number, state: ProxyState): void {
    this.#links.get(nameOf(from, to))?.set(state);
  }
}

function nameOf(from: number, to: number): string {
  return `${from}-${to}`;
}
