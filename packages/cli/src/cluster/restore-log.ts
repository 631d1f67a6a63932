/**
 * `muster cluster restore-log`: makes a new log after a restored backup, or after a loss. What it does and why stands in
 * coordinator/restore; here are options, questions and what a person reads.
 *
 * R1 nothing is changed without `--execute`; what would be done is shown before it is. R2 while a coordinator node runs nothing is
 * done, whatever the options say.
 */

import { ClusterRecordMismatch } from '@muster/cluster';
import {
  type PartitionFacts,
  Restoration,
  type RestoredPartition,
  type RestoreOptions,
  type RestoreRefusalCode,
  RestoreRefused,
} from '@muster/coordinator';
import { LeaseStreamError, LOG_STREAMS_MAX, LogStreamError } from '@muster/nats';
import { isLogId, type LogId, Subjects } from '@muster/protocol';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { requireConsent, startProgress, withSpinner } from '../asking.js';
import { type AskingFlags, asking, examples } from '../commands.js';
import { readConnection } from '../connection.js';
import { Denials, isOfJetStream } from '../denial.js';
import { dial } from '../dialling.js';
import { type ExitCode, exitCodes } from '../exit-codes.js';
import { CliError } from '../failure.js';
import type { Cli, Io } from '../io.js';
import { type Row, show } from '../output.js';
import { countText } from '../quantities.js';
import { integer } from '../values.js';

type RestoreFlags = AskingFlags & {
  readonly empty?: boolean;
  readonly skipDamaged?: boolean;
  readonly fromLog?: readonly LogId[];
  readonly partitions?: number;
  readonly logStreams?: number;
  readonly replicas?: number;
  readonly clusterSecret?: string;
  readonly execute?: boolean;
  readonly force?: boolean;
};

const permissions = 'this NATS user needs what docs/operations.md names: what a coordinator may, and to update streams';
const PARTITIONS_MAX = 10_000;
const REPLICAS_MAX = 5;

export function addRestoreLog(cluster: Command, cli: Cli): void {
  const restore = cluster
    .command('restore-log')
    .description(
      'make a new log from what is left of the old one, after a backup was restored or a stream was lost; all nodes must be down; changes nothing without --execute',
    )
    .option('--empty', 'start without any group, whatever the old log holds')
    .option('--skip-damaged', 'leave out partitions whose log is damaged: their groups are lost')
    .option('--from-log <id>', 'the log to read, where there are frames of several; may be repeated', collectLogs)
    .option('--partitions <count>', 'coordinator partitions, where nothing else tells', integer(1, PARTITIONS_MAX))
    .option('--log-streams <count>', 'log streams, where nothing else tells', integer(1, LOG_STREAMS_MAX))
    .option('--replicas <count>', 'replicas, where nothing else tells', integer(1, REPLICAS_MAX))
    .addOption(
      new Option(
        '--cluster-secret <text>',
        'secret of the cluster; one that has none gets it [env: MUSTER_CLUSTER_SECRET]',
      ),
    )
    .option('--execute', 'do it; on a terminal you are asked')
    .addOption(new Option('--dry-run', 'only show it (the default)').conflicts('execute'))
    .option('--force', 'do not ask');
  examples(
    restore,
    'muster cluster restore-log',
    'muster cluster restore-log --execute',
    'muster cluster restore-log --skip-damaged --execute --force -o json',
    'muster cluster restore-log --empty --execute',
  );
  asking(restore).action((flags: RestoreFlags) => run(cli, flags));
}

function collectLogs(text: string, before: readonly LogId[] = []): readonly LogId[] {
  if (isLogId(text)) return [...before, text];
  throw new InvalidArgumentError('a log id is 1 to 64 of A-Z a-z 0-9 _ -.');
}

