/**
 * `muster groups reset-offsets`: moves the committed offsets of groups without members.
 *
 * R1 nothing is changed without `--execute`; what would change is shown before it is, and exactly that is done. R2 an active group
 * is refused: its members would go on where they are and commit over it. kafka: the same choices under the same names.
 */

import type { TopicPartition } from '@muster/protocol';
import type { MusterErrorCode, OffsetReset, PartitionOffset, ResetTarget } from '@muster/worker';
import { type Command, Option } from 'commander';
import { requireConsent, startProgress } from '../asking.js';
import { type AskingFlags, asking, examples, notes } from '../commands.js';
import { type ExitCode, exitCodes } from '../exit-codes.js';
import { CliError } from '../failure.js';
import type { Cli, Io } from '../io.js';
import { type Item, showItems } from '../items.js';
import { type Column, quoted, type Row, render } from '../output.js';
import { countText } from '../quantities.js';
import { type Session, withSession } from '../session.js';
import { noSuchPartition, registered } from '../stream-facts.js';
import { collectTopics, duration, integer, moment, type TopicChoice } from '../values.js';
import { byPlace } from './describe.js';
import { countForeign, readOffsetFile } from './offset-file.js';
import { type Effect, effectsOf } from './reset-effect.js';
import { chosenGroups, existingGroup, takesGroups } from './selection.js';

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

type Target = ResetTarget | { readonly to: 'file'; readonly path: string };
/** One partition of one group: where its offset is, and where it would go. */
export type GroupReset = OffsetReset & { readonly group: string };
/** The same with what it means for messages; null where that is not known. */
type WeighedReset = GroupReset & { readonly effect: Effect | null; readonly message?: string };

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
  notes(
    reset,
    'Groups are looked at before anything is changed: where one of them is active or has nothing to reset, nothing is changed in any.',
    'Of topics and partitions that are named, those that exist are reset; where others do not, the exit code is 6.',
  );
  asking(reset).action(async (names: string[], flags: ResetFlags) => {
    // What is wrong with the command line is said without asking NATS.
    const target = targetOf(flags);
    requireScope(flags, target);
    requireCsv(flags);
    await withSession(cli, flags, async (session) => {
      const chosen = await chosenGroups(session.admin, names, flags.allGroups === true);
      const { resets, missing } = await planOfAll(session, chosen, target, flags);
      if (flags.export === true) return exportPlan(session, resets, chosen.length > 1);
      const plan = await weighed(session, resets);
      const making = flags.execute === true ? 'it is made' : '--execute makes it';
      for (const group of missing) session.io.err(`the group ${JSON.stringify(group)} does not exist: ${making}\n`);
      return flags.execute === true ? await execute(session, flags, plan) : showPlan(session, flags, plan);
    });
  });
}

/** All of them before anything is changed in one; what is wrong with one says that nothing was. */
async function planOfAll(
  session: Session,
  groups: readonly string[],
  target: Target,
  flags: ResetFlags,
): Promise<{ readonly resets: GroupReset[]; readonly missing: ReadonlySet<string> }> {
  const missing = new Set<string>();
  const resets: GroupReset[] = [];
  try {
    if (target.to === 'group') await existingGroup(session.admin, target.group);
    for (const group of groups) if ((await requireInactive(session, group)) === 'Dead') missing.add(group);
    for (const group of groups) resets.push(...(await planOf(session, group, target, flags, missing.has(group))));
    if (target.to === 'file') await sayForeign(session.io, target.path, groups);
  } catch (thrown) {
    if (!(thrown instanceof CliError) || flags.execute !== true) throw thrown;
    const advice = thrown.advice === undefined ? '' : `; ${thrown.advice}`;
    throw new CliError(thrown.exitCode, thrown.message, `nothing was changed${advice}`);
  }
  return { resets, missing };
}

async function sayForeign(io: Io, path: string, groups: readonly string[]): Promise<void> {
  const count = await countForeign(path, groups);
  if (count > 0) io.err(`note: ${countText(count, 'row')} of ${path} left out: of groups that are not named here\n`);
}

const OFFSET_MAX = Number.MAX_SAFE_INTEGER;

function targetOptions(): Option[] {
  return [
    new Option('--to-earliest', 'the oldest message that there is'),
    new Option('--to-latest', 'after the last message of the partition'),
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
    ...(flags.toEarliest === true ? [{ to: 'earliest' } as const] : []),
    ...(flags.toLatest === true ? [{ to: 'latest' } as const] : []),
    ...(flags.toCurrent === true ? [{ to: 'current' } as const] : []),
    ...(toOffset === undefined ? [] : [{ to: 'offset', offset: toOffset } as const]),
    ...(shiftBy === undefined ? [] : [{ to: 'shift', by: shiftBy } as const]),
    ...(toDatetime === undefined ? [] : [{ to: 'time', timeMs: toDatetime } as const]),
    ...(byDuration === undefined ? [] : [{ to: 'duration', durationMs: byDuration } as const]),
    ...(fromGroup === undefined ? [] : [{ to: 'group', group: fromGroup } as const]),
    ...(fromFile === undefined ? [] : [{ to: 'file', path: fromFile } as const]),
  ];
  const [target, ...others] = targets;
  if (target !== undefined && others.length === 0) return target;
  const what = target === undefined ? 'nothing says where to' : 'only one of these can be where to';
  const flagsOf = targetOptions().map(({ long }) => long);
  throw new CliError(exitCodes.usage, `${what}: ${flagsOf.join(', ')}`, 'give exactly one of them');
}

