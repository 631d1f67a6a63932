/**
 * `npm run chaos -- --duration 120s --seed N --faults kill,pause,... [--json]`: faults on real processes, judged by a history.
 *
 * Exit code 0: everything as promised; 1: a check failed, or the run broke off; 2: an option is wrong.
 */

import { Argument, Command, Option } from 'commander';
import { type FigureName, figureNames, runFigures } from './figures.js';
import { refusalOfFolder } from './keep-folder.js';
import { disagreement, integer, type RunFlags, runFlags } from './options.js';
import { printResult } from './report.js';
import { runChaos } from './run.js';

const USAGE = 2;

const program = new Command('chaos')
  .description('faults on real processes, judged by a history')
  .enablePositionalOptions()
  .exitOverride();
for (const flag of runFlags) program.addOption(flag);
program.action(async (flags: RunFlags) => {
  const refusal = disagreement(flags, program.getOptionValueSource('faults') !== 'default');
  if (refusal !== undefined) program.error(`error: ${refusal}`);
  const { duration, keep, faults, json, ...sizes } = flags;
  const folderRefusal = keep === undefined ? undefined : await refusalOfFolder(keep);
  if (folderRefusal !== undefined) program.error(`error: ${folderRefusal}`);
  const kinds = faults.filter((kind) => sizes.workers > 0 || !kind.startsWith('worker-'));
  // With --json standard output carries the result alone.
  const say = (line: string) => (json ? process.stderr : process.stdout).write(`${line}\n`);
  const result = await runChaos({ ...sizes, durationMs: duration, kinds, folder: keep, say });
  if (json) process.stdout.write(`${JSON.stringify(result)}\n`);
  else printResult(result, (line) => say(line));
  process.exitCode = result.ok ? 0 : 1;
});

type FigureFlags = {
  readonly rounds: number;
  readonly groups: number;
  readonly loadedGroups: number;
  readonly keep?: string;
  readonly json: boolean;
};
program
  .command('figures')
  .description('how long failover, hand-over and loading take')
  .addArgument(new Argument('[figure...]', 'what to measure').choices(figureNames))
  .addOption(new Option('--rounds <count>', 'how often each').default(5).argParser(integer(1, 100)))
  .addOption(new Option('--groups <count>', 'groups of the owner').default(1_000).argParser(integer(1, 10_000)))
  .addOption(new Option('--loaded-groups <count>', 'to load').default(20_000).argParser(integer(1, 200_000)))
  .addOption(new Option('--keep <folder>', 'write history and logs there and keep them'))
  .addOption(new Option('--json', 'print one JSON object').default(false))
  .action(async (names: FigureName[], flags: FigureFlags) => {
    const say = (line: string) => (flags.json ? process.stderr : process.stdout).write(`${line}\n`);
    await runFigures(names.length === 0 ? figureNames : names, { ...flags, say });
  });

process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));
try {
  await program.parseAsync();
} catch (thrown) {
  if (thrown instanceof Error && 'exitCode' in thrown) process.exitCode = thrown.exitCode === 0 ? 0 : USAGE;
  else {
    process.stderr.write(`${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
    process.exitCode = 1;
  }
}