/** Without the worker library: no coordinator is there to be asked. */
async function run(cli: Cli, flags: RestoreFlags): Promise<void> {
  const { io } = cli;
  const connection = await readConnection(flags, io);
  const nats = await dial(connection);
  try {
    const options = optionsOf(connection.cluster, flags, io);
    const { prefix } = new Subjects(connection.cluster);
    // Without heartbeats it would not see (R2) that nodes run; without any of the rest it would stop half way.
    const isNeeded = (subject: string) => isOfJetStream(subject, connection) || subject.startsWith(`${prefix}.`);
    const denials = new Denials(nats, connection, isNeeded, permissions);
    denials.arm();
    cli.exitCode = await denials.guard(async () => {
      const restoration = await withSpinner(io, 'Reading the log', () => Restoration.open(nats, options));
      try {
        return await restore(io, flags, restoration);
      } finally {
        restoration.close();
      }
    });
  } catch (thrown) {
    throw asFailure(thrown);
  } finally {
    await nats.close();
  }
}

function optionsOf(cluster: string, flags: RestoreFlags, io: Io): RestoreOptions {
  return {
    cluster,
    wanted: { partitionCount: flags.partitions, streamCount: flags.logStreams, replicas: flags.replicas },
    secret: flags.clusterSecret ?? (io.env['MUSTER_CLUSTER_SECRET'] || undefined),
    from: flags.fromLog ?? [],
    isEmpty: flags.empty === true,
    skipsDamaged: flags.skipDamaged === true,
  };
}

async function restore(io: Io, flags: RestoreFlags, restoration: Restoration): Promise<ExitCode> {
  const { plan } = restoration;
  tellPlan(io, flags, restoration);
  if (flags.execute !== true) {
    showPartitions(io, flags, plan.partitions, 'would be copied');
    const nodes = await withSpinner(io, 'Listening for coordinator nodes', () => restoration.nodes());
    if (nodes.length > 0) io.err(`coordinator nodes run: ${nodes.join(', ')}; with --execute this is refused\n`);
    restoration.refuseLoss();
    io.err('nothing was changed: --execute does it\n');
    return nodes.length > 0 ? exitCodes.conflict : exitCodes.ok;
  }
  restoration.refuseLoss();
  await requireConsent(io, questionOf(flags, restoration), flags.force === true);
  await withSpinner(io, 'Listening for coordinator nodes', () => restoration.nodes());
  const progress = startProgress(io, 'partitions', plan.layout.partitionCount);
  let written = 0;
  const partitions = await restoration.execute((step) => {
    if (step !== 'partition-written') return;
    written += 1;
    progress.at(written);
  });
  progress.clear();
  if (plan.kind === 'purge') {
    io.err('the old frames are purged; an earlier run had done all else\n');
    return exitCodes.ok;
  }
  showPartitions(io, flags, partitions, 'copied');
  io.err('done: coordinator nodes may be started\n');
  return partitions.some(({ found }) => found.kind === 'damaged') ? exitCodes.partly : exitCodes.ok;
}

/** What is not in the table, for a person. */
function tellPlan(io: Io, { empty = false }: RestoreFlags, { plan }: Restoration): void {
  const { layout, missingStreams, isContinued, kind, partitions } = plan;
  if (kind === 'purge') {
    io.err('a restoration has been done but for the old frames, which are still to be purged\n');
    return;
  }
  if (isContinued) io.err('an earlier run was interrupted: this one finishes its work\n');
  const { partitionCount, streamCount, replicas } = layout;
  const streams = countText(streamCount, 'log stream');
  io.err(`${countText(partitionCount, 'partition')} in ${streams}, ${countText(replicas, 'replica')}\n`);
  if (missingStreams.length > 0) io.err(`missing, will be made: ${missingStreams.join(', ')}\n`);
  const lost = partitions.filter(({ found }) => found.kind === 'nothing').length;
  if (lost > 0 && !empty) io.err(`${countText(lost, 'partition')} without any frame: there is nothing to copy\n`);
}

function questionOf({ empty = false, cluster }: RestoreFlags, { plan }: Restoration): string {
  const name = JSON.stringify(cluster ?? plan.place.cluster);
  if (plan.kind === 'purge') return `Purge the old frames of the log of cluster ${name}?`;
  if (empty) return `Make an empty log for cluster ${name}? Every group and every committed offset is lost.`;
  const { groups, offsets } = sums(plan.partitions);
  return `Make a new log for cluster ${name} with ${countText(groups, 'group')} and ${countText(offsets, 'offset')}?`;
}

