/**
 * A whole Muster cluster in one process under a virtual clock: real nodes (package coordinator) on the in-memory NATS, lease store
 * and partition logs of the testkit. Everything but the adapters is the product's own code.
 */

import type { ClusterSettings } from '@muster/cluster';
import { clusterSettingsDefaults } from '@muster/cluster';
import type { AssembledNode } from '@muster/coordinator';
import { assembleNode } from '@muster/coordinator';
import type { GroupConfig } from '@muster/group';
import { groupConfigDefaults } from '@muster/group';
import type { ApiName, ErrorName, GroupId, ReplyHead, ReplyOf, RequestHead, RequestOf } from '@muster/protocol';
import {
  encodeRequest,
  groupApis,
  incarnation,
  logId,
  nodeId,
  type ParsedReply,
  type Partition,
  parseReply,
  partitionOf,
  requestId,
  Subjects,
} from '@muster/protocol';
import {
  type MemoryBus,
  MemoryLeaseStore,
  MemoryLogStore,
  MemoryNats,
  SeededRandom,
  VirtualClock,
} from '@muster/testkit/internals';
import { pino } from 'pino';
import { ProcessLogStore } from './process-log.js';

export type WorldOptions = {
  readonly partitionCount?: number;
  readonly seed?: number;
  readonly group?: Partial<GroupConfig>;
  readonly settings?: Partial<ClusterSettings>;
};

/** An answer as a client sees it. */
export type WorldReply<Api extends ApiName> = {
  readonly error: ErrorName;
  readonly head: ReplyHead;
  readonly fields: ReplyOf[Api] | undefined;
};

export class ClusterWorld {
  readonly clock = new VirtualClock();
  readonly nats: MemoryNats;
  readonly leases: MemoryLeaseStore;
  readonly log: MemoryLogStore;
  readonly partitionCount: number;
  readonly subjects = new Subjects('world');
  readonly client: MemoryBus;
  readonly #random: SeededRandom;
  readonly #options: WorldOptions;
  readonly #nodes = new Map<string, AssembledNode>();
  readonly #frozen = new Set<string>();
  /** Client of the log of each running process: a restarted node is another client, whatever its name. */
  readonly #logClients = new Map<string, string>();
  #requests = 0;

