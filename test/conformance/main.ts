/**
 * `npm run conformance -- DIR`: replays the cases of a folder and prints what failed.
 *
 * Exit code 0 = nothing failed, 1 = a case failed, 2 = the folder is missing or no folder of cases.
 */

import { Command, Option } from 'commander';
import { CaseFilesError, readCases } from './cases.js';
import { makeGroupDriver } from './group-driver.js';
import { makeNodeDriver } from './node-driver.js';
import type { Outcome } from './runner.js';
import { runCase } from './runner.js';

const depths = { group: makeGroupDriver, node: makeNodeDriver } as const;

type Options = { readonly only?: readonly string[]; readonly json?: boolean; readonly through: keyof typeof depths };

const program = new Command('conformance')
  .description('Replays conformance cases against the group coordinator, under a virtual clock.')
  .argument('<dir>', 'folder with the case files (*.json)')
  .option('--only <id...>', 'only cases whose id contains one of these texts')
  .addOption(
    new Option('--through <depth>', 'group: the state machine alone; node: encoded requests to a node with its log')
      .choices(Object.keys(depths))
      .default('group'),
  )
  .option('--json', 'print the outcomes as JSON')
  .action(main);

await program.parseAsync();

async function main(folder: string, { only, json, through }: Options): Promise<void> {
  const all = await readCases(folder).catch((error: unknown) => {
    if (!(error instanceof CaseFilesError)) throw error;
    console.error(error.message);
    process.exitCode = 2;
    return undefined;
  });
  if (all === undefined) return;
  const chosen = only === undefined ? all : all.filter(({ id }) => only.some((text) => id.includes(text)));
  const outcomes: Outcome[] = [];
  for (const each of chosen) outcomes.push(await runCase(each, depths[through]));
  if (json === true) console.log(JSON.stringify(outcomes, null, 2));
  else report(outcomes);
  if (outcomes.some(({ kind }) => kind === 'failed')) process.exitCode = 1;
}

function report(outcomes: readonly Outcome[]): void {
  const count = { passed: 0, failed: 0, skipped: 0 };
  for (const outcome of outcomes) {
    count[outcome.kind] += 1;
    if (outcome.kind === 'skipped') console.log(`skipped ${outcome.id}: ${outcome.reason}`);
    if (outcome.kind !== 'failed') continue;
    const { step, op, expected, actual } = outcome.failure;
    console.log(`FAILED  ${outcome.id}: ${outcome.why}`);
    console.log(`        step ${step} (${op})`);
    console.log(`        expected ${expected}`);
    console.log(`        got      ${actual}`);
  }
  console.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
}
