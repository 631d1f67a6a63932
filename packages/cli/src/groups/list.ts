/**
 * `muster groups list`: every group of the cluster.
 */

import { type Command, Option } from 'commander';
import { type AskingFlags, asking, examples } from '../commands.js';
import { exitCodes } from '../exit-codes.js';
import type { Cli } from '../io.js';
import { show } from '../output.js';
import { withSession } from '../session.js';

type ListFlags = AskingFlags & { readonly state?: readonly string[] };

const states = ['Empty', 'PreparingRebalance', 'CompletingRebalance', 'Stable', 'Dead'] as const;

export function addList(groups: Command, cli: Cli): void {
  const list = groups
    .command('list')
    .alias('ls')
    .description('list the groups of the cluster')
    .addOption(new Option('--state <states...>', 'only groups in these states').choices([...states]));
  examples(list, 'muster groups list', 'muster groups list --state Empty Stable', 'muster groups list -o name');
  asking(list).action((flags: ListFlags) =>
    withSession(cli, flags, async ({ admin, io }) => {
      const found = await admin.listGroups(flags.state === undefined ? {} : { states: flags.state });
      show(io, flags.output, {
        columns: [
          { key: 'group', title: 'GROUP' },
          { key: 'state', title: 'STATE' },
          { key: 'type', title: 'TYPE' },
          { key: 'protocolType', title: 'PROTOCOL-TYPE' },
        ],
        rows: found.map(({ groupId, state, groupType, protocolType }) => ({
          group: groupId,
          state,
          type: groupType,
          protocolType,
        })),
        name: 'group',
        empty: 'no groups',
      });
      return exitCodes.ok;
    }),
  );
}
