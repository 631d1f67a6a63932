import { createServer, type Server } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { isClusterFormed, isHealthy, isListening, type MonitoredServer } from './readiness.js';

interface Answers {
  storeDir?: string | undefined;
  varzName?: string;
  healthError?: string;
  routes?: readonly string[];
  leader?: string;
  current?: readonly boolean[];
  size?: number;
}

const running: Server[] = [];
afterEach(() => {
  for (const server of running.splice(0)) server.close();
});

/** A monitor port that answers like the server `name` of a cluster of three that has formed, but for `answers`. */
async function monitor(name: string, answers: Answers): Promise<MonitoredServer> {
  const storeDir = `/tmp/x/${name}/store`;
  const told = { storeDir: `${storeDir}/jetstream`, varzName: name, routes: ['B', 'C'], leader: 's-1', ...answers };
  const server = createServer((request, response) => {
    const bodies: Record<string, unknown> = {
      '/varz': { server_name: told.varzName },
      '/healthz':
        told.healthError === undefined ? { status: 'ok' } : { status: 'unavailable', error: told.healthError },
      '/routez': { routes: told.routes.map((id) => ({ remote_id: id })) },
      '/jsz': {
        ...(told.storeDir === undefined ? { disabled: true } : { config: { store_dir: told.storeDir } }),
        meta_cluster: {
          leader: told.leader,
          cluster_size: told.size ?? 3,
          replicas: (told.current ?? (told.leader === name ? [true, true] : [])).map((current) => ({ current })),
        },
      },
    };
    response.statusCode = request.url === '/healthz' && told.healthError !== undefined ? 503 : 200;
    response.end(JSON.stringify(bodies[request.url ?? '']));
  });
  running.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    plan: { name, storeDir, ports: { client: 1, monitor: port, cluster: 2 } },
    monitorUrl: `http://127.0.0.1:${port}`,
  };
}

const cluster = (...answers: readonly Answers[]) =>
  Promise.all(answers.map((answer, index) => monitor(`s-${index + 1}`, answer)));

describe('a server', () => {
  it('is ready when it is the one that was started and finds itself healthy', async () => {
    expect(await isHealthy(await monitor('s-1', {}))).toEqual({ kind: 'ready' });
  });

  it.each([
    [{ storeDir: undefined }, /JetStream of s-1 is not up/],
    [{ storeDir: '/tmp/x/s-10/store/jetstream' }, /answered by a server with store/],
    [{ storeDir: '/tmp/x/s-1/store2/jetstream' }, /answered by a server with store/],
    [{ varzName: 'other' }, /answered by server "other"/],
    [{ healthError: 'not current' }, /not healthy: not current/],
  ] satisfies [Answers, RegExp][])('that answers %j is waited for', async (answers, reason) => {
    expect(await isHealthy(await monitor('s-1', answers))).toMatchObject({
      kind: 'waiting',
      reason: expect.stringMatching(reason),
    });
  });

  it('that is not healthy yet is listening all the same', async () => {
    expect(await isListening(await monitor('s-1', { healthError: 'no meta leader' }))).toEqual({ kind: 'ready' });
  });

  it('that does not answer is waited for', async () => {
    const server = await monitor('s-1', {});
    await new Promise((resolve) => running.splice(0)[0]?.close(resolve));
    expect(await isHealthy(server)).toMatchObject({
      kind: 'waiting',
      reason: expect.stringMatching(/does not answer/),
    });
  });
});

describe('a cluster', () => {
  it('has formed when all agree on a leader that sees the others as current', async () => {
    expect(await isClusterFormed(await cluster({}, {}, {}))).toEqual({ kind: 'ready' });
  });

  it.each([
    [[{}, { routes: ['A'] }, {}], /s-2 has routes to 1 of 2/],
    [[{}, { routes: ['A', 'A', 'A'] }, {}], /s-2 has routes to 1 of 2/],
    [[{}, {}, { leader: '' }], /s-3 knows no JetStream leader/],
    [[{ current: [true, false] }, {}, {}], /sees 1 of 2 peers as current/],
    [[{ current: [true] }, {}, {}], /sees 1 of 2 peers as current/],
    [[{}, { leader: 's-2' }, {}], /different JetStream leaders: s-1, s-2/],
    [[{ leader: 'x' }, { leader: 'x' }, { leader: 'x' }], /leader "x" is none of these servers/],
    [[{}, {}, { healthError: 'no contact' }], /s-3 is not healthy/],
  ] satisfies [[Answers, Answers, Answers], RegExp][])('with answers %j is waited for', async (answers, reason) => {
    const outcome = await isClusterFormed(await cluster(...answers));
    expect(outcome).toMatchObject({ kind: 'waiting', reason: expect.stringMatching(reason) });
  });

  it('that has a leader but lacks a server in its meta group is told apart, for it may stay so', async () => {
    expect(await isClusterFormed(await cluster({}, { size: 2 }, {}))).toEqual({
      kind: 'misfounded',
      reason: "s-2 counts 2 of 3 servers in JetStream's meta group",
    });
  });
});
