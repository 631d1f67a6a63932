import { afterEach, describe, expect, it } from 'vitest';
import { NodeMetrics } from './node-metrics.js';
import { type NodeStatus, type StatusServer, serveStatus, statusApp } from './status-server.js';

const metrics = () => new NodeMetrics({ cluster: 'c', node: 'n', incarnation: 'i' });
const fresh: NodeStatus = { node: 'n', incarnation: 'i', isReady: false, isConnected: false, partitions: {} };

const open: StatusServer[] = [];
afterEach(() => Promise.all(open.splice(0).map((server) => server.close())));

describe('the status of a node', () => {
  const appOf = (status: Partial<NodeStatus>) =>
    statusApp({ status: () => ({ ...fresh, ...status }), metrics: metrics() });

  it('is alive as soon as it answers', async () => {
    const answer = await appOf({}).request('/livez');
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ node: 'n', isAlive: true, isReady: false });
  });
  it.each([
    [{}, 503],
    [{ isReady: true }, 503],
    [{ isReady: true, isConnected: true }, 200],
  ])('is ready where it serves and is connected: %j', async (status, code) => {
    const answer = await appOf(status).request('/readyz');
    expect(answer.status).toBe(code);
    expect(await answer.json()).toMatchObject({ node: 'n', ...status });
  });
  it('knows no other page, and no other method', async () => {
    expect((await appOf({}).request('/groups')).status).toBe(404);
    expect((await appOf({}).request('/livez', { method: 'POST' })).status).toBe(404);
  });
});

describe('the server', () => {
  const serve = async (port: number) => {
    const server = await serveStatus({ host: '127.0.0.1', port, status: () => fresh, metrics: metrics() });
    open.push(server);
    return server;
  };

  it('listens on a port that is free, and ends with connections open', async () => {
    const server = await serve(0);
    const answer = await fetch(`http://127.0.0.1:${server.port}/livez`);
    expect(answer.status).toBe(200);
    await server.close();
    await expect(fetch(`http://127.0.0.1:${server.port}/livez`)).rejects.toThrow();
  });
  it('says which port is taken', async () => {
    const { port } = await serve(0);
    await expect(serve(port)).rejects.toMatchObject({
      name: 'StatusPortUnavailable',
      message: expect.stringContaining(`127.0.0.1:${port}`),
    });
  });
});
