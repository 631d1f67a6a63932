/**
 * The liveness phase: when all faults have ended, everything must come to rest within bounded virtual time, and stay there.
 */

import {
  checkpointRecords,
  decodeRecord,
  encodeRecord,
  type Group,
  type GroupRecord,
  GroupReplay,
  groupConfigDefaults,
  type TurnContext,
} from '@muster/group';
import { decodeFrame, type Piece, unpackRecord } from '@muster/log';
import { encode, type GroupId, monotonicMs, type Partition, wallMs } from '@muster/protocol';
import type { RuntimeOf } from './canaries.js';
import type { SimGroup, World } from './world.js';

/** A session, a rebalance, a hand-over after its time, an election: one after the other. */
const REST_WITHIN_MS = 75_000;
const QUIET_MS = 2_500;
const ANSWERED_WITHIN_MS = 8_000;
const STATIC_WITHIN_MS = 4_000;
const LOOK_EVERY_MS = 250;

/** Waits for rest, then judges it. */
export async function comeToRest(world: World): Promise<void> {
  let isAtRest = false;
  const stop = world.scheduler.every(LOOK_EVERY_MS, () => {
    isAtRest = unrest(world).length === 0;
  });
  await world.scheduler.run(REST_WITHIN_MS, () => isAtRest);
  stop();
  judgeRest(world);
  if (world.verdicts.isViolated) return;
  await stayAtRest(world);
}

type Unrest = {
  readonly invariant: Parameters<World['verdicts']['check']>[0];
  readonly about: string;
  readonly text: string;
};

function judgeRest(world: World): void {
  const problems = unrest(world);
  const abouts = [
    'every-partition-owned',
    'live-groups-stable',
    'dead-members-replaced',
    'produced-is-handled',
  ] as const;
  for (const name of abouts) {
    const found = problems.filter(({ invariant }) => invariant === name);
    if (found.length === 0) world.verdicts.check(name, true, '', () => '');
    for (const { about, text } of found) world.verdicts.check(name, false, about, () => text);
  }
}

function unrest(world: World): readonly Unrest[] {
  const found: Unrest[] = [];
  for (const partition of world.partitions) {
    const names = world.cluster.serving(partition).map(({ name }) => name);
    if (names.length !== 1) {
      found.push({
        invariant: 'every-partition-owned',
        about: `log ${partition}`,
        text: `served by [${names.join(' ')}]`,
      });
    }
  }
  for (const group of world.groups) found.push(...unrestOf(group));
  return found;
}

function unrestOf({ watch, members, workers, consumption }: SimGroup): readonly Unrest[] {
  const about = watch.group;
  const live = [...members, ...workers, ...(consumption?.consumers ?? [])];
  const logged = watch.logged?.members ?? new Set<string>();
  const unstable = live.filter((member) => !member.isStable).map(({ name }) => name);
  const generations = new Set(live.map(({ generation }) => generation));
  const ids = live.map(({ memberId }) => memberId).sort();
  const isSame = ids.length === logged.size && ids.every((id) => logged.has(id));
  const found: Unrest[] = [];
  if (unstable.length > 0 || generations.size > 1 || !isSame) {
    const text = `unstable [${unstable.join(' ')}], live [${ids.join(' ')}], recorded [${[...logged].join(' ')}]`;
    found.push({ invariant: 'live-groups-stable', about, text });
  }
  if (consumption !== undefined && consumption.starting > 0) {
    found.push({ invariant: 'live-groups-stable', about, text: 'a consumer is to be started again' });
  }
  const unhandled = consumption?.handling.left ?? [];
  if (unhandled.length > 0)
    found.push({ invariant: 'produced-is-handled', about, text: `[${unhandled.join(' ')}] are left` });
  if (live.length === 0) return found;
  const held = live.flatMap(({ holds }) => [...holds]).sort();
  if (held.length !== watch.topicPartitions || new Set(held).size !== held.length) {
    found.push({
      invariant: 'dead-members-replaced',
      about,
      text: `[${held.join(' ')}] of ${watch.topicPartitions} are held`,
    });
  }
  return found;
}

