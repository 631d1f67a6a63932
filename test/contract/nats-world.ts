/**
 * Real servers as a world of the contract suites. Every connection goes through a TCP proxy of its own that can be cut, to
 * the servers in turn; servers are shared by the tests of a file, subjects and buckets are not.
 */

import { createConnection, createServer, type Server, type Socket } from 'node:net';
import type { Bus } from '@muster/cluster';
import { connectNats, NatsBus, openLeaseStore } from '@muster/nats';
import type { NatsServerHandle } from '@muster/nats-server';
import { connect, type NatsConnection } from 'nats';
import type { BusWorld } from './bus.js';
import type { LeaseWorld } from './lease-store.js';

const PATIENCE_MS = 60_000;

export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (performance.now() > giveUpAt) throw new Error('the condition did not come true in time');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A way to one server that can be cut. */
export class TcpProxy {
  readonly #target: { readonly hostname: string; readonly port: number };
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isCut = false;
  url = '';

  constructor(targetUrl: string) {
    const { hostname, port } = new URL(targetUrl);
    this.#target = { hostname, port: Number(port) };
    this.#server = createServer((client) => this.#accept(client));
  }

  async open(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    const address = this.#server.address();
    if (typeof address === 'object' && address !== null) this.url = `nats://127.0.0.1:${address.port}`;
  }

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  heal(): void {
    this.#isCut = false;
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #accept(client: Socket): void {
    if (this.#isCut) {
      client.destroy();
      return;
    }
    const upstream = createConnection({ host: this.#target.hostname, port: this.#target.port });
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  }
}

/** The connections of one test. */
export class Connections {
  readonly #handle: NatsServerHandle;
  readonly #proxies = new Map<string, TcpProxy>();
  readonly #open: NatsConnection[] = [];

  constructor(handle: NatsServerHandle) {
    this.#handle = handle;
  }

  async connect(name: string): Promise<NatsConnection> {
    const urls = this.#handle.urls;
    const url = urls[this.#proxies.size % urls.length];
    if (url === undefined) throw new Error('there is no server');
    const proxy = new TcpProxy(url);
    await proxy.open();
    this.#proxies.set(name, proxy);
    const nc = await connectNats({ servers: [proxy.url], name, ignoreAdvertisedServers: true });
    this.#open.push(nc);
    return nc;
  }

  cut(name: string): void {
    this.#proxies.get(name)?.cut();
  }

  heal(name: string): void {
    this.#proxies.get(name)?.heal();
  }

  async close(): Promise<void> {
    for (const nc of this.#open) await nc.close();
    for (const proxy of this.#proxies.values()) await proxy.close();
  }
}

let probes = 0;

/** A subscription made after others on the same connection is known everywhere only when they are. */
async function settled(buses: readonly Bus[]): Promise<void> {
  for (const to of buses.filter((bus) => bus.connected)) {
    probes += 1;
    const subject = `probe.${probes}`;
    const subscription = to.subscribe(subject, (message) => to.publish(message.reply, new Uint8Array(0)));
    await untilAnswered(buses, subject, 'reply');
    subscription.unsubscribe();
    await until(() => to.connected);
    await untilAnswered(buses, subject, 'no-responders');
  }
}

/** Asks from everywhere until every answer is of this kind: news of a subscription takes its time on a busy machine. */
async function untilAnswered(buses: readonly Bus[], subject: string, kind: 'reply' | 'no-responders'): Promise<void> {
  const giveUpAt = performance.now() + PATIENCE_MS;
  for (const from of buses.filter((bus) => bus.connected)) {
    while ((await from.request(subject, new Uint8Array(0), 100)).kind !== kind) {
      if (performance.now() > giveUpAt) throw new Error(`${subject} was not answered with ${kind} everywhere`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

export async function natsBusWorld(handle: NatsServerHandle): Promise<BusWorld> {
  const connections = new Connections(handle);
  const buses: Bus[] = [];
  return {
    connect: async (name) => {
      const bus = new NatsBus(await connections.connect(name));
      buses.push(bus);
      return bus;
    },
    cut: async (name) => connections.cut(name),
    heal: async (name) => connections.heal(name),
    settled: () => settled(buses),
    finish: (promise) => promise,
    until,
    close: () => connections.close(),
  };
}

/** No stream of a test gets that far. */
export const IMPOSSIBLE = 999_999_999;
let buckets = 0;

export async function natsLeaseWorld(handle: NatsServerHandle): Promise<LeaseWorld> {
  const connections = new Connections(handle);
  const operator = await connect({ servers: [...handle.urls] });
  buckets += 1;
  const cluster = `contract${buckets}`;
  const replicas = handle.servers.length;
  return {
    open: async (name) => {
      const store = await openLeaseStore(await connections.connect(name), { cluster, replicas });
      // A server that does not know the stream yet answers for it, and nobody else does: a refusal comes from the stream itself.
      await until(async () => (await store.write('probe', new Uint8Array(0), IMPOSSIBLE)).kind === 'refused');
      return store;
    },
    remove: async (key) => {
      const kv = await operator.jetstream().views.kv(`MUSTER_${cluster}`, { bindOnly: true });
      await kv.delete(key);
    },
    cut: async (name) => connections.cut(name),
    heal: async (name) => connections.heal(name),
    finish: (promise) => promise,
    until,
    close: async () => {
      const manager = await operator.jetstreamManager();
      await manager.streams.delete(`KV_MUSTER_${cluster}`).catch(() => false);
      await operator.close();
      await connections.close();
    },
  };
}
