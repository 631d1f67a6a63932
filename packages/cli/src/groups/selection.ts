/**
 * Which groups a command is about: named, or all; and whether they exist.
 */

import type { DescribeReply } from '@muster/protocol';
import type { Admin } from '@muster/worker';
import type { Command } from 'commander';
import { type ExitCode, exitCodes } from '../exit-codes.js';
import { CliError } from '../failure.js';
import { type Format, type Report, show } from '../output.js';
import type { Session } from '../session.js';

/** Adds the argument and the option that `chosenGroups` reads. */
export function takesGroups(command: Command): Command {
  return (
    command
      .argument('[groups...]', 'names of groups')
      .option('--all-groups', 'every group of the cluster')
      // What is wrong with the command line is said without asking NATS.
      .hook('preAction', (_, action) =>
        requireGroups(action.args, action.opts<{ allGroups?: boolean }>().allGroups === true),
      )
  );
}

/** Before anybody is asked. @throws CliError where no group is meant, or names and `--all-groups` both */
export function requireGroups(names: readonly string[], isAll = false): void {
  if (isAll && names.length > 0) throw new CliError(exitCodes.usage, 'name groups or give --all-groups, not both');
  if (!isAll && names.length === 0) {
    throw new CliError(
      exitCodes.usage,
      'no group is named',
      'name one, or add --all-groups; "muster groups list" shows them',
    );
  }
}

/** @returns the names; throws CliError where none is meant, or names and `--all-groups` both */
export async function chosenGroups(admin: Admin, names: readonly string[], isAll: boolean): Promise<string[]> {
  requireGroups(names, isAll);
  if (!isAll) return [...new Set(names)];
  const found = await admin.listGroups();
  return found.map(({ groupId }) => groupId);
}

/** @returns the group; throws CliError notFound. kafka: a group that does not exist is in state Dead. */
export async function existingGroup(admin: Admin, group: string): Promise<DescribeReply> {
  const found = await admin.describeGroup(group);
  if (found.state !== 'Dead') return found;
  throw new CliError(
    exitCodes.notFound,
    `the group ${JSON.stringify(group)} does not exist`,
    '"muster groups list" shows the groups',
  );
}

/**
 * Shows a report on several groups. One that does not exist is said so and keeps the others from nobody.
 * @returns the exit code: partly where some exist; throws CliError notFound where none does
 */
export async function showOnEach(
  session: Session,
  format: Format,
  groups: readonly string[],
  reportOn: (session: Session, groups: readonly string[]) => Promise<Report>,
): Promise<ExitCode> {
  const missing: CliError[] = [];
  const existing: string[] = [];
  for (const group of groups) {
    try {
      await existingGroup(session.admin, group);
      existing.push(group);
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      missing.push(error);
    }
  }
  const [first] = missing;
  if (first !== undefined && existing.length === 0) throw first;
  for (const { message } of missing) session.io.err(`error: ${message}\n`);
  show(session.io, format, await reportOn(session, existing));
  return missing.length === 0 ? exitCodes.ok : exitCodes.partly;
}
