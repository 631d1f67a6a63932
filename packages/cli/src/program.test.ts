import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { FakeIo, run } from '../test/fake-io.js';
import { everyCommand, examplesFor } from './commands.js';
import { completionScript } from './completion.js';
import { cliDocs } from './docs.js';
import { kafkaConsumerGroupsOptions } from './kafka-options.js';
import { makeProgram } from './program.js';

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
    [['groups', 'list', '--state', 'stable,broken'], /Allowed choices are Empty, .*Stable, Dead/],
    [['groups', 'list', '--type', 'modern'], /Allowed choices are classic, consumer, share/],
    [['groups', 'list', '--match', '('], /no regular expression: .*Unterminated group/],
    [['topics', 'list', '--match', '(?=a)'], /look-around .* not allowed/],
    [['groups', 'remove-member', 'g', '--all', '--reason', 'x'.repeat(256)], /allowed are 1 to 255 characters/],
    [['topics', 'create', 'orders'], /required option '--partitions <count>' not specified/],
    [['topics', 'create', 'orders', '--partitions', '0'], /whole numbers from 1 to 10000, in digits/],
    [['groups', 'reset-offsets', 'g', '--export', '--execute'], /cannot be used with/],
    [['groups', 'delete', '--force'], /no group is named/],
    [['groups', 'reset-offsets', 'g', '--to-latest'], /no topic is named/],
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
  // Habits of other tools: what commander itself does not know.
  test.each([
    [['-s', 'nats://h', 'groups', 'list'], 'options stand behind the command: "muster groups list -s ..."'],
    [['topics', '--context', 'prod', 'describe', 'orders'], '"muster topics describe --context ..."'],
    [
      ['groups', 'describe', 'g', '--execute'],
      '--execute is an option of "muster cluster restore-log" and "muster groups reset-offsets"',
    ],
    [['lag'], '"muster groups describe <group>"'],
    [['groups', 'lag', 'billing'], '"muster groups describe <group>"'],
    [['describe', 'billing'], 'there are "muster groups describe" and "muster topics describe"'],
    [['reset-offsets', 'billing'], 'there is "muster groups reset-offsets"'],
    [['consumer-groups', '--list'], 'groups are under "muster groups"'],
    [['groups', 'describe', '--group', 'billing'], 'groups are named without an option'],
    [['groups', 'list', '--bootstrap-server', 'h:1'], 'here it is --server'],
    [['consume', 'orders', '--from-beginning'], '--from says where else'],
    [['groups', 'delete', 'g', '--yes'], '--force'],
    [['stream', 'ls'], 'topics are under "muster topics"'],
    [['pub', 'orders', 'x'], '"muster produce <topic>"'],
    [['context', 'ls'], 'nats context select'],
  ])('%j ends with 2 and says what was meant', async (args, hint) => {
    const { code, stdout, stderr } = await run(args);
    expect(stderr.trimEnd().split('\n').at(-1)).toContain(hint);
    expect(stdout).toBe('');
    expect(code).toBe(2);
  });
  it('that nobody knows gets no hint', async () => {
    expect((await run(['groups', 'list', '--frobnicate'])).stderr).toMatch(/options and examples\)\n$/);
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
    await writeFile(join(folder, 'good.json'), JSON.stringify({ groupMaxSize: 7, servers: ['nats://u:pst@h'] }));
    await writeFile(join(folder, 'bad.json'), JSON.stringify({ groupMaxSiez: 7 }));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('is printed with where each value comes from, without secrets', async () => {
    const io = new FakeIo({
      env: { MUSTER_GROUP_MAX_SIZE: '9', MUSTER_TOKEN: 'hush', MUSTER_CLUSTER_SECRET: 'shush' },
    });
    const args = ['config', 'print', '--config', join(folder, 'good.json'), '--cluster', 'c', '-o', 'csv'];
    const { code, stdout } = await run(args, io);
    expect(code).toBe(0);
    const rows = new Map(stdout.split('\n').map((line) => [line.split(',')[0], line]));
    expect(rows.get('groupMaxSize')).toMatch(/^groupMaxSize,9,environment,/);
    expect(rows.get('cluster')).toMatch(/^cluster,c,flag,/);
    expect(rows.get('servers')).toContain('nats://(set)@h');
    expect(rows.get('token')).toMatch(/^token,\(set\),environment,/);
    expect(rows.get('clusterSecret')).toMatch(/^clusterSecret,\(set\),environment,/);
    expect(rows.get('logLevel')).toMatch(/^logLevel,info,default,/);
    expect(stdout).not.toMatch(/pst|hush/);
  });
  it('is checked without starting anything', async () => {
    expect((await run(['config', 'check', '--config', join(folder, 'good.json')])).code).toBe(0);
    const { code, stderr } = await run(['config', 'check', '--config', join(folder, 'bad.json')]);
    expect(stderr).toMatch(/groupMaxSiez.* is no option/);
    expect(code).toBe(2);
    const missing = await run(['config', 'check', '--config', join(folder, 'none.json')]);
    expect(missing).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('none.json does not exist\ncheck the path: it means '),
    });
    const unknown = await run(['config', 'check', '--config', join(folder, 'node.toml')]);
    expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining('.yaml, .yml or .json') });
  });
  it('is checked for files, servers and two ways to say who we are', async () => {
    const flags = ['--creds-file', join(folder, 'no.creds'), '--user', 'u', '--servers', 'nats://ok:1,ws://a,b c'];
    const { code, stderr } = await run(['config', 'check', ...flags]);
    expect(code).toBe(2);
    expect(stderr).toContain(`credsFile: the file ${join(folder, 'no.creds')} does not exist`);
    expect(stderr).toContain('user and credsFile exclude each other');
    expect(stderr).toMatch(/"ws:\/\/a" has a scheme that is not supported/);
    expect(stderr).toMatch(/"b c" is no server/);
    expect(stderr).not.toContain('ok:1');
  });
  it('takes NATS_URL as a default only, and says so', async () => {
    const env = { NATS_URL: 'nats://general:1' };
    const serversOf = async (...args: string[]) => {
      const { stdout } = await run(['config', 'print', '-o', 'csv', ...args], new FakeIo({ env }));
      return stdout.split('\n').find((line) => line.startsWith('servers,'));
    };
    expect(await serversOf()).toMatch(/nats:\/\/general:1.*,NATS_URL,/);
    expect(await serversOf('--config', join(folder, 'good.json'))).toContain('nats://(set)@h""]",file,');
    expect(await serversOf('--servers', 'nats://f:1')).toContain('nats://f:1""]",flag,');
  });
});

