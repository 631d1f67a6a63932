/**
 * `muster groups delete`, `delete-offsets` and `remove-member`: what takes something away from groups. Each asks on a terminal
 * and needs `--force` without one.
 */

import { REASON_LENGTH_MAX, type TopicPartition } from '@muster/protocol';
import type { Admin } from '@muster/worker';
import { type Command, InvalidArgumentError } from 'commander';
import { requireConsent } from '../asking.js';
import { type AskingFlags, asking, examples, notes } from '../commands.js';
import { exitCodes } from '../exit-codes.js';
import { CliError } from '../failure.js';
import type { Cli } from '../io.js';
import { type Item, itemOf, showItems } from '../items.js';
import type { Row } from '../output.js';
import { countText } from '../quantities.js';
import { type Session, withSession } from '../session.js';
import { registered } from '../stream-facts.js';
import { collect, collectTopics, type TopicChoice } from '../values.js';
import { byPlace } from './describe.js';
import { chosenGroups, existingGroup, takesGroups } from './selection.js';

type Forced = AskingFlags & { readonly force?: boolean };

const forceText = 'do not ask';

export function addDelete(groups: Command, cli: Cli): void {
  addDeleteGroups(groups, cli);
  addDeleteOffsets(groups, cli);
  addRemoveMember(groups, cli);
}

function addDeleteGroups(groups: Command, cli: Cli): void {
  const remove = takesGroups(
    groups.command('delete').description('delete groups without members, with all their offsets'),
  ).option('--force', forceText);
  examples(remove, 'muster groups delete billing', 'muster groups delete billing shipping --force');
  asking(remove).action((names: string[], flags: Forced & { readonly allGroups?: boolean }) =>
    withSession(cli, flags, async ({ admin, io }) => {
      const chosen = await chosenGroups(admin, names, flags.allGroups === true);
      // Nobody is asked about what is not there; that it is not the result says.
      const isAsked = io.isInteractive && flags.force !== true;
      const meant = isAsked ? await existingOf(admin, chosen) : chosen;
      if (meant.length > 0) await requireConsent(io, `Delete ${named(meant)} with all offsets?`, flags.force === true);
      const results = await admin.deleteGroups(chosen);
      const shape = { columns: [{ key: 'group', title: 'GROUP' }], name: 'group', done: 'deleted', empty: 'no groups' };
      return showItems(
        io,
        flags.output,
        shape,
        results.map((result) => itemOf({ group: result.item }, result)),
      );
    }),
  );
}

async function existingOf(admin: Admin, groups: readonly string[]): Promise<string[]> {
  const existing: string[] = [];
  for (const group of groups) if ((await admin.describeGroup(group)).state !== 'Dead') existing.push(group);
  return existing;
}

function addDeleteOffsets(groups: Command, cli: Cli): void {
  const remove = groups
    .command('delete-offsets')
    .argument('<group>', 'name of the group')
    .description('delete committed offsets of topics that nobody in the group is subscribed to')
    .requiredOption('--topic <topic[:partitions]>', 'topic, or some of its partitions; may be repeated', collectTopics)
    .option('--force', forceText);
  examples(
    remove,
    'muster groups delete-offsets billing --topic orders',
    'muster groups delete-offsets billing --topic orders:0,1 --topic refunds:0-3 --force',
  );
  notes(
    remove,
    'Offsets that there are are deleted even where others that are named do not exist: then the exit code is 6.',
  );
  asking(remove).action((group: string, flags: Forced & { readonly topic: readonly TopicChoice[] }) =>
    withSession(cli, flags, async (session) => {
      const { admin, io } = session;
      await existingGroup(admin, group);
      const { partitions, missing } = await offsetsOf(session, group, flags.topic);
      const question = `Delete the offsets of ${countText(partitions.length, 'partition')} in group ${group}?`;
      if (partitions.length > 0) await requireConsent(io, question, flags.force === true);
      const results = partitions.length === 0 ? [] : await admin.deleteOffsets(group, partitions);
      const columns = [
        { key: 'group', title: 'GROUP' },
        { key: 'topic', title: 'TOPIC' },
        { key: 'partition', title: 'PARTITION' },
      ];
      const deleted = results.map(({ item: { topic, partition }, error }): Item => {
        return { row: { group, topic, partition }, error };
      });
      const items = [...deleted, ...missing];
      const name = ({ topic, partition }: Row) =>
        partition === null ? String(topic) : `${String(topic)}:${String(partition)}`;
      const advice = { NO_COMMITTED_OFFSET: '"muster groups describe <group>" shows the offsets that there are' };
      const shape = { columns, name, done: 'deleted', empty: 'no offsets', advice };
      return showItems(io, flags.output, shape, items);
    }),
  );
}

