/**
 * The deployment as a whole: nodes with the environment of compose.yaml on servers with its configuration, and the worker
 * library under the users that are meant for it. Whatever the server denies anybody on the way is an error.
 */

import { type NodeConfig, type RunningNode, readConfig, startNode } from '@muster/coordinator';
import { resolveNatsServer } from '@muster/nats-server';
import { clusterApis, encodeRequest, groupId, parseReply, requestId } from '@muster/protocol';
import { connect as connectMuster, type Muster } from '@muster/worker';
import { connect, type NatsConnection, RequestStrategy } from 'nats';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { inboxOf, type Role } from './deployed-roles.js';
import {
  type DeployedServers,
  filledIn,
  readCompose,
  readExampleEnvironment,
  startDeployedServers,
  until,
} from './deployed-servers.js';

const example = await readExampleEnvironment();
const composed = await readCompose();
const environmentsOf = (prefix: string) =>
  Object.entries(composed.services)
    .filter(([name]) => name.startsWith(prefix))
    .map(([, { environment }]) => filledIn(environment, example));

describe('coordinators and workers with the users of the deployment', () => {
  let servers: DeployedServers;
  const nodes: RunningNode[] = [];
  const denied: string[] = [];
  const closing: (() => Promise<unknown>)[] = [];
  const log = pino(
    { level: 'warn' },
    { write: (line: string) => void (/"denied"|Violation/.test(line) && denied.push(line)) },
  );

  beforeAll(async () => {
    const { path } = await resolveNatsServer();
    servers = await startDeployedServers(path, environmentsOf('nats-'));
    const start = (env: Readonly<Record<string, string>>) => {
      const changed = {
        MUSTER_SERVERS: servers.urls.join(','),
        MUSTER_GROUP_INITIAL_REBALANCE_DELAY_MS: '0',
        MUSTER_HTTP_HOST: '127.0.0.1',
        MUSTER_HTTP_PORT: '0',
      };
      const config: NodeConfig = readConfig({ flags: {}, env: { ...env, ...changed }, file: undefined });
      return startNode(config, log);
    };
    nodes.push(...(await Promise.all(environmentsOf('coordinator-').map(start))));
    await until('all nodes are ready', () => nodes.every((node) => node.isReady()), 60_000);
  });
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
    expect(denied.splice(0)).toEqual([]);
  });
  afterAll(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await servers?.stop();
  });

  async function connectAs(
    role: Role,
    onDenied = (what: string): unknown => denied.push(what),
  ): Promise<NatsConnection> {
    const pass = example[`MUSTER_${role.toUpperCase()}_PASSWORD`];
    if (pass === undefined) throw new Error(`no password of ${role}`);
    const options = { servers: [...servers.urls], user: role, pass, inboxPrefix: inboxOf[role] };
    const nc = await connect({ ...options, ignoreClusterUpdates: true });
    closing.push(() => nc.close());
    void (async () => {
      for await (const { permissionContext } of nc.status()) {
        if (permissionContext !== undefined)
          onDenied(`${role}: ${permissionContext.operation} ${permissionContext.subject}`);
      }
    })();
    return nc;
  }

  async function musterAs(role: Role, onDenied?: (what: string) => unknown): Promise<Muster> {
    const muster = await connectMuster({ connection: await connectAs(role, onDenied), inboxPrefix: inboxOf[role] });
    closing.push(() => muster.close());
    return muster;
  }

  it('the administrator makes a topic, a worker produces, consumes and commits, the administrator sees it', async () => {
    const admin = await musterAs('admin');
    await admin.topics.create({ name: 'orders', partitions: 4, replicas: 3 });
    const worker = await musterAs('worker');
    const producer = await worker.producer<{ n: number }>({ topic: 'orders' });
    const numbers = Array.from({ length: 20 }, (_, n) => n);
    await Promise.all(numbers.map((n) => producer.send({ key: `key-${n}`, value: { n } })));
    const consumer = await worker.consumer<{ n: number }>({ group: 'billing', topics: ['orders'] });
    const seen: number[] = [];
    for await (const message of consumer) {
      seen.push(message.value.n);
      await message.commit();
      if (seen.length === numbers.length) break;
    }
    expect(seen.sort((a, b) => a - b)).toEqual(numbers);
    const administration = admin.admin();
    expect((await administration.listGroups()).map(({ groupId }) => groupId)).toContain('billing');
    expect(await administration.describeGroup('billing')).toMatchObject({ members: [{}] });
    expect((await administration.lag('billing')).map(({ lag }) => lag)).not.toContain(1);
    expect((await worker.topics.list()).map(({ name }) => name)).toEqual(['orders']);
    await consumer.close();
    await producer.close();

    // What they did can be seen, by whoever may reach the port that compose.yaml names.
    const pages = await Promise.all(
      nodes.map(async ({ httpPort }) => {
        const ready = await fetch(`http://127.0.0.1:${httpPort}/readyz`);
        expect([ready.status, await ready.json()]).toMatchObject([200, { isReady: true, isConnected: true }]);
        return await (await fetch(`http://127.0.0.1:${httpPort}/metrics`)).text();
      }),
    );
    const summed = (series: RegExp) =>
      pages.reduce((sum, page) => sum + Number(new RegExp(`^${series.source} (.+)$`, 'm').exec(page)?.[1] ?? 0), 0);
    expect(summed(/muster_requests_total{api="commit",error="NONE",[^}]*}/)).toBeGreaterThanOrEqual(numbers.length);
    expect(summed(/muster_partitions{state="owned",[^}]*}/)).toBe(50);
    expect(summed(/muster_group_lag_messages{group="billing",topic="orders",[^}]*}/)).toBe(0);
    expect(summed(/muster_rebalances_total{cause="member-joined",[^}]*}/)).toBeGreaterThan(0);
    expect(summed(/muster_nats_connected{[^}]*}/)).toBe(nodes.length);
    await admin.topics.delete('orders');
    expect(await admin.topics.list()).toEqual([]);
  });

  it('a member keeps its holding while the node that coordinates its group is drained', async () => {
    const nc = await connectAs('worker');
    const worker = await connectMuster({ connection: nc, inboxPrefix: inboxOf.worker });
    closing.push(() => worker.close());
    const told: string[] = [];
    await worker.member({
      group: 'shards',
      protocolType: 'shards',
      protocols: [{ name: 'one', metadata: new Uint8Array() }],
      assign: (_, members) => new Map(members.map(({ memberId }) => [memberId, new Uint8Array([1])])),
      onAssigned: ({ memberId, generation }) => void told.push(`${memberId} holds since ${generation}`),
      onRevoked: () => void told.push('revoked'),
      onLost: () => void told.push('lost'),
      sessionTimeoutMs: 6_000,
      heartbeatIntervalMs: 200,
    });
    const admin = (await musterAs('admin')).admin();
    const [before] = (await admin.describeGroup('shards')).members;
    const ownerNode = async () => {
      const head = { id: requestId(`find-${performance.now()}`), deadlineMs: 5_000 };
      const request = encodeRequest(head, { groupId: groupId('shards'), suspectEpoch: null });
      const reply = parseReply(clusterApis.find, (await nc.request('muster.default.find', request)).data);
      return reply.kind === 'garbled' ? undefined : reply.fields?.nodeId;
    };
    const ownerId = await ownerNode();
    const owner = nodes.findIndex(({ node }) => node === ownerId);
    expect(owner).toBeGreaterThanOrEqual(0);
    await nodes.splice(owner, 1)[0]?.drain();
    await until(
      'another node coordinates the group',
      async () => ![undefined, '', ownerId].includes(await ownerNode()),
    );
    expect((await admin.describeGroup('shards')).members[0]?.memberId).toBe(before?.memberId);
    expect(told).toEqual([expect.stringMatching(`^${before?.memberId} holds since`)]);
  });

  it('a worker that tries to administer is told at once that it may not', async () => {
    const refused: string[] = [];
    const worker = await musterAs('worker', (what) => refused.push(what));
    // The connection learns the number of partitions by a request that it may make.
    await worker.admin().fetchOffsets('some-group');
    await expect(worker.admin().deleteGroups(['some-group'])).resolves.toMatchObject([
      { error: 'GROUP_AUTHORIZATION_FAILED' },
    ]);
    expect(refused).toHaveLength(1);
    expect(refused[0]).toMatch(/^worker: publish muster\.default\.g\.\d+\.some-group\.delete$/);
  });

  it('the operator sees every node as a NATS service', async () => {
    const operator = await connectAs('operator');
    const names = new Set<string>();
    const gather = { strategy: RequestStrategy.Timer, maxWait: 300 };
    await until('all nodes answer', async () => {
      for await (const { metadata } of await operator.services.client(gather).ping('muster-coordinator')) {
        names.add(String(metadata?.['node']));
      }
      return names.size >= nodes.length;
    });
    expect([...names].sort()).toEqual(nodes.map(({ node }) => String(node)).sort());
  });
});
