/**
 * `muster groups list`: every group of the cluster.
 */

import { type Command, Option } from 'commander';
import { type AskingFlags, asking, examples } from '../commands.js';
import { exitCodes } from '../exit-codes.js';
import type { Cli } from '../io.js';
import { show } from '../output.js';
import { withSession } from '../session.js';
import { oneOrMoreOf, pattern } from '../values.js';

/** `true`: the option without a value, as Kafka takes it to show the column; here it is always shown. */
type ListFlags = AskingFlags & {
  readonly state?: readonly string[] | true;
  readonly type?: readonly string[] | true;
  readonly match?: RegExp;
};

const states = ['Empty', 'PreparingRebalance', 'CompletingRebalance', 'Stable', 'Dead'] as const;
/** kafka: `consumer` and `share` are its newer protocols; no group here has one. */
const types = ['classic', 'consumer', 'share'] as const;

export function addList(groups: Command, cli: Cli): void {
  const list = groups
    .command('list')
    .alias('ls')
    .description('list the groups of the cluster')
    .addOption(
      new Option('--state [states...]', 'only groups in these states')
        .choices([...states])
        .argParser(oneOrMoreOf(states)),
    )
    .addOption(
      new Option('--type [types...]', 'only groups of these types').choices([...types]).argParser(oneOrMoreOf(types)),
    )
    .option('--match <regex>', 'only groups whose name matches', pattern);
  examples(
    list,
    'muster groups list',
    'muster groups list --state empty,stable',
    "muster groups list --match '^billing-' -o name",
  );
  asking(list).action((flags: ListFlags) =>
    withSession(cli, flags, async ({ admin, io }) => {
      const { state, type, match } = flags;
      const listed = await admin.listGroups(Array.isArray(state) ? { states: state } : {});
      const found = listed.filter(({ groupId, groupType }) => {
        return (!Array.isArray(type) || type.includes(groupType)) && (match === undefined || match.test(groupId));
      });
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
