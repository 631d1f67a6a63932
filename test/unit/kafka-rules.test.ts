/**
 * Rules of Kafka's classic groups that no other test holds, a row each. `docs/kafka-compatibility.md` lists all rules with the tests
 * that hold them. Source: classic-protocol.md; where Kafka's two coordinators differ, the Scala one.
 */

import { describe, expect, it } from 'vitest';
import { join, joined, stable, sync, synced, text, World } from '../../packages/group/test/world.js';

type Rule = readonly [sentence: string, shown: () => void];

const delayed = { initialRebalanceDelayMs: 3_000 };
const patient = { sessionTimeoutMs: 60_000, rebalanceTimeoutMs: 60_000 };
const known = { requireKnownMemberId: true };
const offer = (...names: readonly string[]) => names.map((name) => ({ name, metadata: text('m') }));
const subscription = (topic: string) => {
  const bytes = [0, 0, 0, 0, 0, 1, 0, topic.length, ...text(topic), 0xff, 0xff, 0xff, 0xff];
  return [{ name: 'range', metadata: new Uint8Array(bytes) }];
};

function errorOfJoin(world: World, joining: Parameters<typeof join>[1]) {
  return world.reply('join', join(world, joining))?.error;
}

function commit(
  world: World,
  fields: { memberId?: string; generationId?: number; metadata?: string; topic?: string } = {},
) {
  const { memberId = '', generationId = -1, metadata = '', topic = 't' } = fields;
  const offsets = [{ topic, partition: 0, offset: 5, metadata }];
  return world.send('commit', { memberId, generationId, offsets })?.fields.partitions[0]?.error;
}

function beat(world: World, memberId: string, generationId = 1) {
  return world.send('heartbeat', { memberId, generationId })?.error;
}

const joining: readonly Rule[] = [
  [
    'a session timeout outside the bounds is refused and makes no group; the bounds themselves are allowed',
    () => {
      const world = new World();
      expect(errorOfJoin(world, { sessionTimeoutMs: 5_999 })).toBe('INVALID_SESSION_TIMEOUT');
      expect(errorOfJoin(world, { sessionTimeoutMs: 1_800_001 })).toBe('INVALID_SESSION_TIMEOUT');
      expect(world.state).toBe('Dead');
      expect(errorOfJoin(world, { sessionTimeoutMs: 6_000 })).toBeUndefined();
      expect(errorOfJoin(world, { sessionTimeoutMs: 1_800_000 })).toBeUndefined();
    },
  ],
  [
    'a join with an id that nobody knows is refused and makes no group',
    () => {
      const world = new World();
      const refused = join(world, { memberId: 'stranger' });
      expect(world.reply('join', refused)).toMatchObject({
        error: 'UNKNOWN_MEMBER_ID',
        fields: { memberId: 'stranger' },
      });
      expect(world.slot.group).toBeUndefined();
    },
  ],
  [
    'a blank protocol type, and another one than the group has, are refused',
    () => {
      const world = new World();
      expect(errorOfJoin(world, { protocolType: '' })).toBe('INCONSISTENT_GROUP_PROTOCOL');
      stable(world, [{}]);
      expect(errorOfJoin(world, { protocolType: 'connect' })).toBe('INCONSISTENT_GROUP_PROTOCOL');
      expect(world.state).toBe('Stable');
    },
  ],
  [
    'an emptied group takes another protocol type',
    () => {
      const world = new World();
      const [memberId = ''] = stable(world, [{}]);
      world.send('leave', { members: [{ memberId }] });
      const ref = join(world, { protocolType: 'connect' });
      world.advance(1);
      expect(joined(world, ref)).toMatchObject({ generationId: 3, protocolType: 'connect' });
    },
  ],
  [
    'a lone member cannot replace its only protocol, but can add one and then drop the old one',
    () => {
      const world = new World();
      const [memberId = ''] = stable(world, [{ protocols: offer('old') }]);
      expect(errorOfJoin(world, { memberId, protocols: offer('new') })).toBe('INCONSISTENT_GROUP_PROTOCOL');
      expect(joined(world, join(world, { memberId, protocols: offer('new', 'old') })).protocolName).toBe('new');
      expect(joined(world, join(world, { memberId, protocols: offer('new') })).generationId).toBe(3);
    },
  ],
  [
    'the protocol with the most votes is chosen, not the one that the leader prefers',
    () => {
      const world = new World(delayed);
      const leader = join(world, { protocols: offer('x', 'y') });
      join(world, { protocols: offer('y', 'x') });
      join(world, { protocols: offer('y', 'x') });
      world.advance(9_000);
      expect(joined(world, leader).protocolName).toBe('y');
    },
  ],
  [
    'a reserved id together with an instance id is an internal error and stays reserved',
    () => {
      const world = new World();
      const memberId = world.reply('join', join(world, known))?.fields.memberId ?? '';
      expect(errorOfJoin(world, { memberId, groupInstanceId: 'i' })).toBe('UNKNOWN_SERVER_ERROR');
      expect(world.group.pendingMembers.size).toBe(1);
    },
  ],
  [
    'a follower that joins again unchanged gets the generation, but no longer session and no new timeouts',
    () => {
      const world = new World(delayed);
      const [leader = '', follower = ''] = stable(world, [patient, {}]);
      world.advance(6_000);
      expect(joined(world, join(world, { memberId: follower, sessionTimeoutMs: 60_000 })).generationId).toBe(1);
      world.advance(4_001);
      expect(beat(world, follower)).toBe('UNKNOWN_MEMBER_ID');
      expect(beat(world, leader)).toBe('REBALANCE_IN_PROGRESS');
    },
  ],
];

