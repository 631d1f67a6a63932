/**
 * Figures of failover: a killed and a hung owner of 1,000 groups, planned hand-overs, a rolling restart under load.
 */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { groupId, partitionOf } from '@muster/protocol';
import { connect } from '@muster/worker';
import type { Child } from './child.js';
import { type Figure, type FigureContext, figure, startRoundTrips } from './figure.js';
import { asked, CLUSTER, Fleet, pause, until } from './fleet.js';
import { type HistoryEvent, HistoryWriter, nowMs, readHistory } from './history.js';
import type { LightSettings, ProducerSettings } from './messages.js';

const PARTITIONS = 50;
const MEMBERS = 3;
const VICTIM = 0;
const FORM_MS = 180_000;
const ANSWER_MS = 60_000;
/** A partition stays at least 10 s where it is: handing back takes longer than that. */
const HAND_BACK_MS = 90_000;
const WATCH_EVERY_MS = 10;
const TOPIC_PARTITIONS = 12;
const WORKERS = 4;

type Scene = {
  readonly fleet: Fleet;
  readonly light: Child;
  readonly groups: readonly string[];
  readonly atHome: () => boolean;
};

/** kill -9, SIGSTOP and SIGTERM of a node that owns all of the groups. */
export async function measureFailovers(context: FigureContext): Promise<readonly Figure[]> {
  const { rounds, say } = context;
  const scene = await setScene(context, 'failover');
  const { fleet } = scene;
  try {
    const trips = await startRoundTrips(fleet.nats.urls);
    const killed: number[][] = [];
    for (let turn = 1; turn <= rounds; turn += 1) {
      killed.push(await strike(scene, () => fleet.killNode(VICTIM)));
      say(
        `kill -9, round ${turn}: all ${scene.groups.length} groups after ${Math.max(...(killed.at(-1) ?? [])).toFixed(0)} ms`,
      );
      fleet.startNode(VICTIM);
      await until('the partitions are back', scene.atHome, HAND_BACK_MS);
    }
    const handOvers: number[] = [];
    for (let turn = 1; turn <= rounds; turn += 1) {
      handOvers.push(...(await handOver(scene)));
      say(`planned hand-over, round ${turn}: ${handOvers.length} moves of partitions so far`);
    }
    const hung: number[][] = [];
    for (let turn = 1; turn <= Math.max(1, Math.ceil(rounds / 2)); turn += 1) {
      hung.push(await strike(scene, async () => fleet.signalNode(VICTIM, 'SIGSTOP')));
      say(`hung owner, round ${turn}: all groups after ${Math.max(...(hung.at(-1) ?? [])).toFixed(0)} ms`);
      fleet.signalNode(VICTIM, 'SIGCONT');
      await until('the partitions are back', scene.atHome, HAND_BACK_MS);
    }
    const all = (lists: readonly number[][]) => lists.map((waits) => Math.max(...waits));
    return [
      figure(`kill -9 of the owner: each of ${scene.groups.length} groups answers`, 'ms', killed.flat(), 1_000),
      figure('kill -9 of the owner: every group answers, by round', 'ms', all(killed), 1_000),
      figure('hung owner: each group answers', 'ms', hung.flat(), 7_000),
      figure('planned hand-over: longest wait, by partition and move', 'ms', handOvers, 100),
      await trips.stop(),
    ];
  } finally {
    await scene.light.kill();
    await fleet.stop();
  }
}

async function setScene(context: FigureContext, name: string): Promise<Scene> {
  const folder = join(context.folder, name);
  const historyFolder = join(folder, 'history');
  await mkdir(historyFolder, { recursive: true });
  const history = new HistoryWriter(historyFolder, 'figures');
  const options = { nodes: 3, partitionCount: PARTITIONS, logFolder: folder, say: context.say };
  const fleet = await Fleet.start(options, history);
  try {
    const home = await settledOwners(fleet);
    const victim = fleet.nodeNames[VICTIM] ?? '';
    const groups: string[] = [];
    for (let number = 0; groups.length < context.groups; number += 1) {
      const name = `group-${number}`;
      if (home[partitionOf(groupId(name), PARTITIONS)] === victim) groups.push(name);
    }
    const settings: LightSettings = {
      servers: [...fleet.nats.urls],
      cluster: CLUSTER,
      partitionCount: PARTITIONS,
      historyFolder,
      groups,
      members: MEMBERS,
      heartbeatMs: 5_000,
      commitMs: 0,
      sessionTimeoutMs: 30_000,
    };
    const light = fleet.spawn('light', './light-process.js', settings);
    context.say(`forming ${groups.length} groups of ${MEMBERS} members, all coordinated by ${victim}`);
    await asked(light, undefined, 'ready', FORM_MS);
    return { fleet, light, groups, atHome: () => sameOwners(fleet, home) };
  } catch (thrown) {
    await fleet.stop();
    throw thrown;
  }
}

