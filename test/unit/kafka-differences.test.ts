/**
 * Where the group differs from Kafka on purpose, as far as no test beside the code holds it: a row each. Which test holds which
 * difference stands in `docs/kafka-compatibility.md`.
 */

import { describe, expect, it } from 'vitest';
import { OFFSETS_PER_GROUP_MAX, PENDING_MEMBERS_MAX, STAGES_MAX } from '../../packages/group/src/bounds.js';
import { join, joined, stable, sync, synced, text, World } from '../../packages/group/test/world.js';

type Difference = readonly [sentence: string, shown: () => void];

const twoProtocols = [
  { name: 'range', metadata: text('r') },
  { name: 'sticky', metadata: text('s') },
];
const patient = { sessionTimeoutMs: 60_000, rebalanceTimeoutMs: 60_000 };
const known = { requireKnownMemberId: true };

const members: readonly Difference[] = [
  [
    'a member that offers several protocols rejoins after a failover without a rebalance',
    () => {
      const world = new World();
      const [, follower = ''] = stable(world, [{ protocols: twoProtocols }, { protocols: twoProtocols }]);
      world.reload();
      const rejoin = join(world, { memberId: follower, protocols: twoProtocols });
      expect(joined(world, rejoin).generationId).toBe(1);
      expect(world.state).toBe('Stable');
    },
  ],
  [
    'a static member that restarts before it has synced owes its sync under the new id only',
    () => {
      const world = new World({ initialRebalanceDelayMs: 3_000 });
      const refs = [join(world, patient), join(world, { ...patient, groupInstanceId: 'i' })];
      world.advance(9_000);
      const leader = joined(world, refs[0]!).memberId;
      sync(world, leader, 1);
      const restarted = joined(world, join(world, { ...patient, groupInstanceId: 'i' })).memberId;
      synced(world, sync(world, restarted, 1));
      world.advance(59_000);
      expect(world.send('heartbeat', { memberId: leader, generationId: 1 })?.error).toBe('NONE');
    },
  ],
  [
    'a static member that restarts before it has synced is still bound to sync in time',
    () => {
      const world = new World({ initialRebalanceDelayMs: 3_000 });
      const timeouts = { sessionTimeoutMs: 60_000, rebalanceTimeoutMs: 10_000 };
      const refs = [join(world, timeouts), join(world, { ...timeouts, groupInstanceId: 'i' })];
      world.advance(6_000);
      sync(world, joined(world, refs[0]!).memberId, 1);
      const restarted = joined(world, join(world, { ...timeouts, groupInstanceId: 'i' })).memberId;
      world.advance(10_001);
      expect(world.send('heartbeat', { memberId: restarted, generationId: 1 })?.error).toBe('UNKNOWN_MEMBER_ID');
    },
  ],
  [
    'a leader that brings a second assignment gets the first one, which is what the log holds',
    () => {
      const world = new World();
      const [leader = ''] = stable(world, [{}]);
      expect(synced(world, sync(world, leader, 1, { [leader]: 'second' })).assignment).toEqual(text('a0'));
      world.reload();
      expect(synced(world, sync(world, leader, 1)).assignment).toEqual(text('a0'));
    },
  ],
  [
    'a join that is refused leaves nothing in the log',
    () => {
      const world = new World();
      join(world, known);
      join(world, { protocols: [] });
      expect(world.log).toEqual([]);
      world.reload();
      expect(world.slot.group).toBeUndefined();
    },
  ],
  [
    'metadata that is no subscription completes the round, however long it is',
    () => {
      const world = new World();
      const metadata = new Uint8Array(64).fill(0xff);
      const ref = join(world, { protocols: [{ name: 'range', metadata }] });
      world.advance(1);
      expect(joined(world, ref).generationId).toBe(1);
      expect(world.group.subscribedTopics).toBeNull();
    },
  ],
];

