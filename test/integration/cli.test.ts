/**
 * The command line against a real server and a real coordinator. Most commands run inside this process (their own code, only
 * the streams are ours); what is about processes, signals and terminals runs as a process, in a pseudo-terminal of `script`.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Consumer, connect, type Muster } from '@muster/worker';
import { connect as connectNats, nkeys } from 'nats';
import { afterAll, beforeAll, describe, expect, it, test, vi } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { FakeIo, type Ran, run } from '../../packages/cli/test/fake-io.js';
import { until } from '../world/processes.js';
import { RealCluster } from '../world/real-cluster.js';

const binary = fileURLToPath(new URL('../../packages/cli/dist/main.js', import.meta.url));

const guard = nkeys.createUser();

/** Who does not say who they are may do everything; a guest may neither delete groups nor list them. */
const extraConfig = `
authorization {
  users = [
    { user: all, password: all }
    { nkey: ${guard.getPublicKey()} }
    { user: guest, password: guest, permissions: { publish: { deny: ["muster.real.g.*.*.delete", "muster.real.all"] } } }
  ]
}
no_auth_user: all
`;

let cluster: RealCluster;
let muster: Muster;
let folder: string;
let names = 0;

vi.setConfig({ testTimeout: 30_000 });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'muster-cli-'));
  cluster = await RealCluster.start({ partitions: 4, nats: { extraConfig } });
  await cluster.startInside('n1');
  muster = await connect({ servers: cluster.nats.url, cluster: cluster.name });
});
afterAll(async () => {
  await muster?.close({ timeoutMs: 2_000 });
  await cluster?.close();
  await rm(folder, { recursive: true, force: true });
});

const environment = () => ({ NATS_URL: cluster.nats.url, MUSTER_CLUSTER: cluster.name });
const newName = (what: string) => {
  names += 1;
  return `${what}-${names}`;
};

/** Runs a command line in this process, without a terminal. */
function cli(...args: readonly string[]): Promise<Ran> {
  return run(args, new FakeIo({ env: environment() }));
}
/** The same for a command that must work. @returns what it wrote */
async function ok(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await cli(...args);
  expect(code, `${args.join(' ')}\n${stderr}`).toBe(0);
  return stdout;
}
async function rows(...args: readonly string[]): Promise<Record<string, unknown>[]> {
  return JSON.parse(await ok(...args, '-o', 'json'));
}

/** A topic of two partitions with messages 1 to `count`, which take turns: the odd ones in partition 0. */
async function newTopic(count = 0): Promise<string> {
  const topic = newName('topic');
  await ok('topics', 'create', topic, '--partitions', '2');
  for (let number = 1; number <= count; number += 1) {
    await ok('produce', topic, String(number), '--partition', String((number + 1) % 2));
  }
  return topic;
}
/** An empty group that has consumed a topic to its end. */
async function newGroup(topic: string): Promise<string> {
  const group = newName('group');
  await ok('groups', 'reset-offsets', group, '--topic', topic, '--to-latest', '--execute');
  return group;
}
async function offsetsOf(group: string): Promise<Record<string, number>> {
  const offsets = await muster.admin().fetchOffsets(group);
  return Object.fromEntries(offsets.map(({ topic, partition, offset }) => [`${topic}:${partition}`, offset]));
}

