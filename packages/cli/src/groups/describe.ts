/**
 * `muster groups describe`: offsets and lag of each partition with who owns it. kafka: the same columns in the same order;
 * what only we know comes after them.
 */

import type { TopicPartition } from '@muster/protocol';
import type { Command } from 'commander';
import { type AskingFlags, asking, examples } from '../commands.js';
import { exitCodes } from '../exit-codes.js';
import { CliError } from '../failure.js';
import type { Cli } from '../io.js';
import type { Report, Row } from '../output.js';
import { type Session, withSession } from '../session.js';
import { membersReport } from './members.js';
import { chosenGroups, existingGroup, showOnEach, takesGroups } from './selection.js';
import { stateReport } from './state.js';

const MS_PER_SECOND = 1_000;
/** More lines on standard error hide what matters. */
const LINES_MAX = 20;
const IDLE_NAMED_MAX = 3;

type DescribeFlags = AskingFlags & {
  readonly allGroups?: boolean;
  readonly offsets?: boolean;
  readonly members?: boolean;
  readonly state?: boolean;
  readonly verbose?: boolean;
};

export function addDescribe(groups: Command, cli: Cli): void {
  const describe = takesGroups(
    groups.command('describe').description('show offsets and lag of groups, partition by partition'),
  )
    .option('--offsets', 'offsets and lag (this is what is shown anyway)')
    .option('--members', 'the same as "muster groups members"')
    .option('--state', 'the same as "muster groups state"')
    .option('--verbose', 'more columns');
  examples(
    describe,
    'muster groups describe billing',
    'muster groups describe billing shipping -o json',
    'muster groups describe --all-groups --state',
    'muster groups describe billing --members --verbose',
  );
  asking(describe).action((names: string[], flags: DescribeFlags) =>
    withSession(cli, flags, async (session) => {
      const wanted = [flags.offsets, flags.members, flags.state].filter((is) => is === true);
      if (wanted.length > 1) throw new CliError(exitCodes.usage, 'give one of --offsets, --members and --state');
      const chosen = await chosenGroups(session.admin, names, flags.allGroups === true);
      const report = flags.members === true ? membersReport : flags.state === true ? stateReport : offsetsReport;
      return showOnEach(session, flags.output, chosen, (from, groups) => report(from, groups, flags.verbose));
    }),
  );
}

/**
 * @param say takes what the columns cannot show; a line each
 * @returns one row for each partition of the topics it has offsets of or subscribes to; throws CliError for an unknown group
 */
export async function offsetsReport(
  session: Session,
  groups: readonly string[],
  isVerbose = false,
  say: (line: string) => void = (line) => session.io.err(`${line}\n`),
): Promise<Report> {
  const rows: Row[] = [];
  const idle: string[] = [];
  const unknown: string[] = [];
  for (const group of groups) rows.push(...(await offsetRows(session, group, idle, unknown)));
  sayIdle(idle, say);
  for (const line of unknown.slice(0, LINES_MAX)) say(line);
  if (unknown.length > LINES_MAX) say(`and that of ${unknown.length - LINES_MAX} partitions more`);
  return {
    columns: [
      { key: 'group', title: 'GROUP' },
      { key: 'topic', title: 'TOPIC' },
      { key: 'partition', title: 'PARTITION' },
      { key: 'currentOffset', title: 'CURRENT-OFFSET' },
      { key: 'logEndOffset', title: 'LOG-END-OFFSET' },
      { key: 'lag', title: 'LAG' },
      { key: 'consumerId', title: 'CONSUMER-ID', isElastic: true, leaveOut: 4 },
      { key: 'host', title: 'HOST', isElastic: true, leaveOut: 1 },
      { key: 'clientId', title: 'CLIENT-ID', isElastic: true, leaveOut: 2 },
      { key: 'lagSeconds', title: 'LAG-SECONDS', leaveOut: 3 },
      ...(isVerbose ? [{ key: 'groupInstanceId', title: 'GROUP-INSTANCE-ID', isElastic: true, leaveOut: 0 }] : []),
    ],
    rows,
    name: (row) => `${String(row['topic'])}:${String(row['partition'])}`,
    empty: 'the group has no committed offsets and subscribes to no topic',
  };
}

/** Of many groups without members it is enough to know how many they are. */
function sayIdle(groups: readonly string[], say: (line: string) => void): void {
  if (groups.length > IDLE_NAMED_MAX) return say(`${groups.length} groups have no active members`);
  for (const group of groups) say(`the group ${JSON.stringify(group)} has no active members`);
}

/** What the columns cannot show goes to `idle` (groups without members) and `unknown` (lines). */
async function offsetRows({ admin }: Session, group: string, idle: string[], unknown: string[]): Promise<Row[]> {
  const { members } = await existingGroup(admin, group);
  const byId = new Map(members.map((member) => [String(member.memberId), member]));
  const lags = await admin.lag(group);
  const ends = new Map((await admin.endOffsets(lags)).map((end) => [placeOf(end), end.endOffset]));
  if (members.length === 0) idle.push(group);
  return [...lags].sort(byPlace).map(({ topic, partition, offset, lag, lagMs, memberId, error }) => {
    const member = byId.get(memberId ?? '');
    const isKnown = error === 'NONE';
    if (!isKnown) unknown.push(`the lag of ${topic}:${partition} is not known: ${error}`);
    return {
      group,
      topic,
      partition,
      currentOffset: offset < 0 ? null : offset,
      logEndOffset: ends.get(placeOf({ topic, partition })) ?? null,
      lag: isKnown ? lag : null,
      consumerId: memberId ?? null,
      host: member?.clientHost ?? null,
      clientId: member?.clientId ?? null,
      groupInstanceId: member?.groupInstanceId ?? null,
      lagSeconds: isKnown ? Math.round(lagMs / MS_PER_SECOND) : null,
    };
  });
}

/** @returns a key for maps */
export function placeOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}

export function byPlace(left: TopicPartition, right: TopicPartition): number {
  return left.topic === right.topic ? left.partition - right.partition : left.topic < right.topic ? -1 : 1;
}
