import { connectNats, NatsBus, type NatsConnectError, serverInfo } from '@muster/nats';
import { type NatsServerHandle, startNatsCluster, startNatsServer } from '@muster/nats-server';
import type { NatsConnection } from 'nats';
import { afterEach, describe, expect, test } from 'vitest';
import { until } from './nats-world.js';
import { CLUSTER_VERSIONS, SINGLE_VERSIONS } from './versions.js';

const open: NatsConnection[] = [];
let handle: NatsServerHandle | undefined;
afterEach(async () => {
  for (const nc of open.splice(0)) await nc.close();
  await handle?.stop();
  handle = undefined;
});

async function connection(options: Parameters<typeof connectNats>[0]): Promise<NatsConnection> {
  const nc = await connectNats(options);
  open.push(nc);
  return nc;
}
const refusal = (options: Parameters<typeof connectNats>[0]): Promise<NatsConnectError> =>
  connection(options).then(
    () => Promise.reject(new Error('it connected')),
    (error: NatsConnectError) => error,
  );

test('says what is wrong with options before it dials', async () => {
  expect((await refusal({ servers: [] })).code).toBe('BAD_OPTION');
  const servers = ['127.0.0.1:1'];
  expect((await refusal({ servers, user: 'a', token: 'b' })).code).toBe('BAD_OPTION');
  expect((await refusal({ servers, credsFile: '/does/not/exist' })).code).toBe('BAD_OPTION');
});

test('says that no server answers, which may be tried again', async () => {
  const error = await refusal({ servers: ['127.0.0.1:1'], waitOnFirstConnectMs: 300 });
  expect([error.code, error.retriable]).toEqual(['UNREACHABLE', true]);
});

describe.each(SINGLE_VERSIONS)('nats-server %s', (version) => {
  test('refuses wrong credentials, which trying again does not help', async () => {
    handle = await startNatsServer({ version, extraConfig: 'authorization { user: u, password: p }' });
    const servers = [...handle.urls];
    const error = await refusal({ servers, user: 'u', pass: 'wrong', waitOnFirstConnectMs: 60_000 });
    expect([error.code, error.retriable]).toEqual(['AUTHENTICATION_FAILED', false]);
    expect((await refusal({ servers })).code).toBe('AUTHENTICATION_FAILED');
    expect((await connection({ servers, user: 'u', pass: 'p' })).isClosed()).toBe(false);
  });

  test('tells its version and that it has JetStream', async () => {
    handle = await startNatsServer({ version });
    const info = await serverInfo(await connection({ servers: handle.urls }));
    const [major, minor, patch] = version.split('.').map(Number);
    expect(info).toMatchObject({ version, parsedVersion: { major, minor, patch }, clusterName: undefined });
    expect(info?.jetStream.kind).toBe('available');
  });

  test('keeps delivering after a callback threw, and reports it', async () => {
    handle = await startNatsServer({ version });
    const problems: string[] = [];
    const bus = new NatsBus(await connection({ servers: handle.urls }), {
      onProblem: (problem) => problems.push(problem.kind),
    });
    let count = 0;
    bus.subscribe('x', () => {
      count += 1;
      throw new Error('a mistake');
    });
    bus.publish('x', new Uint8Array(1));
    bus.publish('x', new Uint8Array(1));
    await until(() => count === 2);
    expect(problems).toEqual(['callback-threw', 'callback-threw']);
  });

  test('counts as lost when it hangs, also behind a full socket, and is used again when it goes on', async () => {
    handle = await startNatsServer({ version });
    const server = handle.servers[0];
    const bus = new NatsBus(await connection({ servers: handle.urls, pingIntervalMs: 300 }));
    await server?.pause();
    // More than the buffers of the socket hold: the client waits for these bytes to leave before it closes.
    for (let i = 0; i < 30; i += 1) bus.publish('x', new Uint8Array(bus.payloadBytesMax));
    await until(() => !bus.connected);
    expect(await bus.request('x', new Uint8Array(0), 60_000)).toEqual({ kind: 'disconnected' });
    await server?.resume();
    await until(() => bus.connected);
    expect(await bus.roundTrip(10_000)).toBe(true);
  });
});

describe.each(CLUSTER_VERSIONS)('3 nats-servers %s', (version) => {
  test('are left early in lame duck mode, and the connection goes on with another', async () => {
    // Long enough that only we can be the one who leaves.
    const extraConfig = 'lame_duck_grace_period: "100s"\nlame_duck_duration: "200s"';
    handle = await startNatsCluster({ version, extraConfig });
    const nc = await connection({ servers: handle.urls });
    const first = handle.servers.find((server) => server.name === nc.info?.server_name);
    const bus = new NatsBus(nc);
    const heard: boolean[] = [];
    bus.onConnection((connected) => heard.push(connected));
    expect(first).toBeDefined();
    await first?.kill('SIGUSR2');
    await until(() => heard.length === 2);
    expect(heard).toEqual([false, true]);
    expect(nc.info?.server_name).not.toBe(first?.name);
  });
});
