/**
 * Directed scenarios: traces that broke the design without a rule, told step by step. Random walks do not find them all.
 *
 * Each names the canary that switches its rule off; with it, at least one of the scenario's attempts must be violated, without it none.
 */

import { decodeFrame } from '@muster/log';
import type { Partition } from '@muster/protocol';
import type { CanaryName } from './canaries.js';
import { calm } from './network.js';
import type { GroupPlan, Plan } from './plan.js';
import { noTrouble } from './stream-server.js';
import type { InvariantName } from './verdicts.js';
import type { SimGroup, World } from './world.js';

export type Scenario = {
  readonly rule: string;
  /** Takes the rule away. */
  readonly canary: CanaryName;
  /** What is violated then, in some attempts at least. */
  readonly invariant: InvariantName;
  readonly group?: Partial<GroupPlan['habits']>;
  readonly members?: number;
  readonly statics?: number;
  readonly plan?: Partial<Plan>;
  readonly script: (stage: Stage) => Promise<void>;
};

/** What a script works with. */
export type Stage = {
  readonly world: World;
  readonly group: SimGroup;
  /** Lets time pass. */
  readonly pass: (ms: number) => Promise<void>;
  readonly until: (condition: () => boolean, ms: number) => Promise<boolean>;
  /** The node that serves the group. */
  readonly owner: () => ReturnType<World['cluster']['serving']>[number] | undefined;
};

/** Of the members, where a scenario says nothing else. */
export const habits = {
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 700,
  heartbeatMs: 400,
  commitMs: 40,
  fetchMs: 500,
  rejoinMs: 0,
  metadataBytes: 20,
  isConsumer: false,
};

/** Of the world, likewise. */
export const plan: Plan = {
  nodes: 3,
  servers: 3,
  partitions: 3,
  streams: 1,
  driftMax: 0.001,
  frameBytesMax: 2_200,
  checkpointFrames: 100,
  offsetsRetentionMs: 604_800_000,
  safetyMs: 0,
  faultEveryMs: 0,
  faults: [],
  weather: calm,
  groups: [],
};

function setServer(world: World, server: number, state: 'up' | 'down'): void {
  for (let other = 0; other < plan.servers; other += 1) {
    world.network.setRoute(server, other, state);
    world.network.setRoute(other, server, state);
  }
}

/** What the newest frame of a log is. */
function kindOfLast(world: World, partition: Partition): string | undefined {
  const last = world.log.frames(partition).at(-1);
  const decoded = last === undefined ? undefined : decodeFrame(last.bytes);
  return decoded?.ok === true ? decoded.frame.body.kind : undefined;
}

