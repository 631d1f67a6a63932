/**
 * A cluster whose JetStream is in another domain: a hub with the cluster's streams, and an edge with a JetStream of its own, joined
 * by a leaf node. Between them pass neither `$JS.API.>` nor `$KV.>`; whoever is at the edge has to say which domain is meant.
 */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RunningNode, readConfig, startNode } from '@muster/coordinator';
import { type NatsServerHandle, startNatsServer } from '@muster/nats-server';
import { connect, type Muster } from '@muster/worker';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeIo, type Ran, run } from '../../packages/cli/test/fake-io.js';
import { CLUSTER_VERSIONS } from '../contract/versions.js';
import { until, WAIT_MS } from '../world/processes.js';

const PARTITIONS = 4;
const cluster = 'orders';

describe.each(CLUSTER_VERSIONS)('at a leaf node of another domain, nats-server %s', (version) => {
  let home: string;
  let hub: NatsServerHandle;
  let edge: NatsServerHandle;
  const nodes: RunningNode[] = [];
  const workers: Muster[] = [];

  const startAt = async (server: NatsServerHandle, flags: Record<string, unknown>) => {
    const id = `node-${nodes.length}`;
    const given = { servers: server.url, cluster, id, partitions: 4, groupInitialRebalanceDelayMs: 0, ...flags };
    const node = await startNode(readConfig({ flags: given, env: {}, file: undefined }), pino({ level: 'silent' }));
    nodes.push(node);
    return node;
  };
  const worker = async (server: NatsServerHandle, jetStream?: { readonly domain: string }) => {
    const muster = await connect({ servers: server.url, cluster, ...(jetStream === undefined ? {} : { jetStream }) });
    workers.push(muster);
    return muster;
  };
  /** Runs a command at the edge, with a context of natscli. */
  const asked = async (args: readonly string[], context: object): Promise<Ran> => {
    await writeFile(join(home, '.config/nats/context/edge.json'), JSON.stringify({ url: edge.url, ...context }));
    return await run([...args, '--context', 'edge', '--cluster', cluster], new FakeIo({ home }));
  };

  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'muster-domain-'));
    await mkdir(join(home, '.config/nats/context'), { recursive: true });
    const port = await freePort();
    const listen = `leafnodes { listen: "127.0.0.1:${port}" }`;
    hub = await startNatsServer({ version, jetStreamDomain: 'hub', extraConfig: listen });
    const dial = `leafnodes { remotes: [ { url: "nats://127.0.0.1:${port}" } ] }`;
    edge = await startNatsServer({ version, jetStreamDomain: 'edge', extraConfig: dial });
    const isJoined = async () => {
      const answer: unknown = await (await fetch(`${hub.servers[0]?.monitorUrl}/leafz`)).json();
      return JSON.stringify(answer).includes('"leafnodes":1');
    };
    await until('the leaf node is there', isJoined, WAIT_MS);
  });
  afterAll(async () => {
    await Promise.all(workers.map((muster) => muster.close({ timeoutMs: 2_000 })));
    await Promise.all(nodes.map((node) => node.stop()));
    await edge?.stop();
    await hub?.stop();
    await rm(home, { recursive: true, force: true });
  });

  it('a node takes over what the one at the hub leaves, and workers go on', async () => {
    const first = await startAt(hub, {});
    const atEdge = await worker(edge, { domain: 'hub' });
    await atEdge.topics.create({ name: 'events', partitions: PARTITIONS, storage: 'memory' });
    const producer = await atEdge.producer<number>({ topic: 'events' });
    const consumer = await atEdge.consumer<number>({ group: 'readers', topics: ['events'], commit: { kind: 'each' } });
    const seen: number[] = [];
    void consumer.run({ eachMessage: async ({ value }) => void seen.push(value) });
    const send = async (from: number) => {
      for (let value = from; value < from + 20; value += 1) await producer.send({ key: `k${value}`, value });
    };

    await send(0);
    await until('all is handled', () => seen.length === 20, WAIT_MS);

    const second = await startAt(edge, { jetstreamDomain: 'hub', replicas: 1 });
    await first.drain();
    await until(
      'the node at the edge owns it all',
      () => second.counts()['owned'] === PARTITIONS,
      WAIT_MS,
      () => JSON.stringify(second.counts()),
    );
    await send(20);
    await until('all is handled', () => seen.length === 40, WAIT_MS);
    await consumer.close();

    expect([...seen].sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, value) => value));
    // A worker of the hub itself sees the same topic and the same offsets.
    const atHub = await worker(hub);
    const offsets = await atHub.admin().fetchOffsets('readers');
    expect(JSON.stringify(offsets)).toContain('"topic":"events"');
  });

  it('the edge has a JetStream of its own, which is not touched', async () => {
    const answer: unknown = await (await fetch(`${edge.servers[0]?.monitorUrl}/jsz`)).json();
    expect(answer).toMatchObject({ streams: 0 });
  });

  it.each([
    ['jetstream_domain', { jetstream_domain: 'hub' }],
    ['jetstream_api_prefix', { jetstream_api_prefix: '$JS.hub.API.' }],
  ])('commands follow the %s of a context', async (_, context) => {
    const group = await asked(['groups', 'describe', 'readers'], context);
    expect(group).toMatchObject({ code: 0, stdout: expect.stringContaining('events') });
    const topic = await asked(['topics', 'describe', 'events'], context);
    expect(topic).toMatchObject({ code: 0, stdout: expect.stringContaining('events') });
    const messages = await asked(['consume', 'events', '--from', 'earliest', '--max-messages', '3', '--raw'], context);
    expect(messages.code).toBe(0);
    expect(messages.stdout.trim().split('\n')).toHaveLength(3);
    const status = await asked(['cluster', 'status'], context);
    expect(status).toMatchObject({ code: 0, stdout: expect.stringContaining('node-1') });
  });

  it('commands are told of a domain by flag too, and of one that cannot be', async () => {
    const args = ['topics', 'list', '-o', 'name'];
    expect(await asked([...args, '--js-domain', 'hub'], {})).toMatchObject({ code: 0, stdout: 'events\n' });
    expect(await asked([...args, '--js-domain', 'a.b'], {})).toMatchObject({ code: 2 });
    const untold = await asked(args, {});
    expect(untold).toMatchObject({
      code: 0,
      stdout: '',
      stderr: expect.stringMatching(/domain "edge".*--js-domain/),
    });
    const both = await asked(args, { jetstream_domain: 'hub', jetstream_api_prefix: 'x' });
    expect(both).toMatchObject({ code: 2, stderr: expect.stringContaining('exclude each other') });
  });
});

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
