/**
 * The package nats-server against real servers: what it starts works, survives what it should, and leaves nothing behind.
 */

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readlinkSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import {
  type NatsServerHandle,
  type NatsServerOptions,
  resolveNatsServer,
  startNatsCluster,
  startNatsServer,
} from '@muster/nats-server';
import { connect, type NatsConnection, type StreamInfo, StringCodec } from 'nats';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';

const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));
const WAIT_MS = 20_000;
const text = StringCodec();

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function stopLater(handle: NatsServerHandle): NatsServerHandle {
  cleanups.push(() => handle.stop());
  return handle;
}

async function connectTo(handle: NatsServerHandle, name?: string): Promise<NatsConnection> {
  const url = handle.servers.find((server) => server.name === name)?.clientUrl;
  const connection = await connect({ servers: url ?? [...handle.urls], timeout: 5_000, maxReconnectAttempts: -1 });
  cleanups.push(() => connection.close());
  return connection;
}

async function tempFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'muster-test-'));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + WAIT_MS;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`${what} did not come true within ${WAIT_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** The temporary folder of a handle: the supervisor's, which is the working folder of its servers. */
const rootOf = (pid: number): string => readlinkSync(`/proc/${pid}/cwd`);

describe('a single server', () => {
  it('accepts clients and JetStream writes, and leaves no process and no folder after stop', async () => {
    const handle = await startNatsServer();
    const pid = handle.servers[0]!.pid!;
    const root = rootOf(pid);
    const connection = await connectTo(handle);
    const jsm = await connection.jetstreamManager();
    await jsm.streams.add({ name: 'S', subjects: ['s.>'] });
    expect((await connection.jetstream().publish('s.1', text.encode('one'))).seq).toBe(1);
    await connection.close();
    expect(existsSync(root)).toBe(true);
    await Promise.all([handle.stop(), handle.stop()]);
    expect(isAlive(pid)).toBe(false);
    expect(existsSync(root)).toBe(false);
    await expect(handle.servers[0]!.restart()).rejects.toMatchObject({ code: 'stopped' });
  });

  it('keeps its data, ports and name over kill and restart, and has another pid', async () => {
    const handle = stopLater(await startNatsServer({ extraConfig: 'max_payload: 2MB', syncInterval: 'always' }));
    const [server] = handle.servers;
    const before = { pid: server!.pid!, url: server!.clientUrl };
    const connection = await connectTo(handle);
    expect(connection.info?.max_payload).toBe(2 * 1024 * 1024);
    await (await connection.jetstreamManager()).streams.add({ name: 'S', subjects: ['s.>'] });
    await connection.jetstream().publish('s.1', text.encode('kept'));
    await server!.kill();
    expect(server!.pid).toBeUndefined();
    expect(isAlive(before.pid)).toBe(false);
    await server!.restart();
    expect(server!.pid).not.toBe(before.pid);
    expect(server!.clientUrl).toBe(before.url);
    const again = await connectTo(handle);
    const message = await (await again.jetstreamManager()).streams.getMessage('S', { seq: 1 });
    expect(text.decode(message.data)).toBe('kept');
  });

  it('answers nothing while it is paused, answers again after, and stops even when paused', async () => {
    const handle = stopLater(await startNatsServer());
    const [server] = handle.servers;
    const connection = await connectTo(handle);
    await server!.pause();
    const flushed = connection.flush().then(() => 'flushed');
    const isStopped = async () => /^State:\s+T/m.test(await readFile(`/proc/${server!.pid}/status`, 'utf8'));
    await until('the process is stopped', isStopped);
    await server!.resume();
    expect(await flushed).toBe('flushed');
    await server!.pause();
    const pid = server!.pid!;
    await handle.stop();
    expect(isAlive(pid)).toBe(false);
  });

  it('uses the store folder and ports that it was given, and leaves the store in place', async () => {
    const storeDir = await tempFolder();
    const first = await startNatsServer({ storeDir });
    const port = Number(new URL(first.url).port);
    cleanups.push(() => first.stop());
    const connection = await connectTo(first);
    await (await connection.jetstreamManager()).streams.add({ name: 'KEPT', subjects: ['k.>'] });
    await connection.close();
    await first.stop();
    const second = stopLater(await startNatsServer({ storeDir, ports: { client: port } }));
    expect(second.url).toBe(`nats://127.0.0.1:${port}`);
    const again = await connectTo(second);
    expect((await (await again.jetstreamManager()).streams.info('KEPT')).config.name).toBe('KEPT');
  });

  it.each(['client', 'monitor', 'cluster'] as const)('says that the %s port it was given is taken', async (kind) => {
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    cleanups.push(async () => holder.close());
    const address = holder.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    await expect(startNatsCluster({ ports: [{}, { [kind]: port }] })).rejects.toMatchObject({
      code: 'port-taken',
      message: expect.stringContaining(String(port)),
    });
  });

  it('starts over with other ports when one that it chose was taken meanwhile', async () => {
    const folder = await tempFolder();
    const { path } = await resolveNatsServer();
    const binary = join(folder, 'nats-server');
    // Loses the race for its port in the first run only.
    const lose = `mkdir ${folder}/lost 2>/dev/null && echo "listen tcp 127.0.0.1:20000: bind: address already in use" && exit 1`;
    await writeFile(binary, `#!/bin/sh\n[ "$1" = -c ] && ${lose}\nexec ${path} "$@"\n`, { mode: 0o755 });
    const handle = stopLater(await startNatsServer({ binary }));
    expect(existsSync(join(folder, 'lost'))).toBe(true);
    await (await connectTo(handle)).flush();
  });

  /** A program that passes for a server when asked for its version and then never answers anybody. */
  async function muteBinary(): Promise<string> {
    const path = join(await tempFolder(), 'nats-server');
    const script =
      '#!/bin/sh\n[ "$1" = --version ] && echo "nats-server: v2.15.1" && exit\necho mute\nexec sleep 600\n';
    await writeFile(path, script, { mode: 0o755 });
    return path;
  }

  const failures: [string, () => Promise<NatsServerOptions>, string, RegExp][] = [
    [
      'a broken configuration',
      async () => ({ extraConfig: 'no_such_option: 1' }),
      'start-failed',
      /ended with code 1.*no_such_option/s,
    ],
    [
      'a server that never answers',
      async () => ({ binary: await muteBinary(), readyTimeoutMs: 300 }),
      'not-ready',
      /not ready within 300 ms.*mute/s,
    ],
  ];

  it.each(failures)(
    '%s is a typed error with the end of the log, and leaves nothing behind',
    async (_, options, code, reason) => {
      const prepared = await options();
      const folder = await tempFolder();
      // Others on this machine may use the ordinary one at the same time.
      vi.stubEnv('TMPDIR', folder);
      await expect(startNatsServer(prepared)).rejects.toMatchObject({ code, message: expect.stringMatching(reason) });
      const left = await readdir(folder);
      expect(left).toEqual([]);
    },
  );
});

