/**
 * The coordinators of a simulation: real nodes, each in a simulated process, that crash, pause, drain and come back.
 */

import { type ClusterSettings, clusterSettingsDefaults } from '@muster/cluster';
import { type AssembledNode, assembleNode } from '@muster/coordinator';
import { type GroupConfig, groupConfigDefaults } from '@muster/group';
import { type Incarnation, incarnation, logId, monotonicMs, nodeId, type Partition, Subjects } from '@muster/protocol';
import { pino } from 'pino';
import type { SeededRandom } from '../seeded-random.js';
import { SimBus } from './bus.js';
import type { Canary, RuntimeOf } from './canaries.js';
import type { History } from './history.js';
import type { LeaseServer } from './lease-server.js';
import type { LogServer } from './log-server.js';
import type { Network, Peer } from './network.js';
import { SimProcess } from './process.js';

const silent = pino({ level: 'silent' });
/** A lost lease ends a process; whoever runs it starts it again after so long, in ms. */
const RESTART_MS = 700;

export type SimNode = {
  readonly name: string;
  readonly incarnation: Incarnation;
  readonly process: SimProcess;
  readonly peer: Peer;
  readonly assembled: AssembledNode;
  isDraining: boolean;
  /** Another process has been started under its id since. */
  isReplaced: boolean;
};

export type ClusterParts = {
  readonly network: Network;
  readonly log: LogServer;
  readonly leases: LeaseServer;
  readonly random: SeededRandom;
  readonly history: History;
  readonly canary: Canary | undefined;
  readonly partitionCount: number;
  readonly driftMax: number;
  readonly group: Partial<GroupConfig>;
  readonly settings: Partial<ClusterSettings>;
  /** A checkpoint is begun after so many frames of a partition. */
  readonly checkpointFrames: number;
  /** A node serves a partition again; it began to try at `askedAt`. */
  readonly onResumed: (runtime: RuntimeOf, node: SimNode, askedAt: number) => void;
};

export class SimCluster {
  readonly subjects = new Subjects('sim');
  readonly logId = logId('sim-log');
  readonly partitionCount: number;
  readonly #parts: ClusterParts;
  readonly #nodes = new Map<string, SimNode>();
  /** Processes whose node id another has taken, until they notice. */
  readonly #replaced = new Set<SimNode>();
  /** Names of nodes that are wanted but not running: they are started again by themselves. */
  readonly #starting = new Set<string>();
  #processes = 0;

  constructor(parts: ClusterParts) {
    this.#parts = parts;
    this.partitionCount = parts.partitionCount;
  }