const rounds: readonly Rule[] = [
  [
    'arrivals stretch the initial delay only in the first generation of a group',
    () => {
      const world = new World(delayed);
      const first = join(world, patient);
      world.advance(3_000);
      world.send('leave', { members: [{ memberId: joined(world, first).memberId }] });
      const second = join(world, patient);
      world.advance(1_000);
      join(world, patient);
      world.advance(2_000);
      expect(joined(world, second)).toMatchObject({ generationId: 3, members: [{}, {}] });
    },
  ],
  [
    'the initial delay ends with the rebalance timeout of the first member, however many arrive',
    () => {
      const world = new World(delayed);
      const first = join(world, { rebalanceTimeoutMs: 8_000 });
      for (let arrival = 0; arrival < 3; arrival += 1) {
        world.advance(2_500);
        join(world);
      }
      expect(world.reply('join', first)).toBeUndefined();
      world.advance(501);
      expect(joined(world, first).members).toHaveLength(4);
    },
  ],
  [
    'a round lasts as long as the longest rebalance timeout at its start, not of those who come later',
    () => {
      const world = new World(delayed);
      const [leader = ''] = stable(world, [
        { sessionTimeoutMs: 60_000, rebalanceTimeoutMs: 10_000 },
        { sessionTimeoutMs: 60_000, rebalanceTimeoutMs: 20_000 },
      ]);
      const rejoin = join(world, { memberId: leader, sessionTimeoutMs: 60_000, rebalanceTimeoutMs: 10_000 });
      world.advance(19_999);
      join(world, patient);
      expect(world.reply('join', rejoin)).toBeUndefined();
      world.advance(1);
      expect(joined(world, rejoin).members).toHaveLength(2);
    },
  ],
  [
    'a newcomer sends members that wait for their assignment back to join, with a full session',
    () => {
      const world = new World(delayed);
      const refs = [join(world, patient), join(world, { rebalanceTimeoutMs: 60_000 })];
      world.advance(6_000);
      const follower = joined(world, refs[1]!).memberId;
      const parked = sync(world, follower, 1);
      world.advance(9_000);
      join(world, patient);
      expect(world.reply('sync', parked)?.error).toBe('REBALANCE_IN_PROGRESS');
      world.advance(9_999);
      expect(beat(world, follower)).toBe('REBALANCE_IN_PROGRESS');
    },
  ],
  [
    'members that the leader leaves out get an empty assignment',
    () => {
      const world = new World(delayed);
      const refs = [join(world), join(world)];
      world.advance(9_000);
      const [leader = '', follower = ''] = refs.map((ref) => joined(world, ref).memberId);
      const parked = sync(world, follower, 1);
      sync(world, leader, 1, { [leader]: 'all' });
      expect(synced(world, parked).assignment).toEqual(text(''));
    },
  ],
  [
    'a sync that names another protocol is refused, and one that names any before there is one',
    () => {
      const world = new World(delayed);
      const memberId = world.reply('join', join(world, known))?.fields.memberId ?? '';
      join(world, { ...known, memberId });
      const send = (fields: object) => world.send('sync', { memberId, ...fields })?.error;
      expect(send({ generationId: 0 })).toBe('REBALANCE_IN_PROGRESS');
      expect(send({ generationId: 0, protocolName: 'range' })).toBe('INCONSISTENT_GROUP_PROTOCOL');
      world.advance(3_000);
      sync(world, memberId, 1);
      expect(send({ generationId: 1, protocolName: 'sticky' })).toBe('INCONSISTENT_GROUP_PROTOCOL');
      expect(send({ generationId: 1, protocolType: 'connect' })).toBe('INCONSISTENT_GROUP_PROTOCOL');
      expect(send({ generationId: 1, protocolType: 'consumer', protocolName: 'range' })).toBe('NONE');
    },
  ],
  [
    'a sync in a stable group is a sign of life',
    () => {
      const world = new World();
      const [memberId = ''] = stable(world, [{}]);
      world.advance(9_000);
      sync(world, memberId, 1);
      world.advance(9_000);
      expect(beat(world, memberId)).toBe('NONE');
    },
  ],
  [
    'an id that was given back or has lapsed is unknown',
    () => {
      const world = new World();
      stable(world, [patient]);
      const ids = [known, known].map((each) => world.reply('join', join(world, each))?.fields.memberId ?? '');
      const [back = '', lapsed = ''] = ids;
      expect(world.send('leave', { members: [{ memberId: back }] })?.fields.members[0]?.error).toBe(0);
      world.advance(10_000);
      for (const memberId of [back, lapsed]) expect(errorOfJoin(world, { memberId })).toBe('UNKNOWN_MEMBER_ID');
      expect(world.state).toBe('Stable');
    },
  ],
];

