/**
 * What is compared. Each measurement is written once and runs on every side in turn, the other sides being up, idle and without members.
 *
 * M1 sides change places from round to round. M2 what a side did not do in the measured time is not counted for it: forming the
 * groups, bringing a coordinator back, waiting for the group to rest.
 */

import { groupId, partitionOf } from '@muster/protocol';
import { pause } from '../../chaos/fleet.js';
import type { Sample, Unit } from './figures.js';
import type { GroupSettings, Side } from './side.js';

export const measurementNames = ['commit', 'rebalance', 'failover', 'rolling-restart', 'memory'] as const;
export type MeasurementName = (typeof measurementNames)[number];

export type Plan = {
  readonly rounds: number;
  /** Groups of one member, all of them coordinated by whom is killed. */
  readonly groups: number;
  readonly sessionMs: number;
  readonly heartbeatMs: number;
  readonly say: (line: string) => void;
};

export const TOPICS = {
  /** Read and committed message by message. */
  one: { topic: 'bench-one', partitions: 1, messages: 4_000 },
  /** Shared out; nothing of it is read. */
  shared: { topic: 'bench-shared', partitions: 24, messages: 24 },
} as const;

const COORDINATOR_PARTITIONS = 50;
const COMMITS_ALONE = 1_000;
const COMMITTING_GROUPS = 64;
const COMMITS_EACH = 100;
const GROUP_SIZES = [1, 5, 20] as const;
const WATCHED_GROUPS = 40;
const WATCH_EVERY_MS = 100;
const SETTLE_MS = 2_000;
const IDLE_GROUPS = 1_000;
const IDLE_PARTITIONS = 12;
const IDLE_REST_MS = 10_000;

type Measurement = (sides: readonly Side[], plan: Plan) => Promise<Sample[]>;

export const measurements = {
  commit: (sides, plan) => inTurns(sides, plan, commitRound),
  rebalance: (sides, plan) => inTurns(sides, plan, rebalanceRound),
  failover: (sides, plan) => inTurns(sides, plan, failoverRound),
  'rolling-restart': (sides, plan) => inTurns(sides, plan, rollingRound),
  memory: (sides) => memory(sides, 'after the other measurements'),
} as const satisfies Record<MeasurementName, Measurement>;

type Round = (side: Side, plan: Plan, round: number) => Promise<Sample[]>;

async function inTurns(sides: readonly Side[], plan: Plan, measure: Round): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (let round = 1; round <= plan.rounds; round += 1) {
    for (const side of round % 2 === 1 ? sides : [...sides].reverse()) {
      const measured = await measure(side, plan, round);
      for (const { figure, values } of measured) {
        const shown = values.length === 0 ? '' : Math.max(...values).toFixed(1);
        plan.say(`round ${round}, ${side.name}: ${figure}: at most ${shown}`);
      }
      samples.push(...measured);
    }
  }
  return samples;
}

/** The virtual machines and both brokers' caches get warm; nothing is counted. */
export async function warmUp(side: Side, plan: Plan): Promise<void> {
  await side.open(names('warm-up', 16), settings(plan, 1, TOPICS.one));
  await side.commits(300);
  await side.close();
}

async function commitRound(side: Side, plan: Plan, round: number): Promise<Sample[]> {
  await side.open(names(`alone-${round}`, 1), settings(plan, 1, TOPICS.one));
  const alone = await side.commits(COMMITS_ALONE);
  await side.close();
  await side.open(names(`many-${round}`, COMMITTING_GROUPS), settings(plan, 1, TOPICS.one));
  const many = await side.commits(COMMITS_EACH);
  await side.close();
  const perSecond = (many.latenciesMs.length / many.elapsedMs) * 1_000;
  const of = samplesOf(side);
  return [
    of('commit, one in flight', 'ms', alone.latenciesMs),
    of(`commits of ${COMMITTING_GROUPS} groups, one in flight each`, 'per second', [perSecond]),
    of(`commit among ${COMMITTING_GROUPS} in flight`, 'ms', many.latenciesMs),
  ];
}

async function rebalanceRound(side: Side, plan: Plan, round: number): Promise<Sample[]> {
  const samples: Sample[] = [];
  const of = samplesOf(side);
  for (const size of GROUP_SIZES) {
    const group = `shared-${size}-${round}`;
    await side.open([group], settings(plan, size, TOPICS.shared));
    await atRandomMoment(plan);
    samples.push(of(`a member joins ${size}: everybody has its share`, 'ms', [await side.join(group)]));
    await atRandomMoment(plan);
    samples.push(of(`a member leaves ${size + 1}: the rest has everything`, 'ms', [await side.leave(group)]));
    await side.close();
  }
  return samples;
}

/** Waits until the group rests, and somewhere in the interval between two heartbeats. */
function atRandomMoment({ heartbeatMs }: Plan): Promise<void> {
  return pause(heartbeatMs + SETTLE_MS / 2 + Math.random() * heartbeatMs);
}

