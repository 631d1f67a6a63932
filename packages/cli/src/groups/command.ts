/**
 * `muster groups`: everything kafka-consumer-groups.sh does, and what it lacks. One file for each kind of work.
 */

import type { Command } from 'commander';
import { examples } from '../commands.js';
import type { Cli } from '../io.js';
import { addDelete } from './delete.js';
import { addDescribe } from './describe.js';
import { addHistory } from './history.js';
import { addList } from './list.js';
import { addMembers } from './members.js';
import { addReset } from './reset.js';
import { addState } from './state.js';
import { addWatch } from './watch.js';

export function addGroups(program: Command, cli: Cli): void {
  const groups = program.command('groups').description('look at consumer groups and change them');
  examples(
    groups,
    'muster groups list',
    'muster groups describe billing',
    'muster groups reset-offsets billing --help',
  );
  addList(groups, cli);
  addDescribe(groups, cli);
  addMembers(groups, cli);
  addState(groups, cli);
  addWatch(groups, cli);
  addHistory(groups, cli);
  addReset(groups, cli);
  addDelete(groups, cli);
}