async function stayAtRest(world: World): Promise<void> {
  const { scheduler, verdicts, groups } = world;
  // A delayed copy of a request may still arrive; after that nothing has a cause any more.
  await scheduler.run(world.plan.weather.delayMsMax + 500);
  const before = groups.map(({ watch }) => watch.logged?.generation);
  await scheduler.run(QUIET_MS);
  groups.forEach(({ watch, members, consumption }, index) => {
    if (members.length === 0 && consumption === undefined) return;
    const now = watch.logged?.generation;
    verdicts.check(
      'no-rebalance-without-cause',
      now === before[index],
      watch.group,
      () => `generation ${before[index]} became ${now}`,
    );
  });
  await restartStatics(world);
  await readBack(world);
  for (const { members, liars } of groups) {
    for (const member of members) member.calm();
    for (const liar of liars) liar.stop();
  }
  world.stopSweeps();
  await scheduler.run(ANSWERED_WITHIN_MS, () => waiting(world).length === 0);
  const left = waiting(world);
  verdicts.check('every-request-answered', left.length === 0, 'clients', () => left.join(', '));
  await scheduler.run(1_000);
  for (const partition of world.partitions) judgeMemory(world, partition);
}

/** KIP-345: one static member of each group restarts; nobody else hears of it. */
async function restartStatics(world: World): Promise<void> {
  const restarted = world.groups.flatMap((group) => {
    const member = group.members.find(({ instance }) => instance !== null);
    if (member === undefined) return [];
    const { instance, generation, holds } = member;
    member.die();
    group.members = group.members.filter((each) => each !== member);
    return [{ watch: group.watch, generation, holds, successor: world.addMember(group, instance) }];
  });
  await world.scheduler.run(STATIC_WITHIN_MS, () => restarted.every(({ successor }) => successor.isStable));
  for (const { watch, generation, holds, successor } of restarted) {
    world.verdicts.check(
      'static-restart-moves-nobody',
      successor.isStable && successor.generation === generation && `${successor.holds}` === `${holds}`,
      watch.group,
      () => `[${holds}] of generation ${generation} became [${successor.holds}] of ${successor.generation}`,
    );
  }
}

/** Requests that wait longer than one heartbeat can take. */
function waiting(world: World): readonly string[] {
  const { now } = world.scheduler;
  const clients = world.groups.flatMap(({ members, liars, departed, admins }) => [
    ...members.map(({ client }) => client),
    ...liars.map(({ client }) => client),
    ...departed.map(({ client }) => client),
    ...admins,
  ]);
  return clients.flatMap(({ open }) =>
    open.filter(({ askedAt }) => now - askedAt > 300).map(({ api, askedAt }) => `${api} since ${askedAt.toFixed(0)}`),
  );
}

/** Whoever comes new reads what was acknowledged. */
async function readBack(world: World): Promise<void> {
  const clients = world.groups.map(({ watch }) => {
    const { client } = world.client('reader');
    const floors = watch.floors();
    client.ask(
      'fetch',
      { groupId: watch.group, requireStable: false, partitions: null },
      ({ error, fields, askedAt }) => {
        if (error !== 'NONE' || fields === undefined) return;
        watch.fetchedAll(fields.partitions, floors, askedAt);
      },
    );
    return client;
  });
  await world.scheduler.run(ANSWERED_WITHIN_MS, () => clients.every(({ open }) => open.length === 0));
  const left = clients.filter(({ open }) => open.length > 0).length;
  world.verdicts.check('every-request-answered', left === 0, 'readers', () => `${left} fetches`);
}