describe('topics', () => {
  it('are created, listed, described and deleted', async () => {
    const topic = newName('orders');
    const made = await rows('topics', 'create', topic, '--partitions', '3', '--max-age', '1h', '--key-hash', 'murmur2');
    expect(made).toEqual([expect.objectContaining({ topic, partitions: 3, keyHash: 'murmur2' })]);
    expect((await ok('topics', 'list', '-o', 'name')).split('\n')).toContain(topic);
    await ok('produce', topic, 'a', 'b', '--partition', '2');
    const [described] = await rows('topics', 'describe', topic);
    expect(described).toMatchObject({
      topic,
      partitions: [{ messages: 0, logEndOffset: null }, {}, { messages: 2, logEndOffset: 3 }],
    });
    expect(await ok('topics', 'delete', topic, '--force')).toMatch(/deleted/);
    expect((await cli('topics', 'describe', topic)).code).toBe(3);
  });

  it('exist already, with the same shape or another', async () => {
    const topic = await newTopic();
    await ok('topics', 'create', topic, '--partitions', '2');
    const { code, stderr } = await cli('topics', 'create', topic, '--partitions', '5');
    expect(stderr).toMatch(/has partitions 2, not 5/);
    expect(code).toBe(4);
  });

  it('are adopted from a stream that fits, and not from one that does not', async () => {
    const stream = newName('STREAM');
    const nats = await connectNats({ servers: cluster.nats.url });
    await (await nats.jetstreamManager()).streams.add({ name: stream, subjects: [`${stream}.*.>`] });
    await nats.jetstream().publish(`${stream}.3.customer`, 'x');
    await nats.close();
    const adopt = ['topics', 'adopt', stream, '--stream', stream, '--subject', `${stream}.{partition}.{key}`];
    const tooFew = await cli(...adopt, '--partitions', '2');
    expect(tooFew.stderr).toMatch(/1 messages of .* belong to no partition below 2/);
    expect(tooFew.code).toBe(4);
    expect((await cli(...adopt.with(4, 'NOPE'), '--partitions', '4')).code).toBe(3);
    expect(await rows(...adopt, '--partitions', '4')).toEqual([
      expect.objectContaining({ topic: stream, partitions: 4, stream }),
    ]);
    expect(await ok('consume', `${stream}:3`, '--idle', '300ms')).toBe(`${stream}:3:1\tcustomer\tx\n`);
  });

  it('are not deleted without a terminal and without --force', async () => {
    const topic = await newTopic();
    const { code, stderr } = await cli('topics', 'delete', topic);
    expect(stderr).toMatch(/add --force/);
    expect(code).toBe(2);
    await ok('topics', 'describe', topic);
  });

  it('are deleted partly where some do not exist', async () => {
    const { code, stdout } = await cli('topics', 'delete', await newTopic(), 'nope', '--force', '-o', 'csv');
    expect(stdout).toMatch(/,deleted\nnope,UNKNOWN_TOPIC\n/);
    expect(code).toBe(6);
  });
});

