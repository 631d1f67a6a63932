/**
 * A whole Muster cluster on real servers: NATS, nodes as processes or inside this one, and a client that sees who owns what.
 *
 * Everything that it starts ends with `close`. Ownership is what the nodes say in their heartbeats (cluster/messages.ts).
 */

import { parseHeartbeat } from '@muster/cluster';
import { type RunningNode, readConfig, startNode } from '@muster/coordinator';
import { connectNats, NatsBus } from '@muster/nats';
import {
  type NatsClusterOptions,
  type NatsServerControl,
  type NatsServerHandle,
  startNatsCluster,
} from '@muster/nats-server';
import { type GroupId, groupId, partitionOf, Subjects } from '@muster/protocol';
import type { NatsConnection } from 'nats';
import { pino } from 'pino';
import { LogLines, type Process, startMusterNode, until, WAIT_MS } from './processes.js';
import { RawClient } from './raw-client.js';

export type RealClusterOptions = {
  /** Servers 1 (default) or 3, version, further configuration. */
  readonly nats?: NatsClusterOptions;
  readonly partitions?: number;
  /** Flags that every node gets instead of those of `flagsOf`, or besides them. */
  readonly nodeFlags?: Readonly<Record<string, string>>;
};

/** A heartbeat that is older does not count: its sender is paused or gone. */
const HEARTBEAT_AGE_MS_MAX = 1_500;

type Said = { readonly at: number; readonly owned: readonly (readonly [number, number])[] };

export class RealCluster {
  readonly name = 'real';
  readonly subjects = new Subjects('real');
  readonly nats: NatsServerHandle;
  readonly connection: NatsConnection;
  readonly client: RawClient;
  readonly partitionCount: number;
  /** What all nodes inside this process have logged. */
  readonly insideLog = new LogLines();
  readonly #processes = new Map<string, Process>();
  readonly #inside = new Map<string, RunningNode>();
  readonly #said = new Map<string, Said>();
  readonly #closings: (() => unknown)[] = [];
  readonly #nodeFlags: Readonly<Record<string, string>>;
  #groups = 0;

  private constructor(nats: NatsServerHandle, connection: NatsConnection, options: RealClusterOptions) {
    const { partitions = 12, nodeFlags = {} } = options;
    this.nats = nats;
    this.connection = connection;
    this.partitionCount = partitions;
    this.#nodeFlags = nodeFlags;
    const bus = new NatsBus(connection);
    this.client = new RawClient(bus, this.subjects, partitions);
    bus.subscribe(this.subjects.heartbeats, ({ payload }) => {
      const heartbeat = parseHeartbeat(payload);
      if (heartbeat !== undefined)
        this.#said.set(heartbeat.node, { at: performance.now(), owned: heartbeat.owned.map(([p, e]) => [p, e]) });
    });
  }

  /** Starts the servers and connects to them; no node runs yet. */
  static async start(options: RealClusterOptions = {}): Promise<RealCluster> {
    const nats = await startNatsCluster({ servers: 1, ...options.nats });
    try {
      const connection = await connectNats({ servers: nats.urls, name: 'test' });
      return new RealCluster(nats, connection, options);
    } catch (thrown) {
      await nats.stop();
      throw thrown;
    }
  }

