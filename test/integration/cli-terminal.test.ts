/**
 * The command line as a process: every command in a pseudo-terminal of 80 columns and in pipes, what is asked and what is not,
 * signals.
 */

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { everyCommand } from '../../packages/cli/src/commands.js';
import { makeProgram } from '../../packages/cli/src/program.js';
import { FakeIo, run } from '../../packages/cli/test/fake-io.js';
import { CliScene } from '../../packages/cli/test/scene.js';
import { until } from '../world/processes.js';

let scene: CliScene;

vi.setConfig({ testTimeout: 60_000 });

beforeAll(async () => {
  scene = await CliScene.start();
});
afterAll(() => scene?.close());

/** What commands need to be about something. */
interface Made {
  readonly topic: string;
  /** Has consumed the topic, and has no members. */
  readonly group: string;
  readonly unmade: string;
}

/** For each command a command line that works. */
const lines: Readonly<Record<string, (made: Made) => readonly string[]>> = {
  'cluster status': () => [],
  'cluster restore-log': () => [],
  'groups list': () => ['--match', '^group-'],
  'groups describe': ({ group }) => [group],
  'groups members': ({ group }) => [group, '--verbose'],
  'groups state': ({ group }) => [group, '--verbose'],
  'groups watch': ({ group }) => [group, '--count', '1'],
  'groups history': ({ group }) => [group],
  'groups reset-offsets': ({ group }) => [group, '--all-topics', '--to-earliest', '--execute', '--force'],
  'groups delete': ({ group }) => [group, '--force'],
  'groups delete-offsets': ({ group, topic }) => [group, '--topic', topic, '--force'],
  'groups remove-member': ({ group }) => [group, '--all', '--force', '--reason', 'a test'],
  'topics create': ({ unmade }) => [unmade, '--partitions', '2'],
  'topics adopt': ({ topic, unmade }) => [
    ...[unmade, '--partitions', '2', '--stream', `MUSTER_real_T_${topic}`],
    ...['--subject', `muster.real.t.${topic}.{partition}.{key}`, '--force'],
  ],
  'topics list': () => [],
  'topics describe': ({ topic }) => [topic],
  'topics delete': ({ topic }) => [topic, '--force'],
  produce: ({ topic }) => [topic, 'hello', 'world', '--key', 'k'],
  consume: ({ topic }) => [topic, '--max-messages', '2'],
  'config check': () => [],
  'config print': () => [],
  completion: () => ['bash'],
};

/** Those that end with another code than 0 here: the log of a cluster whose nodes run is not restored. */
const codes: Readonly<Record<string, number>> = { 'cluster restore-log': 4 };

/** For each command that runs until it is told to end: how it is started, and what it says when it is up. */
const servers: Readonly<Record<string, { readonly args: () => readonly string[]; readonly up: string }>> = {
  dev: { args: () => ['--port', '0', '--topic', 'orders:2'], up: 'Ctrl-C ends it all' },
  nats: { args: () => ['--port', '0'], up: 'nats://127.0.0.1:' },
  node: {
    args: () => {
      const alone = ['--shutdown-grace-ms', '200', '--partitions', '2'];
      return ['--servers', scene.cluster.nats.url, '--cluster', scene.newName('alone'), '--id', 'x', ...alone];
    },
    up: 'node started',
  },
  demo: { args: () => ['--nodes', '1', '--workers', '1'], up: 'coordinator processes are starting' },
};