async function failoverRound(side: Side, plan: Plan, round: number): Promise<Sample[]> {
  const killed = await strike(side, plan, `killed-${round}`, side.kill);
  const { killHost } = side;
  const host = killHost === undefined ? killed : await strike(side, plan, `host-${round}`, killHost);
  const of = samplesOf(side);
  const all = `each of ${plan.groups} groups has committed`;
  return [
    of(`kill -9 of the coordinator: ${all}`, 'ms', killed.waitsMs),
    of('kill -9 of the coordinator: rebalances', 'count', [killed.rebalances]),
    of('kill -9 of the coordinator: commits that failed', 'count', [killed.failed]),
    of(`loss of a host with coordinator and store: ${all}`, 'ms', host.waitsMs),
    of('loss of a host: rebalances', 'count', [host.rebalances]),
    of('loss of a host: commits that failed', 'count', [host.failed]),
  ];
}

type Strike = { readonly waitsMs: readonly number[]; readonly rebalances: number; readonly failed: number };

async function strike(side: Side, plan: Plan, name: string, hit: (victim: string) => Promise<void>): Promise<Strike> {
  const victim = await side.victim();
  await side.open(await groupsOf(side, victim, name, plan.groups), settings(plan, 1, TOPICS.one));
  await pause(SETTLE_MS);
  const before = await side.generations();
  await side.arm();
  const at = Date.now();
  await hit(victim);
  const { answeredAt, failed } = await side.strike();
  // Long enough for a session that was lost to end.
  await pause(plan.sessionMs + plan.heartbeatMs);
  const rebalances = risenBy(before, await side.generations());
  await side.close();
  await side.revive(victim);
  return { waitsMs: answeredAt.map((answered) => answered - at), rebalances, failed };
}

async function rollingRound(side: Side, plan: Plan, round: number): Promise<Sample[]> {
  // So that the first coordinator has something to give away, on both sides.
  await side.owners();
  await side.open(names(`rolling-${round}`, WATCHED_GROUPS), settings(plan, 1, TOPICS.one));
  await pause(SETTLE_MS);
  const before = await side.generations();
  await side.watch(WATCH_EVERY_MS);
  const tookMs: number[] = [];
  for (const coordinator of side.coordinators) {
    const from = performance.now();
    await side.restart(coordinator);
    tookMs.push(performance.now() - from);
    await pause(SETTLE_MS);
  }
  const { commits, failed, longestMs } = await side.unwatch();
  plan.say(`${side.name}: ${commits} commits during the rolling restart`);
  const rebalances = risenBy(before, await side.generations());
  await side.close();
  const of = samplesOf(side);
  return [
    of('rolling restart: longest time of a group between two commits', 'ms', longestMs),
    of('rolling restart: rebalances', 'count', [rebalances]),
    of('rolling restart: commits that failed', 'count', [failed]),
    of('restart of one coordinator, until it takes part', 'ms', tookMs),
  ];
}

/** @param when for the name of the figure */
export async function memory(sides: readonly Side[], when: string): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (const side of sides) {
    const { coordinatorsMiB, storeMiB } = await side.resident();
    const sum = (list: readonly number[]) => list.reduce((total, one) => total + one, 0);
    const of = samplesOf(side);
    samples.push(of(`memory of one coordinator, ${IDLE_GROUPS} groups, ${when}`, 'MiB', coordinatorsMiB));
    samples.push(of(`memory of all, store included, ${when}`, 'MiB', [sum(coordinatorsMiB) + sum(storeMiB)]));
  }
  return samples;
}

/** Groups without members that have committed, which stay for the rest of the run. */
export async function fillWithIdleGroups(sides: readonly Side[]): Promise<void> {
  for (const side of sides) await side.idleGroups(IDLE_GROUPS, TOPICS.shared.topic, IDLE_PARTITIONS);
  await pause(IDLE_REST_MS);
}

function samplesOf({ name }: Side) {
  return (figure: string, unit: Unit, values: readonly number[]): Sample => ({ figure, unit, side: name, values });
}

function settings(
  plan: Plan,
  members: number,
  { topic, partitions }: { topic: string; partitions: number },
): GroupSettings {
  return { members, topic, partitions, sessionMs: plan.sessionMs, heartbeatMs: plan.heartbeatMs };
}

function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, at) => `${prefix}-${at}`);
}

/** Both sides place a group by the same hash over the same number of partitions. */
async function groupsOf(side: Side, coordinator: string, prefix: string, count: number): Promise<string[]> {
  const owners = await side.owners();
  const found: string[] = [];
  for (let number = 0; found.length < count; number += 1) {
    const name = `${prefix}-${number}`;
    if (owners[partitionOf(groupId(name), COORDINATOR_PARTITIONS)] === coordinator) found.push(name);
    if (number > 1_000 * count) throw new Error(`${coordinator} owns nothing: ${owners}`);
  }
  return found;
}

function risenBy(before: Readonly<Record<string, number>>, after: Readonly<Record<string, number>>): number {
  return Object.entries(before).reduce((sum, [group, generation]) => sum + ((after[group] ?? 0) - generation), 0);
}