describe('messages', () => {
  it('travel from standard input to standard output, in every format', async () => {
    const topic = await newTopic();
    const io = new FakeIo({ env: environment(), stdin: 'k1:{"x":1}\nk2:zwei\n\nk1:"3"\n' });
    const { code, stdout } = await run(['produce', topic, '--key-separator', ':', '--header', 'h=v', '-o', 'json'], io);
    expect(code).toBe(0);
    const made: { messages: number }[] = JSON.parse(stdout);
    expect(made.reduce((sum, { messages }) => sum + messages, 0)).toBe(3);
    const look = (...flags: string[]) => ok('consume', topic, '--max-messages', '3', '--idle', '5s', ...flags);
    const lines = (await look('-o', 'json'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map(({ offset, key, value }) => [offset, key, value])).toEqual([
      [1, 'k1', '{"x":1}'],
      [2, 'k2', 'zwei'],
      [3, 'k1', '"3"'],
    ]);
    expect(lines[0]).toMatchObject({ topic, headers: { h: 'v' }, timestamp: expect.stringMatching(/^\d{4}-.*Z$/) });
    expect(await look('--raw')).toBe('{"x":1}\nzwei\n"3"\n');
    expect(await look('-o', 'csv')).toMatch(/^topic,partition,offset,timestamp,key,value\n.*,k1,"\{""x"":1\}"\n/);
    expect((await look('-o', 'name')).split('\n')[2]).toMatch(new RegExp(`^${topic}:[01]:3$`));
    expect(parseYaml((await look('-o', 'yaml')).split('---\n')[2] ?? '')).toMatchObject({ key: 'k2', value: 'zwei' });
    expect(await look('--from', '3', '--max-messages', '1')).toMatch(/\tk1\t"3"\n$/);
    expect(await ok('consume', topic, '--from', 'latest', '--idle', '200ms')).toBe('');
  });

  it('are copied from one topic to another with keys and headers', async () => {
    const [source, copy] = [await newTopic(), await newTopic()];
    await ok('produce', source, 'a', 'b', '--key', 'k', '--header', 'h=v');
    const read = await ok('consume', source, '--max-messages', '2', '-o', 'json');
    const io = new FakeIo({ env: environment(), stdin: read });
    expect((await run(['produce', copy, '--input', 'json'], io)).code).toBe(0);
    const copied = (await ok('consume', copy, '--max-messages', '2', '-o', 'json')).trim().split('\n');
    expect(JSON.parse(copied[1] ?? '')).toMatchObject({ key: 'k', value: 'b', headers: { h: 'v' } });
  });

  it('are consumed in a group, and the next one goes on where it ended', async () => {
    const topic = await newTopic(6);
    const group = newName('group');
    const first = await ok('consume', topic, '--group', group, '--max-messages', '4', '--raw');
    const second = await ok('consume', topic, '--group', group, '--max-messages', '2', '--raw');
    expect([...first.trim().split('\n'), ...second.trim().split('\n')].sort()).toEqual(['1', '2', '3', '4', '5', '6']);
    expect((await rows('groups', 'describe', group)).map(({ lag }) => lag)).toEqual([0, 0]);
  });

  test.each([
    [['produce', 'nope', 'x'], 3, /not in the registry: nope/],
    [['consume', 'nope'], 3, /not in the registry: nope/],
    [['consume', 'nope', '--group', 'g'], 3, /not in the registry: nope/],
    [['consume', 'nope:0', '--group', 'g'], 2, /the coordinator chooses the partitions/],
  ])('%j fails with %i', async (args, code, message) => {
    const ended = await cli(...args);
    expect(ended.stderr).toMatch(message);
    expect(ended.code).toBe(code);
  });

  it('are given up at Ctrl-C while no coordinator answers', async () => {
    await ok('topics', 'create', 'lonely', '--partitions', '1', '--cluster', 'nobody');
    let questions = 0;
    const callback = () => {
      questions += 1;
    };
    const subscription = cluster.connection.subscribe('muster.nobody.find', { callback });
    const io = new FakeIo({ env: environment() });
    const running = run(['consume', 'lonely', '--group', 'g', '--cluster', 'nobody'], io);
    await until('it looks for a coordinator', () => questions > 0);
    io.interruption.abort();
    expect(await running).toMatchObject({ code: 0, stdout: '' });
    subscription.unsubscribe();
  });

  it('of partitions that do not exist are refused', async () => {
    const topic = await newTopic();
    expect(await cli('consume', `${topic}:2`)).toMatchObject({ code: 3 });
    expect(await cli('produce', topic, 'x', '--partition', '2')).toMatchObject({ code: 2 });
  });
});

describe('a group with members', () => {
  let group: string;
  let topic: string;
  let consumer: Consumer<unknown>;
  beforeAll(async () => {
    topic = await newTopic(4);
    group = newName('active');
    consumer = await muster.consumer({ group, topics: [topic], instanceId: 'first', commit: { kind: 'each' } });
    void consumer.run({ eachMessage: () => {} }).catch(() => {});
    await until('all is committed', async () => Object.keys(await offsetsOf(group)).length === 2);
  });
  afterAll(() => consumer.close({ timeoutMs: 2_000 }));

  it("is described with Kafka's columns", async () => {
    const head = (await ok('groups', 'describe', group)).split('\n')[0]?.split(/\s+/);
    expect(head?.slice(0, 6)).toEqual(['GROUP', 'TOPIC', 'PARTITION', 'CURRENT-OFFSET', 'LOG-END-OFFSET', 'LAG']);
    expect(head?.slice(6, 9)).toEqual(['CONSUMER-ID', 'HOST', 'CLIENT-ID']);
    await until('the lag is gone', async () => (await rows('groups', 'describe', group)).every(({ lag }) => lag === 0));
    const [first] = await rows('groups', 'describe', group);
    const logEndOffset = 4;
    expect(first).toMatchObject({
      group,
      topic,
      partition: 0,
      currentOffset: logEndOffset,
      logEndOffset,
      clientId: 'muster',
    });
    expect(first?.['consumerId']).toMatch(/./);
  });

  it('is shown beside a group that does not exist, which is said so', async () => {
    for (const command of ['describe', 'members', 'state']) {
      const shown = await cli('groups', command, group, 'nobody-has-made-this');
      expect(shown.code).toBe(6);
      expect(shown.stdout).toContain(group);
      expect(shown.stderr).toContain('"nobody-has-made-this" does not exist');
    }
  });

  it('is listed, with its state and members', async () => {
    expect(await rows('groups', 'list', '--state', 'Stable')).toContainEqual(
      expect.objectContaining({ group, state: 'Stable' }),
    );
    expect(await ok('groups', 'list', '--state', 'Empty', '-o', 'name')).not.toContain(group);
    expect(await rows('groups', 'state', group)).toEqual([
      expect.objectContaining({
        state: 'Stable',
        coordinator: 'n1',
        assignmentStrategy: 'cooperative-sticky',
        memberCount: 1,
      }),
    ]);
    expect(await rows('groups', 'members', group)).toEqual([
      expect.objectContaining({ groupInstanceId: 'first', partitionCount: 2, assignment: `${topic}(0,1)` }),
    ]);
    expect(await ok('groups', 'describe', group, '--members')).toBe(await ok('groups', 'members', group));
    expect(await ok('groups', 'describe', group, '--state')).toBe(await ok('groups', 'state', group));
    expect(await ok('groups', 'describe', '--all-groups', '-o', 'name')).toContain(`${topic}:1\n`);
  });

  it('has a history', async () => {
    const [first] = await rows('groups', 'history', group);
    expect(first).toMatchObject({ group, generation: 1, members: 1, moved: 2, cause: expect.stringMatching(/join/) });
  });

  it('is watched as often as wanted', async () => {
    const looks = (await ok('groups', 'watch', group, '--interval', '100ms', '--count', '3', '-o', 'json'))
      .trim()
      .split('\n');
    expect(looks).toHaveLength(3);
    expect(JSON.parse(looks[2] ?? '')).toMatchObject({
      group,
      state: 'Stable',
      partitions: [{ partition: 0 }, { partition: 1 }],
    });
  });

  it.each([
    ['reset-offsets', ['--all-topics', '--to-earliest', '--execute']],
    ['delete', ['--force']],
  ])('is protected against %s', async (command, flags) => {
    const before = await offsetsOf(group);
    const { code, stderr } = await cli('groups', command, group, ...flags);
    expect(stderr).toMatch(/groups members/);
    expect(code).toBe(4);
    expect(await offsetsOf(group)).toEqual(before);
  });

  it('keeps the offsets of topics that it is subscribed to', async () => {
    const { code, stdout } = await cli('groups', 'delete-offsets', group, '--topic', topic, '--force', '-o', 'csv');
    expect(stdout).toContain(`${group},${topic},0,GROUP_SUBSCRIBED_TO_TOPIC`);
    expect(code).toBe(4);
  });
});

describe('members', () => {
  it('are removed by instance id; one that is not there says so', async () => {
    const topic = await newTopic();
    const group = newName('group');
    const consumer = await muster.consumer({ group, topics: [topic], instanceId: 'one' });
    await consumer.close({ leave: false, timeoutMs: 2_000 });
    expect(await cli('groups', 'remove-member', group, '--force')).toMatchObject({ code: 2 });
    const both = await cli(
      'groups',
      'remove-member',
      group,
      '--instance-id',
      'one',
      '--instance-id',
      'two',
      '--force',
      '-o',
      'csv',
    );
    expect(both.stdout).toMatch(/,one,removed\n.*,two,UNKNOWN_MEMBER_ID\n/);
    expect(both.code).toBe(6);
    expect(await rows('groups', 'members', group)).toEqual([]);
    expect((await cli('groups', 'remove-member', group, '--all', '--force')).code).toBe(0);
  });
});

describe('offsets of a group', () => {
  it('are shown before and after, and change only with --execute', async () => {
    const topic = await newTopic(4);
    const group = await newGroup(topic);
    const before = await offsetsOf(group);
    const planned = await cli('groups', 'reset-offsets', group, '--all-topics', '--to-earliest');
    expect(planned.stdout.split('\n')[1]).toMatch(new RegExp(`^${group} +${topic} +0 +5 +1 +dry run$`));
    expect(planned.stderr).toMatch(/dry run: add --execute/);
    expect(await offsetsOf(group)).toEqual(before);
    const moved = await rows('groups', 'reset-offsets', group, '--all-topics', '--to-earliest', '--execute');
    expect(moved[0]).toEqual({ group, topic, partition: 0, currentOffset: 5, newOffset: 1, result: 'moved' });
    expect(await offsetsOf(group)).toEqual({ [`${topic}:0`]: 1, [`${topic}:1`]: 1 });
  });

  it('go where each option says', async () => {
    const topic = await newTopic(10);
    const group = await newGroup(topic);
    const to = async (...flags: string[]) => {
      await ok('groups', 'reset-offsets', group, '--topic', `${topic}:0`, ...flags, '--execute');
      return (await offsetsOf(group))[`${topic}:0`];
    };
    // Partition 0 has the odd offsets.
    expect(await to('--to-offset', '5')).toBe(5);
    expect(await to('--shift-by', '2')).toBe(9);
    expect(await to('--shift-by', '-3')).toBe(3);
    expect(await to('--shift-by', '-100')).toBe(1);
    expect(await to('--shift-by', '100')).toBe(11);
    expect(await to('--to-offset', '999')).toBe(11);
    expect(await to('--to-datetime', '2020-01-01T00:00:00Z')).toBe(1);
    expect(await to('--by-duration', '1h')).toBe(1);
    expect(await to('--to-latest')).toBe(11);
    expect(await to('--to-current')).toBe(11);
    expect((await offsetsOf(group))[`${topic}:1`]).toBe(11);
  });

  it('are copied from another group, and through a file', async () => {
    const topic = await newTopic(2);
    const [group, copy] = [await newGroup(topic), newName('copy')];
    const { stderr } = await cli('groups', 'reset-offsets', copy, '--from-group', group, '--execute');
    expect(stderr).toContain(`"${copy}" does not exist: it is made`);
    expect(await offsetsOf(copy)).toEqual(await offsetsOf(group));
    const file = join(folder, 'offsets.csv');
    await writeFile(file, await ok('groups', 'reset-offsets', group, '--all-topics', '--to-current', '--export'));
    expect(await readFile(file, 'utf8')).toBe(`${topic},0,3\n${topic},1,3\n`);
    await ok('groups', 'reset-offsets', copy, '--all-topics', '--to-earliest', '--execute');
    await ok('groups', 'reset-offsets', copy, '--from-file', file, '--execute');
    expect(await offsetsOf(copy)).toEqual(await offsetsOf(group));
    const both = await ok('groups', 'reset-offsets', group, copy, '--all-topics', '--to-current', '--export');
    expect(both).toContain(`${copy},${topic},1,3\n`);
  });

  it('are refused for what does not exist', async () => {
    const topic = await newTopic();
    const reset = (...flags: string[]) => cli('groups', 'reset-offsets', newName('group'), ...flags);
    expect(await reset('--topic', 'nope', '--to-latest')).toMatchObject({ code: 3 });
    expect(await reset('--topic', `${topic}:7`, '--to-latest')).toMatchObject({ code: 3 });
    expect(await reset('--topic', `${topic}:0,7`, '--to-latest', '--execute')).toMatchObject({ code: 6 });
    expect(await reset('--all-topics', '--to-latest')).toMatchObject({ code: 3 });
    expect(await reset('--from-group', 'nope')).toMatchObject({ code: 3 });
    expect(await reset('--from-file', join(folder, 'nope.csv'))).toMatchObject({ code: 3 });
    expect(await reset('--topic', topic)).toMatchObject({ code: 2 });
    expect(await reset('--to-latest')).toMatchObject({ code: 2 });
    expect(await reset('--topic', topic, '--to-latest', '--to-earliest')).toMatchObject({ code: 2 });
  });

  it('are deleted, some of them or with their group', async () => {
    const topic = await newTopic(2);
    const group = await newGroup(topic);
    await ok('groups', 'delete-offsets', group, '--topic', `${topic}:0`, '--force');
    expect(await offsetsOf(group)).toEqual({ [`${topic}:1`]: 3 });
    expect(await cli('groups', 'delete-offsets', group, '--topic', 'nope', '--force')).toMatchObject({ code: 3 });
    const deleted = await cli('groups', 'delete', group, 'nope', '--force', '-o', 'csv');
    expect(deleted.stdout).toBe(`group,result\n${group},deleted\nnope,GROUP_ID_NOT_FOUND\n`);
    expect(deleted.code).toBe(6);
    expect(await cli('groups', 'describe', group)).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('groups list'),
    });
  });
});