/** undefined while nobody can tell: the server that is gone may have led the JetStream API too. */
async function streamInfo(connection: NatsConnection): Promise<StreamInfo | undefined> {
  try {
    const jsm = await connection.jetstreamManager({ checkAPI: false, timeout: 1_000 });
    return await jsm.streams.info('S');
  } catch {
    return undefined;
  }
}

describe.each(['2.10.27', '2.15.1'])('a cluster of three on %s', (version) => {
  it('takes a replicated stream at once, keeps it over the loss of a server and of all servers', async () => {
    const handle = stopLater(await startNatsCluster({ version }));
    expect(handle.version).toBe(version);
    expect(new Set(handle.urls).size).toBe(3);
    const connection = await connectTo(handle);
    // No retry here: waiting until the cluster is ready is what makes the first create succeed.
    const jsm = await connection.jetstreamManager();
    await jsm.streams.add({ name: 'S', subjects: ['s.>'], num_replicas: 3 });
    const jetstream = connection.jetstream();
    // Our server hears of the stream's subjects by its routes, a moment after the stream was made: until then nobody responds.
    await until('the stream is known to our server', async () => {
      const first = jetstream.publish('s.1', text.encode('1'), { msgID: 'first' });
      return (await first.catch(() => undefined)) !== undefined;
    });
    for (let number = 2; number <= 20; number += 1) await jetstream.publish('s.1', text.encode(String(number)));

    const leader = (await jsm.streams.info('S')).cluster?.leader;
    const lost = handle.servers.find((server) => server.name === leader)!;
    await lost.kill();
    const others = handle.servers.find((server) => server !== lost)!;
    const second = await connectTo(handle, others.name);
    await until('the stream has a new leader', async () => {
      const info = await streamInfo(second);
      return info?.cluster?.leader !== undefined && info.cluster.leader !== leader;
    });
    await lost.restart();
    await handle.waitUntilReady();

    await Promise.all(handle.servers.map((server) => server.kill()));
    await Promise.all(handle.servers.map((server) => server.restart({ until: 'listening' })));
    await handle.waitUntilReady();
    const third = await connectTo(handle);
    await until('the stream is back with all messages', async () => {
      return (await streamInfo(third))?.state.messages === 20;
    });
  });
});

