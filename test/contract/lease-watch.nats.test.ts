import type { LeaseStore } from '@muster/cluster';
import { connectNats, LeaseStreamError, openLeaseStore } from '@muster/nats';
import { type NatsServerHandle, startNatsCluster, startNatsServer } from '@muster/nats-server';
import { connect, type NatsConnection } from 'nats';
import { afterEach, describe, expect, test } from 'vitest';
import { expectGrowing, follow } from './lease-store.js';
import { until } from './nats-world.js';
import { CLUSTER_VERSIONS, SINGLE_VERSIONS } from './versions.js';

const text = (words: string) => new TextEncoder().encode(words);
const STREAM = 'KV_MUSTER_watch';

const open: NatsConnection[] = [];
let handle: NatsServerHandle | undefined;
afterEach(async () => {
  for (const nc of open.splice(0)) await nc.close();
  await handle?.stop();
  handle = undefined;
});

/** A connection that knows these servers. */
async function connection(urls: readonly string[]): Promise<NatsConnection> {
  const nc = await connectNats({ servers: urls, ignoreAdvertisedServers: true });
  open.push(nc);
  return nc;
}

/** Where the stream leads and where its only consumer lives. */
async function whereabouts(urls: readonly string[]): Promise<{ stream: string; consumer: string }> {
  const operator = await connect({ servers: [...urls] });
  try {
    const manager = await operator.jetstreamManager();
    for (let tries = 0; tries < 100; tries += 1) {
      const stream = (await manager.streams.info(STREAM)).cluster?.leader ?? '';
      const consumers = await manager.consumers.list(STREAM).next();
      const consumer = consumers[0]?.cluster?.leader ?? '';
      if (consumers.length === 1 && stream !== '' && consumer !== '') return { stream, consumer };
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error('the consumer was not found');
  } finally {
    await operator.close();
  }
}

describe.each(CLUSTER_VERSIONS)('3 nats-servers %s', (version) => {
  const faults = [
    ['is killed', (server: { kill(): Promise<void> }) => server.kill()],
    ['hangs', (server: { pause(): Promise<void> }) => server.pause()],
  ] as const;

  test.each(faults)(
    'a watch goes on, in order and to the newest, when the server that hosts it %s',
    async (_, strike) => {
      handle = await startNatsCluster({ version });
      const options = { cluster: 'watch', replicas: 3 };
      const first = await openLeaseStore(await connection(handle.urls), options);
      await putNew(first, 'node.a');
      const probe = await follow(first);
      await until(() => probe.readyCount() === 1);
      const { consumer } = await whereabouts(handle.urls);
      const victim = handle.servers.find((server) => server.name === consumer);
      const survivors = handle.servers.filter((server) => server.name !== consumer);
      if (victim === undefined) throw new Error(`no server is called ${consumer}`);
      const urls = survivors.map((server) => server.clientUrl);
      // Watcher and writer sit on the survivors: only the consumer is hit.
      const watcherNc = await connection(urls);
      const seen = await follow(await openLeaseStore(watcherNc, options));
      const writer = await openLeaseStore(await connection(urls), options);
      await until(() => seen.readyCount() === 1);

      await strike(victim);
      let revision = (await retry(() => writer.read('node.a')))?.revision ?? 0;
      for (let i = 1; i <= 30; i += 1) {
        const value = String(i);
        const outcome = await writer.write('node.a', text(value), revision);
        if (outcome.kind === 'written') {
          revision = outcome.revision;
        } else {
          await new Promise((resolve) => setImmediate(resolve));
          const entry = await retry(() => writer.read('node.a'));
          revision = entry?.revision ?? 0;
          if (outcome.kind === 'unknown') i -= 1;
        }
      }
      await putNew(writer, 'last');
      for (const watch of [seen, probe]) {
        await until(() => watch.told.includes('last=x'));
        expectGrowing(watch.entries);
        expect(watch.entries.filter((entry) => entry.key === 'node.a').at(-1)?.revision).toBe(revision);
        expect(watch.readyCount()).toBe(1);
        watch.stop();
      }
      await victim.resume().catch(() => undefined);
    },
  );
});

/** A key that is not there yet. Not every server knows a stream that was just made, nor who leads one just after a fault. */
async function putNew(store: LeaseStore, key: string): Promise<void> {
  await retry(async () => {
    const { kind } = await store.write(key, text('x'), 0);
    if (kind === 'unknown' && (await store.read(key)) === undefined) throw new Error(`${key} was not written`);
  });
}

async function retry<T>(run: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await run();
    } catch (error) {
      if (tries > 300) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

describe.each(SINGLE_VERSIONS)('nats-server %s: the stream of the leases', (version) => {
  test('is a bucket for the client’s own KV, is made once and checked afterwards', async () => {
    handle = await startNatsServer({ version });
    const options = { cluster: 'watch', replicas: 1 };
    const [a, b] = [await connection(handle.urls), await connection(handle.urls)];
    await expect(openLeaseStore(a, { ...options, provision: 'verify' })).rejects.toMatchObject({
      code: 'LEASE_STREAM_MISSING',
    });
    const [store] = await Promise.all([openLeaseStore(a, options), openLeaseStore(b, options)]);
    await openLeaseStore(b, { ...options, provision: 'verify' });
    await store.write('node.a', text('alive'), 0);
    const kv = await b.jetstream().views.kv('MUSTER_watch', { bindOnly: true });
    expect((await kv.get('node.a'))?.string()).toBe('alive');
    const revision = await kv.put('node.b', 'by kv');
    expect((await store.read('node.b'))?.revision).toBe(revision);
  });

  test('is refused where it differs, naming each difference', async () => {
    handle = await startNatsServer({ version });
    const nc = await connection(handle.urls);
    await nc.jetstream().views.kv('MUSTER_watch', { history: 5, ttl: 60_000 });
    const refusal = await openLeaseStore(nc, { cluster: 'watch', replicas: 1 }).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(LeaseStreamError);
    if (!(refusal instanceof LeaseStreamError)) return;
    expect(refusal.code).toBe('LEASE_STREAM_DIFFERS');
    expect(refusal.differences).toContain('max_msgs_per_subject is 5 and must be 1');
    expect(refusal.differences).toContain('max_age is 60000000000 and must be 0');
  });

  test('made anew is watched from its beginning', async () => {
    handle = await startNatsServer({ version });
    const options = { cluster: 'watch', replicas: 1 };
    const nc = await connection(handle.urls);
    const store = await openLeaseStore(nc, options);
    for (let i = 0; i < 5; i += 1) await store.write(`old.${i}`, text('x'), 0);
    const seen = await follow(store);
    await until(() => seen.entries.length === 5);
    await (await nc.jetstreamManager()).streams.delete(STREAM);
    await openLeaseStore(nc, options);
    expect((await store.write('new', text('x'), 0)).kind).toBe('written');
    await until(() => seen.told.includes('new=x'));
    expect(seen.entries.at(-1)?.revision).toBe(1);
    seen.stop();
  });
});
