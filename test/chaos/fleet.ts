/**
 * Everything that runs: three nats-servers, a proxy set for each role, coordinator processes, workers. What ends without having
 * been told to is started again, as an orchestrator would.
 */

import { parseHeartbeat } from '@muster/cluster';
import { connectNats, NatsBus } from '@muster/nats';
import { type NatsServerHandle, startNatsCluster } from '@muster/nats-server';
import { Subjects } from '@muster/protocol';
import type { NatsConnection } from 'nats';
import { Child } from './child.js';
import { type HistoryWriter, nowMs } from './history.js';
import type { Order, Report, WorkerSettings } from './messages.js';
import { RoleProxy } from './proxy.js';
import { RouteProxies } from './route-proxies.js';

export const CLUSTER = 'chaos';
/** As it lies beside child.js in dist/. */
const MUSTER = '../../../packages/cli/dist/main.js';
const RESTART_AFTER_MS = 500;
const HEARTBEAT_AGE_MS_MAX = 1_500;
const POLL_MS = 10;

export type FleetOptions = {
  readonly nodes: number;
  readonly partitionCount: number;
  readonly logFolder: string;
  readonly nodeFlags?: readonly string[];
  readonly say: (line: string) => void;
};

type Said = {
  readonly at: number;
  readonly incarnation: string;
  readonly owned: readonly (readonly [number, number])[];
};
type NodeSeat = { readonly name: string; readonly proxy: RoleProxy; child: Child; isWanted: boolean };
type WorkerSeat = { readonly settings: WorkerSettings; child: Child; isWanted: boolean; owns: number };

export class Fleet {
  readonly nats: NatsServerHandle;
  readonly connection: NatsConnection;
  readonly subjects = new Subjects(CLUSTER);
  readonly light: RoleProxy;
  readonly workersProxy: RoleProxy;
  readonly routes: RouteProxies;
  readonly #options: FleetOptions;
  readonly #history: HistoryWriter;
  readonly #nodes: NodeSeat[] = [];
  readonly #workers: WorkerSeat[] = [];
  readonly #said = new Map<string, Said>();
  #isEnding = false;

  private constructor(
    options: FleetOptions,
    history: HistoryWriter,
    nats: NatsServerHandle,
    connection: NatsConnection,
    proxies: { readonly light: RoleProxy; readonly workers: RoleProxy; readonly routes: RouteProxies },
  ) {
    this.#options = options;
    this.#history = history;
    this.nats = nats;
    this.connection = connection;
    this.light = proxies.light;
    this.workersProxy = proxies.workers;
    this.routes = proxies.routes;
    new NatsBus(connection).subscribe(this.subjects.heartbeats, ({ payload }) => {
      const heartbeat = parseHeartbeat(payload);
      if (heartbeat === undefined) return;
      const owned = heartbeat.owned.map(([partition, epoch]): readonly [number, number] => [partition, epoch]);
      this.#said.set(heartbeat.node, { at: performance.now(), incarnation: heartbeat.incarnation, owned });
    });
  }

  /** Starts servers, proxies and nodes. Settles when every partition has one owner. */
  static async start(options: FleetOptions, history: HistoryWriter): Promise<Fleet> {
    const routes = new RouteProxies();
    const nats = await startNatsCluster({ servers: 3, routeVia: routes.via }).catch(async (thrown: unknown) => {
      await routes.stop();
      throw thrown;
    });
    const connection = await connectNats({ servers: nats.urls, name: 'chaos', waitOnFirstConnectMs: 10_000 });
    const proxies = {
      light: await RoleProxy.start('light', nats.urls),
      workers: await RoleProxy.start('workers', nats.urls),
      routes,
    };
    const fleet = new Fleet(options, history, nats, connection, proxies);
    try {
      for (let number = 1; number <= options.nodes; number += 1) await fleet.#addNode(`node-${number}`);
      await fleet.untilOwned(60_000);
    } catch (thrown) {
      await fleet.stop();
      throw thrown;
    }
    return fleet;
  }

  get nodeNames(): readonly string[] {
    return this.#nodes.map(({ name }) => name);
  }
  get workerNames(): readonly string[] {
    return this.#workers.map(({ settings }) => settings.name);
  }

  proxyOf(node: number): RoleProxy {
    return this.#node(node).proxy;
  }