describe('the cluster', () => {
  it('has its status', async () => {
    const status = JSON.parse(await ok('cluster', 'status', '-o', 'json'));
    expect(status).toMatchObject({ cluster: 'real', partitionCount: 4, unownedPartitions: [] });
    expect(status.nodes).toEqual([expect.objectContaining({ node: 'n1', partitions: [0, 1, 2, 3] })]);
    expect(await ok('cluster', 'status')).toBe('NODE  #PARTITIONS  SHARE\nn1              4  100 %\n');
  });

  test.each([
    ['without coordinators', ['--cluster', 'nobody', '--timeout', '500ms'], /muster node/],
    ['without a server', ['-s', 'nats://127.0.0.1:1'], /muster dev/],
  ])('%s cannot be reached, and the message says what to do', async (_, flags, advice) => {
    for (const command of [
      ['cluster', 'status'],
      ['groups', 'list'],
    ]) {
      const { code, stderr, stdout } = await cli(...command, ...flags);
      expect(stderr).toMatch(advice);
      expect(stdout).toBe('');
      expect(code).toBe(5);
    }
  });

  it('refuses wrong credentials, and the answer does not repeat them', async () => {
    const { code, stderr } = await cli('groups', 'list', '--user', 'guest', '--password', 'hush');
    expect(stderr).toMatch(/refused the credentials.*\ncheck --user/);
    expect(stderr).not.toContain('hush');
    expect(code).toBe(1);
  });

  it('lets in who has the seed of an nkey, and nobody with another', async () => {
    const [right, wrong] = [join(folder, 'right.nk'), join(folder, 'wrong.nk')];
    await writeFile(right, guard.getSeed());
    await writeFile(wrong, nkeys.createUser().getSeed());
    await ok('cluster', 'status', '--nkey', right);
    expect(await cli('cluster', 'status', '--nkey', wrong)).toMatchObject({ code: 1 });
  });

  it('says so where a user may not do what is asked', async () => {
    const group = await newGroup(await newTopic(1));
    const guest = ['--user', 'guest', '--password', 'guest', '--timeout', '1s'];
    await ok('groups', 'describe', group, ...guest);
    const { code, stdout, stderr } = await cli('groups', 'delete', group, '--force', ...guest);
    expect(stdout + stderr).toMatch(/may not do that|permissions/);
    expect(code).toBe(1);
    await ok('groups', 'describe', group);
    const list = await cli('groups', 'list', ...guest);
    expect(list.stderr).toMatch(/NATS permissions deny .*muster\.real\.all/);
    expect(list.code).toBe(5);
  });

  it('is found through a NATS context', async () => {
    await mkdir(join(folder, '.config/nats/context'), { recursive: true });
    await writeFile(join(folder, '.config/nats/context/here.json'), JSON.stringify({ url: cluster.nats.url }));
    const io = new FakeIo({ home: folder });
    expect((await run(['cluster', 'status', '--context', 'here', '--cluster', cluster.name], io)).code).toBe(0);
  });
});

