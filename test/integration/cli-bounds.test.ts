/**
 * How commands end as processes: in order where nobody reads their results any more, in bounded time where nobody answers, at once
 * where something is forbidden. A process that lingers (a socket, a timer) is seen only from outside: each is waited for until it has
 * ended, far less long than what it must not wait for.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type RunningNode, readConfig, startNode } from '@muster/coordinator';
import { type NatsServerHandle, startNatsServer } from '@muster/nats-server';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { FakeIo, type Ran, run } from '../../packages/cli/test/fake-io.js';
import { binary, CliScene, type Ended, Spawned } from '../../packages/cli/test/scene.js';
import { until } from '../world/processes.js';
import { DEPLOY } from './deployed-servers.js';

vi.setConfig({ testTimeout: 60_000 });

/** What a command that must not linger gets; the times that it must not wait for are a minute and more. */
const SOON_MS = 20_000;

async function endedOf(child: Spawned): Promise<Ended> {
  let ended: Ended | undefined;
  void child.ended.then((how) => {
    ended = how;
  });
  try {
    await until('it has ended', () => ended !== undefined, SOON_MS);
  } finally {
    if (ended === undefined) child.signal('SIGKILL');
  }
  if (ended === undefined) throw new Error('it has not ended');
  return ended;
}

describe('a command whose results go nowhere', () => {
  let scene: CliScene;
  beforeAll(async () => {
    scene = await CliScene.start();
  });
  afterAll(() => scene?.close());

  /** The command line in a shell, such as `muster consume ... | head -1`. */
  const inShell = (args: readonly string[], rest: string) => {
    const words = [process.execPath, binary, ...args].map((word) => `'${word}'`).join(' ');
    return new Spawned('sh', ['-c', `${words} ${rest}`], { HOME: scene.folder, ...scene.environment });
  };

  it('leaves its group when nobody reads any more, and what could not be shown comes again', async () => {
    const topic = await scene.newTopic();
    const group = scene.newName('group');
    const child = inShell(['consume', topic, '--group', group, '--raw'], '| head -1; echo the shell goes on');
    let isOver = false;
    void child.ended.then(() => {
      isOver = true;
    });
    // It hears of the closed pipe when it writes: messages come until it has.
    let sent = 0;
    while (!isOver && sent < 2_000) {
      sent += 1;
      await scene.ok('produce', topic, String(sent), '--partition', '0');
    }
    expect(await child.ended).toMatchObject({ code: 0, stdout: '1\nthe shell goes on\n', stderr: '' });
    expect(await scene.rows('groups', 'members', group)).toEqual([]);
    const [{ lag } = { lag: 0 }] = await scene.rows('groups', 'describe', group);
    expect(lag).toBeGreaterThan(0);
  });

  it('ends a watch when nobody reads any more', async () => {
    const group = await scene.newGroup(await scene.newTopic());
    const watch = ['groups', 'watch', group, '--interval', '100ms', '-o', 'json'];
    expect(await endedOf(inShell(watch, '| head -1'))).toMatchObject({ code: 0, stderr: '' });
  });

  it('says so where they cannot be written, and fails', async () => {
    const { code, stderr } = await endedOf(inShell(['topics', 'list', '-o', 'csv'], '> /dev/full'));
    expect(stderr).toMatch(/^error: the results cannot be written: ENOSPC.*\n.*another place/);
    expect(code).toBe(1);
  });
});

describe('a watch', () => {
  it('says that NATS is gone while no answer could yet be late, and that it is back', async () => {
    const scene = await CliScene.start();
    try {
      const group = await scene.newGroup(await scene.newTopic());
      const io = new FakeIo({ env: scene.environment });
      // A look that fails takes two minutes: whatever is said before does not come from there.
      const watching = run(['groups', 'watch', group, '--interval', '100ms', '--timeout', '2m', '-o', 'name'], io);
      await until('it has looked', () => io.stdout !== '');
      const [server] = scene.cluster.nats.servers;
      await server?.kill();
      await until('it says that NATS is gone', () => /Z {2}the connection to NATS is gone/.test(io.stderr));
      await server?.restart();
      await until('it says that NATS is back', () => /Z {2}the connection to NATS is back/.test(io.stderr));
      io.interruption.abort();
      expect(await watching).toMatchObject({ code: 0 });
    } finally {
      await scene.close();
    }
  });
});

