/**
 * Clusters that lose what they stand on, for the tests of restorations: nodes inside this process, groups with offsets, and the
 * restoration as a call or as a command.
 *
 * Names that change with each test (`cluster`, `nats`, ...) are live bindings.
 */

import { readClusterRecord } from '@muster/cluster';
import {
  type OnRestoreStep,
  Restoration,
  type RestoreOptions,
  type RestoreStep,
  type RunningNode,
  readConfig,
  startNode,
} from '@muster/coordinator';
import { connectNats, findLogStreams, JetStreamLeaseStore, leaseBucket, NatsBus, SystemClock } from '@muster/nats';
import { type NatsClusterOptions, type NatsServerHandle, startNatsCluster } from '@muster/nats-server';
import { type GroupId, groupId, partitionOf, Subjects } from '@muster/protocol';
import type { JetStreamManager, NatsConnection } from 'nats';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { until } from './processes.js';
import { RawClient } from './raw-client.js';
import { RealGroup } from './real-group.js';
import { describeRequest, fetchRequest } from './requests.js';

export const PARTITIONS = 4;
export const STREAMS = 2;
/** Long enough here, where nobody runs unseen. */
const WATCH_MS = 50;
export const RAISED = 65_536;

const clock = new SystemClock();
const log = pino({ level: 'silent' });
export let server: NatsServerHandle;
export let nats: NatsConnection;
export let streams: JetStreamManager;
let clusters = 0;

export let cluster: string;
let client: RawClient;
let nodes: RunningNode[];

async function startServers(options: NatsClusterOptions): Promise<void> {
  server = await startNatsCluster(options);
  nats = await connectNats({ servers: server.urls, name: 'test' });
  streams = await nats.jetstreamManager();
}
async function stopServers(): Promise<void> {
  await nats?.close();
  await server?.stop();
}
/** Servers for a block of tests, and a cluster of its own for each test, of which nothing is there yet. */
export function useServers(options: NatsClusterOptions): void {
  beforeAll(() => startServers(options));
  afterAll(stopServers);
  beforeEach(() => {
    clusters += 1;
    cluster = `c${clusters}`;
    client = new RawClient(new NatsBus(nats), new Subjects(cluster), PARTITIONS);
    nodes = [];
  });
  afterEach(async () => {
    client.close();
    await stopNodes();
  });
}

export async function start(more: Record<string, string> = {}): Promise<RunningNode> {
  const flags = {
    cluster,
    id: 'n1',
    servers: server.urls.join(','),
    partitions: String(PARTITIONS),
    logStreams: String(STREAMS),
    groupInitialRebalanceDelayMs: '0',
    ...more,
  };
  const node = await startNode(readConfig({ flags, env: {}, file: undefined }), log);
  nodes.push(node);
  await until('it owns every partition', () => node.counts()['owned'] === PARTITIONS);
  return node;
}
export async function stopNodes(): Promise<void> {
  for (const node of nodes.splice(0)) await node.stop();
}

export const streamOf = (index: number) => `MUSTER_${cluster}_LOG_${index}`;
export const bucket = () => `KV_${leaseBucket(cluster)}`;
export const recordOf = async () =>
  (await readClusterRecord(new JetStreamLeaseStore(nats, { cluster }), clock))?.record ?? expect.fail('no record');

/** A group whose partition is this one, with a generation and committed offsets. */
export async function newGroup(where: number, name = 'group'): Promise<RealGroup> {
  const ids = Array.from({ length: 100 }, (_, at) => groupId(`${name}-${at}`));
  const id = ids.find((each) => partitionOf(each, PARTITIONS) === where);
  const group = await new RealGroup(client, id ?? expect.fail('no such group'), { members: 1 }).form();
  await group.commitNext();
  await group.commitNext();
  return group;
}
/** A group in each partition. */
export async function newGroups(): Promise<RealGroup[]> {
  return Promise.all(Array.from({ length: PARTITIONS }, (_, where) => newGroup(where)));
}
export async function described(group: GroupId) {
  const { fields } = await client.ask('describe', describeRequest(group));
  return fields ?? expect.fail('not described');
}
/** The group is as it was, without members, and above all generations that anybody has seen. */
export async function expectRestored(group: RealGroup, generation = 1): Promise<void> {
  expect(await group.lostCommits()).toEqual([]);
  const { state, generationId, members } = await described(group.groupId);
  expect({ state, generationId, members }).toEqual({
    state: 'Empty',
    generationId: generation + RAISED,
    members: [],
  });
}
export async function expectGone(group: RealGroup): Promise<void> {
  const { fields } = await client.ask('fetch', fetchRequest(group.groupId));
  expect(fields?.partitions).toEqual([]);
}

export async function restore(options: Partial<RestoreOptions> = {}, onStep?: OnRestoreStep) {
  const restoration = await open(options);
  try {
    return await restoration.execute(onStep);
  } finally {
    restoration.close();
  }
}
export function open(options: Partial<RestoreOptions> = {}): Promise<Restoration> {
  const wanted = { partitionCount: undefined, streamCount: undefined, replicas: undefined };
  const all = { cluster, wanted, secret: undefined, from: [], isEmpty: false, skipsDamaged: false, ...options };
  return Restoration.open(nats, all, WATCH_MS);
}
/** The environment in which a command finds the cluster of the test. */
export function environment(): Record<string, string> {
  return { NATS_URL: server.url, MUSTER_CLUSTER: cluster };
}
/** The logs that have frames, by what lies in the streams. */
export async function logsThere(): Promise<string[]> {
  const found = await findLogStreams(nats, cluster);
  const subjects = found.flatMap(({ messages }) => [...messages.keys()]);
  return [...new Set(subjects.map((subject) => subject.split('.').at(-2) ?? ''))];
}
/** Ends a run right after a step. */
export function interruptedAfter(last: RestoreStep): OnRestoreStep {
  return (step) => {
    if (step === last) throw new Error('interrupted');
  };
}