function sums(partitions: readonly { readonly found: PartitionFacts }[]) {
  let groups = 0;
  let offsets = 0;
  for (const { found } of partitions) {
    if (found.kind !== 'read') continue;
    groups += found.groups;
    offsets += found.offsets;
  }
  return { groups, offsets };
}

type Shown = Pick<RestoredPartition, 'partition' | 'stream' | 'from' | 'found'>;

function showPartitions(io: Io, flags: RestoreFlags, partitions: readonly Shown[], done: string): void {
  const rows = partitions.map(({ partition, stream, from, found }): Row => {
    const { groups, offsets } = found.kind === 'read' ? found : { groups: null, offsets: null };
    return {
      partition,
      stream,
      fromLog: from ?? null,
      frames: found.kind === 'nothing' ? 0 : found.frames,
      groups,
      offsets,
      result: resultOf(found, flags.empty === true, done),
      problem: found.kind === 'damaged' ? found.detail : null,
    };
  });
  show(io, flags.output, {
    columns: [
      { key: 'partition', title: 'PARTITION' },
      { key: 'stream', title: 'STREAM' },
      { key: 'fromLog', title: 'FROM-LOG', isElastic: true, leaveOut: 1 },
      { key: 'frames', title: 'FRAMES' },
      { key: 'groups', title: 'GROUPS' },
      { key: 'offsets', title: 'OFFSETS' },
      { key: 'result', title: 'RESULT' },
      { key: 'problem', title: 'PROBLEM', isElastic: true },
    ],
    rows,
    name: 'partition',
    empty: '',
  });
  const { groups, offsets } = sums(partitions);
  const lead = flags.empty === true ? 'left out' : done;
  if (rows.length > 0) io.err(`${countText(groups, 'group')}, ${countText(offsets, 'offset')} ${lead}\n`);
}

function resultOf(found: PartitionFacts, isEmpty: boolean, done: string): string {
  switch (found.kind) {
    case 'nothing':
      return 'empty';
    case 'damaged':
      return 'damaged';
    case 'read':
      return isEmpty ? 'left out' : done;
  }
}

const verdicts = {
  NODES_RUNNING: { exitCode: exitCodes.conflict, advice: '"muster cluster status" shows the nodes' },
  NOTHING_THERE: { exitCode: exitCodes.notFound, advice: 'check --server, --cluster and the NATS context' },
  FACTS_UNKNOWN: { exitCode: exitCodes.usage, advice: 'give --partitions, --log-streams and --replicas' },
  FACTS_DIFFER: { exitCode: exitCodes.conflict },
  LOG_AMBIGUOUS: { exitCode: exitCodes.usage, advice: 'give --from-log' },
  LOG_UNKNOWN: { exitCode: exitCodes.notFound, advice: 'without --from-log you see which logs there are' },
  NOTHING_TO_COPY: {
    exitCode: exitCodes.notFound,
    advice: 'restore a backup first, or give --empty: every group and every committed offset is lost then',
  },
  DAMAGED: {
    exitCode: exitCodes.failed,
    advice: 'restore an older backup, or give --skip-damaged: the groups of these partitions are lost then',
  },
  SECRET_DIFFERS: { exitCode: exitCodes.conflict, advice: 'check --server, --cluster and MUSTER_CLUSTER_SECRET' },
  INTERFERED: { exitCode: exitCodes.conflict },
  LOG_FULL: { exitCode: exitCodes.failed },
  UNAVAILABLE: { exitCode: exitCodes.unreachable, advice: 'run it again: it finishes what was begun' },
} as const satisfies Record<RestoreRefusalCode, { readonly exitCode: ExitCode; readonly advice?: string }>;

function asFailure(thrown: unknown): unknown {
  if (thrown instanceof RestoreRefused) {
    const verdict: { readonly exitCode: ExitCode; readonly advice?: string } = verdicts[thrown.code];
    return new CliError(verdict.exitCode, thrown.message, verdict.advice);
  }
  if (thrown instanceof ClusterRecordMismatch) return new CliError(exitCodes.conflict, thrown.message);
  if (thrown instanceof LogStreamError || thrown instanceof LeaseStreamError) {
    return new CliError(thrown.retriable ? exitCodes.unreachable : exitCodes.failed, thrown.message, permissions);
  }
  return thrown;
}
