import { type GroupCommand, type GroupSlot, groupConfigDefaults, handle } from '@muster/group';
import { encodeCommitNote, groupId, memberId, monotonicMs, requestId, wallMs } from '@muster/protocol';
import { describe, expect, it } from 'vitest';
import { figuresOf } from './group-figures.js';

const committedAt = 1_000_000;

/** A group without members, with these offsets committed. */
function committed(
  name: string,
  offsets: readonly { topic: string; partition: number; metadata: string }[],
): GroupSlot {
  const slot: GroupSlot = { groupId: groupId(name), group: undefined };
  const body = {
    groupId: slot.groupId,
    memberId: memberId(''),
    groupInstanceId: null,
    generationId: -1,
    commitSeq: null,
    retentionTimeMs: null,
    offsets: offsets.map((each) => ({ ...each, offset: 5, leaderEpoch: -1, commitTimestamp: null })),
  };
  const command = { kind: 'request', api: 'commit', ref: requestId('r'), body } as unknown as GroupCommand;
  const effects = handle(slot, command, {
    now: monotonicMs(0),
    wallNow: wallMs(committedAt),
    newUuid: () => 'uuid',
    config: groupConfigDefaults,
  });
  expect(effects.replies.map(({ error }) => error)).toEqual(['NONE']);
  return slot;
}
const note = (behind: number, ageMs: number) => encodeCommitNote({ behind, ageMs });

describe('the figures of groups', () => {
  it('count groups by state, and offsets; one that does not exist counts nowhere', () => {
    const slots = [
      committed('a', [{ topic: 't', partition: 0, metadata: '' }]),
      committed('b', [
        { topic: 't', partition: 0, metadata: '' },
        { topic: 't', partition: 1, metadata: '' },
      ]),
      { groupId: groupId('none'), group: undefined },
    ];
    const { states, members, offsets, lags } = figuresOf(slots, committedAt, 10);
    expect(states).toEqual({ Empty: 2, PreparingRebalance: 0, CompletingRebalance: 0, Stable: 0, Dead: 0 });
    expect([members, offsets, lags]).toEqual([0, 3, []]);
  });

  it('tell the lag of a topic over its partitions, as the last commits had it', () => {
    const slot = committed('a', [
      { topic: 't', partition: 0, metadata: note(3, 2_000) },
      { topic: 't', partition: 1, metadata: note(4, 500) },
      { topic: 'other', partition: 0, metadata: note(0, 0) },
      { topic: 'foreign', partition: 0, metadata: 'whatever another client says' },
    ]);
    expect(figuresOf([slot], committedAt, 10).lags).toEqual([
      { group: 'a', topic: 't', messages: 7, oldestMs: 2_000, committedAt },
      { group: 'a', topic: 'other', messages: 0, oldestMs: 0, committedAt },
    ]);
  });

  it('let what is left grow old while nobody commits, and only that', () => {
    const slot = committed('a', [
      { topic: 't', partition: 0, metadata: note(1, 2_000) },
      { topic: 'done', partition: 0, metadata: note(0, 0) },
    ]);
    const { lags } = figuresOf([slot], committedAt + 60_000, 10);
    expect(lags.map(({ topic, oldestMs }) => [topic, oldestMs])).toEqual([
      ['t', 62_000],
      ['done', 0],
    ]);
  });

  it('tell the lag of so many groups at most, and how many are left out', () => {
    const slots = ['a', 'b', 'c'].map((name) => committed(name, [{ topic: 't', partition: 0, metadata: note(1, 1) }]));
    const { lags, lagsLeftOut, offsets } = figuresOf(slots, committedAt, 2);
    expect([lags.map(({ group }) => group), lagsLeftOut, offsets]).toEqual([['a', 'b'], 1, 3]);
    expect(figuresOf(slots, committedAt, 0)).toMatchObject({ lags: [], lagsLeftOut: 3 });
  });
});