const bounds: readonly Difference[] = [
  [
    'ids that were handed out and not used are bounded',
    () => {
      const world = new World();
      join(world, known);
      const { pendingMembers } = world.group;
      const [id, pending] = [...pendingMembers][0]!;
      for (let index = pendingMembers.size; index < PENDING_MEMBERS_MAX; index += 1) {
        pendingMembers.set(`${id}.${index}` as typeof id, { ...pending, createdBy: world.newRef() });
      }
      for (const [each, { createdBy }] of pendingMembers) world.group.createdBy.set(createdBy, each);
      expect(world.reply('join', join(world, known))?.error).toBe('THROTTLING_QUOTA_EXCEEDED');
    },
  ],
  [
    'offsets of a group are bounded: new partitions are refused, known ones go on',
    () => {
      const world = new World();
      const commit = (partition: number, count: number) => {
        const offsets = Array.from({ length: count }, (_, index) => ({
          topic: 't',
          partition: partition + index,
          offset: 1,
        }));
        const reply = world.send('commit', { memberId: '', generationId: -1, offsets });
        return reply?.fields.partitions.map(({ error }) => error).filter((error) => error !== 0);
      };
      const PER_COMMIT = 20_000;
      for (let from = 0; from < OFFSETS_PER_GROUP_MAX; from += PER_COMMIT) expect(commit(from, PER_COMMIT)).toEqual([]);
      expect(commit(OFFSETS_PER_GROUP_MAX, 2)).toEqual([28, 28]);
      expect(commit(0, 3)).toEqual([]);
    },
  ],
  [
    'open stages of a group are bounded',
    () => {
      const world = new World();
      const stage = (producerId: number) =>
        world.send('stage-offsets', {
          memberId: '',
          generationId: -1,
          transactionalId: 'x',
          producerId,
          producerEpoch: 0,
          offsets: [{ topic: 't', partition: 0, offset: 1 }],
        })?.error;
      for (let producerId = 0; producerId < STAGES_MAX; producerId += 1) expect(stage(producerId)).toBe('NONE');
      expect(stage(STAGES_MAX)).toBe('THROTTLING_QUOTA_EXCEEDED');
      expect(stage(0)).toBe('NONE');
    },
  ],
];

/** Where Kafka's two coordinators differ and ours is not the Scala one. */
const sides: readonly Difference[] = [
  [
    'a newcomer that heartbeats while its join waits keeps its five minutes',
    () => {
      const world = new World();
      stable(world, [patient]);
      const asked = join(world, known);
      const memberId = world.reply('join', asked)?.fields.memberId ?? '';
      const waiting = join(world, { ...known, memberId });
      expect(world.send('heartbeat', { memberId, generationId: 1 })?.error).toBe('REBALANCE_IN_PROGRESS');
      world.advance(20_000);
      expect(world.reply('join', waiting)).toBeUndefined();
    },
  ],
  [
    'a static newcomer that restarts while it waits does not expire while it waits (Java)',
    () => {
      const world = new World();
      stable(world, [patient]);
      join(world, { ...patient, sessionTimeoutMs: 10_000, groupInstanceId: 'i' });
      const waiting = join(world, { ...patient, sessionTimeoutMs: 10_000, groupInstanceId: 'i' });
      world.advance(20_000);
      expect(world.reply('join', waiting)).toBeUndefined();
    },
  ],
  [
    'members that leave together open one round, whose length is that of those who stay (Java)',
    () => {
      const world = new World({ initialRebalanceDelayMs: 3_000 });
      const sessions = { sessionTimeoutMs: 300_000 };
      const [, second = '', third = ''] = stable(world, [
        { ...sessions, rebalanceTimeoutMs: 10_000 },
        { ...sessions, rebalanceTimeoutMs: 10_000 },
        { ...sessions, rebalanceTimeoutMs: 200_000 },
      ]);
      world.send('leave', { members: [{ memberId: second }, { memberId: third }] });
      expect(world.notices).toEqual([1]);
      world.advance(10_001);
      expect(world.state).toBe('Empty');
    },
  ],
];

describe('members', () => {
  it.each(members)('%s', (_sentence, shown) => shown());
});

describe('bounds', () => {
  it.each(bounds)('%s', (_sentence, shown) => shown());
});

describe('one side of Kafka', () => {
  it.each(sides)('%s', (_sentence, shown) => shown());
});
