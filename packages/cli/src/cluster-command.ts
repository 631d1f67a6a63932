/**
 * `muster cluster status`: which coordinator nodes there are and what they own.
 */

import type { Command } from 'commander';
import { type AskingFlags, asking, examples } from './commands.js';
import { exitCodes } from './exit-codes.js';
import type { Cli } from './io.js';
import { show } from './output.js';
import { withSession } from './session.js';

export function addCluster(program: Command, cli: Cli): void {
  const cluster = program.command('cluster').description('look at the coordinator nodes');
  examples(cluster, 'muster cluster status');
  const status = cluster.command('status').description('show the nodes of the cluster and what they own');
  examples(
    status,
    'muster cluster status',
    'muster cluster status --cluster orders -o json',
    'muster cluster status > /dev/null || echo "something is wrong"',
  );
  asking(status).action((flags: AskingFlags) =>
    withSession(cli, flags, async ({ admin, connection, io }) => {
      const { partitionCount, nodes, unowned } = await admin.describeCluster();
      const rows = nodes.map(({ nodeId, partitions }) => ({
        node: nodeId,
        partitionCount: partitions.length,
        share: `${Math.round((partitions.length / partitionCount) * 100)} %`,
        partitions,
      }));
      show(io, flags.output, {
        columns: [
          { key: 'node', title: 'NODE' },
          { key: 'partitionCount', title: '#PARTITIONS' },
          { key: 'share', title: 'SHARE' },
        ],
        rows,
        name: 'node',
        empty: 'no nodes',
        document: { cluster: connection.cluster, partitionCount, unownedPartitions: unowned, nodes: rows },
      });
      if (unowned.length === 0) return exitCodes.ok;
      io.err(`${unowned.length} of ${partitionCount} partitions have no owner: ${unowned.join(', ')}\n`);
      io.err('after a failover this takes a second or two; if it stays so, look into the logs of the nodes\n');
      return exitCodes.partly;
    }),
  );
}
