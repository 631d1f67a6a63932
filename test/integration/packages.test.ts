/**
 * The packages as `npm run pack` makes them: what an application gets that installs them, with nothing of this repository beside it.
 */

import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);

let app: string;
beforeAll(async () => {
  app = await mkdtemp(join(tmpdir(), 'muster-packages-'));
  await run('npm', ['pack', '--silent', '--workspace', 'packages', '--pack-destination', app], { cwd: root });
  const tarballs = (await readdir(app)).filter((file) => file.endsWith('.tgz'));
  for (const tarball of tarballs) {
    const folder = join(app, 'node_modules/@muster', /^muster-(.+)-\d/.exec(tarball)?.[1] ?? tarball);
    await mkdir(folder, { recursive: true });
    await run('tar', ['-xzf', join(app, tarball), '-C', folder, '--strip-components=1']);
  }
  await linkOthers();
  await writeFile(join(app, 'package.json'), '{"type":"module"}');
});
afterAll(() => rm(app, { recursive: true, force: true }));

/** What npm would fetch: the dependencies that are not ours, and what every TypeScript program on Node.js has. */
async function linkOthers(): Promise<void> {
  const names = new Set(['@types/node']);
  for (const folder of await readdir(join(app, 'node_modules/@muster'))) {
    const manifest: { readonly dependencies?: Readonly<Record<string, string>> } = JSON.parse(
      await readFile(join(app, 'node_modules/@muster', folder, 'package.json'), 'utf8'),
    );
    for (const name of Object.keys(manifest.dependencies ?? {})) if (!name.startsWith('@muster/')) names.add(name);
  }
  for (const name of names) {
    const link = join(app, 'node_modules', name);
    await mkdir(dirname(link), { recursive: true });
    await symlink(join(root, 'node_modules', name), link);
  }
}

/** Runs a program in the folder of the application. */
async function program(source: string): Promise<string> {
  await writeFile(join(app, 'app.mjs'), source);
  return (await run(process.execPath, ['app.mjs'], { cwd: app })).stdout;
}

it('the worker library and its test kit can be imported and work', async () => {
  const output = await program(`
    import { connect, MusterError } from '@muster/worker';
    import { createTestMuster } from '@muster/testkit';
    const error = await connect({ servers: '127.0.0.1:1' }).catch((thrown) => thrown);
    console.log(error instanceof MusterError, error.code);
    const muster = await createTestMuster({ topics: [{ name: 'orders', partitions: 1 }] });
    await muster.produce('orders', { key: 'ann', value: 4 });
    const consumer = await muster.consumer({ group: 'billing', topics: ['orders'] });
    const seen = [];
    void consumer.run({ eachMessage: ({ value }) => void seen.push(value) });
    await muster.until(() => seen.length === 1);
    console.log(seen);
    await muster.close();
  `);
  expect(output).toBe('true CONNECTION_FAILED\n[ 4 ]\n');
});

it('the command line runs', async () => {
  const { stdout } = await run(process.execPath, ['node_modules/@muster/cli/bin/muster.mjs', '--version'], {
    cwd: app,
  });
  expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

it('a strict TypeScript program compiles without anything that is optional', async () => {
  await writeFile(
    join(app, 'app.ts'),
    `import { connect } from '@muster/worker';
    import { createTestMuster } from '@muster/testkit';
    const muster = await connect({ servers: 'nats://127.0.0.1:4222', jetStream: { domain: 'hub' } });
    const consumer = await muster.consumer<{ readonly total: number }>({ group: 'billing', topics: ['orders'] });
    for await (const message of consumer) {
      const total: number = message.value.total;
      // @ts-expect-error what is not there has no type
      console.log(total, message.value.nothing);
      message.ack();
    }
    const test = await createTestMuster({ topics: [{ name: 'orders', partitions: 4 }] });
    await test.produce('orders', { key: 'ann', value: { total: 4 } });
`,
  );
  const options = ['--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext', '--types', 'node'];
  const compiler = join(root, 'node_modules/.bin/tsc');
  const { stdout } = await run(compiler, [...options, 'app.ts'], { cwd: app }).catch((thrown: unknown) => {
    throw new Error(`it does not compile: ${JSON.stringify(thrown)}`);
  });
  expect(stdout).toBe('');
});