function requireScope({ topic, allTopics = false }: ResetFlags, target: Target): void {
  if (allTopics && topic !== undefined) throw new CliError(exitCodes.usage, 'give --topic or --all-topics, not both');
  const hasOwnPlaces = target.to === 'file' || target.to === 'group';
  if (allTopics || topic !== undefined || hasOwnPlaces) return;
  const advice = 'add --topic, or --all-topics for all that the group has offsets of';
  throw new CliError(exitCodes.usage, 'no topic is named', advice);
}

/** What `--export` prints is CSV, whatever else could be wanted of it. */
function requireCsv({ export: isExport = false, output }: ResetFlags): void {
  if (!isExport || output === 'table' || output === 'csv') return;
  throw new CliError(
    exitCodes.usage,
    `--export prints CSV: -o ${output} goes without it`,
    output === 'json' ? 'leave out --export: --from-file reads what -o json prints, too' : 'leave out one of them',
  );
}

/** R2 @returns the state of the group; a library call would say the same, only later */
async function requireInactive({ admin }: Session, group: string): Promise<'Empty' | 'Dead'> {
  const { state, members } = await admin.describeGroup(group);
  if (state === 'Empty' || state === 'Dead') return state;
  throw new CliError(
    exitCodes.conflict,
    `the group ${JSON.stringify(group)} is active: state ${state}, ${countText(members.length, 'member')}; its offsets cannot be reset`,
    `stop its workers first; "muster groups members ${group}" shows them`,
  );
}

async function planOf(
  session: Session,
  group: string,
  target: Target,
  flags: ResetFlags,
  isMissing: boolean,
): Promise<GroupReset[]> {
  const partitions = flags.topic === undefined ? undefined : await partitionsOf(session, flags.topic);
  const { admin, io } = session;
  // Files are read here; the library knows all other targets.
  const resolved: ResetTarget =
    target.to === 'file' ? { to: 'offsets', offsets: await readOffsetFile(target.path, group) } : target;
  const progress = startProgress(io, `planning ${group}`, partitions?.length);
  const plan = await admin.resetOffsets(group, resolved, {
    ...(partitions === undefined ? {} : { partitions }),
    onProgress: progress.at,
  });
  progress.clear();
  if (plan.length === 0) {
    const why = isMissing ? 'does not exist, so it has no offsets' : 'has no offset to reset';
    throw new CliError(
      exitCodes.notFound,
      `the group ${JSON.stringify(group)} ${why}`,
      'name topics with --topic to give it offsets; "muster groups list" shows the groups',
    );
  }
  return plan.map((reset) => ({ ...reset, group })).sort(byPlace);
}

async function partitionsOf(session: Session, choices: readonly TopicChoice[]): Promise<TopicPartition[]> {
  const names = choices.map(({ topic }) => topic);
  const topics = await registered(session, names);
  return choices.flatMap(({ topic, partitions }) => {
    // An unknown topic keeps one line, which says so.
    const numbers = partitions ?? Array.from({ length: topics.get(topic)?.partitions ?? 1 }, (_, number) => number);
    return numbers.map((partition) => ({ topic, partition }));
  });
}

const placeColumns: readonly Column[] = [
  { key: 'group', title: 'GROUP' },
  { key: 'topic', title: 'TOPIC' },
  { key: 'partition', title: 'PARTITION' },
  { key: 'currentOffset', title: 'CURRENT-OFFSET' },
  { key: 'newOffset', title: 'NEW-OFFSET' },
];
const empty = 'no partition to reset';

/** On a narrow terminal what is zero everywhere is missed least. */
function columnsFor(plan: readonly WeighedReset[]): readonly Column[] {
  const rank = (key: keyof Effect) => (sumOf(plan, key) === 0 ? 0 : 2);
  return [
    ...placeColumns,
    { key: 'again', title: 'AGAIN', leaveOut: 2 + rank('again') },
    { key: 'skipped', title: 'SKIPPED', leaveOut: 1 + rank('skipped') },
  ];
}

function sumOf(plan: readonly WeighedReset[], key: keyof Effect): number {
  return plan.reduce((total, { effect }) => total + (effect?.[key] ?? 0), 0);
}

function rowOf({ group, topic, partition, before, after, effect }: WeighedReset): Row {
  const moved = { group, topic, partition, currentOffset: before ?? null, newOffset: after ?? null };
  return { ...moved, again: effect?.again ?? null, skipped: effect?.skipped ?? null };
}

