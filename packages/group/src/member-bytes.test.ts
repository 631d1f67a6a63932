import { encode, groupId, instanceId, memberId, requestId, wallMs } from '@muster/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { joinDefaults, text, World } from '../test/world.js';
import { MEMBERS_BYTES_MAX } from './bounds.js';
import { createGroup } from './group.js';
import { memberBytes } from './member-bytes.js';
import { encodeRecord } from './record-codec.js';
import type { MemberRecord } from './records.js';
import { snapshotOf } from './snapshot.js';

const name = fc.string({ unit: 'binary', minLength: 1, maxLength: 80 });
const member: fc.Arbitrary<MemberRecord> = fc.record({
  memberId: name.map(memberId),
  groupInstanceId: fc.option(name.map(instanceId)),
  clientId: name,
  clientHost: name,
  createdBy: name.map(requestId),
  replacedJoins: fc.array(name.map(requestId), { maxLength: 4 }),
  sessionTimeoutMs: fc.nat({ max: 2_147_483_647 }),
  rebalanceTimeoutMs: fc.nat({ max: 2_147_483_647 }),
  protocols: fc.array(fc.record({ name, metadata: fc.uint8Array({ maxLength: 70_000 }) }), { maxLength: 3 }),
  assignment: fc.constant(new Uint8Array(0)),
  commitSeq: fc.maxSafeInteger(),
});

describe('the bytes of members', () => {
  it('are never fewer than the codec writes (MB1)', () => {
    const bytesOf = (members: readonly MemberRecord[]) => {
      const empty = snapshotOf(createGroup(groupId('g'), wallMs(0), 0));
      return encode(encodeRecord({ ...empty, members })).byteLength;
    };
    fc.assert(
      fc.property(fc.array(member, { maxLength: 3 }), (members) => {
        let counted = 0;
        for (const each of members) counted += memberBytes(each);
        expect(counted).toBeGreaterThanOrEqual(bytesOf(members) - bytesOf([]));
      }),
    );
  });
});

describe('a group that would not fit into one record any more (L3)', () => {
  const many = (count: number) => ({
    ...joinDefaults,
    protocols: Array.from({ length: count }, (_, index) => ({
      name: `p${index}`,
      metadata: new Uint8Array(262_144),
    })),
  });

  it('takes no member more, and nothing of the refused one is left', () => {
    const world = new World({ initialRebalanceDelayMs: 3_000 });
    world.send('join', many(24));
    world.send('join', many(23));
    const refused = world.send('join', many(3));
    expect(refused).toMatchObject({ error: 'GROUP_MAX_SIZE_REACHED', fields: { memberId: '' } });
    expect(world.group.members.size).toBe(2);
    expect(world.group.membersBytes).toBeLessThanOrEqual(MEMBERS_BYTES_MAX + 1_000);
  });

  it('counts what long names take, too', () => {
    const world = new World({ initialRebalanceDelayMs: 3_000 });
    world.send('join', { ...joinDefaults, clientId: '日'.repeat(400), clientHost: '日'.repeat(400) });
    // The client id stands in the member id, too.
    expect(world.group.membersBytes).toBeGreaterThan(3 * 1_200);
  });

  it('lets a member replace its own subscription, also a static one that restarts', () => {
    const world = new World();
    world.send('join', { ...many(40), groupInstanceId: 'i' });
    world.advance(1);
    const [id] = world.group.members.keys();
    expect(world.send('join', { ...many(44), memberId: id, groupInstanceId: 'i' })?.error).toBe('NONE');
    expect(world.send('join', { ...many(46), groupInstanceId: 'i' })?.error).toBe('NONE');
    expect(world.send('join', { ...many(3), groupInstanceId: 'j' })?.error).toBe('GROUP_MAX_SIZE_REACHED');
  });

  it('refuses an assignment that would not fit, and goes on with the next', () => {
    const world = new World();
    world.send('join', many(44));
    world.advance(1);
    const [memberId] = world.group.members.keys();
    const sync = (assignment: Uint8Array, times: number) =>
      world.send('sync', {
        memberId,
        generationId: 1,
        assignments: Array.from({ length: times }, () => ({ memberId, assignment })),
      });
    expect(sync(new Uint8Array(262_144), 20)?.error).toBe('UNKNOWN_SERVER_ERROR');
    expect(world.state).toBe('CompletingRebalance');
    expect(sync(text('all'), 1)?.error).toBe('NONE');
    expect(world.state).toBe('Stable');
  });
});