  /** @returns the nodes that are connected to a server now, by its own word */
  async nodesOn(server: NatsServerControl): Promise<readonly string[]> {
    const answer = await fetch(`${server.monitorUrl}/connz?limit=1000`);
    const { connections } = (await answer.json()) as { readonly connections: readonly { readonly name?: string }[] };
    const names = connections.map(({ name = '' }) => name);
    return [...this.#processes.keys()].filter((node) => names.includes(`muster-${node}`));
  }

  /** Flags that every node of this cluster gets. */
  flagsOf(name: string): Record<string, string> {
    return {
      '--cluster': this.name,
      '--id': name,
      '--servers': this.nats.urls.join(','),
      '--partitions': String(this.partitionCount),
      '--group-initial-rebalance-delay-ms': '200',
      '--log-level': 'debug',
      ...this.#nodeFlags,
    };
  }

  /** Starts nodes as processes. Settles when each is a member of the cluster, and every partition has an owner. */
  async startNodes(...names: readonly string[]): Promise<void> {
    for (const name of names) {
      this.#said.delete(name);
      const node = startMusterNode(name, Object.entries(this.flagsOf(name)).flat());
      this.#processes.set(name, node);
    }
    const nodes = names.map((name) => this.node(name));
    const explain = () => this.logs();
    await until(
      'the nodes have started',
      () => nodes.every(({ log, isRunning }) => isRunning && log.of('node started').length > 0),
      WAIT_MS,
      explain,
    );
    await this.untilOwned();
  }

  /** Starts nodes inside this process: cheaper, and good where none has to die. */
  async startInside(...names: readonly string[]): Promise<void> {
    const log = pino({ level: 'debug' }, { write: (line: string) => this.insideLog.add(line) });
    const start = async (name: string) => {
      const flags = Object.entries(this.flagsOf(name)).map(([flag, value]) => [camelCase(flag), value]);
      const config = readConfig({ flags: Object.fromEntries(flags), env: {}, file: undefined });
      this.#inside.set(name, await startNode(config, log));
    };
    await Promise.all(names.map(start));
    await this.untilOwned();
  }

  /** @returns the process of a node */
  node(name: string): Process {
    const node = this.#processes.get(name);
    if (node === undefined) throw new RangeError(`no node ${name} was started`);
    return node;
  }
  /** @returns the names of the node processes that run, paused ones too */
  get running(): readonly string[] {
    return [...this.#processes.values()].filter(({ isRunning }) => isRunning).map(({ name }) => name);
  }

  /** For each partition the nodes that say they own it. */
  owners(): readonly (readonly string[])[] {
    const owners: string[][] = Array.from({ length: this.partitionCount }, () => []);
    const now = performance.now();
    for (const [name, { at, owned }] of this.#said) {
      if (now - at > HEARTBEAT_AGE_MS_MAX || this.#processes.get(name)?.isRunning === false) continue;
      for (const [partition] of owned) owners[partition]?.push(name);
    }
    return owners;
  }

  /** Waits until each partition has exactly one owner; one of `among`, where that is given. */
  async untilOwned(among?: readonly string[], withinMs = WAIT_MS): Promise<void> {
    const isGood = (owners: readonly string[]) =>
      owners.length === 1 && (among === undefined || among.includes(owners[0] ?? ''));
    const explain = () => `${JSON.stringify(this.owners())}\n${this.logs()}`;
    await until('every partition has one owner', () => this.owners().every(isGood), withinMs, explain);
  }

  /** @returns the partitions that a node says it owns */
  partitionsOf(name: string): readonly number[] {
    return this.owners().flatMap((owners, partition) => (owners.includes(name) ? [partition] : []));
  }

  /** @returns the node that owns the group's partition */
  ownerOf(group: GroupId): string {
    const owners = this.owners()[partitionOf(group, this.partitionCount)] ?? [];
    if (owners.length !== 1) throw new Error(`the partition of ${group} is owned by [${owners.join(', ')}]`);
    return owners[0] ?? '';
  }

  /** Waits for a moment in which every partition has an owner. @returns one of them */
  async anyOwner(): Promise<string> {
    await this.untilOwned();
    return this.ownerOf(this.newGroup());
  }

  /** @returns the name of a new group, coordinated by `node` where one is given */
  newGroup(node?: string): GroupId {
    for (let tries = 0; tries < 1_000; tries += 1) {
      this.#groups += 1;
      const group = groupId(`group-${this.#groups}`);
      // Partitions may be on their way to a node that has just come: of those nobody is the owner for a moment.
      const owners = this.owners()[partitionOf(group, this.partitionCount)] ?? [];
      if (node === undefined || (owners.length === 1 && owners[0] === node)) return group;
    }
    throw new Error(`${node} owns nothing: ${JSON.stringify(this.owners())}`);
  }

  /** Runs before the servers end, the latest first. */
  onClose(close: () => unknown): void {
    this.#closings.push(close);
  }

  /** @returns what everybody has logged, for a test that has failed */
  logs(): string {
    const logs = [...this.#processes.values()].map(({ name, log }) => `--- ${name}\n${log.text}`);
    return [...logs, `--- inside\n${this.insideLog.text}`].join('\n');
  }

  /** Ends everything, also where a test has left processes paused or servers down. */
  async close(): Promise<void> {
    this.client.close();
    for (const close of this.#closings.splice(0).reverse()) await close();
    await Promise.all([...this.#inside.values()].map((node) => node.stop()));
    await Promise.all([...this.#processes.values()].map((node) => node.kill()));
    await this.connection.close();
    await this.nats.stop();
  }
}

function camelCase(flag: string): string {
  return flag.slice(2).replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
