/**
 * Everything that lives in one run: the network, the streams, the coordinators, the groups with their members, and who watches.
 */

import {
  type GroupId,
  groupId,
  type InstanceId,
  instanceId,
  type Partition,
  partition as partitionFrom,
  partitionOf,
} from '@muster/protocol';
import type { SeededRandom } from '../seeded-random.js';
import type { Canary } from './canaries.js';
import { SimClient } from './client.js';
import { SimCluster } from './cluster.js';
import { ConsumerMember } from './consumer-member.js';
import { GroupWatch } from './group-watch.js';
import { HandlingWatch } from './handling-watch.js';
import type { History } from './history.js';
import { LeaseServer } from './lease-server.js';
import { SimLiar } from './liar.js';
import { LogServer } from './log-server.js';
import { LogWatch } from './log-watch.js';
import { SimMember } from './member.js';
import { Network, type Peer } from './network.js';
import { LOOK_EVERY_MS, NodeWatch } from './node-watch.js';
import type { GroupPlan, Plan } from './plan.js';
import { SimProcess } from './process.js';
import type { Scheduler } from './scheduler.js';
import { TopicServer } from './topic-server.js';
import type { Verdicts } from './verdicts.js';
import { WorkerMember } from './worker-member.js';

const CONSUMER_RESTART_MS = 700;
const ROOM_EVERY_MS = 500;
/** Where offsets expire within a run they are looked for this often; otherwise only when the seed says so. */
const SHORT_RETENTION_MS = 60_000;
const SWEEP_EVERY_MS = 900;

/** What the end of a run asks of a member, whoever made it. */
export type LiveMember = {
  readonly name: string;
  readonly memberId: string;
  readonly generation: number;
  readonly isStable: boolean;
  readonly holds: readonly number[];
};

export type SimGroup = {
  readonly plan: GroupPlan;
  readonly watch: GroupWatch;
  members: SimMember[];
  readonly liars: SimLiar[];
  /** Have left: their leave may still be on its way. */
  readonly departed: SimMember[];
  /** Members of the worker library. */
  readonly workers: LiveMember[];
  readonly admins: SimClient[];
  /** Set for a group of consumers. */
  readonly consumption: Consumption | undefined;
};

/** What a group of consumers consumes, and who they are. */
export type Consumption = {
  readonly topic: TopicServer;
  readonly handling: HandlingWatch;
  consumers: ConsumerMember[];
  /** Consumers that are to be started again. */
  starting: number;
  isProducing: boolean;
};

export class World {
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly log: LogServer;
  readonly leases: LeaseServer;
  readonly cluster: SimCluster;
  readonly logWatch: LogWatch;
  readonly groups: SimGroup[] = [];
  readonly plan: Plan;
  readonly verdicts: Verdicts;
  readonly history: History;
  readonly #random: SeededRandom;
  readonly #canary: Canary | undefined;
  /** Nodes that were told to drain: what they gave away they gave away. */
  readonly drained = new Set<string>();
  readonly #nodeWatch: NodeWatch = new NodeWatch(this);
  /** From now on nothing expires by itself. */
  readonly stopSweeps: () => void = () => {};
  #clients = 0;