/** Counts what comes again and what is skipped, and says for a partition that is not there which ones are. */
async function weighed(session: Session, resets: readonly GroupReset[]): Promise<WeighedReset[]> {
  const progress = startProgress(session.io, 'counting messages', resets.length);
  const effects = await effectsOf(session.admin, resets, progress.at);
  progress.clear();
  const unknown = resets.filter(({ error }) => error === 'UNKNOWN_TOPIC_OR_PARTITION').map(({ topic }) => topic);
  const topics = await registered(session, [...new Set(unknown)]);
  return resets.map((reset, at): WeighedReset => {
    const message = reset.error === 'NONE' ? undefined : noSuchPartition(topics.get(reset.topic), reset.partition);
    return { ...reset, effect: effects[at] ?? null, ...(message === undefined ? {} : { message }) };
  });
}

function itemOfReset(reset: WeighedReset, error: MusterErrorCode): Item {
  return { row: rowOf(reset), error, ...(reset.message === undefined ? {} : { message: reset.message }) };
}

/** The sum of it, for a person who has many partitions before them. */
function sayEffect(io: Io, plan: readonly WeighedReset[]): void {
  const [again, skipped] = [sumOf(plan, 'again'), sumOf(plan, 'skipped')];
  if (again > 0) io.err(`${countText(again, 'message')} ${again === 1 ? 'comes' : 'come'} again\n`);
  if (skipped > 0) io.err(`${countText(skipped, 'message')} ${skipped === 1 ? 'is' : 'are'} skipped\n`);
}

function placeName(row: Row): string {
  return `${String(row['topic'])}:${String(row['partition'])}`;
}

function showPlan({ io }: Session, flags: ResetFlags, plan: readonly WeighedReset[]): ExitCode {
  warnOfClamped(io, plan);
  const shape = { columns: columnsFor(plan), name: placeName, empty, done: 'dry run' };
  const items = plan.map((reset) => itemOfReset(reset, reset.error));
  const code = showItems(io, flags.output, shape, items);
  sayEffect(io, plan);
  if (plan.some(({ after }) => after !== undefined)) io.err('this was a dry run: add --execute to do it\n');
  return code;
}

function warnOfClamped(io: Io, plan: readonly GroupReset[]): void {
  const count = plan.filter(({ isClamped }) => isClamped).length;
  if (count > 0) io.err(`${countText(count, 'offset')} outside of the stream: its nearer end is taken\n`);
}

/** kafka: topic,partition,offset without a head; the group in front where there are several. */
function exportPlan({ io }: Session, plan: readonly GroupReset[], hasGroup: boolean): ExitCode {
  for (const { group, topic, partition, after } of plan) {
    if (after !== undefined) io.out(`${hasGroup ? `${quoted(group)},` : ''}${quoted(topic)},${partition},${after}\n`);
  }
  return plan.some(({ after }) => after === undefined) ? exitCodes.partly : exitCodes.ok;
}

async function execute(session: Session, flags: ResetFlags, plan: readonly WeighedReset[]): Promise<ExitCode> {
  const { io } = session;
  warnOfClamped(io, plan);
  // A script that says --execute has decided; a person sees what it means first.
  if (io.isInteractive && flags.force !== true) {
    const report = { columns: columnsFor(plan), name: placeName, empty, rows: plan.map(rowOf) };
    io.err(render('table', report, io));
    sayEffect(io, plan);
    await requireConsent(io, `Move ${countText(plan.length, 'offset')} of ${groupsOf(plan)}?`, false);
  }
  const items: Item[] = [];
  for (const group of new Set(plan.map((reset) => reset.group))) {
    const own = plan.filter((reset) => reset.group === group);
    const errors = await write(session, group, own);
    for (const [at, reset] of own.entries()) {
      const error = reset.error === 'NONE' ? (errors[at] ?? 'UNKNOWN_SERVER_ERROR') : reset.error;
      // kafka: a commit without member id to a group that has members says so; somebody joined since we looked.
      items.push(itemOfReset(reset, error === 'UNKNOWN_MEMBER_ID' ? 'NON_EMPTY_GROUP' : error));
    }
  }
  return showItems(io, flags.output, { columns: columnsFor(plan), name: placeName, empty, done: 'moved' }, items);
}

/** R1 writes what was shown, not what the target would mean by now. @returns an error for each, in order */
async function write(
  { admin }: Session,
  group: string,
  plan: readonly GroupReset[],
): Promise<readonly MusterErrorCode[]> {
  const offsets = plan.flatMap(({ topic, partition, after }): PartitionOffset[] =>
    after === undefined ? [] : [{ topic, partition, offset: after }],
  );
  const partitions = plan.map(({ topic, partition }) => ({ topic, partition }));
  const done = await admin.resetOffsets(group, { to: 'offsets', offsets }, { partitions, dryRun: false });
  return done.map(({ error }) => error);
}

function groupsOf(plan: readonly GroupReset[]): string {
  const groups = [...new Set(plan.map(({ group }) => group))];
  return groups.length === 1 ? `group ${JSON.stringify(groups[0])}` : `${groups.length} groups`;
}