type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

/** A process of the command line, of which this test sees every output. */
class Spawned {
  readonly #child: ChildProcess;
  readonly ended: Promise<Ended>;
  stdout = '';
  stderr = '';

  constructor(command: string, args: readonly string[]) {
    const { PATH = '', HOME = '', XDG_CACHE_HOME = join(HOME, '.cache') } = process.env;
    // A home without NATS contexts, but with the cache of nats-server binaries.
    const own = { HOME: folder, XDG_CACHE_HOME, TERM: 'xterm-256color' };
    const kept = ['NATS_SERVER_BIN', 'MUSTER_CACHE_DIR'].flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    });
    const env = { PATH, ...own, ...Object.fromEntries(kept), ...environment() };
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.ended = new Promise((resolve) => {
      this.#child.once('close', (code) => resolve({ code, stdout: this.stdout, stderr: this.stderr }));
    });
  }
  /** Waits for a text on standard output. */
  async says(text: string): Promise<void> {
    await until(
      `it says ${JSON.stringify(text)}`,
      () => this.stdout.includes(text),
      30_000,
      () => this.stdout + this.stderr,
    );
  }
  type(text: string): void {
    this.#child.stdin?.write(text);
  }
  endInput(): void {
    this.#child.stdin?.end();
  }
  interrupt(): void {
    this.#child.kill('SIGINT');
  }
}

