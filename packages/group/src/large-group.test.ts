import type { MemberId, RequestOf } from '@muster/protocol';
import { generation, groupApis, groupId, memberId, monotonicMs, requestId, wallMs } from '@muster/protocol';
import { beforeAll, describe, expect, test } from 'vitest';
import { SNAPSHOT_MEMBERS_MAX } from './bounds.js';
import type { Effects, GroupRecord, GroupSlot } from './index.js';
import {
  checkpointRecords,
  decodeRecord,
  describeGroup,
  encodeRecord,
  GroupReplay,
  groupConfigDefaults,
  handle,
} from './index.js';

const GROUP_ID = groupId('large');
const SIZE = SNAPSHOT_MEMBERS_MAX + 1;
const context = {
  now: monotonicMs(0),
  wallNow: wallMs(1_700_000_000_000),
  newUuid: () => `u${uuids++}`,
  config: { ...groupConfigDefaults, initialRebalanceDelayMs: 0 },
};
let uuids = 0;

/** The group, and every record that it ever decided, with its place in the log. */
class LargeGroup {
  readonly slot: GroupSlot = { groupId: GROUP_ID, group: undefined };
  readonly log: { readonly seq: number; readonly record: GroupRecord }[] = [];
  #refs = 0;

  run(command: Parameters<typeof handle>[1]): Effects {
    const effects = handle(this.slot, command, context);
    this.append(effects.records);
    return effects;
  }

  append(records: readonly GroupRecord[]): void {
    const seq = this.log.length + 1;
    for (const record of records) this.log.push({ seq, record: decodeRecord(encodeRecord(record)) as GroupRecord });
  }

  request<Api extends 'join' | 'sync' | 'leave' | 'commit'>(api: Api, body: object): Effects {
    this.#refs += 1;
    const parsed = groupApis[api].request.parse({ groupId: GROUP_ID, ...body }) as RequestOf[Api];
    return this.run({ kind: 'request', api, ref: requestId(`r${this.#refs}`), body: parsed } as Parameters<
      typeof handle
    >[1]);
  }

  join(instance: number, fields: object = {}): Effects {
    return this.request('join', {
      memberId: '',
      groupInstanceId: `i${instance}`,
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 30_000,
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: new Uint8Array([1]) }],
      ...fields,
    });
  }

  idOf(instance: number): MemberId {
    const id = [...(this.slot.group?.staticMembers ?? [])].find(([name]) => name === `i${instance}`)?.[1];
    if (id === undefined) throw new Error(`no member i${instance}`);
    return id;
  }

  /** The leader assigns one byte to everybody, by the number of its instance. */
  sync(assignmentOf: (instance: number) => number): Effects {
    const { group } = this.slot;
    const assignments = [...(group?.members.values() ?? [])].map(({ memberId: id, groupInstanceId }) => ({
      memberId: id,
      assignment: new Uint8Array([assignmentOf(Number(groupInstanceId?.slice(1))) % 256]),
    }));
    return this.request('sync', {
      memberId: group?.leader ?? memberId(''),
      generationId: group?.generation ?? generation(-1),
      assignments,
    });
  }

  replay(entries: readonly { readonly seq: number; readonly record: GroupRecord }[], forgetBelow?: number) {
    const replay = new GroupReplay(GROUP_ID);
    for (const { seq, record } of entries) replay.apply(seq, record);
    if (forgetBelow !== undefined) replay.forgetBelow(forgetBelow);
    return describeGroup(replay.finish(context).slot);
  }
}

describe('a group of more members than one snapshot should hold', () => {
  const large = new LargeGroup();

  beforeAll(() => {
    for (let instance = 0; instance < SIZE; instance += 1) large.join(instance);
    // Arrivals stretch the initial delay by one more step.
    for (let step = 0; step < 2; step += 1) large.run({ kind: 'timer', timer: { kind: 'join' } });
    large.sync((instance) => instance);
    expect(describeGroup(large.slot)).toMatchObject({ state: 'Stable', generationId: 1 });
    expect(large.slot.group?.members.size).toBe(SIZE);
  });

  const memory = () => describeGroup(large.slot);
  const byId = (described: ReturnType<typeof memory>) => ({
    ...described,
    members: [...described.members].sort((a, b) => (a.memberId < b.memberId ? -1 : 1)),
  });

  test('records its first generation as a whole', () => {
    expect(large.log.map(({ record }) => record.kind)).toEqual(['snapshot', 'snapshot']);
  });

  test('records the restart of one static member as that member alone', () => {
    const { records } = large.join(7);
    expect(records.map(({ kind }) => kind)).toEqual(['member-removed', 'snapshot-delta']);
    const [, delta] = records;
    expect(delta?.kind === 'snapshot-delta' && delta.changed.length).toBe(1);
    expect(byId(large.replay(large.log))).toEqual(byId(memory()));
  });

  test('records a round in which few assignments change as those few', () => {
    for (let instance = 0; instance < SIZE; instance += 1) {
      // The leader's rejoin begins the round; everybody else comes back unchanged.
      large.join(instance, { memberId: large.idOf(instance) });
    }
    const { records } = large.sync((instance) => (instance < 3 ? instance + 100 : instance));
    const [delta] = records;
    expect(
      delta?.kind === 'snapshot-delta' && delta.changed.map(({ groupInstanceId }) => groupInstanceId).sort(),
    ).toEqual(['i0', 'i1', 'i2']);
    expect(byId(large.replay(large.log))).toEqual(byId(memory()));
  });

  test('keeps the numbers of commits over a delta, and forgets who left before it', () => {
    const owner = large.idOf(20);
    large.request('commit', {
      memberId: owner,
      generationId: large.slot.group?.generation,
      commitSeq: 5,
      offsets: [{ topic: 't', partition: 0, offset: 9 }],
    });
    large.join(8);
    const replay = new GroupReplay(GROUP_ID);
    for (const { seq, record } of large.log) replay.apply(seq, record);
    const { slot } = replay.finish(context);
    expect(slot.group?.members.get(owner)?.commitSeq).toBe(5);
    expect(byId(describeGroup(slot))).toEqual(byId(memory()));
  });

  test('survives a checkpoint between deltas, with and without what was purged', () => {
    const from = large.log.length + 1;
    large.join(9);
    if (large.slot.group === undefined) throw new Error('the group is gone');
    large.append(checkpointRecords(large.slot.group));
    large.join(10);
    expect(byId(large.replay(large.log, from))).toEqual(byId(memory()));
    const kept = large.log.filter(({ seq }) => seq >= from);
    expect(kept[0]?.record.kind).not.toBe('snapshot');
    expect(byId(large.replay(kept, from))).toEqual(byId(memory()));
  });

  test('may read every record twice', () => {
    const twice = large.log.flatMap((entry) => [entry, entry]);
    expect(byId(large.replay(twice))).toEqual(byId(memory()));
  });
});
