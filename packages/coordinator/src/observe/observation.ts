/**
 * A node under observation: counted and told of over HTTP where the configuration says so, not looked at where it does not.
 */

import type { Logger } from 'pino';
import type { NodeConfig } from '../config.js';
import type { NodePartitions } from '../partition-host.js';
import { figuresOf } from './group-figures.js';
import { type NodeMeter, noMeter } from './meter.js';
import { NodeMetrics } from './node-metrics.js';
import { serveStatus } from './status-server.js';

/** What can be looked at of a node that has started. */
export type ObservedNode = {
  readonly isReady: () => boolean;
  readonly isConnected: () => boolean;
  /** Partitions by what the node has to do with them. */
  readonly counts: () => Readonly<Record<string, number>>;
  readonly partitions: Pick<NodePartitions, 'all'>;
};

export type Observation = {
  /** Where it listens; undefined where it does not. */
  readonly port: number | undefined;
  readonly meter: NodeMeter;
  /** From here on there is something to look at; until then the node counts as alive and not ready. */
  readonly follow: (observed: ObservedNode) => void;
  readonly close: () => Promise<void>;
};

const notObserved: Observation = { port: undefined, meter: noMeter, follow: () => {}, close: async () => {} };

/**
 * Listens, where a port is configured.
 * @throws StatusPortUnavailable
 */
export async function observe(
  config: Pick<NodeConfig, 'cluster' | 'httpHost' | 'httpPort' | 'lagGroupsMax'>,
  { node, incarnation }: { readonly node: string; readonly incarnation: string },
  log: Logger,
): Promise<Observation> {
  const { cluster, httpHost: host, httpPort: port, lagGroupsMax } = config;
  if (port === undefined) return notObserved;
  const metrics = new NodeMetrics({ cluster, node, incarnation });
  let observed: ObservedNode | undefined;
  const status = () => ({
    node,
    incarnation,
    isReady: observed?.isReady() ?? false,
    isConnected: observed?.isConnected() ?? false,
    partitions: observed?.counts() ?? {},
  });
  const server = await serveStatus({ host, port, status, metrics });
  log.info({ host, port: server.port }, 'telling over HTTP: /livez, /readyz, /metrics');
  const follow = (now: ObservedNode) => {
    observed = now;
    metrics.follow({
      ...now,
      partitions: now.counts,
      waiting: () => [...now.partitions.all()].reduce((count, { openCount }) => count + openCount, 0),
      groups: () => figuresOf(slotsOf(now.partitions), Date.now(), lagGroupsMax),
    });
  };
  return { port: server.port, meter: metrics.meter, follow, close: server.close };
}

function* slotsOf(partitions: Pick<NodePartitions, 'all'>) {
  for (const runtime of partitions.all()) yield* runtime.slots();
}
