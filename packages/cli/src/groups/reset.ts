/**
 * `muster groups reset-offsets`: moves the committed offsets of a group without members.
 *
 * R1 nothing is changed without `--execute`; what would change is shown before it is. R2 an active group is refused: its members
 * would go on where they are and commit over it. kafka: the same choices under the same names.
 */

import { type Command, Option } from 'commander';
import { requireConsent, startProgress } from '../asking.js';
import { type AskingFlags, asking, examples } from '../commands.js';
import { type ExitCode, exitCodes } from '../exit-codes.js';
import { CliError } from '../failure.js';
import type { Cli } from '../io.js';
import { type Item, showItems } from '../items.js';
import { type Column, quoted, type Row, render, show } from '../output.js';
import { type Session, withSession } from '../session.js';
import { collectTopics, duration, integer, moment, type TopicChoice } from '../values.js';
import { readOffsetFile } from './offset-file.js';
import { type Move, planMoves, type Target } from './reset-plan.js';
import { chosenGroups, takesGroups } from './selection.js';

type ResetFlags = AskingFlags & {
  readonly allGroups?: boolean;
  readonly topic?: readonly TopicChoice[];
  readonly allTopics?: boolean;
  readonly toEarliest?: boolean;
  readonly toLatest?: boolean;
  readonly toCurrent?: boolean;
  readonly toOffset?: number;
  readonly shiftBy?: number;
  readonly toDatetime?: number;
  readonly byDuration?: number;
  readonly fromGroup?: string;
  readonly fromFile?: string;
  readonly export?: boolean;
  readonly dryRun?: boolean;
  readonly execute?: boolean;
  readonly force?: boolean;
};

export function addReset(groups: Command, cli: Cli): void {
  const reset = takesGroups(groups.command('reset-offsets'))
    .description('move the committed offsets of groups without members; changes nothing without --execute')
    .option('--topic <topic[:partitions]>', 'topic, or some of its partitions; may be repeated', collectTopics)
    .option('--all-topics', 'every topic that the group has committed offsets of');
  for (const option of targetOptions()) reset.addOption(option.helpGroup('Where to (one of these):'));
  reset
    .option('--execute', 'do it; on a terminal you are asked')
    .addOption(new Option('--dry-run', 'only show it (the default)').conflicts('execute'))
    .addOption(new Option('--export', 'print it as CSV that --from-file reads').conflicts('execute'))
    .option('--force', 'do not ask');
  examples(
    reset,
    'muster groups reset-offsets billing --all-topics --to-earliest',
    'muster groups reset-offsets billing --topic orders:0,1 --shift-by -100 --execute',
    'muster groups reset-offsets billing --topic orders --to-datetime 2026-11-20T10:00:00Z --execute --force',
    'muster groups reset-offsets billing --all-topics --to-current --export > before.csv',
    'muster groups reset-offsets billing --from-file before.csv --execute',
  );
  asking(reset).action((names: string[], flags: ResetFlags) =>
    withSession(cli, flags, async (session) => {
      const target = targetOf(flags);
      const chosen = await chosenGroups(session.admin, names, flags.allGroups === true);
      // All of them before anything is changed in one.
      const states = new Map<string, 'Empty' | 'Dead'>();
      for (const group of chosen) states.set(group, await requireInactive(session, group));
      const moves: GroupMove[] = [];
      for (const group of chosen) {
        for (const move of await plannedMoves(session, group, target, flags)) moves.push({ ...move, group });
      }
      if (flags.export === true) return exportMoves(session, moves, chosen.length > 1);
      if (flags.execute !== true) return showPlan(session, flags, moves);
      for (const [group, state] of states) {
        if (state === 'Dead') session.io.err(`the group ${JSON.stringify(group)} does not exist: it is made\n`);
      }
      return await execute(session, flags, moves);
    }),
  );
}

type GroupMove = Move & { readonly group: string };

const OFFSET_MAX = Number.MAX_SAFE_INTEGER;

function targetOptions(): Option[] {
  return [
    new Option('--to-earliest', 'the oldest message that there is'),
    new Option('--to-latest', 'after the last message'),
    new Option('--to-current', 'where it is: commits the same offsets anew'),
    new Option('--to-offset <offset>', 'this offset, as far as the stream reaches').argParser(integer(0)),
    new Option('--shift-by <messages>', 'so many messages forward, or back if negative').argParser(
      integer(-OFFSET_MAX),
    ),
    new Option('--to-datetime <moment>', 'the first message at or after 2026-11-20T10:00:00Z').argParser(moment),
    new Option('--by-duration <time>', 'the first message of the last 10m, 2h30m, P1DT12H').argParser(duration),
    new Option('--from-group <group>', 'the offsets of another group'),
    new Option('--from-file <file>', 'CSV of --export (topic,partition,offset), or the same as JSON'),
  ];
}

