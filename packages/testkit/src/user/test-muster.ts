/**
 * Muster in memory, for unit tests of handlers: real coordinator nodes, real workers, streams and a clock that stands still until
 * it is told to move. Hours pass in milliseconds; crashes, cuts and lost messages are single calls.
 *
 * 1. Nothing happens behind the test's back: time moves only in `advance`, `until` and `settle`.
 * 2. Coordinator and worker are the product's own code; only NATS, log, streams and clock are doubles.
 */

import { clusterSettingsDefaults } from '@muster/cluster';
import { type AssembledNode, assembleNode } from '@muster/coordinator';
import { groupConfigDefaults } from '@muster/group';
import { incarnation, logId, nodeId, Subjects } from '@muster/protocol';
import {
  type Consumer,
  type ConsumerOptions,
  type Key,
  type Logger,
  Muster,
  MusterError,
  silentLogger,
  type TopicOptions,
} from '@muster/worker';
import { pino } from 'pino';
import { MemoryLeaseStore } from '../memory-lease-store.js';
import { MemoryLogStore } from '../memory-log-store.js';
import { MemoryNats, type Transit } from '../memory-nats.js';
import { SeededRandom } from '../seeded-random.js';
import { VirtualClock } from '../virtual-clock.js';
import { MemoryStreamServer, MemoryStreams, type StoredMessage } from './memory-streams.js';
import { MemoryTransport } from './memory-transport.js';

export interface TestMusterOptions {
  /** Created before the first test line runs. */
  readonly topics?: readonly TopicOptions[];
  /** Coordinator nodes. Default 1; two or more to test a failover. */
  readonly coordinators?: number;
  /** How long the first round of a group waits for more members. Default 0. */
  readonly initialRebalanceDelayMs?: number;
  /** Of every worker; silent by default. */
  readonly logger?: Logger;
}

/** A message for `TestMuster.produce`. */
export interface TestMessage {
  readonly key?: Key;
  readonly value: unknown;
  readonly partition?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

const CLUSTER = 'test';
const PARTITIONS = 4;
const UNTIL_MS = 120_000;
const START_MS = 20_000;

/** What each option must be, said where it is something else. */
const optionChecks: Readonly<Record<keyof TestMusterOptions, readonly [(value: unknown) => boolean, string]>> = {
  topics: [Array.isArray, 'a list of { name, partitions }'],
  coordinators: [(value) => Number.isInteger(value) && Number(value) >= 1, 'a whole number of at least 1'],
  initialRebalanceDelayMs: [(value) => typeof value === 'number' && value >= 0, 'a number of milliseconds'],
  logger: [(value) => typeof value === 'object' && value !== null, 'an object with debug, info, warn, error'],
};

/** A misspelt option is an error: without its topic a test would wait for messages that nobody can send. */
function requireOptions(options: TestMusterOptions): void {
  const refuse = (why: string) => {
    throw new MusterError('INVALID_ARGUMENT', `createTestMuster: ${why}`);
  };
  const checks = new Map(Object.entries(optionChecks));
  for (const [name, value] of Object.entries(options)) {
    const check = checks.get(name);
    if (check === undefined) refuse(`no such option: ${name}; options are ${[...checks.keys()].join(', ')}`);
    else if (value !== undefined && !check[0](value)) refuse(`${name}: ${check[1]}`);
  }
}

/** @returns Muster in memory with its coordinators running and its topics made; throws MusterError INVALID_ARGUMENT */
export async function createTestMuster(options: TestMusterOptions = {}): Promise<TestMuster> {
  requireOptions(options);
  const test = new TestMuster(options);
  for (let node = 1; node <= (options.coordinators ?? 1); node += 1) await test.startCoordinator(`coordinator-${node}`);
  for (const topic of options.topics ?? []) await test.settle(test.muster.topics.create(topic));
  return test;
}

export class TestMuster {
  readonly clock = new VirtualClock();
  /** The first worker process. */
  readonly muster: Muster;
  readonly #options: TestMusterOptions;
  readonly #random = new SeededRandom('test');
  readonly #nats: MemoryNats;
  readonly #leases: MemoryLeaseStore;
  readonly #log: MemoryLogStore;
  readonly #streams: MemoryStreamServer;
  readonly #subjects = new Subjects(CLUSTER);
  readonly #workers = new Map<string, Muster>();
  readonly #coordinators = new Map<string, AssembledNode>();

  /** Use `createTestMuster`. */
  constructor(options: TestMusterOptions) {
    this.#options = options;
    this.#nats = new MemoryNats({ clock: this.clock, random: this.#random.fork('nats') });
    this.#leases = new MemoryLeaseStore({ nats: this.#nats });
    this.#log = new MemoryLogStore({ clock: this.clock });
    this.#streams = new MemoryStreamServer(() => this.clock.wallNow());
    this.muster = this.worker('worker');
  }