  constructor(options: WorldOptions = {}) {
    this.#options = options;
    this.partitionCount = options.partitionCount ?? 12;
    this.#random = new SeededRandom(options.seed ?? 1);
    this.nats = new MemoryNats({ clock: this.clock, random: this.#random.fork('nats') });
    this.leases = new MemoryLeaseStore({ nats: this.nats });
    this.log = new MemoryLogStore({ clock: this.clock });
    this.client = this.nats.connect('client');
  }

  /** Starts a node; it is a member of the cluster when this settles, and owns nothing yet. */
  async startNode(name: string): Promise<AssembledNode> {
    const bus = this.nats.connect(name);
    const clock = this.nats.clockOf(name);
    const random = this.#random.fork(`${name}-${this.clock.now()}`);
    const logClient = `${name}-${this.clock.now()}`;
    this.#logClients.set(name, logClient);
    const node = assembleNode(
      {
        node: nodeId(name),
        incarnation: incarnation(random.id()),
        subjects: this.subjects,
        logId: logId('world-log'),
        partitionCount: this.partitionCount,
        epochFloor: 0,
      },
      {
        bus,
        store: new ProcessLogStore(this.log.connect(logClient), this.nats, bus),
        room: this.log,
        leases: this.leases.storeOf(name),
        clock,
        random,
        defer: (run) => behindPromises(run),
      },
      { ...groupConfigDefaults, initialRebalanceDelayMs: 0, ...this.#options.group },
      pino({ level: process.env['WORLD_LOG'] ?? 'silent' }),
      { ...clusterSettingsDefaults, ...this.#options.settings },
    );
    this.#nodes.set(name, node);
    let isStarted = false;
    const started = node.cluster.start().finally(() => {
      isStarted = true;
    });
    started.catch(() => {});
    await this.until(() => isStarted, 20_000);
    await started;
    return node;
  }

  /** Starts nodes together and waits until every partition is owned. */
  async startNodes(...names: readonly string[]): Promise<void> {
    for (const name of names) await this.startNode(name);
    await this.until(() => this.ownerships().every((owners) => owners.length === 1), 10_000);
  }

  node(name: string): AssembledNode {
    const node = this.#nodes.get(name);
    if (node === undefined) throw new RangeError(`there is no node ${name}`);
    return node;
  }

  /** kill -9: the connection is gone, nothing of the process runs any more. */
  kill(name: string): void {
    this.nats.kill(name);
    this.log.cut(this.#logClients.get(name) ?? name);
    this.#nodes.delete(name);
    this.#frozen.delete(name);
  }

  /** SIGSTOP. */
  freeze(name: string): void {
    this.nats.freeze(name);
    this.#frozen.add(name);
  }

  /** SIGCONT. */
  thaw(name: string): void {
    this.nats.thaw(name);
    this.#frozen.delete(name);
  }

  /** The names of the nodes that have been started and not killed. */
  get names(): readonly string[] {
    return [...this.#nodes.keys()];
  }

  /** Whether the process is paused. */
  isFrozen(name: string): boolean {
    return this.#frozen.has(name);
  }

  /** Forgets a node that has left by itself. */
  forget(name: string): void {
    this.kill(name);
  }

  /**
   * For each partition the nodes that could answer at this moment: they hold young proof, are not paused, and what they send
   * would arrive. Never more than one may.
   */
  answering(): readonly (readonly string[])[] {
    return this.ownerships().map((names) =>
      names.filter((name) => !this.#frozen.has(name) && this.nats.stateOf(name) === 'up'),
    );
  }

  /** For each partition the nodes that serve it at this moment: never more than one may. */
  ownerships(): readonly (readonly string[])[] {
    const owners: string[][] = Array.from({ length: this.partitionCount }, () => []);
    for (const [name, node] of this.#nodes) {
      for (const { partition } of node.partitions.all()) {
        if (node.cluster.ownership.mayServe(partition)) owners[partition]?.push(name);
      }
    }
    return owners;
  }

  /** The one node that serves the group's partition. */
  ownerOf(group: GroupId): string {
    const owners = this.ownerships()[this.partitionOf(group)] ?? [];
    if (owners.length !== 1) throw new Error(`partition of ${group} is served by [${owners.join(', ')}]`);
    return owners[0] ?? '';
  }

  partitionOf(group: GroupId): Partition {
    return partitionOf(group, this.partitionCount);
  }

  /** Lets time pass until the condition holds. @throws Error where it does not within `ms` */
  async until(condition: () => boolean, ms: number): Promise<void> {
    if (!(await this.clock.advanceUntil(condition, ms))) throw new Error(`not within ${ms} ms of virtual time`);
  }

  /**
   * Sends one request and waits for its answer, with the time that needs; sends it again, as clients do, every 250 ms.
   * @throws Error where no answer comes within `withinMs`
   */
  async ask<Api extends ApiName>(api: Api, body: RequestOf[Api], withinMs = 5_000): Promise<WorldReply<Api>> {
    const pending = this.send(api, body);
    await this.until(() => pending.reply !== undefined, withinMs);
    pending.stop();
    if (pending.reply === undefined) throw new Error('unreachable: the condition has held');
    return pending.reply;
  }

  /** Sends a request without waiting; its answer appears in `reply`. */
  send<Api extends ApiName>(
    api: Api,
    body: RequestOf[Api],
    onReply: (reply: WorldReply<Api>) => void = () => {},
    head: Partial<RequestHead> = {},
  ): { reply: WorldReply<Api> | undefined; stop: () => void } {
    this.#requests += 1;
    const id = requestId(`world-${this.#requests}`);
    const subject = this.subjects.group(this.partitionOf(body.groupId), body.groupId, api);
    const inbox = `_INBOX.${id}`;
    let isOver = false;
    const pending: { reply: WorldReply<Api> | undefined; stop: () => void } = {
      reply: undefined,
      stop: () => {
        isOver = true;
        subscription.unsubscribe();
      },
    };
    const subscription = this.client.subscribe(inbox, ({ payload }) => {
      const parsed: ParsedReply<unknown> = parseReply<unknown>(groupApis[api], payload);
      if (parsed.kind !== 'reply') return;
      const fields = groupApis[api].reply.safeParse(parsed.fields);
      if (pending.reply !== undefined) return;
      pending.reply = {
        error: parsed.error,
        head: parsed.head,
        fields: fields.success ? (fields.data as ReplyOf[Api]) : undefined,
      };
      isOver = true;
      onReply(pending.reply);
    });
    const payload = encodeRequest({ id, deadlineMs: 60_000, ...head }, body);
    const again = () => {
      if (isOver) return;
      this.client.publish(subject, payload, inbox);
      this.clock.after(250, again);
    };
    again();
    return pending;
  }
}

/** As in Node.js: behind the input that is there and everything that it settles, before timers, also after a pause. */
function behindPromises(run: () => void, hops = 16): void {
  queueMicrotask(() => (hops === 0 ? run() : behindPromises(run, hops - 1)));
}
