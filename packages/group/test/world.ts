/**
 * One group in a small world for tests: a virtual clock, timers, a log of encoded records, replies by request.
 *
 * After every turn it checks what must always hold (G2 to G7, R2, exactly one reply per request); a test states only its own case.
 */

import type {
  Generation,
  JoinReply,
  JoinRequest,
  MemberId,
  MonotonicMs,
  RequestId,
  RequestOf,
  SyncReply,
} from '@muster/protocol';
import { decode, encode, generation, groupApis, groupId, monotonicMs, requestId, wallMs } from '@muster/protocol';
import { expect } from 'vitest';
import type { Effects, Group, GroupCommand, GroupConfig, GroupReply, GroupSlot, GroupTimer } from '../src/index.js';
import {
  checkpointRecords,
  decodeRecord,
  describeGroup,
  encodeRecord,
  GroupReplay,
  groupConfigDefaults,
  handle,
} from '../src/index.js';
import { memberBytes } from '../src/member-bytes.js';

export const GROUP_ID = groupId('g');

type ApiOf<Api extends keyof RequestOf> = Extract<GroupReply, { api: Api }>;

/** A checkpoint that has written the group behind the record of sequence `after`. */
export type WrittenCheckpoint = { readonly after: number; readonly records: readonly Uint8Array[] };

export class World {
  nowMs = 1_000_000;
  slot: GroupSlot = { groupId: GROUP_ID, group: undefined };
  readonly config: GroupConfig;
  readonly log: { readonly seq: number; readonly bytes: Uint8Array }[] = [];
  readonly replies = new Map<RequestId, GroupReply>();
  /** Sent and not answered. */
  readonly open = new Set<RequestId>();
  readonly notices: Generation[] = [];
  effects: Effects = { replies: [], records: [], timers: [], notices: [] };
  readonly #timers = new Map<string, { readonly timer: GroupTimer; readonly deadline: number }>();
  #seq = 0;
  #refs = 0;
  #uuids = 0;
  #highest = 0;

  constructor(config: Partial<GroupConfig> = {}) {
    this.config = { ...groupConfigDefaults, initialRebalanceDelayMs: 0, ...config };
  }

  get context() {
    return {
      now: monotonicMs(this.nowMs),
      wallNow: wallMs(1_700_000_000_000 + this.nowMs),
      newUuid: () => `uuid-${++this.#uuids}`,
      config: this.config,
    };
  }

  get group(): Group {
    if (this.slot.group === undefined) throw new Error('there is no group');
    return this.slot.group;
  }

  get state(): string {
    return describeGroup(this.slot).state;
  }

  newRef(): RequestId {
    return requestId(`r${++this.#refs}`);
  }

  run(command: GroupCommand): Effects {
    const before = this.slot.group;
    if (command.kind === 'request') this.open.add(command.ref);
    const effects = handle(this.slot, command, this.context);
    if (this.slot.group === undefined || this.slot.group !== before) this.#highest = 0;
    this.#carryOut(effects);
    return effects;
  }

