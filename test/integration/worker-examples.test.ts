/**
 * The examples of docs/examples, run as a reader runs them: as processes, against a real server and a real coordinator. Each checks
 * its own result and says so by its exit code.
 */

import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RealCluster } from '../world/real-cluster.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const folder = `${root}docs/examples/`;
const RUN_MS_MAX = 60_000;

let cluster: RealCluster;
beforeAll(async () => {
  cluster = await RealCluster.start({ partitions: 4 });
  await cluster.startInside('node-1');
});
afterAll(async () => {
  await cluster.close();
});

/** Runs node with these arguments. @returns its exit code and what it wrote */
async function run(...args: readonly string[]): Promise<{ readonly code: number | null; readonly output: string }> {
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(process.execPath, args, { cwd: folder, env: { PATH, HOME }, timeout: RUN_MS_MAX });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, output };
}

const onCluster: readonly (readonly [string, ...string[]])[] = [
  ['quickstart.mjs', '100'],
  ['exactly-once.mjs'],
  ['sharded-cron.mjs'],
  ['priorities.mjs'],
  ['rolling-deploy.mjs'],
];

describe('an example', () => {
  it.each(onCluster)('%s does what it says', async (name, ...more) => {
    const { code, output } = await run(`${folder}${name}`, cluster.nats.urls.join(','), cluster.name, ...more);
    if (name === 'rolling-deploy.mjs') console.log(output);
    expect(code, output).toBe(0);
  });

  it('billing.test.mjs tests a handler without any server', async () => {
    const { code, output } = await run('--test', `${folder}billing.test.mjs`);
    expect(code, output).toBe(0);
    expect(output).toMatch(/pass 3/);
  });

  it('of the README runs as it stands, from a folder inside of the workspace, and ends in order at SIGTERM', async () => {
    const readme = readFileSync(`${root}README.md`, 'utf8');
    const program = readme.match(/\n```js\n(.*?)\n```\n/s)?.[1] ?? '';
    const place = mkdtempSync(`${root}node_modules/.readme-`);
    try {
      const where = `servers: ${JSON.stringify(cluster.nats.urls)}, cluster: '${cluster.name}'`;
      expect(program).toContain("servers: 'nats://127.0.0.1:4222'");
      writeFileSync(
        `${place}/app.mjs`,
        program.replace("servers: 'nats://127.0.0.1:4222'", where).replace(/'orders'/g, "'readme'"),
      );
      const child = spawn(process.execPath, [`${place}/app.mjs`], { timeout: RUN_MS_MAX });
      let output = '';
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text: string) => {
          output += text;
          if (/^\d+ 1 40\n$/.test(output)) child.kill('SIGTERM');
        });
      }
      const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
      expect(code, output).toBe(0);
      expect(output).toMatch(/^\d+ 1 40\n$/);
    } finally {
      rmSync(place, { recursive: true });
    }
  });

  it('has a run here, whatever its name', () => {
    const known = [...onCluster.map(([name]) => name), 'billing.mjs', 'billing.test.mjs'];
    expect(readdirSync(folder).sort()).toEqual(known.sort());
  });
});