  constructor(parts: {
    readonly scheduler: Scheduler;
    readonly plan: Plan;
    readonly random: SeededRandom;
    readonly verdicts: Verdicts;
    readonly history: History;
    readonly canary: Canary | undefined;
  }) {
    const { scheduler, plan, random, verdicts, history, canary } = parts;
    this.scheduler = scheduler;
    this.plan = plan;
    this.verdicts = verdicts;
    this.history = history;
    this.#random = random;
    this.#canary = canary;
    this.network = new Network(scheduler, plan.servers, random.fork('network'), history);
    this.logWatch = new LogWatch(verdicts, history, {
      claimed: (claim) => this.#nodeWatch.claimed(claim),
      forgotten: (id, at) => {
        const group = this.groupOf(id);
        group?.watch.forgotten(at);
        group?.consumption?.handling.forgotten();
      },
      appeared: (partition, group) => this.#nodeWatch.appeared(partition, group),
      committed: (id, { topic, partition, offset, generation }) => {
        const consumption = this.groupOf(id)?.consumption;
        if (topic === consumption?.topic.spec.name) consumption.handling.committed(partition, offset, generation);
      },
    });
    this.log = new LogServer({
      network: this.network,
      streamCount: plan.streams,
      frameBytesMax: plan.frameBytesMax,
      random: random.fork('log'),
      history,
      onLanded: (frame) => this.logWatch.landed(frame),
    });
    this.leases = new LeaseServer(this.network, random.fork('leases'), history, (written) =>
      this.#nodeWatch.written(written),
    );
    this.cluster = new SimCluster({
      network: this.network,
      log: this.log,
      leases: this.leases,
      random: random.fork('cluster'),
      history,
      canary,
      partitionCount: plan.partitions,
      driftMax: plan.driftMax,
      group: { offsetsRetentionMs: plan.offsetsRetentionMs },
      // Twice the time between two looks: half the events, and nothing that depends on it.
      settings: { tickMs: 100 },
      checkpointFrames: plan.checkpointFrames,
      onResumed: (runtime, node, askedAt) => this.#nodeWatch.resumed(runtime, node, askedAt),
    });
    scheduler.every(LOOK_EVERY_MS, () => this.#nodeWatch.look());
    scheduler.every(ROOM_EVERY_MS, () => this.#lookForRoom());
    if (plan.offsetsRetentionMs < SHORT_RETENTION_MS) {
      this.stopSweeps = scheduler.every(SWEEP_EVERY_MS, () => this.sweep());
    }
  }

  get partitions(): readonly Partition[] {
    return Array.from({ length: this.plan.partitions }, (_, index) => partitionFrom(index));
  }

  #process(label: string): { readonly process: SimProcess; readonly peer: Peer; readonly random: SeededRandom } {
    this.#clients += 1;
    const random = this.#random.fork(`client-${this.#clients}`);
    const rate = 1 + (random.next() - 0.5) * this.plan.driftMax * 2;
    const process = new SimProcess(this.scheduler, `${label}-${this.#clients}`, rate);
    return { process, peer: this.network.connect(process, random.below(this.plan.servers)), random };
  }

  /** A client process of its own on some server. */
  client(label: string): { readonly client: SimClient; readonly process: SimProcess } {
    const { process, peer, random } = this.#process(label);
    const client = new SimClient({
      network: this.network,
      peer,
      subjects: this.cluster.subjects,
      logId: this.cluster.logId,
      partitionCount: this.plan.partitions,
      verdicts: this.verdicts,
      history: this.history,
      acceptsLowerEpochs: this.#canary?.acceptsLowerEpochs === true,
      resendMs: 350 + random.below(300),
    });
    return { client, process };
  }

  /** Every node looks for expired offsets. */
  sweep(): void {
    for (const { assembled } of this.cluster.nodes) {
      for (const runtime of assembled.partitions.all()) runtime.orderAll({ kind: 'sweep' });
    }
    for (const { watch } of this.groups) watch.swept(this.plan.offsetsRetentionMs, this.scheduler.now);
  }

  addGroup(plan: GroupPlan): SimGroup {
    const group = groupId(plan.name);
    const watch = new GroupWatch({
      group,
      partition: partitionOf(group, this.plan.partitions),
      topicPartitions: plan.topicPartitions,
      verdicts: this.verdicts,
      history: this.history,
      log: this.logWatch,
    });
    const consumption = plan.consumers === undefined ? undefined : this.#consumptionOf(plan, group);
    const added: SimGroup = { plan, watch, members: [], liars: [], departed: [], workers: [], admins: [], consumption };
    this.groups.push(added);
    for (let index = 0; index < (plan.consumers?.count ?? 0); index += 1) this.addConsumer(added);
    for (let index = 0; index < plan.members; index += 1) {
      this.addMember(added, index < plan.statics ? instanceId(`static-${index}`) : null);
    }
    for (let index = 0; index < plan.workers; index += 1) this.addWorker(added);
    for (let index = 0; index < plan.liars; index += 1) this.#addLiar(added);
    return added;
  }

  addMember(group: SimGroup, instance: InstanceId | null = null): SimMember {
    const { client, process } = this.client(group.plan.name);
    const member = new SimMember({
      name: process.name,
      watch: group.watch,
      client,
      process,
      habits: group.plan.habits,
      instance,
      random: this.#random.fork(process.name),
      history: this.history,
      onFenced: (fenced) => {
        group.members = group.members.filter((each) => each !== fenced);
        group.departed.push(fenced);
      },
    });
    group.members.push(member);
    member.start();
    return member;
  }

  #consumptionOf({ name, topicPartitions, consumers }: GroupPlan, group: GroupId): Consumption {
    const random = this.#random.fork(`topic-${name}`);
    const consumption: Consumption = {
      topic: new TopicServer(this.network, name, topicPartitions, random),
      handling: new HandlingWatch(group, topicPartitions, this.verdicts, this.history),
      consumers: [],
      starting: 0,
      isProducing: true,
    };
    this.scheduler.every(consumers?.habits.produceMs ?? 1_000, () => {
      if (!consumption.isProducing) return;
      const partition = random.below(topicPartitions);
      consumption.handling.produced(partition, consumption.topic.produce(partition));
    });
    return consumption;
  }

