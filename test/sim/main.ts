/**
 * `npm run sim`: runs the deterministic simulator over seeds. One JSON line per run; exit code 1 where an invariant is violated, two
 * runs of a seed differ, or a path that a large batch must reach was not reached; 2 for a wrong option.
 */

import {
  type CanaryName,
  canaries,
  isCanaryName,
  MARKS_SEEDS_LEAST,
  requiredMarks,
  type SimulationReport,
  simulate,
} from '@muster/testkit/internals';
import { Command, CommanderError, InvalidArgumentError } from 'commander';

type Options = {
  readonly seeds: number;
  readonly from: number;
  readonly replay?: number;
  readonly minutes?: number;
  readonly canary?: CanaryName;
  readonly once: boolean;
  readonly quiet: boolean;
};

const USAGE = 2;
const TRANSCRIPT_LINES = 400;

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('a whole number from 0');
  return value;
}

function atLeastOne(text: string): number {
  if (wholeNumber(text) < 1) throw new InvalidArgumentError('a whole number from 1');
  return Number(text);
}

function canaryName(text: string): CanaryName {
  if (isCanaryName(text)) return text;
  throw new InvalidArgumentError(`one of ${Object.keys(canaries).join(', ')}`);
}

const command = new Command('sim')
  .description('Runs whole clusters on virtual time under faults that a seed draws, and judges what happened.')
  .exitOverride()
  .option('--seeds <count>', 'how many seeds', atLeastOne, 100)
  .option('--from <seed>', 'the first seed', wholeNumber, 1)
  .option('--replay <seed>', 'one seed, with the transcript of what failed', wholeNumber)
  .option('--minutes <minutes>', 'stop after so long, whatever --seeds says', wholeNumber)
  .option('--canary <name>', 'switch one fence off: the batch succeeds when that is found', canaryName)
  .option('--once', 'do not run each seed twice to compare the hashes', false)
  .option('--quiet', 'a JSON line only for runs that fail', false);

/** What goes wrong with a run, in one line; undefined = nothing. */
async function runOf(
  seed: number,
  options: Options,
): Promise<{ report: SimulationReport; problem: string | undefined }> {
  const { canary, once } = options;
  const settings = { seed, ...(canary === undefined ? {} : { canary }) };
  const report = await simulate(settings);
  if (once) return { report, problem: undefined };
  const again = await simulate(settings);
  const problem = again.hash === report.hash ? undefined : `the second run differs: ${again.hash}`;
  return { report, problem };
}

function lineOf(report: SimulationReport): string {
  const { transcript: _, ...rest } = report;
  const verdicts = Object.fromEntries(
    Object.entries(report.verdicts).map(([name, verdict]) => [
      name,
      verdict.kind === 'violated' ? verdict : verdict.kind,
    ]),
  );
  return JSON.stringify({ ...rest, verdicts });
}

async function tell(seed: number, options: Options): Promise<void> {
  const canary = options.canary === undefined ? {} : { canary: options.canary };
  const { transcript } = await simulate({ seed, isWritten: true, ...canary });
  for (const line of transcript.slice(-TRANSCRIPT_LINES)) process.stderr.write(`${line}\n`);
  const flag = options.canary === undefined ? '' : ` --canary ${options.canary}`;
  process.stderr.write(`repeat with: npm run sim -- --replay ${seed}${flag}\n`);
}

async function runAll(options: Options): Promise<boolean> {
  const startedAt = performance.now();
  const endAt = options.minutes === undefined ? Number.POSITIVE_INFINITY : startedAt + options.minutes * 60_000;
  const isReplay = options.replay !== undefined;
  const first = options.replay ?? options.from;
  const count = isReplay ? 1 : options.seeds;
  const marks = new Set<string>();
  let runs = 0;
  let failures = 0;
  for (let seed = first; seed < first + count && performance.now() < endAt; seed += 1) {
    const { report, problem } = await runOf(seed, options);
    runs += 1;
    for (const mark of Object.keys(report.marks)) marks.add(mark);
    const isFailure = report.isViolated || problem !== undefined;
    if (isFailure || !options.quiet) process.stdout.write(`${lineOf(report)}\n`);
    if (problem !== undefined) process.stderr.write(`seed ${seed}: ${problem}\n`);
    if (!isFailure) continue;
    failures += 1;
    if (isReplay || failures === 1) await tell(seed, options);
    if (options.canary !== undefined) break;
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  const missed = runs >= MARKS_SEEDS_LEAST ? requiredMarks.filter((mark) => !marks.has(mark)) : [];
  const perSecond = Math.round((10 * runs) / seconds) / 10;
  process.stderr.write(`${JSON.stringify({ runs, failures, seconds: Math.round(seconds), perSecond, missed })}\n`);
  if (options.canary !== undefined) return failures > 0;
  return failures === 0 && missed.length === 0;
}

try {
  command.parse();
  process.exitCode = (await runAll(command.opts<Options>())) ? 0 : 1;
} catch (thrown) {
  if (!(thrown instanceof CommanderError)) throw thrown;
  process.exitCode = thrown.exitCode === 0 ? 0 : USAGE;
}
