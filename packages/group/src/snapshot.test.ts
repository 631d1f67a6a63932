import { encode } from '@muster/protocol';
import { expect, it } from 'vitest';
import { stable, World } from '../test/world.js';
import { checkpointRecords, encodeRecord, GroupReplay } from './index.js';

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

it('a checkpoint writes no record of offsets that is larger than a frame, however long their metadata are (L3)', () => {
  const world = new World({ offsetMetadataMaxLength: 65_536 });
  const metadata = '日'.repeat(65_536);
  for (let partition = 0; partition < 20; partition += 1) {
    const offsets = [{ topic: 't', partition, offset: 1, metadata }];
    world.send('commit', { memberId: '', generationId: -1, offsets });
  }
  for (let partition = 20; partition < 2_000; partition += 1) {
    world.send('commit', { memberId: '', generationId: -1, offsets: [{ topic: 't', partition, offset: 1 }] });
  }
  const records = checkpointRecords(world.group);
  let offsets = 0;
  for (const record of records) {
    if (record.kind === 'offsets') offsets += record.offsets.length;
    expect(encode(encodeRecord(record)).byteLength).toBeLessThan(256 * 1_024 + 3 * 65_536);
  }
  expect(offsets).toBe(2_000);
  expect(records.length).toBeLessThan(40);
});