  /** A consumer of the worker library; one that fails is started again, in a process of its own. */
  addConsumer(group: SimGroup): void {
    const { plan, consumption } = group;
    if (consumption === undefined || plan.consumers === undefined) return;
    const { process, peer } = this.#process('consumer');
    const consumer: ConsumerMember = new ConsumerMember({
      group: plan.name,
      topic: consumption.topic,
      handling: consumption.handling,
      habits: plan.consumers.habits,
      process,
      peer,
      network: this.network,
      random: this.#random.fork(process.name),
      cluster: 'sim',
      history: this.history,
      onOver: (why) => {
        if (!consumption.consumers.includes(consumer)) return;
        consumption.consumers = consumption.consumers.filter((each) => each !== consumer);
        this.history.note(group.watch.group, () => `${consumer.name} is over: ${why}`);
        this.history.mark('a consumer failed');
        consumption.starting += 1;
        this.scheduler.after(CONSUMER_RESTART_MS, () => {
          consumption.starting -= 1;
          this.addConsumer(group);
        });
      },
    });
    consumption.consumers.push(consumer);
  }

  /** A member of the worker library. */
  addWorker(group: SimGroup): void {
    const { process, peer } = this.#process('worker');
    const { watch, plan } = group;
    const random = this.#random.fork(process.name);
    const { network } = this;
    group.workers.push(
      new WorkerMember({ watch, process, peer, network, random, cluster: 'sim', habits: plan.habits }),
    );
  }

  #addLiar(group: SimGroup): void {
    const { client, process } = this.client('liar');
    const { watch } = group;
    const liar = new SimLiar({
      client,
      process,
      watch,
      honest: () => group.members.filter((member) => !member.isGone),
      random: this.#random.fork(process.name),
      verdicts: this.verdicts,
      isSuperseded: (epoch) => this.logWatch.supersededAt(watch.partition, epoch) !== undefined,
    });
    group.liars.push(liar);
    liar.start();
  }

  /** Every node looks how much room there is: oftener than in the product, where a run would be over before. */
  #lookForRoom(): void {
    for (const { process, assembled } of this.cluster.nodes) {
      process.input(() => {
        for (const runtime of assembled.partitions.all()) {
          runtime.noteFullness(this.log.fullness(runtime.partition));
        }
      });
    }
  }

  /** The topics that are consumed. */
  get topics(): readonly TopicServer[] {
    return this.groups.flatMap(({ consumption }) => consumption?.topic ?? []);
  }

  /** The group of that id. */
  groupOf(id: GroupId): SimGroup | undefined {
    return this.groups.find(({ watch }) => watch.group === id);
  }
}
