/**
 * `npm run mutations -- [--cases DIR] [--only TEXT...]`: breaks one line of the group after another, in a copy, and looks whether a
 * test turns red.
 *
 * Exit code 0 = the unmutated copy is green and every mutation is caught, 1 = a mutation survives, 2 = the check itself failed.
 */

import path from 'node:path';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';
import { Command } from 'commander';
import type { Mutation } from './mutations.js';
import { mutations } from './mutations.js';
import type { Found } from './run.js';
import { runSuite } from './run.js';
import { findRoot, Tree } from './tree.js';

type Options = { readonly cases?: string; readonly only?: readonly string[] };
type Row = { readonly mutation: Mutation; readonly found: Found };

await new Command('mutations')
  .description('Breaks one line of packages/group after another and looks whether a test turns red.')
  .option('--cases <dir>', 'folder with conformance cases, which are replayed too')
  .option('--only <text...>', 'only mutations whose description or file contains one of these texts')
  .action(main)
  .parseAsync();

async function main({ cases, only }: Options): Promise<void> {
  const folder = cases === undefined ? undefined : path.resolve(cases);
  const tree = await Tree.copyOf(await findRoot(path.dirname(fileURLToPath(import.meta.url))));
  try {
    const unmutated = await check(tree, folder);
    if (unmutated.kind === 'red') throw new Error(`red without any mutation: ${unmutated.caughtBy.join(', ')}`);
    console.log('green without any mutation');
    const chosen = mutations.filter(
      ({ file, breaks }) => only?.some((text) => `${file} ${breaks}`.includes(text)) ?? true,
    );
    const rows: Row[] = [];
    for (const mutation of chosen) rows.push(await tryMutation(tree, mutation, folder));
    report(rows);
    if (rows.some(({ found }) => found.kind === 'green')) process.exitCode = 1;
  } catch (error) {
    console.error(error);
    process.exitCode = 2;
  } finally {
    await tree.remove();
  }
}

async function tryMutation(tree: Tree, mutation: Mutation, casesFolder: string | undefined): Promise<Row> {
  const undo = await tree.replaceLine(`packages/group/src/${mutation.file}`, mutation.line, mutation.becomes);
  try {
    const found = await check(tree, casesFolder);
    console.log(`${found.kind === 'red' ? 'red  ' : 'GREEN'} ${mutation.file}: ${mutation.breaks}`);
    return { mutation, found };
  } finally {
    await undo();
  }
}

/** The rules first; the properties only where no rule is broken. */
async function check(tree: Tree, casesFolder: string | undefined): Promise<Found> {
  const rules = await runSuite(tree, 'rules', casesFolder);
  return rules.kind === 'red' ? rules : runSuite(tree, 'properties', undefined);
}

function report(rows: readonly Row[]): void {
  const table = new Table({
    head: ['file', 'mutation', '', 'caught by'],
    colWidths: [20, 48, 7, 72],
    wordWrap: true,
    style: { head: [], border: [] },
  });
  for (const { mutation, found } of rows) {
    const [first = '', ...others] = found.kind === 'red' ? found.caughtBy : [];
    const more = others.length === 0 ? '' : ` (and ${others.length} more)`;
    table.push([mutation.file, mutation.breaks, found.kind === 'red' ? 'red' : 'GREEN', `${first}${more}`]);
  }
  console.log(table.toString());
  const survivors = rows.filter(({ found }) => found.kind === 'green').length;
  console.log(`${rows.length} mutations, ${survivors} survived`);
}