describe('the configuration of a node in YAML', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'muster-cli-'));
    await writeFile(join(folder, 'good.yaml'), '# ours\ngroupMaxSize: 7\nservers:\n  - nats://h:1\n');
    await writeFile(join(folder, 'empty.yml'), '# nothing yet\n');
    await writeFile(join(folder, 'broken.yaml'), 'groupMaxSize: [7\n');
    await writeFile(join(folder, 'unknown.yaml'), 'groupMaxSiez: 7\n');
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  const check = (file: string) => run(['config', 'check', '--config', join(folder, file)]);

  it('is the same as in JSON', async () => {
    const { stdout } = await run(['config', 'print', '--config', join(folder, 'good.yaml'), '-o', 'csv']);
    const rows = new Map(stdout.split('\n').map((line) => [line.split(',')[0], line]));
    expect(rows.get('groupMaxSize')).toMatch(/^groupMaxSize,7,file,/);
    expect(rows.get('servers')).toContain('nats://h:1');
  });
  it('may be empty, and says what is wrong', async () => {
    expect(await check('empty.yml')).toMatchObject({ code: 0 });
    expect(await check('broken.yaml')).toMatchObject({ code: 2, stderr: expect.stringContaining('read as YAML') });
    expect(await check('unknown.yaml')).toMatchObject({ code: 2, stderr: expect.stringContaining('groupMaxSiez') });
  });
});

describe('every option of kafka-consumer-groups.sh', () => {
  const named = kafkaConsumerGroupsOptions.flatMap(({ kafka, muster }) =>
    muster.map((line): [string, string] => [kafka, line]),
  );
  test.each(named)('%s is %s, which exists', (_, line) => {
    const words = line.split(' ');
    const flags = words.filter((word) => word.startsWith('--'));
    const path = words.filter((word) => !word.startsWith('--'));
    const command = commands.find((each) => ['muster', pathOf(each)].join(' ').trim() === path.join(' '));
    expect(command, path.join(' ')).toBeDefined();
    const known = command
      ?.createHelp()
      .visibleOptions(command)
      .map(({ long }) => long);
    for (const flag of flags) expect(known, flag).toContain(flag);
  });
  it('has a place here', () => {
    const all = kafkaConsumerGroupsOptions.map(({ kafka }) => kafka).join(' ');
    // As the tool itself lists them.
    const theirs = `all-groups all-topics bootstrap-server by-duration command-config delete delete-offsets describe dry-run execute
      export from-file group help list members offsets reset-offsets shift-by state timeout to-current to-datetime to-earliest
      to-latest to-offset topic type validate-regex verbose version`;
    for (const option of theirs.split(/\s+/)) expect(all).toMatch(new RegExp(`--${option}\\b`));
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
    expect(offered('groups', 'ls', '--ma')).toEqual(['--match']);
    expect(offered('completion', 'z')).toEqual(['zsh']);
    expect(offered('groups', 'list', '--state', 'St')).toEqual(['Stable']);
    expect(offered('groups', 'ls', '--state', 'Em')).toEqual(['Empty']);
    expect(offered('cluster', 'status', '-o', 'c')).toEqual(['csv']);
    expect(offered('topics', 'create', 'groups', '--part')).toEqual(['--partitions']);
  });
  it('of bash offers neither files nor options where a name stands, and files where a file does', () => {
    expect(offered('groups', 'describe', '')).toEqual(['']);
    expect(offered('consume', 'pack')).toEqual(['']);
    expect(offered('groups', 'reset-offsets', 'g', '--topic', 'pack')).toEqual(['']);
    expect(offered('groups', 'reset-offsets', 'g', '--from-file', 'pack')).toContain('packages');
    expect(offered('groups', 'describe', 'g', '--creds', 'packa')).toContain('packages');
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