/** The command line without a terminal. */
function inPipes(...args: readonly string[]): Spawned {
  return new Spawned(process.execPath, [binary, ...args]);
}
/** The command line in a terminal of 120 columns: `script` is part of every Debian. */
function inTerminal(...args: readonly string[]): Spawned {
  const words = [process.execPath, binary, ...args].map((word) => `'${word}'`).join(' ');
  return new Spawned('script', ['-qec', `stty cols 120 rows 40; exec ${words}`, '/dev/null']);
}

describe('a process without a terminal', () => {
  it('never asks and never hangs, whatever its input', async () => {
    const child = inPipes('groups', 'delete', 'something');
    const { code, stdout, stderr } = await child.ended;
    expect(stderr).toMatch(/--force/);
    expect(stdout).toBe('');
    expect(code).toBe(2);
  });

  it('reads lines as they come and tells what it has stored', async () => {
    const topic = await newTopic();
    const child = inPipes('produce', topic, '--partition', '1', '-o', 'csv');
    child.type('eins\nzwei\n');
    child.endInput();
    expect(await child.ended).toMatchObject({
      code: 0,
      stdout: `topic,partition,messages,firstOffset,lastOffset\n${topic},1,2,1,2\n`,
    });
  });

  it('ends a consume in a group at Ctrl-C, in order: what it showed is committed, and it has left', async () => {
    const topic = await newTopic(2);
    const group = newName('group');
    const child = inPipes('consume', topic, '--group', group);
    await until('both are shown', () => child.stdout.split('\n').length === 3);
    child.interrupt();
    expect(await child.ended).toMatchObject({ code: 0 });
    expect(await offsetsOf(group)).toEqual({ [`${topic}:0`]: 2, [`${topic}:1`]: 3 });
    expect(await rows('groups', 'members', group)).toEqual([]);
  });

  it('is a whole cluster for development with one command, until Ctrl-C', async () => {
    const child = inPipes('dev', '--port', '0', '--topic', 'orders:3', '-o', 'json');
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
    const child = inPipes('nats', '--port', '0', '-o', 'name');
    await child.says('nats://127.0.0.1:');
    const url = child.stdout.trim();
    expect(await run(['topics', 'list', '-s', url], new FakeIo())).toMatchObject({ code: 0, stderr: 'no topics\n' });
    child.interrupt();
    expect(await child.ended).toMatchObject({ code: 0 });
  });

  it('is a coordinator node, which the status of the cluster shows', async () => {
    // Alone it can hand its partitions to nobody: it need not try for long.
    const flags = ['--cluster', 'second', '--id', 'x1', '--partitions', '2', '--shutdown-grace-ms', '500'];
    const child = inPipes('node', '--servers', cluster.nats.url, ...flags);
    await child.says('node started');
    await until(
      'it owns all',
      async () =>
        (await run(['cluster', 'status', '--cluster', 'second', '--timeout', '1s'], new FakeIo({ env: environment() })))
          .code === 0,
    );
    child.interrupt();
    expect(await child.ended).toMatchObject({ code: 0 });
  });
});