async function make(): Promise<Made> {
  const topic = await scene.newTopic(2);
  return { topic, group: await scene.newGroup(topic), unmade: scene.newName('topic') };
}
/** A whole command line of the table. */
async function lineOf(path: string): Promise<string[]> {
  return [...path.split(' '), ...(lines[path]?.(await make()) ?? [])];
}
/** Escape sequences of a terminal that move nothing but the cursor, or colour. */
const ESCAPE = '\u001b';
const escapes = new RegExp(`${ESCAPE}(?:\\[[0-9;?]*[A-Za-z]|[()][A-Z0-9])`, 'g');
/** Those that go back to the beginning of the line: what comes then is written over it. */
const restarts = new RegExp(`${ESCAPE}\\[[0-9]*[GDA]|\r`, 'g');
/** What stands on the screen at the end of each line. */
function screenLines(output: string): string[] {
  return output
    .replaceAll('\r\n', '\n')
    .replaceAll(restarts, '\r')
    .replaceAll(escapes, '')
    .split('\n')
    .map((line) => line.split('\r').at(-1)?.trimEnd() ?? '');
}

describe('every command', () => {
  it('has its line here', () => {
    const program = makeProgram({ io: new FakeIo(), exitCode: 0 });
    const leaves = everyCommand(program).filter(({ commands }) => commands.length === 0);
    const paths = leaves.map(
      (command) => `${command.parent === program ? '' : `${command.parent?.name()} `}${command.name()}`,
    );
    expect([...Object.keys(lines), ...Object.keys(servers)].sort()).toEqual(paths.sort());
  });

  describe.each(Object.keys(lines))('%s', (path) => {
    it('works in pipes, without colours', async () => {
      const { code, stdout, stderr } = await scene.inPipes(await lineOf(path)).ended;
      expect(code, stderr).toBe(codes[path] ?? 0);
      expect(stdout + stderr).not.toContain(ESCAPE);
      expect(stdout + stderr).not.toContain('\r');
    });
    it('works in a terminal of 80 columns, and fits into it', async () => {
      const { code, stdout } = await scene.inTerminal(await lineOf(path), 80).ended;
      expect(code, stdout).toBe(codes[path] ?? 0);
      // A script for a shell is not for reading.
      if (path !== 'completion') expect(screenLines(stdout).filter((line) => line.length > 80)).toEqual([]);
    });
  });

  describe.each(Object.entries(servers))('%s', (path, { args, up }) => {
    it('runs in pipes until it is told to end', async () => {
      const child = scene.inPipes([path, ...args()]);
      await child.says(up);
      child.signal('SIGTERM');
      expect(await child.ended).toMatchObject({ code: 0 });
      expect(child.stdout).not.toContain('\u001b');
    });
    it('runs in a terminal of 80 columns until Ctrl-C, and fits into it', async () => {
      const child = scene.inTerminal([path, ...args()], 80);
      await child.says(up);
      child.type('\u0003');
      expect(await child.ended).toMatchObject({ code: 0 });
      // Log lines of a node are JSON, for whoever collects them.
      const shown = screenLines(child.stdout).filter((line) => !line.includes('{"level":'));
      expect(shown.filter((line) => line.length > 80)).toEqual([]);
    });
  });
});

