/**
 * What the command line starts ends with it, and it ends with whoever started it: also when that one is killed and can say nothing.
 * Processes are looked at through /proc or `ps`, by their ids alone.
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { binary, Spawned } from '../../packages/cli/test/scene.js';
import { until } from '../world/processes.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

vi.setConfig({ testTimeout: 60_000 });

/** What a killed process cannot clean up after itself lies here. */
const folder = mkdtempSync(join(tmpdir(), 'muster-ending-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Everything that a test started, to end what a failure left behind. */
const started = new Set<number>();
afterEach(() => {
  for (const pid of started) if (isRunning(pid)) process.kill(pid, 'SIGKILL');
  started.clear();
});

/** @returns the processes that this one has started, and those that they have */
function descendantsOf(pid: number): number[] {
  const table = execFileSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' });
  const parents = table
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number));
  const found = [pid];
  for (const known of found) for (const [child = 0, parent] of parents) if (parent === known) found.push(child);
  const below = found.slice(1);
  for (const each of below) started.add(each);
  return below;
}
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  // One that has ended and that nobody has asked for its exit code runs no more.
  const state = execFileSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).trim();
  return !state.startsWith('Z');
}
function running(pids: readonly number[]): number[] {
  return pids.filter((pid) => {
    try {
      return isRunning(pid);
    } catch {
      return false;
    }
  });
}
function start(command: string, args: readonly string[]): Spawned {
  const child = new Spawned(command, args, { TMPDIR: folder }, root);
  started.add(child.pid);
  return child;
}
const muster = (...args: readonly string[]) => start(process.execPath, [binary, ...args]);

/** For each command that starts processes, how, and what it says when they are there. */
const commands = [
  ['dev', ['dev', '--port', '0', '-o', 'json'], '"url"'],
  ['nats', ['nats', '--port', '0', '--servers', '3', '-o', 'name'], 'nats://'],
  ['demo', ['demo', '--nodes', '2', '--workers', '1'], 'the first rebalance took'],
] as const;

describe.each(commands)('muster %s', (_, args, up) => {
  it.each(['SIGKILL', 'SIGHUP'] as const)('leaves no process behind after %s', async (signal) => {
    const child = muster(...args);
    await child.says(up);
    const below = descendantsOf(child.pid);
    expect(below.length).toBeGreaterThan(0);
    child.signal(signal);
    await child.ended;
    await until(
      'all have ended',
      () => running(below).length === 0,
      30_000,
      () => `left: ${running(below).join(', ')}`,
    );
  });

  it.each(['SIGKILL', 'SIGTERM'] as const)('ends when the npx that started it gets %s', async (signal) => {
    const npx = start('npm', ['exec', '--offline', '--', 'muster', ...args]);
    await npx.says(up);
    const below = descendantsOf(npx.pid);
    expect(below.length).toBeGreaterThan(1);
    npx.signal(signal);
    await until(
      'all have ended',
      () => running(below).length === 0,
      40_000,
      () => `left: ${running(below).join(', ')}`,
    );
  });
});

describe('when its nats-server is killed', () => {
  const serversOf = (pid: number) => descendantsOf(pid).filter((below) => commandOf(below).includes('server.conf'));

  it('muster dev ends, and says why', async () => {
    const child = muster('dev', '--port', '0', '-o', 'json');
    await child.says('"url"');
    const servers = serversOf(child.pid);
    expect(servers).toHaveLength(1);
    for (const pid of servers) process.kill(pid, 'SIGKILL');
    const { code, stderr } = await child.ended;
    expect(stderr).toMatch(
      /error: nats-server ended, so all of it ends\nstart "muster dev" again: everything begins anew\n/,
    );
    expect(code).toBe(1);
  });

  it('muster nats goes on as long as another one runs', async () => {
    const child = muster('nats', '--port', '0', '--servers', '3', '-o', 'json');
    await child.says(']\n');
    const pids = (JSON.parse(child.stdout) as { readonly pid: number }[]).map(({ pid }) => pid);
    for (const [at, pid] of pids.entries()) {
      expect(isRunning(child.pid)).toBe(true);
      process.kill(pid, 'SIGKILL');
      await until('it says so', () => (child.stderr.match(/ended, and is not started again/g) ?? []).length === at + 1);
    }
    const { code, stderr } = await child.ended;
    expect(stderr).toMatch(/error: no server is left\nstart "muster nats" again/);
    expect(code).toBe(1);
  });
});

describe('muster node', () => {
  it('ends in order when the npx that started it is killed', async () => {
    const nats = muster('nats', '--port', '0', '-o', 'name');
    await nats.says('nats://');
    const servers = nats.stdout.trim();
    const npx = start('npm', [
      'exec',
      '--offline',
      '--',
      'muster',
      'node',
      '--servers',
      servers,
      '--shutdown-grace-ms',
      '200',
    ]);
    await npx.says('node started');
    const below = descendantsOf(npx.pid);
    npx.signal('SIGKILL');
    await until('it drains', () => npx.stdout.includes('draining'));
    await until('it has ended', () => running(below).length === 0);
    nats.interrupt();
    await nats.ended;
  });

  it('that no npm has started outlives the shell that has', async () => {
    const nats = muster('nats', '--port', '0', '-o', 'name');
    await nats.says('nats://');
    const servers = nats.stdout.trim();
    const line = `'${process.execPath}' '${binary}' node --servers ${servers} --shutdown-grace-ms 200 & sleep 3`;
    const shell = start('sh', ['-c', line]);
    await shell.says('node started');
    const [node] = descendantsOf(shell.pid).filter((pid) => commandOf(pid).includes('main.js'));
    shell.signal('SIGKILL');
    // Its log goes on: a lone node says when it drains, which nobody has asked it for.
    await until('it has no parent of its own', () => parentOf(node ?? -1) !== shell.pid);
    expect(running([node ?? -1])).toEqual([node]);
    expect(shell.stdout).not.toContain('draining');
    process.kill(node ?? -1, 'SIGTERM');
    await until('it has ended', () => running([node ?? -1]).length === 0);
    nats.interrupt();
    await nats.ended;
  });
});

function commandOf(pid: number): string {
  return execFileSync('ps', ['-o', 'args=', '-p', String(pid)], { encoding: 'utf8' });
}
function parentOf(pid: number): number {
  return Number(execFileSync('ps', ['-o', 'ppid=', '-p', String(pid)], { encoding: 'utf8' }));
}
