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
  utf8Decode,
} from '@muster/protocol';
import type { SeededRandom } from '../seeded-random.js';
import type { Canary, RuntimeOf } from './canaries.js';
import { SimClient } from './client.js';
import { SimCluster, type SimNode } from './cluster.js';
import { ConsumerMember } from './consumer-member.js';
import { GroupWatch } from './group-watch.js';
import { HandlingWatch } from './handling-watch.js';
import type { History } from './history.js';
import { LeaseServer, type LeaseWritten } from './lease-server.js';
import { SimLiar } from './liar.js';
import { LogServer } from './log-server.js';
import { type ClaimSeen, LogWatch } from './log-watch.js';
import { SimMember } from './member.js';
import { Network, type Peer } from './network.js';
import type { GroupPlan, Plan } from './plan.js';
import { SimProcess } from './process.js';
import type { Scheduler } from './scheduler.js';
import { TopicServer } from './topic-server.js';
import type { Verdicts } from './verdicts.js';
import { WorkerMember } from './worker-member.js';

/** Proof of ownership older than this serves nothing (O3); what clocks may differ by, and one turn, come on top. */
const LEASE_MS = 4_000;
const LOOK_EVERY_MS = 250;
const QUEUED_RECORDS_MAX = 10_000;
const CONSUMER_RESTART_MS = 700;
const ROOM_EVERY_MS = 500;
const ROOM_KNOWN_MS = 3_000;
/** Where offsets expire within a run they are looked for this often; otherwise only when the seed says so. */
const SHORT_RETENTION_MS = 60_000;
const SWEEP_EVERY_MS = 900;
/** So long after a disturbance nothing follows from it any more: two leases. */
const UNDISTURBED_MS = 10_000;

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
  /** The processes that ever held a lease, by key, the newest last. */
  readonly #holders = new Map<string, string[]>();
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
      claimed: (claim) => this.#judgeClaim(claim),
      forgotten: (id, at) => {
        const group = this.groupOf(id);
        group?.watch.forgotten(at);
        group?.consumption?.handling.forgotten();
      },
      appeared: (partition, group) => this.#judgeNewGroup(partition, group),
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
    this.leases = new LeaseServer(this.network, random.fork('leases'), history, (written) => this.#judgeLease(written));
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
      onResumed: (runtime, node, askedAt) => this.#judgeResume(runtime, node, askedAt),
    });
    scheduler.every(LOOK_EVERY_MS, () => this.#look());
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

  /** O4: nobody claims over an owner that lives and has given nothing away. */
  #judgeClaim({ partition, claim, by, base, baseBy }: ClaimSeen): void {
    this.history.mark('a claim');
    if (base === undefined || base.body.kind === 'release' || by === baseBy) return;
    this.history.mark('a claim without release');
    const entry = this.leases.entryOf(`node.${base.node}`);
    const lease =
      entry?.value === undefined
        ? undefined
        : (JSON.parse(utf8Decode(entry.value)) as { readonly incarnation: string; readonly state: string });
    const isMarked =
      lease === undefined || lease.incarnation !== base.incarnation || lease.state === 'dead' || lease.state === 'left';
    const owner = this.cluster.nodes.find(({ process }) => process.name === baseBy);
    const hasGivenUp =
      owner !== undefined && !owner.assembled.cluster.ownership.owned().some(([each]) => each === partition);
    const holds = isMarked || hasGivenUp || this.drained.has(base.incarnation);
    this.verdicts.check(
      'death-is-a-write',
      holds,
      `log ${partition}`,
      () => `${claim.node} claims over ${base.node}, which nobody has marked`,
    );
  }

  /** L7: a nearly full stream takes in no new group; whoever has been told so for a while, undisturbed, knows. */
  #judgeNewGroup(partition: Partition, group: GroupId): void {
    const since = [
      this.log.scarceSince(partition),
      this.log.streamOf(partition).soundSince,
      this.network.linkedSince,
      ...this.cluster.nodes.map(({ process }) => process.soundSince),
    ];
    const { loss, delay, delayMsMax } = this.network.weather;
    const isMild = loss === 0 && (delay === 0 || delayMsMax <= 300);
    const mustKnow = isMild && since.every((at) => at !== undefined && this.scheduler.now - at > ROOM_KNOWN_MS);
    this.verdicts.check('no-new-group-without-room', !mustKnow, group, () => 'was made although room is scarce');
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

  /** O1, O4: who writes a lease, and whom others mark. */
  #judgeLease({ entry, by }: LeaseWritten): void {
    if (entry.value === undefined || !entry.key.startsWith('node.')) return;
    const lease = JSON.parse(utf8Decode(entry.value)) as { readonly incarnation: string; readonly state: string };
    if (lease.state !== 'alive') {
      this.history.note(
        entry.key.replace('.', ' '),
        () => `lease of ${lease.incarnation}: ${lease.state}, by ${by.name}`,
      );
    }
    if (lease.state === 'dead') return this.#judgeMark(entry.key, lease.incarnation, by);
    const holders = this.#holders.get(entry.key) ?? [];
    this.#holders.set(entry.key, holders);
    if (holders.at(-1) === by.name) return;
    this.verdicts.check(
      'one-process-per-node-id',
      !holders.includes(by.name),
      `node ${entry.key}`,
      () => `${by.name} renews the lease that ${holders.at(-1)} has taken from it`,
    );
    holders.push(by.name);
  }

  /** Whoever has run undisturbed for a while, with everything between all nodes in order, is not marked. */
  #judgeMark(key: string, incarnation: string, by: SimProcess): void {
    const owner = this.cluster.nodes.find((node) => node.incarnation === incarnation && node.process.isAlive);
    const since = [
      owner?.process.soundSince,
      by.soundSince,
      this.network.wholeSince,
      this.leases.stream.untroubledSince,
    ];
    const isUndisturbed = since.every((at) => at !== undefined && this.scheduler.now - at > UNDISTURBED_MS);
    this.history.mark(owner === undefined ? 'a dead node was marked' : 'a living node was marked');
    this.verdicts.check(
      'living-node-not-marked',
      !isUndisturbed,
      key,
      () => `${by.name} marks ${owner?.process.name}, which nothing has disturbed`,
    );
  }

  /** O6 */
  #judgeResume(runtime: RuntimeOf, node: SimNode, askedAt: number): void {
    this.history.mark('a partition was resumed');
    const at = this.logWatch.supersededAt(runtime.partition, runtime.epoch);
    this.verdicts.check(
      'resume-is-proven',
      at === undefined || at > askedAt,
      `log ${runtime.partition}`,
      () => `${node.name} serves epoch ${runtime.epoch} again; it was superseded at ${at}`,
    );
  }

  #look(): void {
    const now = this.scheduler.now;
    for (const node of this.cluster.nodes) {
      for (const runtime of node.assembled.partitions.all()) {
        const about = `log ${runtime.partition}`;
        this.verdicts.check(
          'bounded-queues',
          runtime.log.queuedRecords <= QUEUED_RECORDS_MAX,
          about,
          () => `${runtime.log.queuedRecords} records wait`,
        );
        if (node.process.isPaused || !node.assembled.cluster.ownership.mayServe(runtime.partition)) continue;
        const at = this.logWatch.supersededAt(runtime.partition, runtime.epoch);
        if (at !== undefined) this.history.mark('a superseded owner had not noticed yet');
        const allowedMs = LEASE_MS * (1 + 3 * this.plan.driftMax) + LOOK_EVERY_MS;
        this.verdicts.check(
          'superseded-owner-falls-silent',
          at === undefined || now - at <= allowedMs,
          about,
          () =>
            `${node.name} still serves epoch ${runtime.epoch}, superseded ${((now - (at ?? 0)) / 1_000).toFixed(1)} s ago`,
        );
      }
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