describe('a process without a terminal', () => {
  it('never asks and never hangs, whatever its input', async () => {
    const child = scene.inPipes(['groups', 'delete', 'something']);
    const { code, stdout, stderr } = await child.ended;
    expect(stderr).toMatch(/--force/);
    expect(stdout).toBe('');
    expect(code).toBe(2);
  });

  it('reads lines as they come and tells what it has stored', async () => {
    const topic = await scene.newTopic();
    const child = scene.inPipes(['produce', topic, '--partition', '1', '-o', 'csv']);
    child.type('eins\nzwei\n');
    child.endInput();
    expect(await child.ended).toMatchObject({
      code: 0,
      stdout: `topic,partition,messages,firstOffset,lastOffset\n${topic},1,2,1,2\n`,
    });
  });

  it('ends a consume in a group at Ctrl-C, in order: what it showed is committed, and it has left', async () => {
    const topic = await scene.newTopic(2);
    const group = scene.newName('group');
    const child = scene.inPipes(['consume', topic, '--group', group]);
    await until('both are shown', () => child.stdout.split('\n').length === 3);
    child.interrupt();
    expect(await child.ended).toMatchObject({ code: 0 });
    expect(await scene.offsetsOf(group)).toEqual({ [`${topic}:0`]: 2, [`${topic}:1`]: 3 });
    expect(await scene.rows('groups', 'members', group)).toEqual([]);
  });

  it('is a whole cluster for development with one command, until Ctrl-C', async () => {
    const child = scene.inPipes(['dev', '--port', '0', '--topic', 'orders:3', '-o', 'json']);
    await child.says('}\n');
    const { url, topics } = JSON.parse(child.stdout);
    expect(topics).toEqual(['orders']);
    const produced = await run(['produce', 'orders', 'hello', '-s', url], new FakeIo());
    expect(produced.code).toBe(0);
    const consumed = await run(
      ['consume', 'orders', '--group', 'g', '--max-messages', '1', '--raw', '-s', url],
      new FakeIo(),
    );
    expect(consumed).toMatchObject({ code: 0, stdout: 'hello\n' });
    const taken = await run(['dev', '--port', new URL(url).port], new FakeIo());
    expect(taken).toMatchObject({ code: 4, stderr: expect.stringContaining('choose another --port') });
    child.interrupt();
    expect(await child.ended).toMatchObject({ code: 0, stderr: 'ending\n' });
    expect((await run(['topics', 'list', '-s', url], new FakeIo())).code).toBe(5);
  });

  it('is a NATS server for development, until Ctrl-C', async () => {
    const child = scene.inPipes(['nats', '--port', '0', '-o', 'name']);
    await child.says('nats://127.0.0.1:');
    const url = child.stdout.trim();
    expect(await run(['topics', 'list', '-s', url], new FakeIo())).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('there is no other cluster either\nstart a coordinator with "muster node"'),
    });
    child.interrupt();
    expect(await child.ended).toMatchObject({ code: 0 });
  });

  it('is a coordinator node, which the status of the cluster shows', async () => {
    // Alone it can hand its partitions to nobody: it need not try for long.
    const flags = ['--cluster', 'second', '--id', 'x1', '--partitions', '2', '--shutdown-grace-ms', '500'];
    const child = scene.inPipes(['node', '--servers', scene.cluster.nats.url, ...flags]);
    await child.says('node started');
    await until(
      'it owns all',
      async () =>
        (
          await run(
            ['cluster', 'status', '--cluster', 'second', '--timeout', '1s'],
            new FakeIo({ env: scene.environment }),
          )
        ).code === 0,
    );
    child.interrupt();
    expect(await child.ended).toMatchObject({ code: 0 });
  });
});

