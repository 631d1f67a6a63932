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
import { type Report, type Row, show } from '../output.js';
import { type Session, withSession } from '../session.js';
import { logEnds } from '../stream-facts.js';
import { type GroupMember, partitionsOf } from './assignment.js';
import { membersReport } from './members.js';
import { chosenGroups, existingGroup, takesGroups } from './selection.js';
import { stateReport } from './state.js';

type DescribeFlags = AskingFlags & {
  readonly allGroups?: boolean;
  readonly offsets?: boolean;
  readonly members?: boolean;
  readonly state?: boolean;
};

export function addDescribe(groups: Command, cli: Cli): void {
  const describe = takesGroups(
    groups.command('describe').description('show offsets and lag of groups, partition by partition'),
  )
    .option('--offsets', 'offsets and lag (this is what is shown anyway)')
    .option('--members', 'the same as "muster groups members"')
    .option('--state', 'the same as "muster groups state"');
  examples(
    describe,
    'muster groups describe billing',
    'muster groups describe billing shipping -o json',
    'muster groups describe --all-groups --state',
  );
  asking(describe).action((names: string[], flags: DescribeFlags) =>
    withSession(cli, flags, async (session) => {
      const wanted = [flags.offsets, flags.members, flags.state].filter((is) => is === true);
      if (wanted.length > 1) throw new CliError(exitCodes.usage, 'give one of --offsets, --members and --state');
      const chosen = await chosenGroups(session.admin, names, flags.allGroups === true);
      const report = flags.members === true ? membersReport : flags.state === true ? stateReport : offsetsReport;
      show(session.io, flags.output, await report(session, chosen));
      return exitCodes.ok;
    }),
  );
}

/** @returns one row for each partition that has a committed offset or an owner; throws CliError for an unknown group */
export async function offsetsReport(session: Session, groups: readonly string[]): Promise<Report> {
  const rows: Row[] = [];
  for (const group of groups) rows.push(...(await offsetRows(session, group)));
  return {
    columns: [
      { key: 'group', title: 'GROUP' },
      { key: 'topic', title: 'TOPIC' },
      { key: 'partition', title: 'PARTITION' },
      { key: 'currentOffset', title: 'CURRENT-OFFSET' },
      { key: 'logEndOffset', title: 'LOG-END-OFFSET' },
      { key: 'lag', title: 'LAG' },
      { key: 'consumerId', title: 'CONSUMER-ID' },
      { key: 'host', title: 'HOST' },
      { key: 'clientId', title: 'CLIENT-ID' },
    ],
    rows,
    name: (row) => `${String(row['topic'])}:${String(row['partition'])}`,
    empty: 'no partition has a committed offset or an owner',
  };
}

async function offsetRows(session: Session, group: string): Promise<Row[]> {
  const { admin, io } = session;
  const { members } = await existingGroup(admin, group);
  const owners = ownersOf(members);
  const committed = new Map((await admin.fetchOffsets(group)).map((offset) => [placeOf(offset), offset]));
  const lags = new Map((await admin.lag(group)).map((lag) => [placeOf(lag), lag]));
  const places = new Map<string, TopicPartition>();
  for (const { topicPartition } of owners.values()) places.set(placeOf(topicPartition), topicPartition);
  for (const { topic, partition } of committed.values())
    places.set(placeOf({ topic, partition }), { topic, partition });
  const ends = await logEnds(session, [...places.values()]);
  if (members.length === 0) io.err(`the group ${JSON.stringify(group)} has no active members\n`);
  return [...places]
    .sort(([, left], [, right]) => byPlace(left, right))
    .map(([place, { topic, partition }]) => {
      const member = owners.get(place)?.member;
      return {
        group,
        topic,
        partition,
        currentOffset: committed.get(place)?.offset ?? null,
        logEndOffset: ends.get(place) ?? null,
        lag: lags.get(place)?.lag ?? null,
        consumerId: member?.memberId ?? null,
        host: member?.clientHost ?? null,
        clientId: member?.clientId ?? null,
      };
    });
}

function ownersOf(
  members: readonly GroupMember[],
): Map<string, { topicPartition: TopicPartition; member: GroupMember }> {
  const owners = new Map<string, { topicPartition: TopicPartition; member: GroupMember }>();
  for (const member of members) {
    for (const topicPartition of partitionsOf(member)) owners.set(placeOf(topicPartition), { topicPartition, member });
  }
  return owners;
}

/** @returns a key for maps */
export function placeOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}

export function byPlace(left: TopicPartition, right: TopicPartition): number {
  return left.topic === right.topic ? left.partition - right.partition : left.topic < right.topic ? -1 : 1;
}
