import { decode } from '@muster/protocol';
import { describe, expect, it } from 'vitest';
import { join, stable, World } from '../test/world.js';
import { checkpointRecords, decodeRecord, encodeRecord, GroupReplay, RecordError } from './index.js';

/** Where fields of a snapshot stand, after its kind and version. */
const ROUND = 6;
const MEMBERS = 8;
const REBALANCES = 9;

function decoded(bytes: Uint8Array): unknown[] {
  const result = decode(bytes);
  if (!result.ok || !Array.isArray(result.value)) throw new Error('no record');
  return result.value;
}

describe('records', () => {
  it('come back as they were written', () => {
    const world = new World();
    stable(world, [{ groupInstanceId: 'a' }, {}]);
    for (const record of checkpointRecords(world.group)) expect(decodeRecord(encodeRecord(record))).toEqual(record);
  });

  it('of a version that knew no replaced joins are read without any', () => {
    const world = new World();
    stable(world, [{ groupInstanceId: 'a' }]);
    const restart = join(world, { groupInstanceId: 'a' });
    world.reply('join', restart);
    const newest = world.log.map(({ bytes }) => decoded(bytes)).findLast(([kind]) => kind === 1) ?? [];
    const older = newest.map((field, at) =>
      at === 2 + MEMBERS ? (field as unknown[][]).map((member) => member.slice(0, 10)) : field,
    );
    expect(decodeRecord(newest)).toMatchObject({ members: [{ replacedJoins: [expect.any(String)] }] });
    expect(decodeRecord(older)).toMatchObject({ members: [{ replacedJoins: [] }] });
  });

  it('of a version that knew no reasons are read without one', () => {
    const world = new World();
    const [leader = '', follower = ''] = stable(world, [{}, {}]);
    world.send('leave', { members: [{ memberId: follower, reason: 'stuck' }] });
    join(world, { memberId: leader });
    const newest = world.log.map(({ bytes }) => decoded(bytes)).findLast(([kind]) => kind === 1) ?? [];
    const older = newest.map((field, at) => (at === 2 + ROUND && Array.isArray(field) ? field.slice(0, 3) : field));
    older[2 + REBALANCES] = (newest[2 + REBALANCES] as unknown[][]).map((entry) => entry.slice(0, 7));
    const [now, then] = [decodeRecord(newest), decodeRecord(older)];
    expect(now).toMatchObject({ round: { cause: 'member-left', reason: 'stuck' } });
    expect(then).toMatchObject({ round: { cause: 'member-left', reason: null }, rebalances: [{ reason: null }] });
  });

  it('of an unknown kind are skipped with a warning', () => {
    const record = decodeRecord([99, 4, 'from the future']);
    expect(record).toEqual({ kind: 'unknown', warning: 'skipped a record of the unknown kind 99, version 4' });
    const world = new World();
    const replay = new GroupReplay(world.slot.groupId);
    replay.apply(1, record);
    expect(replay.finish(world.context).slot.group).toBeUndefined();
  });

  it('of a newer version of a known kind are an error', () => {
    expect(() => decodeRecord([2, 2, 'm'])).toThrow(expect.objectContaining({ code: 'RECORD_VERSION_UNSUPPORTED' }));
  });

  it.each([
    ['no array', 'x'],
    ['a missing field', [2, 1]],
    ['a wrong type', [2, 1, 7]],
    ['a damaged list', [4, 1, [['t', 0], 'x']]],
    ['a damaged offset', [3, 1, null, -1, [['t', 0, 1.5, -1, '', 0, null, 1]]]],
    [
      'a member without the protocol',
      [
        1,
        1,
        1,
        2,
        'consumer',
        'range',
        'm',
        0,
        null,
        false,
        [['m', null, '', '', 'r', 1, 1, [], new Uint8Array(), -1]],
        [],
      ],
    ],
  ])('that are damaged by %s are an error', (_what, value) => {
    expect(() => decodeRecord(value)).toThrow(RecordError);
  });
});
