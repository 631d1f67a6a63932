import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { FakeIo, run } from '../test/fake-io.js';
import { examplesFor } from './commands.js';
import { completionScript } from './completion.js';
import { cliDocs } from './docs.js';
import { everyCommand, makeProgram } from './program.js';

const program = makeProgram({ io: new FakeIo(), exitCode: 0 });
const commands = everyCommand(program);

function pathOf(command: Command): string {
  return command.parent === null ? '' : `${pathOf(command.parent)} ${command.name()}`.trim();
}
const paths = commands.map((command): [string, Command] => [pathOf(command) || 'muster itself', command]);

describe.each(paths)('%s', (path, command) => {
  it('says what it does, in help with examples of itself', async () => {
    expect(command.description()).not.toBe('');
    const examples = examplesFor(command);
    expect(examples.length).toBeGreaterThan(0);
    const own = path === 'muster itself' ? 'muster' : `muster ${path}`;
    expect(examples.some((example) => example.includes(own))).toBe(true);
    const help = await run([...(path === 'muster itself' ? [] : path.split(' ')), '--help']);
    expect(help.code).toBe(0);
    expect(help.stdout).toContain(`Examples:\n  $ ${examples[0]}`);
  });
  it('has every option explained', () => {
    for (const option of command.options) expect(option.description, option.flags).not.toBe('');
  });
});

describe('a command line that is wrong', () => {
  test.each([
    [['grups'], /unknown command 'grups'\n\(Did you mean groups\?\)/],
    [['groups', 'describe', '--lag'], /unknown option '--lag'/],
    [['groups', 'list', '-o', 'xml'], /Allowed choices are table, json, yaml, csv, name/],
    [['groups', 'list', '--timeout', 'soon'], /write a duration/],
    [['topics', 'create', 'orders'], /required option '--partitions <count>' not specified/],
    [['topics', 'create', 'orders', '--partitions', '0'], /whole numbers up to 10000 from 1/],
    [['groups', 'reset-offsets', 'g', '--export', '--execute'], /cannot be used with/],
    [['completion', 'tcsh'], /Allowed choices are bash, zsh, fish/],
    [['consume', 'orders', '--from', 'somewhere'], /write earliest, latest/],
    [['groups', 'list', '--user', 'u', '--token', 't'], /exclude each other/],
    [['groups', 'list', '-s', 'ws://a'], /ws:\/\/ is not supported/],
  ])('%j ends with 2 and says why', async (args, message) => {
    const { code, stdout, stderr } = await run(args);
    expect(stderr).toMatch(message);
    expect(stdout).toBe('');
    expect(code).toBe(2);
  });
  it('of no command at all shows the help', async () => {
    const { code, stderr } = await run([]);
    expect(stderr).toContain('Usage: muster');
    expect(code).toBe(2);
  });
});

describe('the configuration of a node', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'muster-cli-'));
    await writeFile(join(folder, 'good.json'), JSON.stringify({ groupMaxSize: 7, servers: ['nats://u:secret@h'] }));
    await writeFile(join(folder, 'bad.json'), JSON.stringify({ groupMaxSiez: 7 }));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('is printed with where each value comes from, without secrets', async () => {
    const io = new FakeIo({ env: { MUSTER_GROUP_MAX_SIZE: '9', MUSTER_TOKEN: 'hush' } });
    const args = ['config', 'print', '--config', join(folder, 'good.json'), '--cluster', 'c', '-o', 'csv'];
    const { code, stdout } = await run(args, io);
    expect(code).toBe(0);
    const rows = new Map(stdout.split('\n').map((line) => [line.split(',')[0], line]));
    expect(rows.get('groupMaxSize')).toMatch(/^groupMaxSize,9,environment,/);
    expect(rows.get('cluster')).toMatch(/^cluster,c,flag,/);
    expect(rows.get('servers')).toContain('nats://(set)@h');
    expect(rows.get('token')).toMatch(/^token,\(set\),environment,/);
    expect(rows.get('logLevel')).toMatch(/^logLevel,info,default,/);
    expect(stdout).not.toMatch(/secret|hush/);
  });
  it('is checked without starting anything', async () => {
    expect((await run(['config', 'check', '--config', join(folder, 'good.json')])).code).toBe(0);
    const { code, stderr } = await run(['config', 'check', '--config', join(folder, 'bad.json')]);
    expect(stderr).toMatch(/groupMaxSiez.* is no option/);
    expect(code).toBe(2);
    expect((await run(['config', 'check', '--config', join(folder, 'none.json')])).code).toBe(2);
  });
});

describe('completion', () => {
  /** What bash would offer for the words typed so far, the last of them unfinished. */
  function offered(...words: string[]): string[] {
    const list = words.map((word) => `'${word}'`).join(' ');
    const script = `${completionScript('bash', program)}
COMP_WORDS=(muster ${list}); COMP_CWORD=${words.length}
_muster muster '${words.at(-1)}' '${words.at(-2) ?? 'muster'}'; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return execFileSync('bash', ['-c', script], { encoding: 'utf8' }).trim().split('\n');
  }
  it('of bash offers commands, their commands, their options, and values', () => {
    expect(offered('gr')).toEqual(['groups']);
    expect(offered('groups', 'de')).toEqual(['describe', 'delete', 'delete-offsets']);
    expect(offered('groups', 'reset-offsets', 'billing', '--to-l')).toEqual(['--to-latest']);
    expect(offered('groups', 'list', '-o', 'j')).toEqual(['json']);
    expect(offered('topics', 'create', 'groups', '--part')).toEqual(['--partitions']);
  });
  it('of zsh and fish names every command', () => {
    for (const shell of ['zsh', 'fish'] as const) {
      const script = completionScript(shell, program);
      for (const command of commands.slice(1)) expect(script, shell).toContain(command.name());
    }
  });
});

it('docs/cli.md is what "npm run docs:cli" would make', () => {
  const page = readFileSync(new URL('../../../docs/cli.md', import.meta.url), 'utf8');
  expect(page).toBe(cliDocs(program));
});
