/**
 * The configuration file of one server.
 *
 * Pure text: does not choose ports, folders or names.
 */

import { LOOPBACK } from './loopback-ports.js';

export interface ServerPorts {
  readonly client: number;
  readonly monitor: number;
  readonly cluster: number;
}

export interface ServerPlan {
  readonly name: string;
  readonly ports: ServerPorts;
  readonly storeDir: string;
  /** Where it dials the routes to the servers of its cluster, in their order; absent: their route ports. */
  readonly routePorts?: readonly number[];
}

export interface ConfigSettings {
  readonly syncInterval: string | undefined;
  readonly domain: string | undefined;
  readonly extraConfig: string | undefined;
}

export interface ClusterPlan {
  readonly name: string;
  /** Shared by the servers of one cluster, so that a server of another one that got hold of a port cannot join. */
  readonly secret: string;
  readonly servers: readonly ServerPlan[];
}

const ROUTE_USER = 'muster';
/** Nobody listens there: whoever is told of it by gossip gets no further. */
const NO_ROUTE_PORT = 1;

/** `cluster` undefined: a single server, without a route port. */
export function serverConfig(plan: ServerPlan, cluster: ClusterPlan | undefined, settings: ConfigSettings): string {
  const jetstream = [`  store_dir: ${quote(plan.storeDir)}`];
  if (settings.syncInterval !== undefined) jetstream.push(`  sync_interval: ${quote(settings.syncInterval)}`);
  if (settings.domain !== undefined) jetstream.push(`  domain: ${quote(settings.domain)}`);
  const lines = [
    `server_name: ${quote(plan.name)}`,
    `listen: ${quote(`${LOOPBACK}:${plan.ports.client}`)}`,
    `http: ${quote(`${LOOPBACK}:${plan.ports.monitor}`)}`,
    'jetstream {',
    ...jetstream,
    '}',
  ];
  if (cluster !== undefined) {
    const { routePorts } = plan;
    const route = (other: ServerPlan, index: number) => {
      const port = routePorts?.[index] ?? other.ports.cluster;
      return `    ${quote(`nats-route://${ROUTE_USER}:${cluster.secret}@${LOOPBACK}:${port}`)}`;
    };
    lines.push(
      'cluster {',
      `  name: ${quote(cluster.name)}`,
      `  listen: ${quote(`${LOOPBACK}:${plan.ports.cluster}`)}`,
      '  no_advertise: true',
      // Servers tell each other where to dial those that they know, and would find a way round a proxy.
      ...(routePorts === undefined ? [] : [`  advertise: ${quote(`${LOOPBACK}:${NO_ROUTE_PORT}`)}`]),
      `  authorization { user: ${quote(ROUTE_USER)}, password: ${quote(cluster.secret)} }`,
      // Also the server's own route, which it recognises and drops: the number of routes is the size of cluster that a
      // server waits for before the first meta leader election. With one route less, a cluster of three can found its
      // JetStream with two, and the third may never be let in.
      '  routes: [',
      ...cluster.servers.map(route),
      '  ]',
      '}',
    );
  }
  if (settings.extraConfig !== undefined) lines.push(settings.extraConfig);
  return `${lines.join('\n')}\n`;
}

function quote(text: string): string {
  return JSON.stringify(text);
}