describe('in a terminal', () => {
  it('what cannot be undone is asked for, and "no" changes nothing', async () => {
    const group = await newGroup(await newTopic(2));
    const child = inTerminal('groups', 'delete', group);
    await child.says('with all offsets?');
    child.type('n');
    const { code, stdout } = await child.ended;
    expect(stdout).toMatch(/nothing was changed/);
    expect(code).toBe(1);
    expect(Object.keys(await offsetsOf(group))).toHaveLength(2);
  });

  it('a reset shows before and after, asks, and does it after "yes"', async () => {
    const topic = await newTopic(2);
    const group = await newGroup(topic);
    const child = inTerminal('groups', 'reset-offsets', group, '--all-topics', '--to-earliest', '--execute');
    await child.says(`Move 2 offsets of group "${group}"?`);
    expect(child.stdout).toMatch(/CURRENT-OFFSET.*NEW-OFFSET/);
    expect(await offsetsOf(group)).toEqual({ [`${topic}:0`]: 3, [`${topic}:1`]: 3 });
    child.type('y');
    const { code, stdout } = await child.ended;
    expect(stdout).toMatch(/moved/);
    expect(code).toBe(0);
    expect(await offsetsOf(group)).toEqual({ [`${topic}:0`]: 1, [`${topic}:1`]: 1 });
  });

  it('Ctrl-C at a question changes nothing', async () => {
    const topic = await newTopic();
    const child = inTerminal('topics', 'delete', topic);
    await child.says('with all messages?');
    child.type('\u0003');
    expect((await child.ended).code).toBe(1);
    await ok('topics', 'describe', topic);
  });

  it('nobody is asked with --force', async () => {
    const topic = await newTopic();
    const { code, stdout } = await inTerminal('topics', 'delete', topic, '--force').ended;
    expect(stdout).toMatch(/deleted/);
    expect(code).toBe(0);
  });

  it('tables have coloured heads, and other formats have no colours', async () => {
    const topic = await newTopic();
    expect((await inTerminal('topics', 'list').ended).stdout).toContain('\u001b[1m');
    const { stdout } = await inTerminal('topics', 'list', '-o', 'name').ended;
    expect(stdout.replaceAll('\r', '').split('\n')).toContain(topic);
    expect(stdout).not.toContain('\u001b[1m');
  });

  it('a watch stays in place on the screen and ends at Ctrl-C', async () => {
    const topic = await newTopic(2);
    const group = await newGroup(topic);
    const child = inTerminal('groups', 'watch', group, '--interval', '200ms');
    await until('it has looked twice', () => child.stdout.split('\u001b[2J').length > 3);
    child.type('\u0003');
    const { code, stdout } = await child.ended;
    expect(stdout).toMatch(new RegExp(`${group}: Empty, generation`));
    expect(code).toBe(0);
  });

  it('a cluster for development says how to connect, and ends at Ctrl-C', async () => {
    const child = inTerminal('dev', '--port', '0');
    await child.says('Ctrl-C ends it all');
    expect(child.stdout).toMatch(/export NATS_URL=nats:\/\/127\.0\.0\.1:\d+/);
    child.type('\u0003');
    expect((await child.ended).code).toBe(0);
  });
});
