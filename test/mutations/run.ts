/**
 * One run of a suite in the copy, and what it found.
 */

import { spawn } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Suite, Tree } from './tree.js';
import { configOf } from './tree.js';

/** A mutation may make a loop endless: then the run is ended, and counts as caught. */
const RUN_MS_MAX = 120_000;
const REPORT = 'report.json';

/** What a run found: `caughtBy` names the tests that failed. */
export type Found = { readonly kind: 'green' } | { readonly kind: 'red'; readonly caughtBy: readonly string[] };

type Report = {
  readonly numPassedTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message?: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
};

/** @param casesFolder the conformance cases, undefined to go without */
export async function runSuite(tree: Tree, suite: Suite, casesFolder: string | undefined): Promise<Found> {
  const report = path.join(tree.root, REPORT);
  await rm(report, { force: true });
  const outcome = await runVitest(tree, suite, casesFolder);
  if (outcome === 'timed-out') return { kind: 'red', caughtBy: ['no end within two minutes'] };
  const read = await readFile(report, 'utf8').catch(() => undefined);
  if (read === undefined)
    throw new Error(`vitest ended with code ${outcome.code} without a report:\n${outcome.output}`);
  const { testResults, numPassedTests } = JSON.parse(read) as Report;
  const caughtBy: string[] = [];
  for (const { name, status, message, assertionResults } of testResults) {
    const file = path.basename(name);
    const failed = assertionResults.filter((each) => each.status === 'failed');
    for (const { fullName } of failed) caughtBy.push(`${file}: ${fullName}`);
    if (status === 'failed' && failed.length === 0) caughtBy.push(`${file}: ${message ?? 'does not load'}`);
  }
  if (caughtBy.length > 0) return { kind: 'red', caughtBy };
  if (numPassedTests === 0) throw new Error(`vitest found no tests:\n${outcome.output}`);
  return { kind: 'green' };
}

function runVitest(
  tree: Tree,
  suite: Suite,
  casesFolder: string | undefined,
): Promise<'timed-out' | { readonly code: number | null; readonly output: string }> {
  const vitest = path.join(tree.root, 'node_modules', 'vitest', 'vitest.mjs');
  const flags = ['--config', configOf(suite), '--root', tree.root, '--reporter=json', `--outputFile=${REPORT}`];
  // A property that fails is enough; the rules are run to the end, to show how many hold the line.
  if (suite === 'properties') flags.push('--bail=1');
  const { MUTATION_CASES: _, UPDATE_TRANSCRIPTS: __, ...inherited } = process.env;
  const env = casesFolder === undefined ? inherited : { ...inherited, MUTATION_CASES: casesFolder };
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [vitest, 'run', ...flags], { cwd: tree.root, env, detached: true });
    let output = '';
    const keep = (chunk: Buffer) => {
      output = (output + chunk.toString('utf8')).slice(-4_000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', reject);
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      // Its workers are processes of their own: end the whole group.
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    }, RUN_MS_MAX);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve(timedOut ? 'timed-out' : { code, output });
    });
  });
}