/** @returns the partitions meant that have an offset, those named and all of whole topics; and what is meant and has none */
async function offsetsOf(
  session: Session,
  group: string,
  choices: readonly TopicChoice[],
): Promise<{ readonly partitions: TopicPartition[]; readonly missing: Item[] }> {
  const committed = await session.admin.fetchOffsets(group);
  const topics = await registered(
    session,
    choices.map(({ topic }) => topic),
  );
  const partitions: TopicPartition[] = [];
  const missing: Item[] = [];
  for (const { topic, partitions: wanted } of choices) {
    const known = new Set(committed.filter((offset) => offset.topic === topic).map(({ partition }) => partition));
    for (const partition of wanted ?? known) {
      if (known.has(partition)) partitions.push({ topic, partition });
      else missing.push({ row: { group, topic, partition }, error: 'NO_COMMITTED_OFFSET' });
    }
    if (wanted !== undefined || known.size > 0) continue;
    const isTopic = topics.has(topic);
    const what = isTopic ? 'has no committed offset in this group' : 'is not known to this group';
    missing.push({
      row: { group, topic, partition: null },
      error: isTopic ? 'NO_COMMITTED_OFFSET' : 'UNKNOWN_TOPIC',
      message: `the topic ${JSON.stringify(topic)} ${what}`,
    });
  }
  return { partitions: partitions.sort(byPlace), missing };
}

type RemoveFlags = Forced & {
  readonly member?: readonly string[];
  readonly instanceId?: readonly string[];
  readonly all?: boolean;
  readonly reason?: string;
};

function addRemoveMember(groups: Command, cli: Cli): void {
  const remove = groups
    .command('remove-member')
    .argument('<group>', 'name of the group')
    .description('remove members from a group as if they had left; a worker that lives joins again by itself')
    .option('--member <id>', 'member id (CONSUMER-ID); may be repeated', collect)
    .option('--instance-id <id>', 'instance id of a static member; may be repeated', collect)
    .option('--all', 'every member')
    .option('--reason <text>', 'why: kept in the history of the group', reason)
    .option('--force', forceText);
  examples(
    remove,
    'muster groups remove-member billing --instance-id billing-3',
    'muster groups remove-member billing --all --force --reason "stuck deploy"',
  );
  asking(remove).action((group: string, flags: RemoveFlags) =>
    withSession(cli, flags, async ({ admin, io }) => {
      const { members } = await existingGroup(admin, group);
      const wanted = wantedMembers(flags, members);
      if (wanted.length > 0) {
        await requireConsent(
          io,
          `Remove ${wanted.length} of ${members.length} members of ${group}?`,
          flags.force === true,
        );
      }
      const results = wanted.length === 0 ? [] : await admin.removeMembers(group, wanted, flags.reason);
      const columns = [
        { key: 'group', title: 'GROUP' },
        { key: 'consumerId', title: 'CONSUMER-ID' },
        { key: 'groupInstanceId', title: 'GROUP-INSTANCE-ID' },
      ];
      const items = results.map(({ item: { memberId, instanceId }, error }) => {
        return { row: { group, consumerId: memberId ?? null, groupInstanceId: instanceId ?? null }, error };
      });
      const shape = { columns, name: 'consumerId', done: 'removed', empty: 'no active members' };
      return showItems(io, flags.output, shape, items);
    }),
  );
}

function reason(text: string): string {
  if (text.length > 0 && text.length <= REASON_LENGTH_MAX) return text;
  throw new InvalidArgumentError(`allowed are 1 to ${REASON_LENGTH_MAX} characters.`);
}

type WantedMember = { readonly memberId?: string; readonly instanceId?: string };

function wantedMembers(
  flags: RemoveFlags,
  members: readonly { memberId: string; groupInstanceId: string | null }[],
): WantedMember[] {
  const { member = [], instanceId = [], all = false } = flags;
  if (all && member.length + instanceId.length > 0)
    throw new CliError(exitCodes.usage, 'give --all, or name members, not both');
  if (!all && member.length + instanceId.length === 0) {
    throw new CliError(exitCodes.usage, 'no member is named', 'give --member, --instance-id or --all');
  }
  if (!all) return [...member.map((memberId) => ({ memberId })), ...instanceId.map((id) => ({ instanceId: id }))];
  // kafka: static members go by their instance id, which also fits an incarnation that came since.
  return members.map(({ memberId, groupInstanceId }) =>
    groupInstanceId === null ? { memberId } : { instanceId: groupInstanceId },
  );
}

function named(groups: readonly string[]): string {
  return groups.length <= 3 ? groups.map((group) => JSON.stringify(group)).join(', ') : `${groups.length} groups`;
}
