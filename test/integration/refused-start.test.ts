/**
 * A node that cannot work refuses to start: the exit code is that of docs/cli.md, and the message says what was found and what is allowed.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { resolveNatsServer, startNatsCluster } from '@muster/nats-server';
import { connect } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newestVersion } from '../contract/versions.js';
import { type LogLine, type Process, startMusterNode, until, WAIT_MS } from '../world/processes.js';
import { RealCluster } from '../world/real-cluster.js';

const warningOfOldServer = 'this nats-server is too old for a cluster: one server, development only';

const closing: (() => unknown)[] = [];
let folder: string;
/** Takes its 15 s while the other tests run. */
let unreachable: { readonly node: Process; readonly url: string };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'muster-test-'));
  closing.push(() => rm(folder, { recursive: true, force: true }));
  const url = `nats://127.0.0.1:${await closedPort()}`;
  unreachable = { url, node: start('--servers', url, '--http-port', '0') };
});
afterAll(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

function start(...flags: readonly string[]): Process {
  const node = startMusterNode('refused', flags);
  closing.push(() => node.kill());
  return node;
}

/** @returns exit code and everything that was written, once the process has ended */
async function outcomeOf(node: Process): Promise<{ code: number | null; said: string }> {
  await until(
    `${node.name} ends`,
    () => !node.isRunning,
    40_000,
    () => node.log.text,
  );
  return { code: await node.exited, said: node.log.text };
}

/** @returns a port that nobody listens on */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  return address.port;
}

/** A server without JetStream, which @muster/nats-server does not start. @returns its URL */
async function startPlainServer(...flags: readonly string[]): Promise<string> {
  const { path } = await resolveNatsServer({ version: newestVersion });
  const ports = await mkdtemp(join(folder, 'ports-'));
  const args = ['-a', '127.0.0.1', '-p', '-1', '--ports_file_dir', ports, ...flags];
  const server: ChildProcess = spawn(path, args, { stdio: 'ignore' });
  closing.push(() => server.kill('SIGKILL'));
  let url = '';
  await until('the server listens', async () => {
    const [file] = await readdir(ports);
    const text = file === undefined ? '' : await readFile(join(ports, file), 'utf8');
    url = text === '' ? '' : (JSON.parse(text) as { nats: string[] }).nats[0]!;
    return url !== '';
  });
  return url;
}

describe('a node that waits for NATS', () => {
  it('says that it is alive and not ready', async () => {
    const { log } = unreachable.node;
    await until(
      'it listens',
      () => log.of('telling over HTTP: /livez, /readyz, /metrics').length > 0,
      WAIT_MS,
      () => log.text,
    );
    const { port } = log.of('telling over HTTP: /livez, /readyz, /metrics')[0] as LogLine & { readonly port: number };
    const codeOf = async (path: string) => (await fetch(`http://127.0.0.1:${port}/${path}`)).status;
    expect([await codeOf('livez'), await codeOf('readyz'), await codeOf('metrics')]).toEqual([200, 503, 200]);
  });
});

