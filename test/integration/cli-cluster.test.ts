/**
 * The command line and the cluster: its status, which one is meant, who may do what. Inside this process, against a real server with
 * users.
 */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect as connectNats, nkeys } from 'nats';
import { afterAll, beforeAll, describe, expect, it, test, vi } from 'vitest';
import { FakeIo, run } from '../../packages/cli/test/fake-io.js';
import { CliScene } from '../../packages/cli/test/scene.js';
import type { RealCluster } from '../world/real-cluster.js';

const guard = nkeys.createUser();

/** Who does not say who they are may do everything; a guest may neither delete groups nor list them. */
const extraConfig = `
authorization {
  users = [
    { user: all, password: all }
    { nkey: ${guard.getPublicKey()} }
    { user: guest, password: guest, permissions: { publish: { deny: ["muster.real.g.*.*.delete", "muster.real.all"] } } }
    { user: boxed, password: boxed, permissions: { subscribe: ["_INBOX_own.>"] } }
    { user: reader, password: reader, permissions: {
      publish: { deny: ["muster.real.g.*.*.join", "muster.real.t.>", "$JS.API.STREAM.CREATE.>"] }
    } }
  ]
}
no_auth_user: all
`;

let scene: CliScene;
let cluster: RealCluster;
let folder: string;

vi.setConfig({ testTimeout: 30_000 });

beforeAll(async () => {
  scene = await CliScene.start(extraConfig);
  ({ cluster, folder } = scene);
  await ok('topics', 'create', 'early', '--partitions', '1', '--cluster', 'waiting', '--force');
});
afterAll(() => scene?.close());

const cli = (...args: readonly string[]) => scene.cli(...args);
const ok = (...args: readonly string[]) => scene.ok(...args);
const newTopic = (count?: number) => scene.newTopic(count);
const newGroup = (topic: string) => scene.newGroup(topic);

