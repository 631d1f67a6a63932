/**
 * `muster groups history`: the last rebalances of a group and why they happened. differs from kafka: there, nobody knows.
 */

import type { Command } from 'commander';
import { type AskingFlags, asking, examples, notes } from '../commands.js';
import { exitCodes } from '../exit-codes.js';
import type { Cli } from '../io.js';
import { type Row, show } from '../output.js';
import { withSession } from '../session.js';
import { chosenGroups, existingGroup, takesGroups } from './selection.js';

type HistoryFlags = AskingFlags & { readonly allGroups?: boolean };

export function addHistory(groups: Command, cli: Cli): void {
  const history = takesGroups(
    groups.command('history').description('show the last rebalances of groups: when, why, how long, what moved'),
  );
  examples(history, 'muster groups history billing', 'muster groups history billing -o csv > rebalances.csv');
  notes(
    history,
    'Causes: member-joined; member-left (by itself, or removed: see REASON); session-expired (no heartbeat in time); sync-timed-out (a member',
    'did not fetch its assignment in time); subscription-changed (a member offers other topics or assignors); leader-rejoined (the leader asks',
    'for a new assignment, such as after a topic changed); static-member-restarted (in the middle of a round, or so that another assignor is',
    'chosen); group-too-large (groupMaxSize was lowered); removed-before-load (a member was removed just before another node took over).',
  );
  asking(history).action((names: string[], flags: HistoryFlags) =>
    withSession(cli, flags, async ({ admin, io }) => {
      const rows: Row[] = [];
      for (const group of await chosenGroups(admin, names, flags.allGroups === true)) {
        const { rebalances } = await existingGroup(admin, group);
        for (const { generationId, startedAtMs, cause, reason, memberId, durationMs, members, moved } of rebalances) {
          const startedAt = new Date(startedAtMs).toISOString();
          rows.push({
            group,
            generation: generationId,
            startedAt,
            cause,
            reason,
            consumerId: memberId,
            durationMs,
            members,
            moved,
          });
        }
      }
      show(io, flags.output, {
        columns: [
          { key: 'group', title: 'GROUP' },
          { key: 'generation', title: 'GENERATION' },
          { key: 'startedAt', title: 'STARTED', text: (at) => String(at).replace(/\.\d+Z$/, 'Z') },
          { key: 'durationMs', title: 'DURATION-MS', leaveOut: 2 },
          { key: 'members', title: '#MEMBERS' },
          { key: 'moved', title: 'MOVED' },
          { key: 'cause', title: 'CAUSE' },
          { key: 'reason', title: 'REASON', isElastic: true },
          { key: 'consumerId', title: 'CONSUMER-ID', isElastic: true, leaveOut: 1 },
        ],
        rows,
        name: 'generation',
        empty: 'no rebalance is recorded',
      });
      return exitCodes.ok;
    }),
  );
}
