/**
 * What a run is like: every size, habit and probability, drawn from its seed.
 *
 * Each seed has some kinds of faults and not others: with all of them at once, few interesting paths live long enough.
 */

import type { SeededRandom } from '../seeded-random.js';
import type { ConsumerHabits } from './consumer-member.js';
import type { MemberHabits } from './member.js';
import { calm, type Weather } from './network.js';

/** Everything that can go wrong, by name. */
export const faultKinds = [
  'kill',
  'kill-restart',
  'replace',
  'pause',
  'sleep',
  'slow',
  'cut',
  'cut-silently',
  'route',
  'route-one-way',
  'isolate',
  'swizzle',
  'wall-jump',
  'drain',
  'start',
  'lease-leader',
  'lease-trouble',
  'log-leader',
  'log-trouble',
  'log-late',
  'log-slow',
  'log-full',
  'outage',
  'topic-trouble',
  'consumer-cut',
  'member-join',
  'member-leave',
  'member-die',
  'member-pause',
  'static-restart',
  'static-twin',
  'delete-group',
  'sweep',
] as const;
export type FaultKind = (typeof faultKinds)[number];

/** Two worlds, with members that come and go on both sides. */
const twoWorlds: readonly FaultKind[] = ['isolate', 'member-join', 'member-join', 'member-leave', 'member-die'];

/** Loads that purges overtake, of logs in which groups were deleted. */
const slowLogs: readonly FaultKind[] = ['delete-group', 'delete-group', 'kill-restart', 'kill-restart', 'log-slow'];

/** Faults that bring out more together than among all others. */
const themes: readonly (readonly FaultKind[])[] = [
  twoWorlds,
  slowLogs,
  ['isolate', 'route', 'route-one-way', 'lease-trouble'],
  ['kill', 'kill-restart', 'start', 'member-join', 'delete-group'],
  ['log-trouble', 'log-late', 'log-leader', 'kill-restart', 'pause'],
  ['pause', 'sleep', 'slow', 'wall-jump', 'cut-silently', 'replace'],
  ['drain', 'start', 'kill-restart', 'lease-leader', 'log-leader'],
  ['outage', 'swizzle', 'cut', 'member-pause'],
  [
    'member-join',
    'member-leave',
    'member-die',
    'member-pause',
    'consumer-cut',
    'topic-trouble',
    'kill-restart',
    'pause',
  ],
  ['log-full', 'log-full', 'kill-restart', 'member-join', 'member-leave', 'delete-group'],
  ['static-restart', 'static-twin', 'kill-restart', 'route', 'log-late'],
];

export type GroupPlan = {
  readonly name: string;
  /**
   * `steady`: the same members all the time; `churn`: they come and go; `fleeting`: deleted when it is empty; `consumers`: consumers
   * of the worker library and nobody else.
   */
  readonly kind: 'steady' | 'churn' | 'fleeting' | 'consumers';
  readonly members: number;
  /** How many of the members are static. */
  readonly statics: number;
  readonly topicPartitions: number;
  readonly habits: MemberHabits;
  readonly liars: number;
  /** Members of the worker library beside those of the wire protocol. */
  readonly workers: number;
  readonly consumers: { readonly count: number; readonly habits: ConsumerHabits } | undefined;
};

export type Plan = {
  readonly nodes: number;
  readonly servers: number;
  readonly partitions: number;
  readonly streams: number;
  readonly driftMax: number;
  readonly frameBytesMax: number;
  readonly checkpointFrames: number;
  readonly offsetsRetentionMs: number;
  readonly safetyMs: number;
  /** Mean time between two faults. */
  readonly faultEveryMs: number;
  readonly faults: readonly FaultKind[];
  readonly weather: Weather;
  readonly groups: readonly GroupPlan[];
};