describe('the cluster', () => {
  it('has its status', async () => {
    const status = JSON.parse(await ok('cluster', 'status', '-o', 'json'));
    expect(status).toMatchObject({ cluster: 'real', partitionCount: 4, unownedPartitions: [] });
    expect(status.nodes).toEqual([
      expect.objectContaining({ node: 'n1', state: 'alive', share: 1, partitions: [0, 1, 2, 3] }),
    ]);
    expect(status.record).toMatchObject({ partitionCount: 4, streamCount: 1, replicas: 1 });
    expect(status.partitions[3]).toMatchObject({ owner: 'n1', epoch: 1, stream: 'MUSTER_real_LOG_0' });
    expect(status.logStreams).toEqual([expect.objectContaining({ inSync: 1, replicas: 1, fill: null, problem: null })]);
    const [head, , titles, node] = (await ok('cluster', 'status')).split('\n');
    expect(head).toMatch(/^cluster real: 4 partitions in 1 log stream, 1 replica, log /);
    expect(titles).toBe('NODE  INCARNATION  STATE  LEASE-AGE  #PARTITIONS  SHARE  EPOCHS');
    expect(node).toMatch(/^n1 {4}\S{8} {5}alive +\d\.\ds +4 {2}100 % {2}1$/);
    expect(await ok('cluster', 'status', '--partitions', '-o', 'csv')).toMatch(
      /^partition,owner,epoch,stream\n0,n1,1,/,
    );
    expect(await ok('cluster', 'status', '--streams', '-o', 'name')).toBe('MUSTER_real_LOG_0\n');
    expect(await cli('cluster', 'status', '--streams', '--partitions')).toMatchObject({ code: 2 });
  });

  it('that does not exist is an error at once, with the names of those that do', async () => {
    const commands = [
      ['cluster', 'status'],
      ['groups', 'list'],
      ['groups', 'describe', 'g'],
      ['topics', 'list'],
      ['produce', 'orders', 'x'],
      ['consume', 'orders'],
      ['consume', 'orders', '--group', 'g'],
    ];
    for (const command of commands) {
      const { code, stdout, stderr } = await cli(...command, '--cluster', 'raal');
      expect(stderr, command.join(' ')).toMatch(/there is no Muster cluster "raal" here: .*; there are: .*\breal\b/);
      expect(stderr).toMatch(/\nname one of them with --cluster/);
      expect(stdout).toBe('');
      expect(code).toBe(3);
    }
  });

  it('that does not exist yet may get topics with --force, which is said', async () => {
    const create = ['topics', 'create', 'early', '--partitions', '1', '--cluster', 'next'];
    const adopt = ['topics', 'adopt', 'x', '--stream', 'X', '--subject', 'x.{partition}.{key}', '--partitions', '1'];
    for (const command of [create, [...adopt, '--cluster', 'next']]) {
      const refused = await cli(...command);
      expect(refused.stderr).toMatch(
        /there is no Muster cluster "next" .*\n.*before the first coordinator starts add --force\n/,
      );
      expect(refused).toMatchObject({ code: 3, stdout: '' });
    }
    expect(await cli('topics', 'list', '--cluster', 'next')).toMatchObject({ code: 3 });
    const made = await cli(...create, '--force');
    expect(made).toMatchObject({ code: 0, stderr: expect.stringContaining('note: there is no Muster cluster "next"') });
    expect(await ok('topics', 'list', '--cluster', 'next', '-o', 'name')).toBe('early\n');
  });

  it('shows what the store holds while no coordinator answers', async () => {
    const nats = await connectNats({ servers: cluster.nats.url });
    const leases = await nats.jetstream().views.kv('MUSTER_gone');
    const { record } = JSON.parse(await ok('cluster', 'status', '-o', 'json'));
    await leases.put('cluster', JSON.stringify({ format: 1, ...record }));
    const lease = { v: 1, node: 'n9', incarnation: 'abcdefghijkl', state: 'dead', renewal: 7, markedBy: 'n8' };
    await leases.put('node.n9', JSON.stringify(lease));
    await nats.close();
    const shown = await cli('cluster', 'status', '--cluster', 'gone', '--timeout', '500ms');
    expect(shown.stdout).toMatch(/\nn9 +abcdefgh +dead +0\.\ds +0 +0 % +-\n/);
    expect(shown.stdout).toMatch(/\nMUSTER_gone_LOG_0 +- +-/);
    expect(shown.stderr).toMatch(/no coordinator node answers.*\nstart a coordinator/);
    expect(shown.code).toBe(5);
  });

  it('says that the store was deleted where only the log is left', async () => {
    const nats = await connectNats({ servers: cluster.nats.url });
    await (await nats.jetstreamManager()).streams.add({ name: 'MUSTER_lost_LOG_0', subjects: ['muster.lost.log.*.*'] });
    await nats.close();
    const shown = await cli('cluster', 'status', '--cluster', 'lost', '--timeout', '500ms');
    expect(shown).toMatchObject({ code: 5, stdout: '' });
    expect(shown.stderr).toMatch(
      /^the store KV_MUSTER_lost does not exist any more.*deleted\n"muster cluster restore-log/,
    );
  });

  test.each([
    ['without coordinators', ['--cluster', 'waiting', '--timeout', '500ms'], /muster node/],
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
    expect(list.stderr).toMatch(/^error: NATS permissions deny .*publish to muster\.real\.all\n.*accounts\.conf.*\n$/);
    expect(list.code).toBe(1);
    const status = await cli('cluster', 'status', ...guest);
    expect(status.stdout).toMatch(/\nn1 .*alive/);
    expect(status.stderr).toMatch(
      /may not ask the nodes .*muster\.real\.all.*: shown is what they say of themselves\n$/,
    );
    expect(status.code).toBe(0);
  });

  it.each([
    ['groups', 'list', '--user', 'boxed', '--password', 'boxed'],
    ['topics', 'list', '--user', 'boxed', '--password', 'boxed'],
  ])('says that answers are sent to where a user may not listen: %s %s', async (...args) => {
    const { code, stderr } = await cli(...args, '--timeout', '20s');
    expect(stderr).toMatch(/^error: NATS permissions deny this user to subscribe to _INBOX\..*\ngive --inbox-prefix/);
    expect(code).toBe(1);
    await ok(...args, '--inbox-prefix', '_INBOX_own');
  });

  it('says at once what a user may not send, and that in one error', async () => {
    const topic = await newTopic(1);
    const reader = ['--user', 'reader', '--password', 'reader', '--timeout', '20s'];
    for (const [args, subject] of [
      [['produce', topic, 'x'], 'muster.real.t.'],
      [['topics', 'create', 'mine', '--partitions', '1'], '$JS.API.STREAM.CREATE.'],
      [['consume', topic, '--group', 'readers'], '.join'],
    ] as const) {
      const { code, stderr } = await cli(...args, ...reader);
      expect(stderr).toContain(subject);
      expect(stderr).toContain('accounts.conf');
      expect(stderr.match(/^error: /gm), stderr).toHaveLength(1);
      expect(code).toBe(1);
    }
  });

  it('is found through a NATS context', async () => {
    await mkdir(join(folder, '.config/nats/context'), { recursive: true });
    await writeFile(join(folder, '.config/nats/context/here.json'), JSON.stringify({ url: cluster.nats.url }));
    const io = new FakeIo({ home: folder });
    expect((await run(['cluster', 'status', '--context', 'here', '--cluster', cluster.name], io)).code).toBe(0);
  });
});

describe('at the end, a cluster that has lost something', () => {
  it('is not well where a log stream is not what it was', async () => {
    const nats = await connectNats({ servers: cluster.nats.url });
    const { streams } = await nats.jetstreamManager();
    await streams.delete('MUSTER_real_LOG_0');
    const shown = await cli('cluster', 'status');
    await nats.close();
    expect(shown.stderr).toContain('MUSTER_real_LOG_0: ');
    expect(shown.code).toBe(6);
  });
});