  /** All processes, replaced ones too. */
  get nodes(): readonly SimNode[] {
    return [...this.#nodes.values(), ...this.#replaced];
  }
  get names(): readonly string[] {
    return [...this.#nodes.keys()];
  }
  node(name: string): SimNode | undefined {
    return this.#nodes.get(name);
  }
  /** Whether that incarnation runs, paused or not. */
  running(id: Incarnation): SimNode | undefined {
    return this.nodes.find((node) => node.incarnation === id);
  }

  /** Starts a process of that node id on a server. */
  start(name: string, server: number): SimNode | undefined {
    if (this.#nodes.has(name)) return undefined;
    const { network, log, leases, history, canary, partitionCount, driftMax } = this.#parts;
    this.#processes += 1;
    const random = this.#parts.random.fork(`${name}-${this.#processes}`);
    const process = new SimProcess(
      network.scheduler,
      `${name}#${this.#processes}`,
      1 + (random.next() - 0.5) * driftMax * 2,
    );
    const peer = network.connect(process, server);
    const plainBus = new SimBus(network, peer);
    const isConnected = (): boolean => plainBus.connected;
    const plainStore = log.connect(peer, isConnected);
    const plainLeases = leases.connect(peer, isConnected);
    const id = incarnation(canary?.sharesIncarnation ? `${name}-ever-the-same` : random.id());
    const assembled = assembleNode(
      {
        node: nodeId(name),
        incarnation: id,
        subjects: this.subjects,
        logId: this.logId,
        partitionCount,
        epochFloor: 0,
      },
      {
        bus: canary?.bus?.(plainBus) ?? plainBus,
        store: canary?.store?.(plainStore, log) ?? plainStore,
        room: log.room,
        leases: canary?.leases?.(plainLeases, process.clock) ?? plainLeases,
        clock: process.clock,
        random,
        defer: (run) => void process.clock.after(0, run),
      },
      { ...groupConfigDefaults, initialRebalanceDelayMs: 0, ...this.#parts.group },
      silent,
      { ...clusterSettingsDefaults, ...this.#parts.settings },
    );
    const node: SimNode = { name, incarnation: id, process, peer, assembled, isDraining: false, isReplaced: false };
    this.#nodes.set(name, node);
    this.#watchClaims(node);
    canary?.node?.(assembled, process.clock);
    this.#watchResumes(node);
    history.note(`node ${name}`, () => `starts as ${id} on server ${server}`);
    assembled.cluster.start().catch((error: unknown) => {
      history.mark('a node could not start');
      history.note(`node ${name}`, () => `could not start: ${String(error)}`);
      this.#startAgain(node, server);
    });
    void assembled.over.then((detail) => {
      if (!process.isAlive) return;
      history.mark('a node lost its lease');
      history.note(`node ${name}`, () => `is over: ${detail}`);
      this.#startAgain(node, server);
    });
    return node;
  }

  /**
   * Starts another process under the id of one that stands still, as somebody does who takes it for dead: a supervisor, or an
   * orchestrator that has lost sight of the host.
   */
  replace(name: string, server: number): void {
    const old = this.#nodes.get(name);
    if (old === undefined) return;
    old.isReplaced = true;
    this.#nodes.delete(name);
    this.#replaced.add(old);
    this.start(name, server);
  }

  /** kill -9 */
  kill(name: string): void {
    const node = this.#nodes.get(name);
    if (node !== undefined) this.#kill(node);
  }

  /** kill -9 of every process. */
  killAll(): void {
    for (const node of this.nodes) this.#kill(node);
  }

  #kill(node: SimNode): void {
    const { name } = node;
    if (!this.#replaced.delete(node)) this.#nodes.delete(name);
    node.process.kill();
    node.assembled.stop();
    this.#parts.network.disconnect(node.peer);
    this.#parts.history.note(`node ${name}`, () => 'is killed');
  }

  /** SIGTERM */
  drain(name: string, graceMs: number): void {
    const node = this.#nodes.get(name);
    if (node === undefined || node.isDraining) return;
    node.isDraining = true;
    const deadline = monotonicMs(node.process.clock.now() + graceMs);
    void node.assembled.cluster.drain(deadline).then(() => {
      if (this.#nodes.get(name) !== node) return;
      this.#parts.history.mark('a node drained');
      this.kill(name);
    });
  }

  /** The nodes that would serve the partition at this moment, whether they are reachable or not. */
  serving(partition: Partition): readonly SimNode[] {
    return this.nodes.filter(
      ({ process, assembled }) => !process.isPaused && assembled.cluster.ownership.mayServe(partition),
    );
  }

  /** What a node has of a partition in memory. */
  runtimeOf(node: SimNode, partition: Partition): RuntimeOf | undefined {
    for (const runtime of node.assembled.partitions.all()) if (runtime.partition === partition) return runtime;
    return undefined;
  }

  #startAgain(node: SimNode, server: number): void {
    const { name } = node;
    if (node.isReplaced) return this.#kill(node);
    if (this.#nodes.get(name) !== node) return;
    this.#kill(node);
    this.#starting.add(name);
    this.#parts.network.scheduler.after(RESTART_MS, () => {
      if (this.#starting.delete(name)) this.start(name, server);
    });
  }

  /** Outermost: it hears what the product, or a canary, says. */
  #watchResumes(node: SimNode): void {
    const { partitions } = node.assembled;
    const { network, onResumed } = this.#parts;
    const resume = partitions.resume.bind(partitions);
    partitions.resume = async (partition) => {
      const askedAt = network.scheduler.now;
      const outcome = await resume(partition);
      const runtime = this.runtimeOf(node, partition);
      if (outcome === 'resumed' && runtime !== undefined && node.process.isAlive) onResumed(runtime, node, askedAt);
      return outcome;
    };
  }

  /** A checkpoint is due early here, and canaries take hold where a partition has just been loaded. */
  #watchClaims(node: SimNode): void {
    const { partitions } = node.assembled;
    const { canary, checkpointFrames, history } = this.#parts;
    const claim = partitions.claim.bind(partitions);
    partitions.claim = async (partition, mayClaim) => {
      history.note(`node ${node.name}`, () => `tries to claim partition ${partition}`);
      const result = await claim(partition, mayClaim);
      history.note(`node ${node.name}`, () => `claim of partition ${partition}: ${JSON.stringify(result)}`);
      const runtime = this.runtimeOf(node, partition);
      if (result.kind !== 'claimed' || runtime === undefined) return result;
      this.#checkpointEarly(runtime, checkpointFrames);
      canary?.claimed?.(runtime);
      return result;
    };
  }

  #checkpointEarly(runtime: RuntimeOf, everyFrames: number): void {
    const { log } = runtime;
    const { log: server, history } = this.#parts;
    let begunAt = server.landedCount(runtime.partition);
    const isDue = (frames: number, mark: string): boolean => {
      const landed = server.landedCount(runtime.partition);
      if (log.checkpointRunning || landed - begunAt < frames) return false;
      begunAt = landed;
      history.mark(mark);
      return true;
    };
    Object.defineProperty(log, 'checkpointDue', { get: () => isDue(everyFrames, 'a checkpoint began') });
    const urgentFrames = Math.ceil(everyFrames / 4);
    Object.defineProperty(log, 'urgentCheckpointDue', { get: () => isDue(urgentFrames, 'an urgent checkpoint began') });
  }
}