describe('a node refuses to start', () => {
  it('where it cannot tell how it is, because the port is taken', async () => {
    const taken = createServer();
    closing.push(() => taken.close());
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as AddressInfo;
    const { code, said } = await outcomeOf(start('--servers', unreachable.url, '--http-port', String(port)));
    expect(code).toBe(4);
    expect(said).toContain(`nobody can listen on 127.0.0.1:${port}`);
  });

  it('with an option that does not exist, and names it and those that do', async () => {
    const path = join(folder, 'node.json');
    await writeFile(path, JSON.stringify({ servers: ['nats://127.0.0.1:1'], groupMaxSiez: 10 }));
    const { code, said } = await outcomeOf(start('--config', path));
    expect(code).toBe(2);
    expect(said).toMatch(/groupMaxSiez.* in the file is no option; options are .*groupMaxSize/);
  });

  it('with several wrong values, and names all of them', async () => {
    const { code, said } = await outcomeOf(start('--partitions', '0', '--cluster', 'a.b', '--log-level', 'loud'));
    expect(code).toBe(2);
    for (const problem of [/partitions = 0: /, /cluster = \\?"a\.b\\?": 1 to 64 of/, /logLevel = \\?"loud\\?": /]) {
      expect(said).toMatch(problem);
    }
  });

  it('with a flag that does not exist', async () => {
    const { code, said } = await outcomeOf(start('--partition-count', '7'));
    expect(code).not.toBe(0);
    expect(said).toMatch(/unknown option '--partition-count'/);
  });

  it('where the server has no JetStream', async () => {
    const { code, said } = await outcomeOf(start('--servers', await startPlainServer()));
    expect(code).toBe(1);
    expect(said).toMatch(/nats-server 2\.\d+\.\d+\) has no JetStream \(.*start it with --jetstream/);
  });

  it('where the server refuses its credentials', async () => {
    const url = await startPlainServer('--user', 'muster', '--pass', 'secret');
    const { code, said } = await outcomeOf(start('--servers', url, '--user', 'muster', '--password', 'wrong-one'));
    expect(code).toBe(1);
    expect(said).toMatch(new RegExp(`NATS at ${url} refused the credentials`));
    expect(said).not.toMatch(/wrong-one/);
  });

  it('with replicas on servers that mix up conditional writes, and has written nothing', async () => {
    const binary = await resolveNatsServer({ version: '2.9.10' });
    const nats = await startNatsCluster({ binary, acceptUnsafeVersion: true });
    closing.push(() => nats.stop());
    for (const flags of [['--replicas', '3'], []]) {
      const { code, said } = await outcomeOf(start('--servers', nats.urls.join(','), ...flags));
      expect(code).toBe(1);
      expect(said).toMatch(/nats-server 2\.9\.10; streams with 3 replicas need 2\.10\.27 or newer/);
    }
    const connection = await connect({ servers: [...nats.urls] });
    const streams = await (await connection.jetstreamManager()).streams.list().next();
    await connection.close();
    expect(streams.map(({ config }) => config.name)).toEqual([]);
  });

  it('only where replicas are wanted: on one such server it runs, with a warning', async () => {
    const cluster = await RealCluster.start({ nats: { version: '2.9.10' }, partitions: 2 });
    closing.push(() => cluster.close());
    await cluster.startNodes('n1');
    expect(cluster.node('n1').log.of(warningOfOldServer)).toHaveLength(1);
  });

  it('where no server can be reached, and says where it looked', async () => {
    const { code, said } = await outcomeOf(unreachable.node);
    expect(code).toBe(5);
    expect(said).toContain(`no NATS server answers at ${unreachable.url}`);
  });
});

it('a node takes from the cluster what it is not told: replicas other than it would choose', async () => {
  const cluster = await RealCluster.start({ nats: { version: newestVersion, servers: 3 }, partitions: 2 });
  closing.push(() => cluster.close());
  const first = start(...Object.entries({ ...cluster.flagsOf('n1'), '--replicas': '1' }).flat());
  const started = async (node: Process) => {
    await until(
      'it has started',
      () => node.log.of('node started').length > 0,
      20_000,
      () => node.log.text,
    );
    return node.log.of('node started')[0];
  };
  expect(await started(first)).toMatchObject({ replicas: 1 });
  const second = start(...Object.entries(cluster.flagsOf('n2')).flat());
  expect(await started(second)).toMatchObject({ replicas: 1 });
  await Promise.all([first.terminate(), second.terminate()]);
});

describe('a node refuses to join a cluster', () => {
  let cluster: RealCluster;
  beforeAll(async () => {
    cluster = await RealCluster.start({ nats: { version: newestVersion }, partitions: 6 });
    closing.push(() => cluster.close());
    await cluster.startInside('n1');
  });

  const flagsOf = (name: string, changed: Record<string, string>) =>
    Object.entries({ ...cluster.flagsOf(name), ...changed }).flat();

  it.each([
    ['--partitions', '7', /partitionCount is 6 in this cluster, 7 in this node's configuration/],
    ['--log-streams', '2', /streamCount is 1 in this cluster, 2 in this node's configuration/],
    ['--replicas', '3', /replicas is 1 in this cluster, 3 in this node's configuration/],
  ])('that has another %s, and names both numbers', async (flag, value, detail) => {
    const { code, said } = await outcomeOf(start(...flagsOf('n2', { [flag]: value })));
    expect(code).toBe(4);
    expect(said).toMatch(detail);
  });

  it('under an id that a running node has; that one goes on', async () => {
    const { code, said } = await outcomeOf(start(...flagsOf('n1', {})));
    expect(code).toBe(4);
    expect(said).toMatch(/node id n1 is in use by a running process: give this node another --id/);
    await cluster.untilOwned(['n1']);
  });
});