const leaving: readonly Rule[] = [
  [
    'leaving a group that does not exist succeeds as a whole and fails for each member',
    () => {
      const reply = new World().send('leave', { members: [{ memberId: 'm' }] });
      expect(reply).toMatchObject({ error: 'NONE', fields: { members: [{ memberId: 'm', error: 25 }] } });
    },
  ],
  [
    'a member that a batch names twice leaves once',
    () => {
      const world = new World();
      const [, follower = ''] = stable(world, [{}, {}]);
      const reply = world.send('leave', { members: [{ memberId: follower }, { memberId: follower }] });
      expect(reply?.fields.members.map(({ error }) => error)).toEqual([0, 25]);
      expect(world.group.members.size).toBe(1);
    },
  ],
];

const offsets: readonly Rule[] = [
  [
    'a member cannot commit between its join and its assignment',
    () => {
      const world = new World();
      const ref = join(world);
      world.advance(1);
      const { memberId } = joined(world, ref);
      expect(commit(world, { memberId, generationId: 1 })).toBe(27);
      expect(world.group.offsets.committed.size).toBe(0);
    },
  ],
  [
    'whoever is no member cannot commit to a group with members',
    () => {
      const world = new World();
      stable(world, [{}]);
      expect(commit(world)).toBe(25);
      expect(commit(world, { memberId: 'stranger', generationId: 1 })).toBe(25);
    },
  ],
  [
    'metadata of the longest length is kept, one character more is refused',
    () => {
      const world = new World({ offsetMetadataMaxLength: 10 });
      expect(commit(world, { metadata: 'x'.repeat(11) })).toBe(12);
      expect(commit(world, { metadata: 'x'.repeat(10) })).toBe(0);
    },
  ],
  [
    'a staged commit with a generation in a group that does not exist is that of an unknown member, and makes the group',
    () => {
      const world = new World();
      const body = { memberId: 'm', generationId: 3, transactionalId: 'x', producerId: 1, producerEpoch: 0 };
      const reply = world.send('stage-offsets', { ...body, offsets: [{ topic: 't', partition: 0, offset: 1 }] });
      expect(reply?.error).toBe('UNKNOWN_MEMBER_ID');
      expect(world.state).toBe('Empty');
    },
  ],
  [
    'offsets of a group whose subscriptions cannot be read are all in use',
    () => {
      const world = new World();
      const [memberId = ''] = stable(world, [{}]);
      commit(world, { memberId, generationId: 1 });
      expect(world.send('delete-offsets', { partitions: [['t', 0]] })?.fields.partitions[0]?.error).toBe(86);
    },
  ],
  [
    'a group without members goes with its last offset',
    () => {
      const world = new World();
      commit(world);
      commit(world, { topic: 'u' });
      world.send('delete-offsets', { partitions: [['t', 0]] });
      expect(world.state).toBe('Empty');
      world.run({ kind: 'topic-partitions-deleted', partitions: [{ topic: 'u', partition: 0 }] });
      expect(world.state).toBe('Dead');
      expect(world.replay().slot.group).toBeUndefined();
    },
  ],
  [
    'nothing expires in a group of another protocol type, or whose subscriptions cannot be read, while it has members',
    () => {
      for (const offered of [{ protocolType: 'connect' }, {}]) {
        const world = new World({ offsetsRetentionMs: 60_000 });
        const [memberId = ''] = stable(world, [{ ...offered, sessionTimeoutMs: 1_800_000 }]);
        commit(world, { memberId, generationId: 1 });
        world.advance(120_000);
        world.run({ kind: 'sweep' });
        expect(world.group.offsets.committed.size).toBe(1);
      }
    },
  ],
  [
    'what is subscribed changes with the generation, not with the join that changes it',
    () => {
      const world = new World();
      const [memberId = ''] = stable(world, [{ protocols: subscription('t') }]);
      const before = join(world, { protocols: subscription('u') });
      const errors = () =>
        world
          .send('delete-offsets', {
            partitions: [
              ['t', 0],
              ['u', 0],
            ],
          })
          ?.fields.partitions.map(({ error }) => error);
      expect(errors()).toEqual([86, 0]);
      join(world, { memberId, protocols: subscription('t') });
      expect(joined(world, before).generationId).toBe(2);
      expect(errors()).toEqual([86, 86]);
    },
  ],
];