export const scenarios = {
  'a frame lands after its timeout': {
    rule: 'L2',
    canary: 'resend',
    invariant: 'one-writer-per-log',
    script: async ({ world, pass }) => {
      const [stream] = world.log.streams;
      if (stream === undefined) return;
      stream.trouble = { ...noTrouble, late: 0.7, lateMsMax: 7_000 };
      await pass(4_000);
      stream.trouble = noTrouble;
    },
  },
  'a store outage longer than the lease expels nobody': {
    rule: 'O3, O6, O12',
    canary: 'outage-counts',
    invariant: 'living-node-not-marked',
    script: async ({ world, pass }) => {
      for (const stream of [world.leases.stream, ...world.log.streams]) stream.changeLeader(14_000);
      await pass(15_000);
    },
  },
  'a checkpoint is cut in the middle': {
    rule: 'K2',
    canary: 'end-marker',
    invariant: 'generation-never-repeats',
    plan: { checkpointFrames: 15 },
    group: { metadataBytes: 2_500 },
    members: 3,
    script: async ({ world, group, pass, until, owner }) => {
      const [stream] = world.log.streams;
      if (stream === undefined) return;
      stream.trouble = { ...noTrouble, commitMsMax: 60 };
      const { partition } = group.watch;
      await until(() => kindOfLast(world, partition) === 'checkpoint', 8_000);
      // The first frame of the checkpoint is acknowledged, its end marker is not there yet.
      await pass(4);
      const node = owner();
      if (node !== undefined) world.cluster.kill(node.name);
      stream.trouble = noTrouble;
    },
  },
  'two views across a cut route': {
    rule: 'O4',
    canary: 'mark-before-claim',
    invariant: 'death-is-a-write',
    group: { commitMs: 0, fetchMs: 0 },
    script: async ({ world, pass, owner }) => {
      const node = owner();
      if (node === undefined) return;
      // The owner reaches the streams on server 0 and is not seen by the third server.
      const other = [1, 2].find((server) => server !== node.peer.server) ?? 2;
      world.network.setRoute(node.peer.server, other, 'down');
      world.network.setRoute(other, node.peer.server, 'down');
      await pass(8_000);
    },
  },
  'a rebalance on the new side while the old owner is still believed': {
    rule: 'O5',
    canary: 'grace-after-claim',
    invariant: 'no-success-for-the-stale',
    group: { commitMs: 0, fetchMs: 0 },
    members: 3,
    script: async ({ world, group, pass, owner }) => {
      const node = owner();
      if (node === undefined) return;
      setServer(world, node.peer.server, 'down');
      await pass(900);
      for (let joins = 0; joins < 4; joins += 1) {
        world.addMember(group);
        await pass(400);
      }
      await pass(7_000);
    },
  },
  'answers of two reigns cross': {
    rule: 'C2',
    canary: 'epoch-check',
    invariant: 'stale-answer-never-accepted',
    group: { commitMs: 30, fetchMs: 30, heartbeatMs: 100 },
    members: 4,
    script: async ({ world, group, pass, owner }) => {
      const node = owner();
      if (node === undefined) return;
      // What the owner says last, a notice of a rebalance among it, arrives when another has answered already.
      world.network.meddle = ({ from, subject }) => {
        const isToClients = subject.startsWith('_INBOX') || subject.includes('.ev.');
        return from === node.process.name && isToClients ? { kind: 'late', ms: 3_000 } : undefined;
      };
      world.addMember(group);
      await pass(150);
      world.cluster.kill(node.name);
      await pass(6_000);
    },
  },
  'the owner resumes while a claim has landed': {
    rule: 'O6',
    canary: 'barrier-on-resume',
    invariant: 'resume-is-proven',
    script: async ({ world, pass, owner }) => {
      const node = owner();
      if (node === undefined) return;
      world.network.setLink(node.peer, 'silent');
      await pass(7_500);
      world.network.setLink(node.peer, 'up');
      await pass(3_000);
    },
  },
  'an idle owner behind a silent cable': {
    rule: 'O3',
    canary: 'lease-check',
    invariant: 'superseded-owner-falls-silent',
    group: { commitMs: 0, fetchMs: 0 },
    script: async ({ world, pass, owner }) => {
      const node = owner();
      if (node === undefined) return;
      world.network.setLink(node.peer, 'silent');
      await pass(16_000);
    },
  },
  'the same node id is restarted': {
    rule: 'O1',
    canary: 'incarnation',
    invariant: 'one-process-per-node-id',
    script: async ({ world, pass, owner }) => {
      for (let times = 0; times < 4; times += 1) {
        const node = owner();
        if (node !== undefined) {
          world.cluster.kill(node.name);
          world.cluster.start(node.name, node.peer.server);
        }
        await pass(2_500);
      }
      const node = owner();
      if (node === undefined) return;
      // The old process only stood still while another was started for it.
      node.process.pause();
      world.cluster.replace(node.name, node.peer.server + 1);
      await pass(6_000);
      node.process.resume();
      await pass(5_000);
    },
  },
  'two owners append at once': {
    rule: 'L1',
    canary: 'log-condition',
    invariant: 'one-writer-per-log',
    script: async ({ pass, owner }) => {
      const node = owner();
      if (node === undefined) return;
      node.process.pause();
      await pass(7_000);
      node.process.resume();
      await pass(2_000);
    },
  },
  'an owner dies between decision and record': {
    rule: 'release rule',
    canary: 'release-rule',
    invariant: 'no-undurable-reply',
    script: async ({ world, pass, owner }) => {
      const [stream] = world.log.streams;
      if (stream === undefined) return;
      stream.trouble = { ...noTrouble, commitMsMax: 200 };
      await pass(1_000);
      const node = owner();
      if (node !== undefined) world.cluster.kill(node.name);
      await pass(2_000);
      stream.trouble = noTrouble;
    },
  },
  'a group is deleted and its purge comes late': {
    rule: 'K2, K3, K4',
    canary: 'forget-below',
    invariant: 'no-acknowledged-commit-lost',
    plan: { checkpointFrames: 1_000 },
    script: async ({ world, group, pass, until, owner }) => {
      const { partition } = group.watch;
      const { client } = world.client('admin');
      for (const member of group.members.splice(0)) {
        member.leave();
        group.departed.push(member);
      }
      await until(() => group.watch.logged?.members.size === 0, 5_000);
      client.ask('delete', { groupId: group.watch.group }, () => {});
      await until(() => group.watch.logged === undefined, 5_000);
      // A checkpoint without the group is complete; what it asks to be purged stays for now.
      world.log.holdPurges();
      const node = owner();
      const runtime = node === undefined ? undefined : world.cluster.runtimeOf(node, partition);
      const [stream] = world.log.streams;
      if (node === undefined || runtime === undefined || stream === undefined) return;
      runtime.log.checkpoint(runtime.checkpointSource());
      await until(() => kindOfLast(world, partition) === 'checkpoint-end', 3_000);
      await pass(200);
      world.cluster.kill(node.name);
      // The purge lands while the next owner has read the group's records, and not yet that it was deleted.
      stream.trouble = { ...noTrouble, readMsMax: 100 };
      await until(() => (world.log.readUpTo(partition) ?? 0) > 0, 12_000);
      await pass(30);
      world.log.releasePurges();
      stream.trouble = noTrouble;
      await pass(3_000);
    },
  },
  'the log runs full to the last byte': {
    rule: 'L3',
    canary: 'full-store',
    invariant: 'no-undurable-reply',
    script: async ({ world, pass }) => {
      world.log.limit(0, 1);
      await pass(12_000);
      world.log.limit(0);
      await pass(1_000);
    },
  },
  'a new group comes when room is scarce': {
    rule: 'L7',
    canary: 'room-rules',
    invariant: 'no-new-group-without-room',
    group: { commitMs: 0, fetchMs: 0, metadataBytes: 2_500 },
    members: 3,
    script: async ({ world, group, pass }) => {
      world.log.limit(0, 0.81);
      await pass(4_000);
      world.addGroup({
        ...group.plan,
        name: 'newcomer',
        members: 1,
        habits: { ...group.plan.habits, metadataBytes: 20 },
      });
      await pass(3_000);
    },
  },
  'two processes under one instance id': {
    rule: 'static members (KIP-345)',
    canary: 'instance-fence',
    invariant: 'no-success-for-the-stale',
    statics: 2,
    script: async ({ world, group, pass }) => {
      const [first, second] = group.members;
      if (first === undefined || second === undefined) return;
      // One is replaced while it works, the other while it stands still.
      world.addMember(group, first.instance);
      second.process.pause();
      world.addMember(group, second.instance);
      await pass(3_000);
      second.process.resume();
      await pass(4_000);
    },
  },
  'a delayed copy of a commit': {
    rule: 'C3',
    canary: 'commit-number',
    invariant: 'offsets-never-move-back',
    members: 2,
    script: async ({ world, pass }) => {
      // Of every second commit a copy arrives a second later, when others of the same member are stored.
      let commits = 0;
      world.network.meddle = ({ subject }) => {
        if (!subject.endsWith('.commit')) return undefined;
        commits += 1;
        return commits % 2 === 0 ? { kind: 'copied', ms: 1_000 } : undefined;
      };
      await pass(4_000);
    },
  },
} as const satisfies Record<string, Scenario>;

export type ScenarioName = keyof typeof scenarios;