describe('a version that is not safe in a cluster', () => {
  it('runs as a single server with a warning, and is refused as a cluster', async () => {
    const binary = await resolveNatsServer({ version: '2.9.10' });
    expect(binary.clusterSafe).toBe(false);
    await expect(startNatsCluster({ binary })).rejects.toMatchObject({ code: 'not-cluster-safe' });
    const handle = stopLater(await startNatsServer({ binary }));
    expect((await connectTo(handle)).info?.version).toBe('2.9.10');
  });
});

describe('when the parent dies', () => {
  beforeAll(async () => {
    // A plain Node process uses the built package, so this also proves that the supervisor is found from there.
    await promisify(execFile)('npx', ['tsc', '-b', 'packages/nats-server'], { cwd: REPOSITORY });
  });

  /** A process that starts a cluster, prints its pids and then does as told. */
  async function startParent(after: string, options = '{}') {
    const program = `
      import { startNatsCluster } from '@muster/nats-server';
      const handle = await startNatsCluster(${options});
      console.log(JSON.stringify(handle.servers.map((server) => server.pid)));
      ${after}
    `;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', program], {
      cwd: join(REPOSITORY, 'test'),
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    cleanups.push(async () => parent.kill('SIGKILL'));
    const exited = once(parent, 'exit');
    const [line] = await Promise.race([
      once(createInterface({ input: parent.stdout }), 'line'),
      exited.then(() => Promise.reject(new Error('the parent ended before its servers were ready'))),
    ]);
    return { parent, exited, pids: JSON.parse(String(line)) as number[] };
  }

  const stay = 'setInterval(() => {}, 1_000);';

  it.each(['SIGKILL', 'SIGTERM', 'SIGINT'] as const)(
    'of %s, the servers end and their folder is gone',
    async (signal) => {
      const { parent, exited, pids } = await startParent(stay);
      const roots = new Set(pids.map(rootOf));
      expect(pids.filter(isAlive)).toHaveLength(3);
      expect(roots.size).toBe(1);
      parent.kill(signal);
      await exited;
      await until('all servers have ended', () => pids.every((pid) => !isAlive(pid)));
      await until('the folder is gone', () => [...roots].every((root) => !existsSync(root)));
    },
  );

  it('of an exception, or just comes to its end, the same', async () => {
    for (const after of ['throw new Error("on purpose");', '']) {
      const { exited, pids } = await startParent(`await new Promise((resolve) => setTimeout(resolve, 300)); ${after}`);
      const root = rootOf(pids[0]!);
      await exited;
      await until('all servers have ended', () => pids.every((pid) => !isAlive(pid)));
      await until('the folder is gone', () => !existsSync(root));
    }
  });

  it('of SIGKILL, even paused servers end, and a store that was given stays', async () => {
    const storeDir = await tempFolder();
    const options = JSON.stringify({ storeDir, stopTimeoutMs: 2_000 });
    const { parent, exited, pids } = await startParent(`await handle.servers[1].pause(); ${stay}`, options);
    const root = rootOf(pids[0]!);
    parent.kill('SIGKILL');
    await exited;
    await until('all servers have ended', () => pids.every((pid) => !isAlive(pid)));
    await until('the temporary folder is gone', () => !existsSync(root));
    expect((await readdir(storeDir)).sort()).toEqual(['muster-1', 'muster-2', 'muster-3']);
  });
});

describe('when the supervisor is killed', () => {
  it('its servers are killed from the parent and the folder is removed', async () => {
    const handle = stopLater(await startNatsServer());
    const pid = handle.servers[0]!.pid!;
    const root = rootOf(pid);
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    const supervisor = Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]);
    expect(await readFile(`/proc/${supervisor}/cmdline`, 'utf8')).toContain('supervisor.mjs');
    process.kill(supervisor, 'SIGKILL');
    await until('the server has ended', () => !isAlive(pid));
    await until('the folder is gone', () => !existsSync(root));
    expect(dirname(root)).toBe(tmpdir());
    await expect(handle.servers[0]!.restart()).rejects.toMatchObject({ code: 'supervisor-lost' });
  });
});
