import { expect, it } from 'vitest';
import { joinDefaults, stable, World } from '../test/world.js';
import { checkpointRecords, decodeRecord, encodeRecord, GroupReplay } from './index.js';

const FLOOR = 65_536;
const offsets = [{ topic: 't', partition: 0, offset: 10 }];
const byAdmin = { memberId: '', generationId: -1, offsets };

/** The group as the next owner loads it from a checkpoint. */
function loaded(world: World, config = world.config) {
  const replay = new GroupReplay(world.slot.groupId);
  for (const record of checkpointRecords(world.group)) replay.apply(1, decodeRecord(encodeRecord(record)));
  return replay.finish({ ...world.context, config }).slot.group;
}

it('the first generation of a new group lies above the floor', () => {
  const world = new World({ generationFloor: FLOOR });
  stable(world, [{}]);
  expect(world.group.generation).toBe(FLOOR + 1);
  expect(world.replay().slot.group?.generation).toBe(FLOOR + 1);
});

it('a group that has only offsets has had no generation: nothing of it is recorded but they', () => {
  const world = new World({ generationFloor: FLOOR });
  world.send('commit', byAdmin);
  expect(world.group.generation).toBe(FLOOR);
  expect(checkpointRecords(world.group).map(({ kind }) => kind)).toEqual(['offsets']);
  expect(loaded(world)?.generation).toBe(FLOOR);
});

it('members that come in its first round make it wait for more, as in any new group', () => {
  const world = new World({ generationFloor: FLOOR, initialRebalanceDelayMs: 3_000 });
  const join = () => world.send('join', { ...joinDefaults, requireKnownMemberId: false });
  join();
  world.advance(2_000);
  join();
  world.advance(2_000);
  expect(world.state).toBe('PreparingRebalance');
  world.advance(3_000);
  expect(world.group.generation).toBe(FLOOR + 1);
});

it('a group that was recorded keeps its generation, also where the floor has risen above it since', () => {
  const world = new World();
  stable(world, [{}]);
  const group = loaded(world, { ...world.config, generationFloor: FLOOR });
  expect(group?.generation).toBe(1);
  expect(group === undefined ? [] : checkpointRecords(group).map(({ kind }) => kind)).toEqual(['snapshot']);
});

it('a group of refused joins was never recorded, so nothing is buried', () => {
  const world = new World({ generationFloor: FLOOR });
  world.send('join', { ...joinDefaults, requireKnownMemberId: true });
  expect(world.group.generation).toBe(FLOOR);
  world.send('delete', {});
  expect(world.slot.group).toBeUndefined();
  expect(world.log).toEqual([]);
});
