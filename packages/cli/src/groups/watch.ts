/**
 * `muster groups watch`: a group looked at again and again, until Ctrl-C.
 */

import type { Command } from 'commander';
import { Events } from 'nats';
import { type AskingFlags, asking, examples } from '../commands.js';
import { exitCodes } from '../exit-codes.js';
import { failureOf } from '../failure.js';
import { type Cli, type Io, pause } from '../io.js';
import { type Format, type Report, render } from '../output.js';
import { countText } from '../quantities.js';
import { type Session, withSession } from '../session.js';
import { durationOption, integer } from '../values.js';
import { offsetsReport } from './describe.js';
import { existingGroup } from './selection.js';

type WatchFlags = AskingFlags & { readonly interval: number; readonly count?: number };

const HOME = '\u001b[H';
const CLEAR_LINE_END = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';
const CLEAR_SCREEN = '\u001b[2J';

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
      void sayWhetherConnected(session);
      for (let look = 1; !signal.aborted; look += 1) {
        await lookOnce(session, group, flags.output, look === 1);
        if (look === flags.count) break;
        await pause(flags.interval, signal);
      }
      return exitCodes.ok;
    }),
  );
}

/** An answer takes its time to fail; that NATS is away is known at once, and when it is back. */
async function sayWhetherConnected({ io, nats }: Session): Promise<void> {
  for await (const { type } of nats.status()) {
    const at = new Date().toISOString();
    if (type === Events.Disconnect) io.err(`${at}  the connection to NATS is gone: trying to get it back\n`);
    if (type === Events.Reconnect) io.err(`${at}  the connection to NATS is back\n`);
  }
}

/** A failure of a later look is shown and does not end the watch: outages are what one watches for. */
async function lookOnce(session: Session, group: string, format: Format, isFirst: boolean): Promise<void> {
  const { io, admin } = session;
  try {
    const { state, generationId, members } = await existingGroup(admin, group);
    const at = new Date().toISOString();
    const head = `${at}  ${group}: ${state}, generation ${generationId}, ${countText(members.length, 'member')}`;
    // The head says how many members there are, a cell without a value that it is not known.
    const report = await offsetsReport(session, [group], false, () => {});
    switch (format) {
      case 'table':
        return draw(io, `${head}\n${render(format, report, io)}\n`, isFirst);
      case 'json':
        return io.out(`${JSON.stringify({ at, group, state, partitions: report.rows })}\n`);
      case 'yaml':
        return io.out(`---\n${render(format, { ...report, document: { at, group, state, partitions: report.rows } })}`);
      case 'csv':
        return io.out(csvOf(report, at, isFirst));
      case 'name':
        return io.out(render(format, report));
      default:
        return unknownFormat(format);
    }
  } catch (thrown) {
    if (isFirst) throw thrown;
    io.err(`${new Date().toISOString()}  ${failureOf(thrown).message}\n`);
  }
}

/** One file however long it is watched: one head, and in each line when it was. */
function csvOf(report: Report, at: string, isFirst: boolean): string {
  const columns = [{ key: 'at', title: 'AT' }, ...report.columns];
  const text = render('csv', { ...report, columns, rows: report.rows.map((row) => ({ at, ...row })) });
  return isFirst ? text : text.slice(text.indexOf('\n') + 1);
}

function unknownFormat(format: never): never {
  throw new Error(`unhandled format ${String(format)}`);
}

/** Paints over the last picture, in place: what was on the screen before it stays where one can scroll back to it. */
function draw(io: Io, picture: string, isFirst: boolean): void {
  if (!io.isTerminal) return io.out(picture);
  const lines = picture.replaceAll('\n', `${CLEAR_LINE_END}\n`);
  io.out(`${isFirst ? CLEAR_SCREEN : ''}${HOME}${lines}${CLEAR_BELOW}`);
}
