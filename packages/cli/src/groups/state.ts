/**
 * `muster groups state`: how groups stand, and which node coordinates them.
 */

import type { Command } from 'commander';
import { type AskingFlags, asking, examples } from '../commands.js';
import type { Cli } from '../io.js';
import type { Report, Row } from '../output.js';
import { type Session, withSession } from '../session.js';
import { chosenGroups, existingGroup, showOnEach, takesGroups } from './selection.js';

type StateFlags = AskingFlags & { readonly allGroups?: boolean; readonly verbose?: boolean };

export function addState(groups: Command, cli: Cli): void {
  const state = takesGroups(
    groups.command('state').description('show state, coordinator and assignor of groups'),
  ).option('--verbose', 'also leader, coordinator partition and epoch');
  examples(state, 'muster groups state billing', 'muster groups state billing -o json | jq -r ".[0].state"');
  asking(state).action((names: string[], flags: StateFlags) =>
    withSession(cli, flags, async (session) => {
      const chosen = await chosenGroups(session.admin, names, flags.allGroups === true);
      return showOnEach(session, flags.output, chosen, (from, groups) => stateReport(from, groups, flags.verbose));
    }),
  );
}

/** @returns one row for each group; throws CliError for a group that does not exist */
export async function stateReport(session: Session, groups: readonly string[], isVerbose = false): Promise<Report> {
  const rows: Row[] = [];
  for (const group of groups) {
    const { state, protocol, protocolType, generationId, members, leader } = await existingGroup(session.admin, group);
    const { nodeId, partition, epoch } = await session.admin.findCoordinator(group);
    rows.push({
      group,
      coordinator: nodeId,
      coordinatorPartition: partition,
      epoch,
      assignmentStrategy: protocol,
      protocolType,
      state,
      generation: generationId,
      leader: leader === '' ? null : leader,
      memberCount: members.length,
    });
  }
  return {
    columns: [
      { key: 'group', title: 'GROUP' },
      { key: 'coordinator', title: 'COORDINATOR' },
      { key: 'assignmentStrategy', title: 'ASSIGNMENT-STRATEGY', leaveOut: 1 },
      { key: 'state', title: 'STATE' },
      { key: 'memberCount', title: '#MEMBERS' },
      { key: 'generation', title: 'GENERATION' },
      ...(isVerbose
        ? [
            { key: 'protocolType', title: 'PROTOCOL-TYPE', leaveOut: 2 },
            { key: 'coordinatorPartition', title: 'COORDINATOR-PARTITION', leaveOut: 3 },
            { key: 'epoch', title: 'EPOCH' },
            { key: 'leader', title: 'LEADER', isElastic: true },
          ]
        : []),
    ],
    rows,
    name: 'group',
    empty: 'no groups',
  };
}