  /** kill -9. It stays away until `startNode`. */
  async killNode(node: number): Promise<void> {
    const seat = this.#node(node);
    seat.isWanted = false;
    await seat.child.kill();
  }
  startNode(node: number): void {
    const seat = this.#node(node);
    seat.isWanted = true;
    if (seat.child.isGone) seat.child = this.#spawnNode(seat);
  }
  signalNode(node: number, signal: NodeJS.Signals): void {
    this.#node(node).child.signal(signal);
  }
  /** SIGTERM, wait for its end, start again, wait until it takes part. */
  async restartNode(node: number): Promise<void> {
    const seat = this.#node(node);
    const before = this.#said.get(seat.name)?.incarnation;
    seat.isWanted = false;
    const wasRunning = !seat.child.isGone;
    const code = await seat.child.stop(30_000);
    if (wasRunning && code !== 0) this.trouble(seat.name, `ended with code ${code} instead of draining`);
    this.startNode(node);
    const hasBegun = () => {
      const said = this.#said.get(seat.name);
      return said !== undefined && said.incarnation !== before;
    };
    await until(`${seat.name} takes part again`, hasBegun, 30_000);
  }

  startWorker(settings: WorkerSettings): void {
    const seat: WorkerSeat = { settings, child: this.#spawnWorker(settings), isWanted: true, owns: 0 };
    this.#workers.push(seat);
    this.#attendWorker(seat);
  }
  async killWorker(worker: number): Promise<void> {
    const seat = this.#worker(worker);
    seat.isWanted = false;
    this.#history.write({ kind: 'worker', at: nowMs(), worker: seat.settings.name, event: 'killed' });
    await seat.child.kill();
    seat.owns = 0;
  }
  againWorker(worker: number): void {
    const seat = this.#worker(worker);
    seat.isWanted = true;
    if (!seat.child.isGone) return;
    seat.child = this.#spawnWorker(seat.settings);
    this.#attendWorker(seat);
  }
  signalWorker(worker: number, signal: 'SIGSTOP' | 'SIGCONT'): void {
    const seat = this.#worker(worker);
    const event = signal === 'SIGSTOP' ? 'paused' : 'resumed';
    this.#history.write({ kind: 'worker', at: nowMs(), worker: seat.settings.name, event });
    seat.child.signal(signal);
  }
  async restartWorker(worker: number): Promise<void> {
    const seat = this.#worker(worker);
    seat.isWanted = false;
    await seat.child.stop(12_000);
    seat.owns = 0;
    this.againWorker(worker);
  }
  /** @returns how many partitions the workers of a group hold together, by their own word */
  ownedBy(group: string): number {
    return this.#workers.filter(({ settings }) => settings.group === group).reduce((sum, { owns }) => sum + owns, 0);
  }
  /** @returns whether each of them has a share, and together they hold `partitions` */
  isShared(group: string, partitions: number): boolean {
    const seats = this.#workers.filter(({ settings }) => settings.group === group);
    const least = Math.floor(partitions / Math.max(1, seats.length));
    return this.ownedBy(group) === partitions && seats.every(({ owns }) => owns >= least);
  }
  async stopWorkers(): Promise<void> {
    for (const seat of this.#workers) seat.isWanted = false;
    await Promise.all(this.#workers.map(({ child }) => child.stop(15_000)));
  }

  /** Starts a process of this folder. */
  spawn(name: string, script: string, settings: object): Child {
    const args = [JSON.stringify(settings)];
    return new Child({ name, script, args, logFolder: this.#options.logFolder });
  }

  /** For each partition the nodes that say they own it. */
  owners(): readonly (readonly string[])[] {
    const owners: string[][] = Array.from({ length: this.#options.partitionCount }, () => []);
    const now = performance.now();
    for (const { name, child } of this.#nodes) {
      const said = this.#said.get(name);
      if (said === undefined || child.isGone || now - said.at > HEARTBEAT_AGE_MS_MAX) continue;
      for (const [partition] of said.owned) owners[partition]?.push(name);
    }
    return owners;
  }

  /** Waits until every partition has exactly one owner. */
  untilOwned(withinMs: number, among: readonly string[] = this.nodeNames): Promise<void> {
    const isGood = (owners: readonly string[]) => owners.length === 1 && among.includes(owners[0] ?? '');
    return until('every partition has one owner', () => this.owners().every(isGood), withinMs);
  }

  trouble(who: string, detail: string): void {
    this.#options.say(`${who}: ${detail}`);
    this.#history.write({ kind: 'trouble', at: nowMs(), who, detail });
  }

  /** Ends everything, whatever state it is in. */
  async stop(): Promise<void> {
    this.#isEnding = true;
    await Promise.all([...this.#workers, ...this.#nodes].map(({ child }) => child.kill()));
    const proxies = [this.light, this.workersProxy, ...this.#nodes.map(({ proxy }) => proxy)];
    await Promise.all(proxies.map((proxy) => proxy.stop()));
    await this.connection.close();
    await this.nats.stop();
    await this.routes.stop();
  }

  async #addNode(name: string): Promise<void> {
    const proxy = await RoleProxy.start(name, this.nats.urls);
    const seat: NodeSeat = { name, proxy, child: this.#newNode(name, proxy), isWanted: true };
    this.#nodes.push(seat);
    this.#attendNode(seat);
  }

  #spawnNode(seat: NodeSeat): Child {
    seat.child = this.#newNode(seat.name, seat.proxy);
    this.#attendNode(seat);
    return seat.child;
  }

  #newNode(name: string, proxy: RoleProxy): Child {
    const { partitionCount, logFolder, nodeFlags = [] } = this.#options;
    const args = ['node', '--cluster', CLUSTER, '--id', name, '--servers', proxy.urls.join(',')];
    args.push('--partitions', String(partitionCount), '--group-initial-rebalance-delay-ms', '300');
    args.push('--log-level', 'debug', ...nodeFlags);
    return new Child({ name, script: MUSTER, args, logFolder });
  }

  #attendNode(seat: NodeSeat): void {
    const { child, name } = seat;
    void child.exited.then((code) => {
      if (!seat.isWanted || this.#isEnding) return;
      this.#options.say(`${name} ended by itself with code ${code}: it is started again`);
      setTimeout(() => {
        if (seat.isWanted && !this.#isEnding && seat.child.isGone) this.#spawnNode(seat);
      }, RESTART_AFTER_MS);
    });
  }

  #spawnWorker(settings: WorkerSettings): Child {
    return this.spawn(settings.name, './worker-process.js', settings);
  }

  #attendWorker(seat: WorkerSeat): void {
    const { child } = seat;
    child.onMessage((message) => {
      const report = message as Report;
      if (report.kind === 'owns' && seat.child === child) seat.owns = report.partitions;
    });
    void child.exited.then((code) => {
      if (!seat.isWanted || this.#isEnding || seat.child !== child) return;
      this.trouble(seat.settings.name, `ended by itself with code ${code}: it is started again`);
      seat.owns = 0;
      setTimeout(() => {
        if (seat.isWanted && !this.#isEnding) this.againWorker(this.#workers.indexOf(seat));
      }, RESTART_AFTER_MS);
    });
  }

  #node(index: number): NodeSeat {
    return required(this.#nodes[index], `node ${index}`);
  }
  #worker(index: number): WorkerSeat {
    return required(this.#workers[index], `worker ${index}`);
  }
}

/** Asks a child and waits for the report of one kind. @throws Error where it ends or does not answer in time */
export function asked<Kind extends Report['kind']>(
  child: Child,
  order: Order | undefined,
  kind: Kind,
  withinMs: number,
): Promise<Extract<Report, { kind: Kind }>> {
  return new Promise((resolve, reject) => {
    const what = `${child.name} to say "${kind}"`;
    const timer = setTimeout(() => reject(new Error(`waited ${withinMs} ms for ${what}`)), withinMs);
    void child.exited.then((code) => reject(new Error(`ended with code ${code} while waiting for ${what}`)));
    const stopListening = child.onMessage((message) => {
      const report = message as Report;
      if (report.kind !== kind) return;
      clearTimeout(timer);
      stopListening();
      resolve(report as Extract<Report, { kind: Kind }>);
    });
    if (order !== undefined) child.send(order);
  });
}

/** Waits for a condition. @throws Error naming what did not come true */
export async function until(what: string, condition: () => boolean, withinMs: number): Promise<void> {
  const giveUpAt = performance.now() + withinMs;
  while (!condition()) {
    if (performance.now() > giveUpAt) throw new Error(`not within ${withinMs} ms: ${what}`);
    await pause(POLL_MS);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, Math.max(0, ms));
  });
}

function required<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new RangeError(`there is no ${what}`);
  return value;
}
