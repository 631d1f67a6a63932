/**
 * `muster groups members`: who is in a group and what each one owns.
 */

import type { Command } from 'commander';
import { type AskingFlags, asking, examples } from '../commands.js';
import type { Cli } from '../io.js';
import type { Report, Row } from '../output.js';
import { type Session, withSession } from '../session.js';
import { assignmentText, partitionsOf } from './assignment.js';
import { chosenGroups, existingGroup, showOnEach, takesGroups } from './selection.js';

type MembersFlags = AskingFlags & { readonly allGroups?: boolean; readonly verbose?: boolean };

export function addMembers(groups: Command, cli: Cli): void {
  const members = takesGroups(
    groups.command('members').description('show the members of groups and what they own'),
  ).option('--verbose', 'also which partitions each one owns');
  examples(
    members,
    'muster groups members billing',
    'muster groups members billing --verbose',
    'muster groups members --all-groups -o json',
  );
  asking(members).action((names: string[], flags: MembersFlags) =>
    withSession(cli, flags, async (session) => {
      const chosen = await chosenGroups(session.admin, names, flags.allGroups === true);
      return showOnEach(session, flags.output, chosen, (from, names) => membersReport(from, names, flags.verbose));
    }),
  );
}

/** @returns one row for each member; throws CliError for a group that does not exist */
export async function membersReport({ admin }: Session, groups: readonly string[], isVerbose = false): Promise<Report> {
  const rows: Row[] = [];
  for (const group of groups) {
    const { members, leader } = await existingGroup(admin, group);
    for (const member of members) {
      const partitions = partitionsOf(member);
      rows.push({
        group,
        consumerId: member.memberId,
        groupInstanceId: member.groupInstanceId,
        host: member.clientHost,
        clientId: member.clientId,
        isLeader: member.memberId === leader,
        partitionCount: partitions.length,
        assignment: assignmentText(partitions),
        partitions: partitions.map(({ topic, partition }) => ({ topic, partition })),
      });
    }
  }
  return {
    columns: [
      { key: 'group', title: 'GROUP' },
      { key: 'consumerId', title: 'CONSUMER-ID', isElastic: true },
      { key: 'groupInstanceId', title: 'GROUP-INSTANCE-ID', isElastic: true, leaveOut: 3 },
      { key: 'host', title: 'HOST', isElastic: true, leaveOut: 1 },
      { key: 'clientId', title: 'CLIENT-ID', isElastic: true, leaveOut: 2 },
      { key: 'partitionCount', title: '#PARTITIONS' },
      ...(isVerbose ? [{ key: 'assignment', title: 'ASSIGNMENT', isElastic: true }] : []),
    ],
    rows,
    name: 'consumerId',
    empty: 'no active members',
  };
}