  #carryOut(effects: Effects): void {
    this.effects = effects;
    for (const effect of effects.timers) {
      const key = JSON.stringify(effect.timer);
      if (effect.kind === 'set') this.#timers.set(key, { timer: effect.timer, deadline: effect.deadline });
      else this.#timers.delete(key);
    }
    this.append(effects.records.map(encodeRecord));
    for (const reply of effects.replies) {
      expect(this.open.delete(reply.ref), `${reply.api} ${reply.ref} is answered once`).toBe(true);
      this.replies.set(reply.ref, reply);
    }
    for (const notice of effects.notices) this.notices.push(notice.generation);
    this.check();
  }

  append(records: readonly (readonly unknown[])[]): void {
    if (records.length === 0) return;
    this.#seq += 1;
    for (const each of records) this.log.push({ seq: this.#seq, bytes: encode(each) });
  }

  /** Sends a request as the wire would: defaults filled in, shape validated. */
  send<Api extends keyof RequestOf>(api: Api, body: object, ref = this.newRef()): ApiOf<Api> | undefined {
    const parsed = groupApis[api].request.parse({ groupId: GROUP_ID, ...body });
    this.run({ kind: 'request', api, ref, body: parsed } as GroupCommand);
    return this.reply(api, ref);
  }

  reply<Api extends keyof RequestOf>(_api: Api, ref: RequestId): ApiOf<Api> | undefined {
    return this.open.has(ref) ? undefined : (this.replies.get(ref) as ApiOf<Api> | undefined);
  }

  advance(ms: number): void {
    const end = this.nowMs + ms;
    for (let fired = 0; ; fired += 1) {
      expect(fired, 'timers come to rest').toBeLessThan(ms + 1_000);
      let due: { readonly timer: GroupTimer; readonly deadline: number } | undefined;
      for (const each of this.#timers.values()) if (due === undefined || each.deadline < due.deadline) due = each;
      if (due === undefined || due.deadline > end) break;
      this.nowMs = Math.max(this.nowMs, due.deadline);
      this.#timers.delete(JSON.stringify(due.timer));
      this.run({ kind: 'timer', timer: due.timer });
    }
    this.nowMs = end;
  }

  replay(context = this.context, graceUntil?: MonotonicMs) {
    const replay = new GroupReplay(GROUP_ID);
    for (const { seq, bytes } of this.log) replay.apply(seq, decodeRecord(decoded(bytes)));
    return replay.finish(context, graceUntil === undefined ? {} : { graceUntil });
  }

  /** The same log with every record in it twice, which must be harmless (rule L6). */
  replayTwice() {
    const replay = new GroupReplay(GROUP_ID);
    for (const { seq, bytes } of this.log) {
      for (let times = 0; times < 2; times += 1) replay.apply(seq, decodeRecord(decoded(bytes)));
    }
    return replay.finish(this.context);
  }

  /** The same log with a checkpoint at its end, loaded with the end marker but before the purge (rule K2). */
  replayCheckpoint() {
    const replay = new GroupReplay(GROUP_ID);
    for (const { seq, bytes } of this.log) replay.apply(seq, decodeRecord(decoded(bytes)));
    const from = this.#seq + 1;
    const { group } = this.slot;
    const records = group === undefined ? [] : checkpointRecords(group);
    for (const [index, each] of records.entries()) {
      replay.apply(from + index, decodeRecord(decoded(encode(encodeRecord(each)))));
    }
    replay.forgetBelow(from);
    return replay.finish(this.context);
  }

  /** What a checkpoint writes of the group at this moment, and where in the log. */
  beginCheckpoint(): WrittenCheckpoint {
    const { group } = this.slot;
    const records = group === undefined ? [] : checkpointRecords(group);
    return { after: this.#seq, records: records.map((each) => encode(encodeRecord(each))) };
  }

  /** The log with a checkpoint that was written in its middle, loaded before the purge: cut off, or with its end marker (rule K2). */
  replayAround({ after, records }: WrittenCheckpoint, hasEnd: boolean) {
    const replay = new GroupReplay(GROUP_ID);
    const apply = (seq: number, bytes: Uint8Array) => replay.apply(seq, decodeRecord(decoded(bytes)));
    for (const { seq, bytes } of this.log) if (seq <= after) apply(seq, bytes);
    const from = after + 0.5;
    for (const bytes of records) apply(from, bytes);
    for (const { seq, bytes } of this.log) if (seq > after) apply(seq, bytes);
    if (hasEnd) replay.forgetBelow(from);
    return replay.finish(this.context);
  }

  /** The owner dies and the next one loads the log. Whoever waited gets no answer. */
  reload(graceUntilMs?: number): void {
    this.open.clear();
    this.#timers.clear();
    const { slot, effects } = this.replay(
      this.context,
      graceUntilMs === undefined ? undefined : monotonicMs(graceUntilMs),
    );
    this.slot = slot;
    this.#carryOut(effects);
  }

  /** What must hold after every turn. */
  check(): void {
    const { group } = this.slot;
    if (group === undefined) {
      expect([...this.open]).toEqual([]);
      return;
    }
    const { phase, members } = group;
    expect(group.generation).toBeGreaterThanOrEqual(this.#highest);
    this.#highest = group.generation;
    const parked: RequestId[] = [];
    if (phase.kind === 'PreparingRebalance') {
      for (const [id, { ref }] of phase.joins) {
        expect(members.has(id)).toBe(true);
        parked.push(ref);
      }
      expect(phase.timer.kind).not.toBe('unset');
      expect(this.#timers.has(JSON.stringify({ kind: 'join' }))).toBe(true);
    }
    if (phase.kind === 'CompletingRebalance') {
      for (const [id, ref] of phase.syncs) {
        expect(members.has(id)).toBe(true);
        parked.push(ref);
      }
      expect(phase.syncWait.unsynced.size).toBeGreaterThan(0);
    }
    const syncWait = 'syncWait' in phase ? phase.syncWait : null;
    expect(this.#timers.has(JSON.stringify({ kind: 'sync' }))).toBe(syncWait !== null);
    expect([...this.open].sort()).toEqual(parked.sort());
    if (phase.kind === 'Empty') expect(members.size).toBe(0);
    if (phase.kind === 'Stable' || phase.kind === 'CompletingRebalance') expect(members.size).toBeGreaterThan(0);
    expect(group.leader !== null).toBe(members.size > 0);
    if (group.leader !== null) expect(members.has(group.leader)).toBe(true);
    checkDerived(group);
  }
}

function checkDerived(group: Group): void {
  const counts = new Map<string, number>();
  const statics = new Map<string, string>();
  const created = new Map<string, string>();
  for (const member of group.members.values()) {
    for (const { name } of member.protocols) counts.set(name, (counts.get(name) ?? 0) + 1);
    if (member.groupInstanceId !== null) statics.set(member.groupInstanceId, member.memberId);
    else created.set(member.createdBy, member.memberId);
  }
  for (const [id, { createdBy }] of group.pendingMembers) created.set(createdBy, id);
  expect(group.protocolCounts).toEqual(counts);
  let bytes = 0;
  for (const member of group.members.values()) bytes += memberBytes(member);
  expect(group.membersBytes).toBe(bytes);
  expect(new Map(group.staticMembers)).toEqual(statics);
  expect(group.createdBy).toEqual(created);
  if (group.members.size > 0) expect([...counts.values()]).toContain(group.members.size);
}

function decoded(bytes: Uint8Array): unknown {
  const result = decode(bytes);
  if (!result.ok) throw new Error(result.reason);
  return result.value;
}

export function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

export const joinDefaults = {
  memberId: '',
  groupInstanceId: null,
  requireKnownMemberId: false,
  clientId: 'c',
  clientHost: 'h',
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 30_000,
  protocolType: 'consumer',
  protocols: [{ name: 'range', metadata: text('meta') }],
};

/** Joins that succeed: the fields of each reply. */
export function joined(world: World, ref: RequestId): JoinReply {
  const reply = world.reply('join', ref);
  expect(reply?.error).toBe('NONE');
  if (reply === undefined) throw new Error('no reply');
  return reply.fields;
}

export type Joining = Partial<Omit<JoinRequest, 'memberId' | 'groupInstanceId'>> & {
  readonly memberId?: string;
  readonly groupInstanceId?: string | null;
};

/** Sends a join. @returns its id */
export function join(world: World, joining: Joining = {}, ref = world.newRef()): RequestId {
  world.send('join', { ...joinDefaults, ...joining }, ref);
  return ref;
}

export function sync(
  world: World,
  memberId: string,
  generationId: number,
  assignments: Readonly<Record<string, string>> = {},
): RequestId {
  const ref = world.newRef();
  const list = Object.entries(assignments).map(([id, assignment]) => ({ memberId: id, assignment: text(assignment) }));
  world.send('sync', { memberId, generationId: generation(generationId), assignments: list }, ref);
  return ref;
}

export function synced(world: World, ref: RequestId): SyncReply {
  const reply = world.reply('sync', ref);
  expect(reply?.error).toBe('NONE');
  if (reply === undefined) throw new Error('no reply');
  return reply.fields;
}

/** Brings a group to Stable in its next generation. @returns the member ids in the order of the joins, the first leads */
export function stable(world: World, joins: readonly Joining[]): MemberId[] {
  const delayed = joins.length > 1 && world.slot.group === undefined;
  const refs: RequestId[] = [];
  for (const joining of joins) refs.push(join(world, joining));
  world.advance(delayed ? Math.max(world.config.initialRebalanceDelayMs, 1) * 3 : 1);
  const ids = refs.map((ref) => joined(world, ref).memberId);
  const [leader = ''] = ids;
  const generationId = world.group.generation;
  sync(world, leader, generationId, Object.fromEntries(ids.map((id, index) => [id, `a${index}`])));
  for (const id of ids.slice(1)) sync(world, id, generationId);
  expect(world.state).toBe('Stable');
  return ids;
}
