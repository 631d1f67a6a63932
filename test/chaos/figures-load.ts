/**
 * Figures of a large partition: how long 20,000 groups take to load, and what checkpoints cost.
 */

import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeFrame } from '@muster/log';
import { connectNats, NatsBus } from '@muster/nats';
import { Subjects } from '@muster/protocol';
import type { NatsConnection } from 'nats';
import { GroupLoad, type LoadedMember } from '../bench/group-load.js';
import { type Figure, type FigureContext, figure, startRoundTrips } from './figure.js';
import { CLUSTER, Fleet, pause, until } from './fleet.js';
import { HistoryWriter } from './history.js';

const IN_FLIGHT = 128;
/** Groups that commit again and again, and how much each time. */
const BUSY_GROUPS = 400;
const OFFSETS_PER_COMMIT = 100;
const LIVE_BYTES = 40 * 1024 * 1024;

/** One partition, two nodes: the owner is killed, the other one loads; then again after many commits and checkpoints. */
export async function measureLoads(context: FigureContext): Promise<readonly Figure[]> {
  const folder = join(context.folder, 'load');
  const historyFolder = join(folder, 'history');
  await mkdir(historyFolder, { recursive: true });
  const history = new HistoryWriter(historyFolder, 'figures');
  const nodeFlags = ['--group-initial-rebalance-delay-ms', '0'];
  const options = { nodes: 2, partitionCount: 1, logFolder: folder, nodeFlags, say: context.say };
  const fleet = await Fleet.start(options, history);
  const connection = await connectNats({ servers: fleet.nats.urls, name: 'figures-load' });
  try {
    const meter = new FrameMeter(connection, new Subjects(CLUSTER));
    const load = new GroupLoad(new NatsBus(connection), new Subjects(CLUSTER), 1);
    context.say(`making ${context.loadedGroups} groups in one partition`);
    const members = await fill(load, context.loadedGroups);
    const trips = await startRoundTrips(fleet.nats.urls);
    const plain = await takeOver(fleet, folder, context.rounds);
    context.say(`loaded in ${plain.map(({ tookMs }) => tookMs.toFixed(0)).join(', ')} ms`);
    context.say('committing until several checkpoints have been written');
    await commitMuch(load, members.slice(0, BUSY_GROUPS), meter);
    const checkpointed = await takeOver(fleet, folder, 1);
    const megabytes = (of: readonly Loaded[]) => of.map(({ bytes }) => bytes / 1024 / 1024);
    const took = (of: readonly Loaded[]) => of.map(({ tookMs }) => tookMs);
    return [
      figure(`claim and load of ${plain[0]?.groups ?? 0} groups`, 'ms', took(plain), 2_000),
      figure('its log', 'MiB', megabytes(plain)),
      figure(`claim and load after ${meter.checkpoints} checkpoints`, 'ms', took(checkpointed), 2_000),
      figure('its log', 'MiB', megabytes(checkpointed)),
      figure('checkpoints: bytes written per byte of live frames', 'ratio', [meter.amplification]),
      await trips.stop(),
    ];
  } finally {
    await connection.close();
    await fleet.stop();
  }
}

type Loaded = { readonly tookMs: number; readonly groups: number; readonly bytes: number };

async function fill(load: GroupLoad, count: number): Promise<readonly LoadedMember[]> {
  const members: LoadedMember[] = [];
  let next = 0;
  const place = async () => {
    while (next < count) {
      next += 1;
      const member = await load.member(`loaded-${next}`);
      await load.send('commit', load.commit(member));
      members.push(member);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, place));
  return members;
}

/** Kills the owner, several times. @returns what the other node said about its claim and load */
async function takeOver(fleet: Fleet, folder: string, times: number): Promise<readonly Loaded[]> {
  const loads: Loaded[] = [];
  for (let time = 0; time < times; time += 1) {
    const [owner = ''] = fleet.owners()[0] ?? [];
    const victim = fleet.nodeNames.indexOf(owner);
    const [heir = ''] = fleet.nodeNames.filter((name) => name !== owner);
    const before = (await claimsIn(join(folder, `${heir}.log`))).length;
    await fleet.killNode(victim);
    await fleet.untilOwned(30_000, [heir]);
    // The node says so in the log after it serves.
    await pause(500);
    loads.push(...(await claimsIn(join(folder, `${heir}.log`))).slice(before));
    fleet.startNode(victim);
    // Back at home, or staying: whatever placement says.
    await until('the node is back', () => fleet.owners()[0]?.length === 1, 30_000);
    await pause(14_000);
  }
  return loads;
}

async function claimsIn(logFile: string): Promise<readonly Loaded[]> {
  const claims: Loaded[] = [];
  let loaded = { groups: 0, bytes: 0 };
  for (const line of (await readFile(logFile, 'utf8')).split('\n')) {
    if (line.includes('"partition loaded"')) loaded = JSON.parse(line);
    if (!line.includes('"partition claimed"')) continue;
    const { tookMs }: { readonly tookMs: number } = JSON.parse(line);
    claims.push({ tookMs, groups: loaded.groups, bytes: loaded.bytes });
  }
  return claims;
}

async function commitMuch(load: GroupLoad, members: readonly LoadedMember[], meter: FrameMeter): Promise<void> {
  const until = meter.liveBytes + LIVE_BYTES;
  let next = 0;
  const place = async () => {
    while (meter.liveBytes < until) {
      const member = members[next % members.length];
      next += 1;
      if (member === undefined) return;
      const commit = load.commit(member);
      const [offset] = commit.offsets;
      if (offset === undefined) return;
      const offsets = Array.from({ length: OFFSETS_PER_COMMIT }, (_, partition) => ({ ...offset, partition }));
      await load.send('commit', { ...commit, offsets });
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT / 8 }, place));
}

/** Counts the bytes of every frame that is sent to a log, once each, by what it is for. */
class FrameMeter {
  readonly #seen = new Set<string>();
  #live = 0;
  #checkpoint = 0;
  #checkpoints = 0;

  constructor(connection: NatsConnection, subjects: Subjects) {
    connection.subscribe(`${subjects.prefix}.log.>`, {
      callback: (error, message) => {
        if (error === null) this.#count(message.data);
      },
    });
  }

  get liveBytes(): number {
    return this.#live;
  }
  get checkpoints(): number {
    return this.#checkpoints;
  }
  get amplification(): number {
    return (this.#live + this.#checkpoint) / Math.max(1, this.#live);
  }

  #count(bytes: Uint8Array): void {
    const decoded = decodeFrame(bytes);
    if (!decoded.ok || this.#seen.has(decoded.frame.nonce)) return;
    const { body, nonce } = decoded.frame;
    this.#seen.add(nonce);
    const isCheckpoint = body.kind === 'checkpoint' || body.kind === 'checkpoint-end';
    if (isCheckpoint) this.#checkpoint += bytes.byteLength;
    else this.#live += bytes.byteLength;
    if (body.kind === 'checkpoint-end') this.#checkpoints += 1;
  }
}
