import type { GroupRecord, TurnContext } from '@muster/group';
import { encodeRecord, groupConfigDefaults } from '@muster/group';
import { groupId, monotonicMs, wallMs } from '@muster/protocol';
import { describe, expect, test } from 'vitest';
import { PartitionLoader } from './loader.js';

const context: TurnContext = {
  now: monotonicMs(0),
  wallNow: wallMs(0),
  newUuid: () => 'uuid',
  config: groupConfigDefaults,
};

function offset(topic: string, value: number): GroupRecord {
  const stored = {
    topic,
    partition: 0,
    offset: value,
    leaderEpoch: -1,
    metadata: '',
    commitTimestamp: wallMs(0),
    expireTimestamp: null,
    order: value,
  };
  return { kind: 'offsets', memberId: null, commitSeq: -1, offsets: [stored] };
}

const names = (loader: PartitionLoader) =>
  loader
    .finish(context, undefined)
    .map(({ slot }) => [
      slot.groupId,
      [...(slot.group?.offsets.committed.values() ?? [])].map(({ topic, offset: value }) => `${topic}=${value}`),
    ]);

describe('the loader of a partition', () => {
  test('rebuilds each group from its own records', () => {
    const loader = new PartitionLoader();
    loader.record(1, groupId('a'), encodeRecord(offset('x', 1)));
    loader.record(1, groupId('b'), encodeRecord(offset('x', 2)));
    loader.record(2, groupId('a'), encodeRecord(offset('x', 3)));
    expect(names(loader)).toEqual([
      ['a', ['x=3']],
      ['b', ['x=2']],
    ]);
  });

  test('forgets at the end of a checkpoint what it does not contain: whole groups, and single offsets (K2)', () => {
    const loader = new PartitionLoader();
    loader.record(1, groupId('deleted'), encodeRecord(offset('x', 1)));
    loader.record(2, groupId('kept'), encodeRecord(offset('gone', 2)));
    loader.record(5, groupId('kept'), encodeRecord(offset('x', 3)));
    loader.forgetBelow(5);
    expect(names(loader)).toEqual([['kept', ['x=3']]]);
  });

  test('skips a record of an unknown kind, makes no group of it, and says so', () => {
    const loader = new PartitionLoader();
    expect(loader.skipped).toBeUndefined();
    loader.record(1, groupId('a'), [250, 1, 'whatever']);
    loader.record(2, groupId('a'), [250, 1, 'whatever']);
    expect(names(loader)).toEqual([]);
    expect(loader.skipped).toEqual({ count: 2, last: 'skipped a record of the unknown kind 250, version 1' });
  });
});