describe('in a terminal', () => {
  it('what cannot be undone is asked for, and "no" changes nothing', async () => {
    const group = await scene.newGroup(await scene.newTopic(2));
    const child = scene.inTerminal(['groups', 'delete', group]);
    await child.says('with all offsets?');
    child.type('n');
    const { code, stdout } = await child.ended;
    expect(stdout).toMatch(/nothing was changed/);
    expect(code).toBe(1);
    expect(Object.keys(await scene.offsetsOf(group))).toHaveLength(2);
  });

  it('a reset shows before and after, asks, and does it after "yes"', async () => {
    const topic = await scene.newTopic(2);
    const group = await scene.newGroup(topic);
    const child = scene.inTerminal(['groups', 'reset-offsets', group, '--all-topics', '--to-earliest', '--execute']);
    await child.says(`Move 2 offsets of group "${group}"?`);
    expect(child.stdout).toMatch(/CURRENT-OFFSET.*NEW-OFFSET/);
    expect(await scene.offsetsOf(group)).toEqual({ [`${topic}:0`]: 2, [`${topic}:1`]: 3 });
    child.type('y');
    const { code, stdout } = await child.ended;
    expect(stdout).toMatch(/moved/);
    expect(code).toBe(0);
    expect(await scene.offsetsOf(group)).toEqual({ [`${topic}:0`]: 1, [`${topic}:1`]: 1 });
  });

  it.each([
    ['Ctrl-C', '\u0003'],
    ['Ctrl-D', '\u0004'],
    ['Escape', '\u001b'],
  ])('%s at a question changes nothing', async (_, key) => {
    const topic = await scene.newTopic();
    const child = scene.inTerminal(['topics', 'delete', topic]);
    await child.says('with all messages?');
    child.type(key);
    expect((await child.ended).code).toBe(1);
    await scene.ok('topics', 'describe', topic);
  });

  it('that nobody feeds any more never hangs at a question', async () => {
    const topic = await scene.newTopic();
    const child = scene.inTerminal(['topics', 'delete', topic]);
    child.endInput();
    expect((await child.ended).code).toBe(1);
    await scene.ok('topics', 'describe', topic);
  });

  it('nobody is asked with --force', async () => {
    const topic = await scene.newTopic();
    const { code, stdout } = await scene.inTerminal(['topics', 'delete', topic, '--force']).ended;
    expect(stdout).toMatch(/deleted/);
    expect(code).toBe(0);
  });

  it('tables have coloured heads, and other formats have no colours', async () => {
    const topic = await scene.newTopic();
    expect((await scene.inTerminal(['topics', 'list']).ended).stdout).toContain('\u001b[1m');
    const { stdout } = await scene.inTerminal(['topics', 'list', '-o', 'name']).ended;
    expect(stdout.replaceAll('\r', '').split('\n')).toContain(topic);
    expect(stdout).not.toContain('\u001b[1m');
  });

  it('NO_COLOR takes the colours away, and nothing else', async () => {
    const topic = await scene.newTopic();
    const { stdout } = await scene.inTerminal(['topics', 'describe', topic], 120, { NO_COLOR: '1' }).ended;
    expect(stdout).not.toContain('\u001b[1m');
    expect(stdout).toContain('LOG-END-OFFSET');
  });

  it('a narrow one gets fewer columns and is told so, a wide one and a pipe get all', async () => {
    const topic = await scene.newTopic(1);
    const group = await scene.newGroup(topic);
    const narrow = await scene.inTerminal(['groups', 'describe', group], 80).ended;
    // The group has no members: what they would fill goes first.
    expect(narrow.stdout).toMatch(/no room for CONSUMER-ID, HOST, CLIENT-ID/);
    expect(narrow.stdout).toContain('LAG');
    expect(screenLines(narrow.stdout).join('\n')).not.toMatch(/HOST +CLIENT-ID/);
    const wide = await scene.inTerminal(['groups', 'describe', group], 160).ended;
    expect(screenLines(wide.stdout).join('\n')).toMatch(/HOST +CLIENT-ID/);
    expect((await scene.inPipes(['groups', 'describe', group]).ended).stdout).toMatch(/HOST +CLIENT-ID/);
  });

  it('a watch stays in place on the screen and ends at Ctrl-C', async () => {
    const topic = await scene.newTopic(2);
    const group = await scene.newGroup(topic);
    const child = scene.inTerminal(['groups', 'watch', group, '--interval', '200ms']);
    await until('it has looked twice', () => child.stdout.split('\u001b[H').length > 3);
    child.type('\u0003');
    const { code, stdout } = await child.ended;
    expect(stdout).toMatch(new RegExp(`${group}: Empty, generation`));
    // What one can scroll back to stays.
    expect(stdout).not.toContain('\u001b[3J');
    expect(code).toBe(0);
  });

  it('a cluster for development says how to connect, and ends at Ctrl-C', async () => {
    const child = scene.inTerminal(['dev', '--port', '0']);
    await child.says('Ctrl-C ends it all');
    expect(child.stdout).toMatch(/export NATS_URL=nats:\/\/127\.0\.0\.1:\d+/);
    child.type('\u0003');
    expect((await child.ended).code).toBe(0);
  });
});
