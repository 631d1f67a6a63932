/**
 * A copy of what the group's tests need, in a temporary folder: mutations are made there, never in the work tree.
 *
 * Installed packages are linked, not copied; `@muster/*` points into the copy.
 */

import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

const packages = ['protocol', 'group'] as const;
const folders = ['test/conformance', 'test/transcripts', 'test/mutations'] as const;
const files = [
  'test/unit/kafka-differences.test.ts',
  'test/unit/kafka-rules.test.ts',
  'test/unit/transcripts.test.ts',
  'tsconfig.base.json',
  'package.json',
] as const;

/** Named tests and the cases, which say what broke; then the properties, which look where nobody thought of. */
export const suites = {
  rules: ['packages/group/src/**/*.test.ts', 'test/unit/*.test.ts', 'test/mutations/cases.test.ts'],
  properties: ['packages/group/src/properties.test.ts', 'packages/group/src/honest.test.ts'],
} as const;
export type Suite = keyof typeof suites;

/** @returns the root of the repository that holds the folder */
export async function findRoot(from: string): Promise<string> {
  for (let folder = from; ; folder = path.dirname(folder)) {
    const manifest = await readFile(path.join(folder, 'package.json'), 'utf8').catch(() => '{}');
    if ((JSON.parse(manifest) as { name?: string }).name === 'muster') return folder;
    if (folder === path.dirname(folder)) throw new Error(`no repository around ${from}`);
  }
}

export class Tree {
  readonly root: string;

  private constructor(root: string) {
    this.root = root;
  }

  static async copyOf(repository: string): Promise<Tree> {
    const root = await mkdtemp(path.join(os.tmpdir(), 'muster-mutations-'));
    const isSource = (file: string) => !/[\\/](dist|node_modules|\.turbo)$|tsbuildinfo$/.test(file);
    const wanted = [...packages.map((name) => `packages/${name}`), ...folders, ...files];
    for (const each of wanted) {
      await cp(path.join(repository, each), path.join(root, each), { recursive: true, filter: isSource });
    }
    // The real one refers to packages that are not in the copy.
    await writeFile(path.join(root, 'test/tsconfig.json'), '{ "extends": "../tsconfig.base.json" }\n');
    const installed = path.join(repository, 'node_modules');
    await mkdir(path.join(root, 'node_modules', '@muster'), { recursive: true });
    for (const name of await readdir(installed)) {
      if (name !== '@muster' && name !== '.bin') {
        await symlink(path.join(installed, name), path.join(root, 'node_modules', name), 'junction');
      }
    }
    for (const name of packages) {
      const target = path.join(root, 'packages', name);
      await symlink(target, path.join(root, 'node_modules', '@muster', name), 'junction');
    }
    for (const suite of Object.keys(suites) as Suite[])
      await writeFile(path.join(root, configOf(suite)), config(suite));
    return new Tree(root);
  }

  /** Replaces the one line of the file that has this text, leading blanks aside. @returns how to undo it */
  async replaceLine(file: string, line: string, replacement: string): Promise<() => Promise<void>> {
    const where = path.join(this.root, file);
    const source = await readFile(where, 'utf8');
    const lines = source.split('\n');
    const found = lines.flatMap((each, index) => (each.trim() === line ? [index] : []));
    const [index] = found;
    if (index === undefined || found.length > 1) {
      throw new Error(`${file} has ${found.length} lines ${JSON.stringify(line)}: the mutation is out of date`);
    }
    lines[index] = replacement;
    await writeFile(where, lines.join('\n'));
    return () => writeFile(where, source);
  }

  async remove(): Promise<void> {
    await rm(this.root, { recursive: true, force: true });
  }
}

export function configOf(suite: Suite): string {
  return `vitest.${suite}.config.mjs`;
}

function config(suite: Suite): string {
  const exclude = suite === 'rules' ? suites.properties : [];
  return `const conditions = ['muster-source'];
export default {
  resolve: { conditions },
  ssr: { resolve: { conditions: [...conditions, 'node', 'import', 'default'] } },
  test: { include: ${JSON.stringify(suites[suite])}, exclude: ${JSON.stringify(exclude)}, testTimeout: 20_000, maxWorkers: 2 },
};
`;
}