/** The log, read from its first frame, gives what the owner has in memory. */
function judgeMemory(world: World, partition: Partition): void {
  const [owner] = world.cluster.serving(partition);
  const runtime = owner === undefined ? undefined : world.cluster.runtimeOf(owner, partition);
  if (runtime === undefined) return;
  const about = `log ${partition}`;
  world.verdicts.check(
    'bounded-queues',
    runtime.log.queuedRecords === 0,
    about,
    () => `${runtime.log.queuedRecords} records wait at rest`,
  );
  const replayed = replay(world, partition);
  for (const { watch } of world.groups) {
    if (watch.partition === partition) judgeGroup(world, runtime, watch.group, replayed.get(watch.group));
  }
}

function judgeGroup(world: World, runtime: RuntimeOf, id: GroupId, replayed: Group | undefined): void {
  const live = runtime.inspect(id)?.group;
  const memory = live === undefined ? [] : checkpointRecords(live).map(describe);
  const log = replayed === undefined ? [] : checkpointRecords(replayed).map(describe);
  world.verdicts.check('replay-equals-memory', sameTexts(memory, log), id, () => {
    const at = memory.findIndex((text, index) => text !== log[index]);
    return `memory says ${memory[at] ?? 'nothing'}, the log ${log[at] ?? 'nothing'}`;
  });
}

function sameTexts(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, index) => text === b[index]);
}

function describe(record: GroupRecord): string {
  // Offsets are a map; in which order they stand says nothing.
  const sorted =
    record.kind === 'offsets'
      ? {
          ...record,
          offsets: [...record.offsets].sort((a, b) => a.partition - b.partition || (a.topic < b.topic ? -1 : 1)),
        }
      : record;
  const bytes = encode(encodeRecord(sorted));
  return `${record.kind} ${Buffer.from(bytes)
    .toString('latin1')
    .replace(/[^ -~]+/g, '.')} ${hashOf(bytes)}`;
}

function hashOf(bytes: Uint8Array): string {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return `#${(hash >>> 0).toString(16)}`;
}

function replay(world: World, partition: Partition): ReadonlyMap<GroupId, Group> {
  const replays = new Map<GroupId, GroupReplay>();
  const sets = new Map<string, Uint8Array[]>();
  for (const { seq, bytes } of world.log.frames(partition)) {
    const decoded = decodeFrame(bytes);
    if (!decoded.ok) continue;
    const { body } = decoded.frame;
    if (body.kind === 'claim') sets.clear();
    if (body.kind === 'checkpoint-end') for (const each of replays.values()) each.forgetBelow(body.coversFrom);
    if (body.kind !== 'records' && body.kind !== 'checkpoint') continue;
    const entries = body.kind === 'checkpoint' ? [...body.live, ...body.entries] : body.entries;
    for (const { group, pieces } of entries) {
      for (const piece of pieces) {
        const whole = assemble(sets, piece);
        const raw = whole === undefined ? undefined : unpackRecord(whole);
        const record = raw === undefined ? undefined : decodeRecord(raw);
        if (record === undefined) continue;
        let known = replays.get(group);
        if (known === undefined) {
          known = new GroupReplay(group);
          replays.set(group, known);
        }
        known.apply(seq, record);
      }
    }
  }
  const context: TurnContext = {
    now: monotonicMs(0),
    wallNow: wallMs(0),
    newUuid: () => '',
    config: groupConfigDefaults,
  };
  const groups = new Map<GroupId, Group>();
  for (const [id, each] of replays) {
    const { group } = each.finish(context).slot;
    if (group !== undefined) groups.set(id, group);
  }
  return groups;
}

function assemble(sets: Map<string, Uint8Array[]>, piece: Piece): Uint8Array | undefined {
  if (piece.kind === 'whole') return piece.bytes;
  if (piece.index === 1) sets.set(piece.set, []);
  const parts = sets.get(piece.set);
  if (parts === undefined) return undefined;
  parts.push(piece.bytes);
  return parts.length === piece.count ? new Uint8Array(Buffer.concat(parts)) : undefined;
}
