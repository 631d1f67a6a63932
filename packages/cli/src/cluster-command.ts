/**
 * `muster cluster status`: which coordinator nodes live and what they own, as their own heartbeats say.
 */

import { type Heartbeat, parseHeartbeat } from '@muster/cluster';
import { Subjects } from '@muster/protocol';
import type { Command } from 'commander';
import { type AskingFlags, asking, examples } from './commands.js';
import { findCoordinator } from './coordinator-lookup.js';
import { exitCodes } from './exit-codes.js';
import { CliError } from './failure.js';
import type { Cli } from './io.js';
import { pause } from './io.js';
import { show } from './output.js';
import { type Session, withSession } from './session.js';

/** Nodes send a heartbeat each 300 ms: three of them. */
const LISTEN_MS = 1_000;

export function addCluster(program: Command, cli: Cli): void {
  const cluster = program.command('cluster').description('look at the coordinator nodes');
  examples(cluster, 'muster cluster status');
  const status = cluster.command('status').description('show the nodes of the cluster and what they own');
  examples(
    status,
    'muster cluster status',
    'muster cluster status --cluster orders -o json',
    'muster cluster status || page-somebody',
  );
  asking(status).action((flags: AskingFlags) =>
    withSession(cli, flags, async (session) => {
      const { partitionCount, nodes, unowned } = await clusterStatus(session);
      show(session.io, flags.output, {
        columns: [
          { key: 'node', title: 'NODE' },
          { key: 'partitionCount', title: '#PARTITIONS' },
          { key: 'epochMax', title: 'EPOCH-MAX' },
          { key: 'incarnation', title: 'INCARNATION' },
        ],
        rows: nodes,
        name: 'node',
        empty: 'no nodes',
        document: { cluster: session.connection.cluster, partitionCount, unownedPartitions: unowned, nodes },
      });
      if (unowned.length === 0) return exitCodes.ok;
      session.io.err(`${unowned.length} of ${partitionCount} partitions have no owner: ${unowned.join(', ')}\n`);
      session.io.err('a failover or a start takes a second or two; if it stays so, look into the logs of the nodes\n');
      return exitCodes.partly;
    }),
  );
}

type Status = {
  readonly partitionCount: number;
  readonly nodes: readonly {
    node: string;
    partitionCount: number;
    epochMax: number;
    incarnation: string;
    partitions: number[];
  }[];
  readonly unowned: readonly number[];
};

/** Listens to heartbeats for a moment. @throws CliError unreachable where no node is heard */
async function clusterStatus(session: Session): Promise<Status> {
  const { nats, connection } = session;
  const heard = new Map<string, Heartbeat>();
  const subscription = nats.subscribe(new Subjects(connection.cluster).heartbeats, {
    callback: (error, { data }) => {
      const heartbeat = error === null ? parseHeartbeat(data) : undefined;
      if (heartbeat !== undefined) heard.set(heartbeat.node, heartbeat);
    },
  });
  const [found] = await Promise.all([findCoordinator(session, ''), pause(LISTEN_MS, new AbortController().signal)]);
  subscription.unsubscribe();
  if (heard.size === 0 && found === undefined) {
    throw new CliError(
      exitCodes.unreachable,
      `no coordinator node of cluster ${connection.cluster} answers at ${connection.nats.servers.join(', ')}`,
      'start one with "muster node", or check --cluster; "muster dev" starts everything for development',
    );
  }
  const owned = new Set(
    [...heard.values()].flatMap((heartbeat) => heartbeat.owned.map(([partition]) => Number(partition))),
  );
  const partitionCount = found?.partitionCount ?? owned.size;
  return {
    partitionCount,
    unowned: Array.from({ length: partitionCount }, (_, partition) => partition).filter(
      (partition) => !owned.has(partition),
    ),
    nodes: [...heard.values()]
      .sort((left, right) => (left.node < right.node ? -1 : 1))
      .map((heartbeat) => ({
        node: heartbeat.node,
        partitionCount: heartbeat.owned.length,
        epochMax: heartbeat.owned.reduce((most, [, epoch]) => Math.max(most, epoch), 0),
        incarnation: heartbeat.incarnation,
        partitions: heartbeat.owned.map(([partition]) => Number(partition)).sort((left, right) => left - right),
      })),
  };
}
