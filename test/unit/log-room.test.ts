import { groupId } from '@muster/protocol';
import { describe, expect, test } from 'vitest';
import { ClusterWorld } from '../world/cluster-world.js';
import { commitRequest, fetchRequest, joinRequest } from '../world/requests.js';

const old = groupId('old');
const noMember = joinRequest(old).memberId;

/** One node, one partition, one group that commits; the log has room for `bytes` more. */
async function worldWithRoom(bytes: number) {
  const world = new ClusterWorld({ partitionCount: 1 });
  await world.startNodes('a');
  expect((await world.ask('commit', commitRequest(old, noMember, -1, 0))).error).toBe('NONE');
  world.log.limit(bytes);
  return world;
}

async function commitUpTo(world: ClusterWorld, last: number): Promise<void> {
  for (let offset = 1; offset <= last; offset += 1) {
    const commit = commitRequest(old, noMember, -1, offset);
    const [first] = commit.offsets;
    if (first === undefined) throw new Error('no offset');
    const metadata = 'm'.repeat(4_000);
    expect((await world.ask('commit', { ...commit, offsets: [{ ...first, metadata }] })).error).toBe('NONE');
  }
}

describe('a log stream that runs full', () => {
  test('is checkpointed and purged long before the usual size, so that commits go on for ever', async () => {
    const world = await worldWithRoom(400_000);
    // Ten times as much as there is room for, slowly enough for the watch to look.
    for (let round = 1; round <= 40; round += 1) {
      await commitUpTo(world, 25);
      await world.clock.advance(11_000);
    }
    const offsets = await world.ask('fetch', fetchRequest(old));
    expect(offsets.fields?.partitions).toMatchObject([{ offset: 25 }]);
  });

  test('takes in no new group from four fifths on, and says so; the old ones go on', async () => {
    const world = await worldWithRoom(60_000);
    await commitUpTo(world, 12);
    await world.clock.advance(11_000);
    const refused = await world.ask('join', joinRequest(groupId('new')));
    expect(refused.error).toBe('KAFKA_STORAGE_ERROR');
    expect(refused.head.detail).toMatch(/nearly full/);
    expect((await world.ask('commit', commitRequest(old, noMember, -1, 99))).error).toBe('NONE');
  });

  test('is asked for once at a time: a store that does not answer is not asked again and again', async () => {
    const world = new ClusterWorld({ partitionCount: 1 });
    let asked = 0;
    let answer: (share: number) => void = () => {};
    world.log.fullness = () => {
      asked += 1;
      return new Promise((resolve) => {
        answer = resolve;
      });
    };
    await world.startNodes('a');
    await world.clock.advance(60_000);
    expect(asked).toBe(1);
    answer(0.1);
    await world.clock.advance(11_000);
    expect(asked).toBe(2);
  });
});