const shown: readonly Rule[] = [
  [
    'protocol and subscriptions are shown only while the group is stable',
    () => {
      const world = new World();
      const ref = join(world);
      world.advance(1);
      const describe = () => world.send('describe', {})?.fields;
      expect(describe()).toMatchObject({
        state: 'CompletingRebalance',
        protocol: '',
        members: [{ metadata: text('') }],
      });
      sync(world, joined(world, ref).memberId, 1);
      expect(describe()).toMatchObject({ state: 'Stable', protocol: 'range', members: [{ metadata: text('meta') }] });
    },
  ],
  [
    'ids that were handed out are not shown',
    () => {
      const world = new World();
      join(world, known);
      expect(world.send('describe', {})?.fields).toMatchObject({ state: 'Empty', protocolType: '', members: [] });
    },
  ],
];

describe('joining', () => {
  it.each(joining)('%s', (_sentence, show) => show());
});

describe('rounds', () => {
  it.each(rounds)('%s', (_sentence, show) => show());
});

describe('leaving', () => {
  it.each(leaving)('%s', (_sentence, show) => show());
});

describe('offsets', () => {
  it.each(offsets)('%s', (_sentence, show) => show());
});

describe('what is shown', () => {
  it.each(shown)('%s', (_sentence, show) => show());
});
