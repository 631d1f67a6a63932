/**
 * `muster cluster`: which coordinator nodes there are and how they stand.
 */

import type { Command } from 'commander';
import { type AskingFlags, asking, examples, notes } from '../commands.js';
import { type ExitCode, exitCodes } from '../exit-codes.js';
import { CliError, failureOf } from '../failure.js';
import type { Cli } from '../io.js';
import { type Report, show } from '../output.js';
import { type Session, withSession } from '../session.js';
import { addRestoreLog } from './restore-log.js';
import { type ClusterStatus, gatherStatus } from './status.js';
import { headOf, nodesReport, partitionsReport, streamsReport } from './views.js';

const restoring = '"muster cluster restore-log --help" and docs/operations.md say how to get it back from a backup';

type StatusFlags = AskingFlags & { readonly partitions?: boolean; readonly streams?: boolean; readonly all?: boolean };

export function addCluster(program: Command, cli: Cli): void {
  const cluster = program.command('cluster').description('look at the coordinator nodes');
  examples(cluster, 'muster cluster status');
  const status = cluster
    .command('status')
    .description('show the nodes of the cluster, what they own, and the streams that hold their memory')
    .option('--partitions', 'a row for each coordinator partition: owner and epoch')
    .option('--streams', 'a row for each log stream: leader, size, how full')
    .option('--all', 'also nodes that left or died more than 15 minutes ago');
  examples(
    status,
    'muster cluster status',
    'muster cluster status --partitions',
    'muster cluster status --cluster orders -o json',
    'muster cluster status > /dev/null || echo "something is wrong"',
  );
  notes(
    status,
    'Exit code 0 says that all is well that this NATS user may see; the line below the name of the cluster, and "hidden" in JSON, say what it',
    'may not (with deploy/nats/accounts.conf: admin sees nodes and their partitions, operator leases and log streams). It is 6 where a',
    'partition has no owner, a node that should live has not renewed its lease, or a log stream is missing, has no leader or a replica that',
    'does not follow; 5 where no coordinator answers, 3 where there is no such cluster, 1 where this user may see nothing at all.',
    'A line on standard error says what is wrong. --partitions and --streams exclude each other; -o json has both.',
  );
  asking(status).action((flags: StatusFlags) =>
    withSession(
      cli,
      flags,
      async (session) => {
        if (flags.partitions === true && flags.streams === true) {
          throw new CliError(exitCodes.usage, 'give --partitions or --streams, not both', '-o json has both');
        }
        const found = await gatherStatus(session);
        if (found.nodes.length === 0 && found.unanswered !== undefined) {
          for (const problem of found.problems) session.io.err(`${problem}\n`);
          if (found.problems.length > 0) session.io.err(`${restoring}\n`);
          throw found.unanswered;
        }
        write(session, flags, found);
        return verdict(session, found);
      },
      { guardsItself: true },
    ),
  );
  addRestoreLog(cluster, cli);
}

function write({ io }: Session, flags: StatusFlags, found: ClusterStatus): void {
  const nodes = nodesReport(found, flags.all === true);
  // JSON and YAML are always the whole.
  const withAll = (report: Report): Report => ({ ...report, document: nodes.document });
  if (flags.partitions === true) return show(io, flags.output, withAll(partitionsReport(found)));
  if (flags.streams === true) return show(io, flags.output, withAll(streamsReport(found)));
  if (flags.output !== 'table') return show(io, flags.output, nodes);
  io.out(headOf(found));
  show(io, 'table', nodes);
  if (found.streams.length === 0) return;
  io.out('\n');
  show(io, 'table', streamsReport(found));
}

/**
 * Says what is wrong, on standard error, a line each, and what to do about it.
 * @returns partly where a partition has no owner, a node is silent, a log stream has a problem, or the store is not as it should be
 */
function verdict({ io }: Session, found: ClusterStatus): ExitCode {
  for (const warning of found.warnings) io.err(`${warning}\n`);
  const { unanswered, unowned, partitionCount, problems } = found;
  if (unanswered !== undefined) {
    const { message, advice, exitCode } = failureOf(unanswered);
    io.err(`error: ${message}\n${advice === undefined ? '' : `${advice}\n`}`);
    return exitCode;
  }
  if (unowned.length === 0) return problems.length === 0 ? exitCodes.ok : exitCodes.partly;
  io.err(`${unowned.length} of ${partitionCount} partitions have no owner: ${unowned.join(', ')}\n`);
  io.err('after a failover this takes a second or two; if it stays so, look into the logs of the nodes\n');
  return exitCodes.partly;
}
