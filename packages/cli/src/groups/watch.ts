/**
 * `muster groups watch`: a group looked at again and again, until Ctrl-C.
 */

import type { Command } from 'commander';
import { type AskingFlags, asking, examples } from '../commands.js';
import { exitCodes } from '../exit-codes.js';
import { failureOf } from '../failure.js';
import { type Cli, type Io, pause } from '../io.js';
import { type Format, render } from '../output.js';
import { countText } from '../quantities.js';
import { type Session, withSession } from '../session.js';
import { durationOption, integer } from '../values.js';
import { offsetsReport } from './describe.js';
import { existingGroup } from './selection.js';

type WatchFlags = AskingFlags & { readonly interval: number; readonly count?: number };

const CLEAR_SCREEN = '\u001b[H\u001b[2J\u001b[3J';

export function addWatch(groups: Command, cli: Cli): void {
  const watch = groups
    .command('watch')
    .argument('<group>', 'name of the group')
    .description('show offsets and lag of a group again and again, until Ctrl-C')
    .addOption(
      durationOption('--interval <time>', 'time between two looks', { minMs: 100, maxMs: 3_600_000 }).default(
        2_000,
        '2s',
      ),
    )
    .option('--count <times>', 'end after this many looks', integer(1));
  examples(watch, 'muster groups watch billing', 'muster groups watch billing --interval 10s -o json');
  asking(watch).action((group: string, flags: WatchFlags) =>
    withSession(cli, flags, async (session) => {
      const signal = cli.io.interrupted();
      for (let look = 1; !signal.aborted; look += 1) {
        await lookOnce(session, group, flags.output, look === 1);
        if (look === flags.count) break;
        await pause(flags.interval, signal);
      }
      return exitCodes.ok;
    }),
  );
}

/** A failure of a later look is shown and does not end the watch: outages are what one watches for. */
async function lookOnce(session: Session, group: string, format: Format, isFirst: boolean): Promise<void> {
  const { io, admin } = session;
  try {
    const { state, generationId, members } = await existingGroup(admin, group);
    const head = `${new Date().toISOString()}  ${group}: ${state}, generation ${generationId}, ${countText(members.length, 'member')}`;
    // The head says how many members there are, a cell without a value that it is not known.
    const report = await offsetsReport(session, [group], false, () => {});
    if (format === 'json')
      io.out(`${JSON.stringify({ at: new Date().toISOString(), group, state, partitions: report.rows })}\n`);
    else draw(io, format === 'table' ? `${head}\n${render(format, report, io)}\n` : render(format, report));
  } catch (thrown) {
    if (isFirst) throw thrown;
    io.err(`${new Date().toISOString()}  ${failureOf(thrown).message}\n`);
  }
}

function draw(io: Io, picture: string): void {
  io.out(io.isTerminal ? `${CLEAR_SCREEN}${picture}` : picture);
}