  /** @returns the Muster of another worker process, made at the first call */
  worker(name: string): Muster {
    const known = this.#workers.get(name);
    if (known !== undefined) return known;
    const bus = this.#nats.connect(name);
    const random = this.#random.fork(name);
    const muster = new Muster({
      cluster: CLUSTER,
      clientId: name,
      transport: new MemoryTransport(this.#nats, bus),
      streams: new MemoryStreams(this.#streams, this.#nats, bus),
      environment: {
        clock: this.#nats.clockOf(name),
        wallNow: () => this.clock.wallNow(),
        random: () => random.next(),
        newId: () => `${name}-${random.id()}`,
      },
      logger: this.#options.logger ?? silentLogger,
    });
    this.#workers.set(name, muster);
    return muster;
  }

  /** Lets time pass. */
  async advance(ms: number): Promise<void> {
    await this.clock.advance(ms);
  }

  /** Lets time pass until the condition holds. Throws where it does not within `withinMs` of virtual time. */
  async until(condition: () => boolean, withinMs = UNTIL_MS): Promise<void> {
    if (!(await this.clock.advanceUntil(condition, withinMs)))
      throw new Error(`not within ${withinMs} ms: ${condition}`);
  }

  /** Lets time pass until a promise settles. @returns what it gave; throws what it threw */
  async settle<Value>(promise: Promise<Value>, withinMs = UNTIL_MS): Promise<Value> {
    let isSettled = false;
    const settled = () => {
      isSettled = true;
    };
    promise.then(settled, settled);
    if (await this.clock.advanceUntil(() => isSettled, withinMs)) return await promise;
    throw new Error(`the promise did not settle within ${withinMs} ms`);
  }

  /** Joins a group, as `muster.consumer` of a worker, and lets the time pass that this takes. */
  async consumer<Value>(options: ConsumerOptions<Value>, worker = 'worker'): Promise<Consumer<Value>> {
    return await this.settle(this.worker(worker).consumer<Value>(options));
  }

  /** Puts messages into a topic, as a JSON producer does. */
  async produce(topic: string, ...messages: readonly TestMessage[]): Promise<void> {
    const producer = await this.settle(this.worker('producer').producer({ topic }));
    await this.settle(Promise.all(messages.map((message) => producer.send(message))));
    await this.settle(producer.close());
  }

  /** @returns what is in a topic's stream */
  async messages(topic: string): Promise<readonly StoredMessage[]> {
    const { stream } = await this.settle(this.muster.topics.describe(topic));
    return this.#streams.stream(stream).messages;
  }

  /** @returns a group's committed offsets, by `topic/partition` */
  async committed(group: string): Promise<Record<string, number>> {
    const offsets = await this.settle(this.muster.admin().fetchOffsets(group));
    return Object.fromEntries(offsets.map(({ topic, partition, offset }) => [`${topic}/${partition}`, offset]));
  }

  /**
   * Lets another member join the group, which takes its share and handles nothing: a scripted rebalance. Closing it gives the
   * share back. The group's other members need time to rejoin: `until` your consumer has what you expect.
   */
  async rival(group: string, topics: readonly string[], name = 'rival'): Promise<Consumer<unknown>> {
    return await this.consumer({ group, topics, commit: { kind: 'manual' } }, name);
  }

  /** The worker process dies: nothing of it runs any more, nobody is told. */
  crash(worker: string): void {
    this.#nats.kill(worker);
    this.#workers.delete(worker);
  }

  /** The worker process stands still, as after SIGSTOP: its timers and its input wait. */
  freeze(worker: string): void {
    this.#nats.freeze(worker);
  }
  thaw(worker: string): void {
    this.#nats.thaw(worker);
  }

  /** Takes the connection of a process to NATS away, and gives it back. */
  cut(name: string): void {
    this.#nats.cut(name);
  }
  heal(name: string): void {
    this.#nats.heal(name);
  }

  /** Loses messages of core NATS for which the function says so: requests, replies, notices. @returns how to stop */
  drop(isLost: (message: Transit) => boolean): () => void {
    return this.#nats.drop(isLost);
  }

  /** Starts a coordinator node and lets it take its share of the partitions. */
  async startCoordinator(name: string): Promise<void> {
    const bus = this.#nats.connect(name);
    const random = this.#random.fork(`${name}-${this.clock.now()}`);
    const identity = {
      node: nodeId(name),
      incarnation: incarnation(random.id()),
      subjects: this.#subjects,
      logId: logId('test-log'),
      partitionCount: PARTITIONS,
      epochFloor: 0,
    };
    const ports = {
      bus,
      store: this.#log.connect(`${name}-${this.clock.now()}`),
      room: this.#log,
      leases: this.#leases.storeOf(name),
      clock: this.#nats.clockOf(name),
      random,
      defer: (run: () => void) => queueMicrotask(run),
    };
    const { initialRebalanceDelayMs = 0 } = this.#options;
    const config = { ...groupConfigDefaults, initialRebalanceDelayMs };
    const node = assembleNode(identity, ports, config, pino({ level: 'silent' }), clusterSettingsDefaults);
    this.#coordinators.set(name, node);
    await this.settle(node.cluster.start(), START_MS);
    await this.until(() => this.#isServed(), START_MS);
  }

  /** kill -9 of a coordinator node; another takes over, where there is one. */
  crashCoordinator(name: string): void {
    this.#nats.kill(name);
    this.#coordinators.delete(name);
  }

  /** Closes every worker and stops the coordinators. */
  async close(): Promise<void> {
    await this.settle(Promise.all([...this.#workers.values()].map((muster) => muster.close({ timeoutMs: 5_000 }))));
    for (const node of this.#coordinators.values()) node.stop();
  }

  #isServed(): boolean {
    const served = new Set<number>();
    for (const { partitions, cluster } of this.#coordinators.values()) {
      for (const { partition } of partitions.all()) if (cluster.ownership.mayServe(partition)) served.add(partition);
    }
    return served.size === PARTITIONS;
  }
}
