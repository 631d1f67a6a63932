/**
 * The command line against a real server and a real coordinator, inside this process: its own code, only the streams are ours.
 * What is about the cluster itself is in cli-cluster.test.ts; what is about processes, signals and terminals is in cli-terminal.test.ts and cli-ending.test.ts.
 */

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Consumer, Muster } from '@muster/worker';
import { connect as connectNats } from 'nats';
import { afterAll, beforeAll, describe, expect, it, test, vi } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { FakeIo, run } from '../../packages/cli/test/fake-io.js';
import { CliScene } from '../../packages/cli/test/scene.js';
import { until } from '../world/processes.js';
import type { RealCluster } from '../world/real-cluster.js';

let scene: CliScene;
let cluster: RealCluster;
let muster: Muster;
let folder: string;

vi.setConfig({ testTimeout: 30_000 });

beforeAll(async () => {
  scene = await CliScene.start();
  ({ cluster, muster, folder } = scene);
});
afterAll(() => scene?.close());

const environment = () => scene.environment;
const newName = (what: string) => scene.newName(what);
const cli = (...args: readonly string[]) => scene.cli(...args);
const ok = (...args: readonly string[]) => scene.ok(...args);
const rows = (...args: readonly string[]) => scene.rows(...args);
const newTopic = (count?: number) => scene.newTopic(count);
const newGroup = (topic: string) => scene.newGroup(topic);
const offsetsOf = (group: string) => scene.offsetsOf(group);

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

  it('exist already with other settings: what differs is named, and nothing is changed', async () => {
    const topic = newName('orders');
    const create = ['topics', 'create', topic, '--partitions', '2'];
    await ok(...create, '--max-age', '1d', '--max-bytes', '1GiB');
    const same = ['--max-age', '24h', '--max-bytes', '1GiB', '--replicas', '1', '--duplicate-window', '2m'];
    await ok(...create, ...same, '--storage', 'file');
    const other = await cli(...create, '--max-age', '36h', '--storage', 'memory', '--duplicate-window', '121s');
    expect(other.stderr).toContain(
      `"${topic}" exists with other settings: --storage is file, not memory; --max-age is 1d, not 36h; --duplicate-window is 2m, not 121s\nnothing was changed`,
    );
    expect(other).toMatchObject({ code: 4, stdout: '' });
    await ok(...create, ...same);
  });

  it('are described as far as they are there', async () => {
    const topic = await newTopic(1);
    const partly = await cli('topics', 'describe', topic, 'nope', '-o', 'name');
    expect(partly.stdout).toBe(`${topic}:0\n${topic}:1\n`);
    expect(partly.stderr).toMatch(/^error: .*nope.*\n"muster topics list"/);
    expect(partly.code).toBe(6);
    const nats = await connectNats({ servers: cluster.nats.url });
    await (await nats.jetstreamManager()).streams.delete(`MUSTER_real_T_${topic}`);
    await nats.close();
    const gone = await cli('topics', 'describe', topic);
    expect(gone.stderr).toContain(
      `its stream MUSTER_real_T_${topic} does not exist: its messages are gone\n"muster topics`,
    );
    expect(gone).toMatchObject({ code: 3, stdout: '' });
    await ok('topics', 'delete', topic, '--force');
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
    const again = await cli(...adopt.with(2, `${stream}-2`), '--partitions', '4');
    expect(again).toMatchObject({ code: 4, stderr: expect.stringContaining(`is the topic "${stream}" already`) });
    const forced = await cli(...adopt.with(2, `${stream}-2`), '--partitions', '4', '--force');
    expect(forced.code).toBe(0);
    expect(forced.stderr).not.toContain('keys go by');
    const hashed = [...adopt.with(2, `${stream}-3`), '--partitions', '4', '--force', '--key-hash', 'murmur2'];
    expect((await cli(...hashed)).stderr).toContain(`keys go by murmur2 here and by fnv1a in "${stream}"`);
    const beyond = await cli('consume', stream, '--from', '7', '--idle', '300ms');
    expect(beyond.stderr).toBe(`waiting for offset 7 of ${stream}: the end is 2\n`);
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

  it('that cannot be read are named by line, with what was stored before', async () => {
    const topic = await newTopic();
    const produce = async (stdin: string) => {
      const io = new FakeIo({ env: environment(), stdin });
      return await run(['produce', topic, '--input', 'json', '-o', 'csv'], io);
    };
    const partly = await produce('{"value":"a"}\n\n{"value":"b"}\nnonsense\n{"value":"c"}\n');
    expect(partly.stderr).toMatch(/error: line 4: "nonsense" is no JSON.*\n2 messages before it stored, nothing from/);
    expect(partly.code).toBe(6);
    const nothing = await produce('nonsense\n{"value":"c"}\n');
    expect(nothing).toMatchObject({ code: 2, stderr: expect.stringContaining('nothing was stored') });
  });

  it('that are no JSON are pointed out once to a person, and to nobody else', async () => {
    const topic = await newTopic();
    const produce = async (isTerminal: boolean, ...values: readonly string[]) =>
      await run(['produce', topic, ...values], new FakeIo({ env: environment(), isTerminal }));
    const note = 'note: "hello" is no JSON\nworkers decode JSON unless they are given another codec\n';
    expect((await produce(true, '1', 'hello', 'world')).stderr).toBe(note);
    expect((await produce(true, '{"total":3}', '"hello"')).stderr).toBe('');
    expect((await produce(false, 'hello')).stderr).toBe('');
  });

  it('that JetStream cannot take are refused with what to do about it', async () => {
    const topic = await newTopic();
    const long = newName('long');
    for (const [args, advice] of [
      [['x'.repeat(1_100_000)], /too large.*\nstore what is large elsewhere/],
      [['1', '--partition', '9'], /no partition 9.*\n"muster topics describe <topic>"/],
      [['1', '--key', long.padEnd(5_000, 'k')], /too long.*\nshorten the key/],
    ] as const) {
      const refused = await cli('produce', topic, ...args);
      expect(refused.stderr.slice(0, 1_000)).toMatch(advice);
      expect(refused.code).not.toBe(0);
    }
  });

  it('are given up at Ctrl-C while no coordinator answers', async () => {
    expect(
      await cli('topics', 'create', 'lonely', '--partitions', '1', '--cluster', 'nobody', '--force'),
    ).toMatchObject({
      code: 0,
    });
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

  it('are waited for as long as --timeout says while no coordinator answers', async () => {
    await cli('topics', 'create', 'lonely', '--partitions', '1', '--cluster', 'nobody', '--force');
    const flags = ['--cluster', 'nobody', '--timeout', '1s'];
    const { code, stdout } = await cli('consume', 'lonely', '--group', 'g', ...flags);
    expect(stdout).toBe('');
    expect(code).toBe(5);
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
    const listed = (...flags: string[]) => ok('groups', 'list', ...flags, '-o', 'name');
    expect(await listed('--state', 'empty,STABLE', '--type', 'Classic', '--match', `^${group}$`)).toBe(`${group}\n`);
    expect(await listed('--state', 'empty', 'stable', '--match', `^${group}$`)).toBe(`${group}\n`);
    expect(await listed('--state', '--type')).toContain(group);
    expect(await listed('--type', 'consumer')).toBe('');
    expect(await listed('--match', `^x${group}`)).toBe('');
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
    expect(await ok('groups', 'members', group)).not.toContain('ASSIGNMENT');
    const verbose = await ok('groups', 'describe', group, '--members', '--verbose');
    expect(verbose).toMatch(new RegExp(`ASSIGNMENT\\n.* ${topic}\\(0,1\\)\\n$`));
    expect(await ok('groups', 'members', group, '--verbose')).toBe(verbose);
    expect(await ok('groups', 'state', group, '--verbose')).toMatch(/EPOCH +LEADER\n/);
    expect(await ok('groups', 'describe', group, '--verbose')).toMatch(/GROUP-INSTANCE-ID\n.* first\n/);
    expect(await ok('groups', 'describe', group, '--state')).toBe(await ok('groups', 'state', group));
    expect(await ok('groups', 'describe', '--all-groups', '-o', 'name')).toContain(`${topic}:1\n`);
  });

  it('is not named where there are many like it', async () => {
    const idle = await Promise.all(Array.from({ length: 4 }, () => newGroup(topic)));
    const few = await cli('groups', 'describe', ...idle.slice(0, 2));
    expect(few.stderr.match(/^the group "group-\d+" has no active members$/gm)).toHaveLength(2);
    expect((await cli('groups', 'describe', ...idle)).stderr).toBe('4 groups have no active members\n');
  });

  it('has a history', async () => {
    const [first] = await rows('groups', 'history', group);
    expect(first).toMatchObject({ group, generation: 1, members: 1, moved: 2, cause: expect.stringMatching(/join/) });
  });

  it('is watched as one CSV with the time in each line', async () => {
    const text = await ok('groups', 'watch', group, '--interval', '100ms', '--count', '2', '-o', 'csv');
    const lines = text.trimEnd().split('\n');
    expect(lines).toHaveLength(5);
    expect(lines[0]).toMatch(/^at,group,topic,/);
    for (const line of lines.slice(1)) expect(line).toMatch(new RegExp(`^\\d{4}-.*Z,${group},`));
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
    const flags = ['--topic', topic, '--force', '-o', 'csv'];
    const { code, stdout, stderr } = await cli('groups', 'delete-offsets', group, ...flags);
    expect(stdout).toContain(`${group},${topic},0,GROUP_SUBSCRIBED_TO_TOPIC`);
    expect(stderr).toMatch(/^error: .*subscribed.*\nGROUP_SUBSCRIBED_TO_TOPIC: stop its members first/);
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

  it('are removed for a reason, which the history keeps', async () => {
    const topic = await newTopic();
    const group = newName('group');
    const consumer = await muster.consumer({ group, topics: [topic], instanceId: 'one' });
    await consumer.close({ leave: false, timeoutMs: 2_000 });
    await ok('groups', 'remove-member', group, '--all', '--force', '--reason', 'stuck deploy, 17');
    const history = await rows('groups', 'history', group);
    expect(history.at(-1)).toMatchObject({ cause: 'member-left', reason: 'stuck deploy, 17' });
    expect(history[0]).toMatchObject({ reason: null });
    expect(await ok('groups', 'history', group)).toMatch(/REASON.*\n(.*\n)*.*stuck deploy, 17/);
  });
});

describe('offsets of a group', () => {
  it('are shown before and after, and change only with --execute', async () => {
    const topic = await newTopic(4);
    const group = await newGroup(topic);
    const before = await offsetsOf(group);
    const planned = await cli('groups', 'reset-offsets', group, '--all-topics', '--to-earliest');
    expect(planned.stdout.split('\n')[1]).toMatch(new RegExp(`^${group} +${topic} +0 +4 +1 +2 +0 +dry run$`));
    expect(planned.stderr).toMatch(/^4 messages come again\nthis was a dry run: add --execute/);
    expect(await offsetsOf(group)).toEqual(before);
    const moved = await rows('groups', 'reset-offsets', group, '--all-topics', '--to-earliest', '--execute');
    expect(moved[0]).toEqual({
      ...{ group, topic, partition: 0, currentOffset: 4, newOffset: 1 },
      ...{ again: 2, skipped: 0, result: 'moved' },
    });
    expect(await offsetsOf(group)).toEqual({ [`${topic}:0`]: 1, [`${topic}:1`]: 1 });
  });

  it('say how many messages are skipped, of this partition alone', async () => {
    const topic = await newTopic(7);
    const group = await newGroup(topic);
    await ok('groups', 'reset-offsets', group, '--all-topics', '--to-earliest', '--execute');
    const { stdout, stderr } = await cli('groups', 'reset-offsets', group, '--topic', `${topic}:1`, '--to-latest');
    expect(stdout.split('\n')[1]).toMatch(/ 1 +7 +0 +3 +dry run$/);
    expect(stderr).toMatch(/^3 messages are skipped\n/);
  });

  it('of a group that does not exist are planned too, and that is said', async () => {
    const [topic, group] = [await newTopic(1), newName('new')];
    const { code, stderr } = await cli('groups', 'reset-offsets', group, '--topic', topic, '--to-latest');
    expect(stderr).toContain(`the group "${group}" does not exist: --execute makes it\n`);
    expect(code).toBe(0);
    const nowhere = await cli('groups', 'reset-offsets', group, '--all-topics', '--to-latest');
    expect(nowhere.stderr).toMatch(/does not exist, so it has no offsets\nname topics with --topic/);
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
    expect(await to('--to-latest')).toBe(10);
    expect(await to('--to-current')).toBe(10);
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
    expect(await readFile(file, 'utf8')).toBe(`${topic},0,2\n${topic},1,3\n`);
    await ok('groups', 'reset-offsets', copy, '--all-topics', '--to-earliest', '--execute');
    await ok('groups', 'reset-offsets', copy, '--from-file', file, '--execute');
    expect(await offsetsOf(copy)).toEqual(await offsetsOf(group));
    const nobody = await cli('groups', 'reset-offsets', copy, '--from-group', 'nope', '--execute');
    expect(nobody).toMatchObject({ code: 3, stderr: expect.stringContaining('group "nope" does not exist') });
    expect(nobody.stderr).toContain('nothing was changed');
    const both = await ok('groups', 'reset-offsets', group, copy, '--all-topics', '--to-current', '--export');
    expect(both).toContain(`${copy},${topic},1,3\n`);
    await writeFile(file, both);
    const one = await cli('groups', 'reset-offsets', copy, '--from-file', file);
    expect(one.stderr).toContain(`note: 2 rows of ${file} left out: of groups that are not named here\n`);
    expect((await cli('groups', 'reset-offsets', group, copy, '--from-file', file)).stderr).not.toContain('left out');
    const exported = await cli(
      'groups',
      'reset-offsets',
      copy,
      '--all-topics',
      '--to-current',
      '--export',
      '-o',
      'json',
    );
    expect(exported).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('--export prints CSV') });
  });

  it('are refused for what does not exist', async () => {
    const topic = await newTopic();
    const reset = (...flags: string[]) => cli('groups', 'reset-offsets', newName('group'), ...flags);
    const unknown = await reset('--topic', 'nope', '--to-latest');
    expect(unknown.stderr).toMatch(/^error: nope:0: .*\nUNKNOWN_TOPIC/m);
    expect(unknown.code).toBe(3);
    const missing = await reset('--topic', `${topic}:7`, '--to-latest');
    expect(missing.stderr).toContain(`the topic "${topic}" has partitions 0 to 1: there is no 7\n`);
    expect(missing.stderr).toContain('"muster topics describe <topic>" shows its partitions');
    expect(missing.code).toBe(3);
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
    const [group, second] = [await newGroup(topic), await newGroup(topic)];
    await ok('groups', 'delete-offsets', group, '--topic', `${topic}:0`, '--force');
    expect(await offsetsOf(group)).toEqual({ [`${topic}:1`]: 3 });
    expect(await cli('groups', 'delete-offsets', group, '--topic', 'nope', '--force')).toMatchObject({ code: 3 });
    const none = await cli('groups', 'delete-offsets', group, '--topic', `${topic}:0,7`, '--force', '-o', 'csv');
    expect(none.stdout).toContain(`${topic},0,NO_COMMITTED_OFFSET\n${group},${topic},7,NO_COMMITTED_OFFSET\n`);
    expect(none.stderr).toMatch(/^error: .*\nNO_COMMITTED_OFFSET: "muster groups describe <group>" shows/);
    expect(none.code).toBe(3);
    const partly = await cli('groups', 'delete-offsets', second, '--topic', topic, '--topic', 'nope', '--force');
    expect(partly.stdout).toMatch(/ 1 +deleted\n.* nope +- +UNKNOWN_TOPIC\n$/);
    expect(partly.code).toBe(6);
    const named = await cli('groups', 'delete', 'nope', '--force', '-o', 'name');
    expect(named).toMatchObject({ code: 3, stdout: '' });
    const deleted = await cli('groups', 'delete', group, 'nope', '--force', '-o', 'csv');
    expect(deleted.stdout).toBe(`group,result\n${group},deleted\nnope,GROUP_ID_NOT_FOUND\n`);
    expect(deleted.stderr).toMatch(/^error: nope: the group does not exist\n/);
    expect(deleted.code).toBe(6);
    expect(await cli('groups', 'describe', group)).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('groups list'),
    });
  });
});