function targetOf(flags: ResetFlags): Target {
  const { toOffset, shiftBy, toDatetime, byDuration, fromGroup, fromFile } = flags;
  const targets: Target[] = [
    ...(flags.toEarliest === true ? [{ kind: 'earliest' } as const] : []),
    ...(flags.toLatest === true ? [{ kind: 'latest' } as const] : []),
    ...(flags.toCurrent === true ? [{ kind: 'current' } as const] : []),
    ...(toOffset === undefined ? [] : [{ kind: 'offset', offset: toOffset } as const]),
    ...(shiftBy === undefined ? [] : [{ kind: 'shift', messages: shiftBy } as const]),
    ...(toDatetime === undefined ? [] : [{ kind: 'time', atMs: toDatetime } as const]),
    ...(byDuration === undefined ? [] : [{ kind: 'time', atMs: Date.now() - byDuration } as const]),
    ...(fromGroup === undefined ? [] : [{ kind: 'group', group: fromGroup } as const]),
    ...(fromFile === undefined ? [] : [{ kind: 'file', path: fromFile } as const]),
  ];
  const [target, ...others] = targets;
  if (target !== undefined && others.length === 0) return target;
  const what = target === undefined ? 'nothing says where to' : 'only one of these can be where to';
  throw new CliError(
    exitCodes.usage,
    `${what}: ${targetOptions()
      .map(({ long }) => long)
      .join(', ')}`,
  );
}

/** R2 @returns the state of the group */
async function requireInactive({ admin }: Session, group: string): Promise<'Empty' | 'Dead'> {
  const { state, members } = await admin.describeGroup(group);
  if (state === 'Empty' || state === 'Dead') return state;
  throw new CliError(
    exitCodes.conflict,
    `the group ${JSON.stringify(group)} is active: state ${state}, ${members.length} members; its offsets cannot be reset`,
    `stop its workers first; "muster groups members ${group}" shows them`,
  );
}

async function plannedMoves(session: Session, group: string, target: Target, flags: ResetFlags): Promise<Move[]> {
  const { topic: choices, allTopics = false } = flags;
  const hasOwnPlaces = target.kind === 'file' || target.kind === 'group';
  if (allTopics && choices !== undefined) throw new CliError(exitCodes.usage, 'give --topic or --all-topics, not both');
  if (choices === undefined && !allTopics && !hasOwnPlaces) {
    throw new CliError(
      exitCodes.usage,
      'no topic is named',
      'add --topic, or --all-topics for all that the group has offsets of',
    );
  }
  const given = target.kind === 'file' ? await readOffsetFile(target.path, group) : undefined;
  let progress: ReturnType<typeof startProgress> | undefined;
  const moves = await planMoves(session, { group, target, choices, given }, (done, total) => {
    progress ??= startProgress(session.io, 'looking up offsets', total);
    progress.at(done);
  });
  progress?.end(`${moves.length} partitions looked up`);
  return moves;
}

const moveColumns: readonly Column[] = [
  { key: 'group', title: 'GROUP' },
  { key: 'topic', title: 'TOPIC' },
  { key: 'partition', title: 'PARTITION' },
  { key: 'currentOffset', title: 'CURRENT-OFFSET' },
  { key: 'newOffset', title: 'NEW-OFFSET' },
];

function rowOf({ group, topic, partition, before, after }: GroupMove) {
  return { group, topic, partition, currentOffset: before ?? null, newOffset: after };
}

function showPlan({ io }: Session, flags: ResetFlags, moves: readonly GroupMove[]): ExitCode {
  const rows = moves.map(rowOf);
  show(io, flags.output, { columns: moveColumns, rows, name: placeName, empty: 'no partition to reset' });
  if (moves.length > 0) io.err('this was a dry run: add --execute to do it\n');
  return exitCodes.ok;
}

function placeName(row: Row): string {
  return `${String(row['topic'])}:${String(row['partition'])}`;
}

/** kafka: topic,partition,offset without a head; the group in front where there are several. */
function exportMoves({ io }: Session, moves: readonly GroupMove[], hasGroup: boolean): ExitCode {
  for (const { group, topic, partition, after } of moves) {
    io.out(`${hasGroup ? `${quoted(group)},` : ''}${quoted(topic)},${partition},${after}\n`);
  }
  return exitCodes.ok;
}

async function execute(session: Session, flags: ResetFlags, moves: readonly GroupMove[]): Promise<ExitCode> {
  const { io, admin } = session;
  const shape = { columns: moveColumns, name: placeName, empty: 'no partition to reset' };
  // A script that says --execute has decided; a person sees what it means first.
  if (io.isInteractive && moves.length > 0 && flags.force !== true) {
    io.err(render('table', { ...shape, rows: moves.map(rowOf) }, io.hasColor));
    await requireConsent(io, `Move ${moves.length} offsets of ${names(moves)}?`, false);
  }
  const items: Item[] = [];
  for (const group of new Set(moves.map((move) => move.group))) {
    const own = moves.filter((move) => move.group === group);
    const offsets = own.map(({ topic, partition, after }) => ({ topic, partition, offset: after }));
    const results = await admin.commitOffsets(group, offsets);
    for (const [at, move] of own.entries()) {
      const error = results[at]?.error ?? 'UNKNOWN_SERVER_ERROR';
      // kafka: a commit without member id to a group that has members says so; somebody joined since we looked.
      items.push({ row: rowOf(move), error: error === 'UNKNOWN_MEMBER_ID' ? 'NON_EMPTY_GROUP' : error });
    }
  }
  return showItems(io, flags.output, { ...shape, done: 'moved' }, items);
}

function names(moves: readonly GroupMove[]): string {
  const groups = [...new Set(moves.map(({ group }) => group))];
  return groups.length === 1 ? `group ${JSON.stringify(groups[0])}` : `${groups.length} groups`;
}
