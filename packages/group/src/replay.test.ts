import { generation, groupId, memberId, monotonicMs, requestId, wallMs } from '@muster/protocol';
import { describe, expect, test } from 'vitest';
import type { TurnContext } from './context.js';
import { groupConfigDefaults } from './context.js';
import { handle } from './handle.js';
import type { GroupRecord } from './records.js';
import { GroupReplay } from './replay.js';

const group = groupId('billing');
const context: TurnContext = {
  now: monotonicMs(0),
  wallNow: wallMs(0),
  newUuid: () => 'uuid',
  config: groupConfigDefaults,
};

const staged: GroupRecord = {
  kind: 'staged-offsets',
  producerId: 7,
  producerEpoch: 3,
  at: wallMs(0),
  offsets: [
    {
      topic: 'orders',
      partition: 0,
      offset: 5,
      leaderEpoch: -1,
      metadata: '',
      commitTimestamp: wallMs(0),
      expireTimestamp: null,
      order: 1,
    },
  ],
};
const tombstone: GroupRecord = { kind: 'offset-tombstones', partitions: [{ topic: 'orders', partition: 0 }] };

/** What the producer's predecessor is told when it stages again. */
function answerToPredecessor(replay: GroupReplay): string | undefined {
  const { slot } = replay.finish(context);
  const body = {
    groupId: group,
    producerId: 7,
    producerEpoch: 2,
    generationId: -1,
    memberId: '',
    groupInstanceId: null,
    offsets: [],
  };
  const command = { kind: 'request', api: 'stage-offsets', ref: 'late', body } as unknown;
  return handle(slot, command as Parameters<typeof handle>[1], context).replies[0]?.error;
}

describe('a replay that meets a checkpoint', () => {
  test('keeps a producer fenced whose last staged offset was deleted after the checkpoint had written the group', () => {
    const replay = new GroupReplay(group);
    replay.apply(5, staged);
    // The checkpoint covers from 10 and writes the open stage; then the offset goes, then comes the end marker.
    replay.apply(10, staged);
    replay.apply(11, tombstone);
    replay.forgetBelow(10);
    expect(answerToPredecessor(replay)).toBe('INVALID_PRODUCER_EPOCH');
  });

  test('forgets a fence that the checkpoint did not write again', () => {
    const replay = new GroupReplay(group);
    replay.apply(5, staged);
    replay.apply(6, tombstone);
    replay.forgetBelow(10);
    expect(answerToPredecessor(replay)).toBe('NONE');
  });
});

describe('a loaded group', () => {
  test('keeps one copy of the protocols that its members share', () => {
    const member = (id: string) => ({
      memberId: memberId(id),
      groupInstanceId: null,
      clientId: 'c',
      clientHost: 'h',
      createdBy: requestId(`join of ${id}`),
      replacedJoins: [],
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 10_000,
      protocols: [{ name: 'range', metadata: new Uint8Array([1, 2, 3]) }],
      assignment: new Uint8Array(0),
      commitSeq: -1,
    });
    const snapshot: GroupRecord = {
      kind: 'snapshot',
      generation: generation(1),
      state: 'Stable',
      protocolType: 'connect',
      protocol: 'range',
      leader: memberId('b'),
      stateChangedAt: wallMs(0),
      round: null,
      rebalanceDue: false,
      members: [member('a'), member('b'), member('c')],
      rebalances: [],
    };
    const replay = new GroupReplay(group);
    replay.apply(1, snapshot);
    const loaded = replay.finish(context).slot.group;
    const protocols = [...(loaded?.members.values() ?? [])].map((each) => each.protocols);
    expect(protocols).toHaveLength(3);
    for (const each of protocols) expect(each).toBe(protocols[0]);
    expect(loaded?.leader).toBe('b');
  });
});