/** Where every partition is when nothing moves any more. */
async function settledOwners(fleet: Fleet): Promise<readonly string[]> {
  let owners = '';
  let since = performance.now();
  const looksSettled = () => {
    const now = JSON.stringify(fleet.owners());
    if (now !== owners) {
      owners = now;
      since = performance.now();
    }
    return performance.now() - since > 14_000;
  };
  await until('the partitions stay where they are', looksSettled, HAND_BACK_MS);
  return fleet.owners().map(([owner]) => owner ?? '');
}

function sameOwners(fleet: Fleet, home: readonly string[]): boolean {
  return fleet.owners().every((owners, partition) => owners.length === 1 && owners[0] === home[partition]);
}

/** @returns for each group how long after the strike it answered */
async function strike(scene: Scene, hit: () => Promise<void>): Promise<number[]> {
  const at = nowMs();
  await hit();
  const { answeredAt, errors } = await asked(scene.light, { kind: 'probe' }, 'probed', ANSWER_MS);
  if (errors.some((error) => error !== 'NONE')) throw new Error(`groups answered ${errors.join(', ')}`);
  return answeredAt.map((answered) => answered - at);
}

/** Drains the victim and lets it come back: every one of its partitions moves twice. @returns the longest wait in each */
async function handOver(scene: Scene): Promise<number[]> {
  const { fleet, light, groups } = scene;
  const byPartition = new Map(groups.map((name) => [partitionOf(groupId(name), PARTITIONS), name]));
  const watched = [...byPartition.values()];
  const longest: number[] = [];
  const during = async (move: () => Promise<void>): Promise<void> => {
    light.send({ kind: 'watch', groups: watched, everyMs: WATCH_EVERY_MS });
    await pause(200);
    await move();
    const { longestMs } = await asked(light, { kind: 'unwatch' }, 'watched', ANSWER_MS);
    longest.push(...Object.values(longestMs));
  };
  await during(() => fleet.restartNode(VICTIM));
  await during(() => until('the partitions are back', scene.atHome, HAND_BACK_MS));
  return longest;
}

/** All coordinators restarted one after the other while workers work. */
export async function measureRollingRestart(context: FigureContext): Promise<readonly Figure[]> {
  const folder = join(context.folder, 'rolling');
  const historyFolder = join(folder, 'history');
  await mkdir(historyFolder, { recursive: true });
  const history = new HistoryWriter(historyFolder, 'figures');
  const options = { nodes: 3, partitionCount: PARTITIONS, logFolder: folder, say: context.say };
  const fleet = await Fleet.start(options, history);
  const muster = await connect({ cluster: CLUSTER, servers: [...fleet.nats.urls], name: 'figures-admin' });
  let producer: Child | undefined;
  try {
    const groups = ['rolling-1', 'rolling-2'];
    const topics = groups.map((group) => `${group}-topic`);
    for (const name of topics) await muster.topics.create({ name, partitions: TOPIC_PARTITIONS, replicas: 3 });
    for (let number = 0; number < WORKERS; number += 1) {
      const at = number % groups.length;
      fleet.startWorker({
        servers: [...fleet.nats.urls],
        cluster: CLUSTER,
        historyFolder,
        group: groups[at] ?? '',
        topic: topics[at] ?? '',
        name: `worker-${number + 1}`,
        sessionTimeoutMs: 10_000,
      });
    }
    const servers = [...fleet.nats.urls];
    const settings: ProducerSettings = { servers, cluster: CLUSTER, historyFolder, topics, perSecond: 400 };
    producer = fleet.spawn('producer', './producer-process.js', settings);
    await until('the workers share the topics', () => groups.every((g) => fleet.isShared(g, TOPIC_PARTITIONS)), 60_000);
    await pause(3_000);
    const admin = muster.admin();
    const generations = () => Promise.all(groups.map(async (g) => (await admin.describeGroup(g)).generationId));
    const before = await generations();
    const trips = await startRoundTrips(fleet.nats.urls);
    const from = nowMs();
    for (let turn = 1; turn <= context.rounds; turn += 1) {
      for (let node = 0; node < fleet.nodeNames.length; node += 1) await fleet.restartNode(node);
      context.say(`rolling restart ${turn}: done`);
    }
    await pause(2_000);
    const to = nowMs();
    const after = await generations();
    const commits = (await readHistory(historyFolder)).filter(
      (event): event is Extract<HistoryEvent, { kind: 'api-commit' }> =>
        event.kind === 'api-commit' && event.done > from && event.at < to,
    );
    const rebalances = after.map((generation, at) => generation - (before[at] ?? 0));
    const failed = commits.filter(({ error }) => error !== '');
    for (const { error, worker } of failed.slice(0, 5)) context.say(`a commit of ${worker} failed: ${error}`);
    return [
      figure('rolling restart: rebalances, by group', 'count', rebalances, 0),
      figure('rolling restart: failed commits', 'count', [failed.length], 0),
      figure(
        'rolling restart: a commit at the API takes',
        'ms',
        commits.map(({ at, done }) => done - at),
      ),
      await trips.stop(),
    ];
  } finally {
    await producer?.kill();
    await muster.close({ timeoutMs: 1_000 });
    await fleet.stop();
  }
}
