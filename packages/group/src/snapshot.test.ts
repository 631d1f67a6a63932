import { expect, it } from 'vitest';
import { stable, World } from '../test/world.js';
import { checkpointRecords, GroupReplay } from './index.js';

it('a checkpoint that is cut anywhere never keeps the number of a commit without its offsets', () => {
  const world = new World();
  const [memberId = ''] = stable(world, [{}]);
  const offsets = [{ topic: 't', partition: 0, offset: 10 }];
  world.send('commit', { memberId, generationId: 1, commitSeq: 5, offsets });
  const records = checkpointRecords(world.group);
  for (let kept = 0; kept <= records.length; kept += 1) {
    const replay = new GroupReplay(world.slot.groupId);
    for (const record of records.slice(0, kept)) replay.apply(1, record);
    const { group } = replay.finish(world.context).slot;
    const isNumbered = [...(group?.members.values() ?? [])].some(({ commitSeq }) => commitSeq === 5);
    expect(isNumbered && !group?.offsets.committed.has('t', 0)).toBe(false);
  }
});