/** Draws a plan. */
export function drawPlan(random: SeededRandom): Plan {
  const faults = random.next() < 0.5 ? random.pick(themes) : faultKinds.filter(() => random.next() < 0.4);
  const isRough = random.next() < 0.6;
  const groups: GroupPlan[] = [];
  const groupCount = 2 + random.below(3);
  const isSplit = faults === twoWorlds;
  const isSlow = faults === slowLogs;
  for (let index = 0; index < groupCount; index += 1) {
    const group = drawGroup(random, index);
    if (isSplit) groups.push(quietChurn(random, group, index));
    else groups.push(isSlow && index === 1 ? { ...drawGroup(random, 1, 'fleeting'), name: 'fleeting-1' } : group);
  }
  if (!isSplit && random.next() < 0.35) groups.push(drawConsumers(random, groupCount));
  return {
    nodes: random.pick([2, 3, 3, 3, 4]),
    servers: isSplit ? 3 : random.pick([1, 3, 3]),
    partitions: 2 + random.below(3),
    streams: 1 + random.below(2),
    driftMax: random.pick([0, 0.001, 0.02]),
    frameBytesMax: random.pick([2_200, 4_000, 16_000]),
    checkpointFrames: isSlow ? 25 : random.pick([6, 12, 40, 100]),
    offsetsRetentionMs: random.pick([1_500, 4_000, 604_800_000, 604_800_000]),
    safetyMs: 5_000 + random.below(13_000),
    faultEveryMs: isSplit || isSlow ? 350 : 250 + random.below(1_500),
    faults: faults.length > 0 ? faults : ['kill'],
    weather: isRough ? drawWeather(random) : { ...calm, jitterMs: random.next() * 3 },
    groups,
  };
}

/** Members that only heartbeat: nothing that they do tells their owner that another has claimed. */
function quietChurn(random: SeededRandom, group: GroupPlan, index: number): GroupPlan {
  const habits = {
    ...group.habits,
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 700,
    heartbeatMs: 400,
    commitMs: random.pick([0, 0, 900]),
    fetchMs: 0,
    rejoinMs: 0,
  };
  return { ...group, kind: 'churn', name: `churn-${index}`, members: 3, statics: 0, habits };
}

function drawWeather(random: SeededRandom): Weather {
  return {
    latencyMs: random.next() * 2,
    jitterMs: random.next() * 10,
    loss: random.next() < 0.5 ? 0 : random.next() * 0.05,
    duplication: random.next() < 0.4 ? 0 : random.next() * 0.2,
    delay: random.next() < 0.4 ? 0 : random.next() * 0.15,
    delayMsMax: random.pick([20, 300, 2_500]),
  };
}

function drawGroup(random: SeededRandom, index: number, wanted?: 'fleeting'): GroupPlan {
  const drawn = index === 0 ? 'steady' : random.pick(['steady', 'churn', 'churn', 'fleeting'] as const);
  const kind = wanted ?? drawn;
  const isSteady = kind === 'steady';
  const isIdle = isSteady && random.next() < 0.5;
  const workers = !isSteady && random.next() < 0.3 ? 1 : 0;
  const members = isSteady ? 1 + random.below(2) : 1 + random.below(4);
  return {
    name: `${kind}-${index}`,
    kind,
    members,
    statics: random.next() < 0.4 ? 1 + random.below(members) : 0,
    topicPartitions: 1 + random.below(5),
    habits: {
      sessionTimeoutMs: isSteady ? 90_000 : random.pick([6_000, 6_000, 10_000]),
      rebalanceTimeoutMs: isSteady ? 90_000 : random.pick([700, 700, 2_000, 6_000]),
      heartbeatMs: random.pick([600, 1_000, 2_000]),
      commitMs: isIdle ? 0 : random.pick([100, 300, 900]),
      fetchMs: isIdle ? 0 : random.pick([0, 1_500, 3_000]),
      rejoinMs: isSteady ? 0 : random.pick([0, 0, 3_000]),
      metadataBytes: random.pick([20, 20, 2_500]),
      isConsumer: workers === 0 && random.next() < 0.5,
    },
    liars: random.next() < 0.3 ? 1 : 0,
    workers,
    consumers: undefined,
  };
}

function drawConsumers(random: SeededRandom, index: number): GroupPlan {
  return {
    ...drawGroup(random, index),
    name: `consumers-${index}`,
    kind: 'consumers',
    members: 0,
    statics: 0,
    liars: 0,
    workers: 0,
    topicPartitions: 2 + random.below(5),
    consumers: {
      count: 1 + random.below(3),
      habits: {
        sessionTimeoutMs: random.pick([6_000, 10_000]),
        rebalanceTimeoutMs: random.pick([3_000, 6_000]),
        isCooperative: random.next() < 0.7,
        commitMs: random.pick([150, 600]),
        handlerMsMax: random.pick([2, 40, 150]),
        produceMs: random.pick([30, 60, 150]),
        failures: random.pick([0, 0, 0.02]),
      },
    },
  };
}
