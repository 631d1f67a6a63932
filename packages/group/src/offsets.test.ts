import { encode } from '@muster/protocol';
import { describe, expect, it } from 'vitest';
import { join, stable, World } from '../test/world.js';
import { encodeRecord } from './index.js';

const DAY_MS = 24 * 3_600_000;

function commit(world: World, offset: number, more: object = {}) {
  const offsets = [{ topic: 't', partition: 0, offset }];
  return world.send('commit', { memberId: '', generationId: -1, offsets, ...more })?.fields.partitions[0]?.error;
}

function stage(world: World, offset: number, more: object = {}) {
  return world.send('stage-offsets', {
    memberId: '',
    generationId: -1,
    transactionalId: 'x',
    producerId: 7,
    producerEpoch: 2,
    offsets: [{ topic: 't', partition: 0, offset }],
    ...more,
  })?.error;
}

function end(world: World, result: 'COMMIT' | 'ABORT', producerEpoch = 2) {
  return world.send('end-stage', { producerId: 7, producerEpoch, result })?.error;
}

function read(world: World, requireStable = false) {
  return world.send('fetch', { requireStable, partitions: [['t', 0]] })?.fields.partitions[0];
}

describe('commits with numbers', () => {
  it('are not applied again, nor when they are older than what is stored', () => {
    const world = new World();
    const [memberId = ''] = stable(world, [{}]);
    const by = { memberId, generationId: 1 };
    expect(commit(world, 10, { ...by, commitSeq: 5 })).toBe(0);
    expect(commit(world, 9, { ...by, commitSeq: 4 })).toBe(0);
    expect(commit(world, 8, { ...by, commitSeq: 5 })).toBe(0);
    expect(read(world)?.offset).toBe(10);
    expect(commit(world, 7, { ...by, commitSeq: 6 })).toBe(0);
    expect(read(world)?.offset).toBe(7);
  });

  it('are overtaken by an empty one of a higher number, also over a failover: a copy that comes later changes nothing', () => {
    const world = new World();
    const [memberId = ''] = stable(world, [{}]);
    const by = { memberId, generationId: 1 };
    commit(world, 10, { ...by, commitSeq: 1 });
    const empty = world.send('commit', { ...by, commitSeq: 3, offsets: [] });
    expect(empty).toMatchObject({ error: 'NONE', fields: { partitions: [] } });
    for (const isAfterFailover of [false, true]) {
      if (isAfterFailover) world.reload();
      expect(commit(world, 99, { ...by, commitSeq: 2 })).toBe(0);
      expect(read(world)?.offset).toBe(10);
    }
  });

  it('keep their order over a failover and over a checkpoint in the middle of a round', () => {
    const world = new World();
    const [memberId = '', other = ''] = stable(world, [{}, {}]);
    join(world, { memberId });
    expect(world.state).toBe('PreparingRebalance');
    commit(world, 10, { memberId: other, generationId: 1, commitSeq: 5 });
    const seqOf = (group: World['group'] | undefined) => group?.members.get(other as never)?.commitSeq;
    expect(seqOf(world.replayCheckpoint().slot.group)).toBe(5);
    world.reload();
    expect(seqOf(world.group)).toBe(5);
    commit(world, 3, { memberId: other, generationId: 1, commitSeq: 5 });
    expect(read(world)?.offset).toBe(10);
  });
});

describe('staged commits', () => {
  it('become visible with COMMIT and disappear with ABORT; a second end changes nothing', () => {
    const world = new World();
    stage(world, 5);
    expect(read(world)?.offset).toBe(-1);
    expect(read(world, true)?.error).toBe(88);
    end(world, 'ABORT');
    expect(end(world, 'COMMIT')).toBe('NONE');
    expect(read(world, true)).toMatchObject({ offset: -1, error: 0 });
    stage(world, 6);
    end(world, 'COMMIT');
    expect(read(world, true)?.offset).toBe(6);
  });

  it('lose against a plain commit that came after them, also over a failover', () => {
    const world = new World();
    stage(world, 5);
    commit(world, 8);
    world.reload();
    end(world, 'COMMIT');
    expect(read(world)?.offset).toBe(8);
  });

  it('win over a plain commit that came before them, also from a checkpoint', () => {
    const world = new World();
    commit(world, 8);
    stage(world, 5);
    world.slot = world.replayCheckpoint().slot;
    end(world, 'COMMIT');
    expect(read(world)?.offset).toBe(5);
  });

  it('are refused from a producer that was replaced, also after its successor ended', () => {
    const world = new World();
    stage(world, 5);
    stage(world, 6, { producerEpoch: 3 });
    expect(stage(world, 7)).toBe('INVALID_PRODUCER_EPOCH');
    expect(end(world, 'COMMIT')).toBe('INVALID_PRODUCER_EPOCH');
    expect(end(world, 'COMMIT', 3)).toBe('NONE');
    world.reload();
    expect(stage(world, 7)).toBe('INVALID_PRODUCER_EPOCH');
    expect(read(world)?.offset).toBe(6);
  });

  it('are dropped when a higher epoch ends the stage', () => {
    const world = new World();
    stage(world, 5);
    end(world, 'COMMIT', 3);
    expect(read(world, true)).toMatchObject({ offset: -1, error: 0 });
  });

  it('stay ended when their record is read again after the end', () => {
    const world = new World();
    stage(world, 5);
    end(world, 'COMMIT');
    world.log.push(...world.log.slice(0, 1));
    world.reload();
    expect(read(world, true)).toMatchObject({ offset: 5, error: 0 });
  });

  it('keep the group, until nobody ends them for two weeks', () => {
    const world = new World();
    stage(world, 5);
    world.advance(8 * DAY_MS);
    world.run({ kind: 'sweep' });
    expect(world.state).toBe('Empty');
    world.advance(7 * DAY_MS);
    world.run({ kind: 'sweep' });
    expect(world.slot.group).toBeUndefined();
  });
});

describe('the sweep', () => {
  it('removes expired offsets, then the group, and the log forgets both', () => {
    const world = new World();
    commit(world, 5);
    world.advance(7 * DAY_MS - 1);
    world.run({ kind: 'sweep' });
    expect(read(world)?.offset).toBe(5);
    world.advance(1);
    world.run({ kind: 'sweep' });
    expect(world.slot.group).toBeUndefined();
    expect(world.replay().slot.group).toBeUndefined();
  });

  it('makes no record that is too large to be loaded again, however much has expired (L3)', () => {
    const world = new World();
    const topic = '日'.repeat(249);
    for (let from = 0; from < 24_000; from += 4_000) {
      const offsets = Array.from({ length: 4_000 }, (_, index) => ({ topic, partition: from + index, offset: 1 }));
      world.send('commit', { memberId: '', generationId: -1, offsets });
    }
    world.advance(8 * DAY_MS);
    const { records } = world.run({ kind: 'sweep' });
    const sizes = records.map((record) => encode(encodeRecord(record)).byteLength);
    expect(Math.max(...sizes)).toBeLessThan(8 * 1024 * 1024);
    expect(world.replay().slot.group).toBeUndefined();
  });

  it('removes a group of refused joins without recording anything', () => {
    const world = new World();
    join(world, { protocols: [] });
    expect(world.state).toBe('Empty');
    const { records } = world.run({ kind: 'sweep' });
    expect(records).toEqual([]);
    expect(world.slot.group).toBeUndefined();
  });
});