describe('a server that does not answer', () => {
  const closing: (() => void)[] = [];
  afterAll(() => {
    for (const close of closing) close();
  });
  const ask = (url: string) =>
    new Spawned(process.execPath, [binary, 'groups', 'list', '-s', url, '--timeout', '300ms'], {
      HOME: '/nonexistent',
    });

  it('is given up after --timeout, and holds nobody', async () => {
    const silent = createServer(() => {});
    silent.listen(0, '127.0.0.1');
    closing.push(() => silent.close());
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const servers = Array.from({ length: 3 }, () => `nats://127.0.0.1:${port}`).join(',');
    const { code, stderr } = await endedOf(ask(servers));
    expect(stderr).toMatch(/^error: no NATS server answers at .*: none within 300 ms\ncheck --server/);
    expect(code).toBe(5);
  });

  it('is given up also where not even the dial is answered', async () => {
    const script = `require('net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, function () {
      console.log(this.address().port);
    })`;
    const paused = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    closing.push(() => paused.kill('SIGKILL'));
    const [first] = (await once(paused.stdout, 'data')) as [Buffer];
    const port = Number(first.toString());
    paused.kill('SIGSTOP');
    // Nobody takes them: its queue is full, and whoever comes after these waits for minutes.
    const waiting = Array.from({ length: 8 }, (): Socket => connect(port, '127.0.0.1').on('error', () => {}));
    closing.push(() => {
      for (const socket of waiting) socket.destroy();
    });
    await until('some are in the queue', () => waiting.some(({ connecting }) => !connecting));
    expect(await endedOf(ask(`nats://127.0.0.1:${port}`))).toMatchObject({ code: 5 });
  });
});

describe('with the users of deploy/nats/accounts.conf', () => {
  let server: NatsServerHandle;
  let node: RunningNode;
  beforeAll(async () => {
    const accounts = await readFile(`${DEPLOY}nats/accounts.conf`, 'utf8');
    server = await startNatsServer({ extraConfig: accounts.replace(/\$[A-Z_]+_PASSWORD\b/g, 'secret') });
    const flags = { servers: server.url, user: 'coordinator', password: 'secret', partitions: '3', id: 'n1' };
    node = await startNode(readConfig({ flags, env: {}, file: undefined }), pino({ level: 'silent' }));
    await until('it owns all', async () => (await asked('admin', 'cluster', 'status')).code === 0);
  });
  afterAll(async () => {
    await node?.stop();
    await server?.stop();
  });

  const flagsOf = (user: string) => ['-s', server.url, '--user', user, '--password', 'secret', '--timeout', '2m'];
  const asked = (user: string, ...args: readonly string[]): Promise<Ran> =>
    run([...args, ...flagsOf(user), '--inbox-prefix', `_INBOX_${user}`], new FakeIo());

  it.each([
    ['groups list', ['groups', 'list', '--inbox-prefix', '_INBOX_worker'], 'publish to muster.default.all'],
    ['cluster status', ['cluster', 'status', '--inbox-prefix', '_INBOX_worker'], 'publish to muster.default.all'],
    ['groups list without its inbox prefix', ['groups', 'list'], 'subscribe to _INBOX.'],
  ])('a worker that asks %s is denied at once, and the process ends', async (_, args, what) => {
    const child = new Spawned(process.execPath, [binary, ...args, ...flagsOf('worker')], { HOME: '/nonexistent' });
    const { code, stderr } = await endedOf(child);
    expect(stderr).toContain(`error: NATS permissions deny this user to ${what}`);
    expect(code).toBe(1);
  });

  it('an operator sees leases and log streams, and is told that it does not see who owns what', async () => {
    const { code, stdout, stderr } = await asked('operator', 'cluster', 'status');
    expect(stdout).toMatch(
      /^cluster default: 3 partitions in .*\nnot visible to this NATS user: owners of partitions\n/,
    );
    expect(stdout).toMatch(/\nn1 +\S{8} +alive +\d\.\ds +- +- +-\n/);
    expect(stdout).toContain('MUSTER_default_LOG_0');
    expect(stderr).toMatch(/may not ask the nodes .*muster\.default\.find.*: who owns which partition is not known\n$/);
    expect(code).toBe(0);
    const inJson = JSON.parse((await asked('operator', 'cluster', 'status', '-o', 'json')).stdout);
    expect(inJson).toMatchObject({
      hidden: ['owners of partitions'],
      unownedPartitions: null,
      nodes: [{ state: 'alive', share: null, partitions: null }],
    });
  });

  it('an administrator sees the nodes and who owns what, and is told that it sees no more', async () => {
    const { code, stdout, stderr } = await asked('admin', 'cluster', 'status');
    expect(stdout).toMatch(/^cluster default: 3 partitions\nnot visible to this NATS user: leases, log streams\n/);
    expect(stdout).toMatch(/\nn1 +- +- +- +3 +100 % +-\n/);
    expect(stderr).toMatch(/not visible to this NATS user/);
    expect(code).toBe(0);
  });
});
