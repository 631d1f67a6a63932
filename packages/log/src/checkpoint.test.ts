import { groupId } from '@muster/protocol';
import { applyRecord, checkLandedLog, describeState, LogScene } from '@muster/testkit/internals';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CheckpointMeter } from './checkpoint.js';
import { type FrameBody, logLimitsDefaults } from './index.js';
import { Replay } from './replay.js';

const g = (index: number) => groupId(`g${index}`);

/** Small frames, so that a checkpoint takes many. */
const small = { frameBytesMax: 2_600, groupBytesPerFrameMax: 1_200, checkpointFrameBytesMax: 2_100 };
type Owner = Awaited<ReturnType<LogScene['claimed']>>;

/** Some groups, among them one with a value in parts and one that is gone again. */
async function populate(scene: LogScene, owner: Owner): Promise<void> {
  for (let index = 0; index < 6; index += 1) {
    for (const key of ['j', 'k', 'l']) owner.put(g(index), key, 250);
  }
  owner.put(g(1), 'large', 3_000);
  owner.put(g(9), 'k', 100);
  owner.log.kick();
  await scene.clock.advance(50);
  owner.deleteGroup(g(9));
  owner.log.kick();
  await scene.clock.advance(50);
}

const endOf = (scene: LogScene): Extract<FrameBody, { kind: 'checkpoint-end' }> | undefined =>
  scene.bodies().find((body) => body.kind === 'checkpoint-end');

describe('a checkpoint', () => {
  test('writes the durable state again, ends with its marker, and purges what is older', async () => {
    const scene = new LogScene({}, small);
    const one = await scene.claimed('n1');
    await populate(scene, one);
    const before = scene.store.frames(scene.partition).at(-1)?.seq ?? 0;
    one.log.checkpoint(one.snapshot());
    expect(one.log.checkpointRunning).toBe(true);
    await scene.clock.advance(100);
    expect([one.log.checkpointRunning, endOf(scene)?.coversFrom]).toEqual([false, before + 1]);
    expect(scene.store.frames(scene.partition)[0]?.seq).toBe(before + 1);
    const two = await scene.claimed('n2');
    expect(describeState(two.state)).toEqual(describeState(scene.verdict().state));
    expect(Object.keys(describeState(two.state))).not.toContain('g9');
  });

  test('of nothing leaves a log with an end marker, never an empty one', async () => {
    const scene = new LogScene();
    const one = await scene.claimed('n1');
    one.log.checkpoint(one.snapshot());
    await scene.clock.advance(100);
    expect(scene.store.frames(scene.partition).length).toBe(1);
    expect(await scene.claim(scene.owner('n2'))).toMatchObject({ kind: 'claimed', loadedFrames: 2, log: { epoch: 2 } });
  });

  test('lets one live frame pass between two of its own (CC1)', async () => {
    const scene = new LogScene({}, small);
    const one = await scene.claimed('n1');
    await populate(scene, one);
    const from = scene.kinds().length;
    one.log.checkpoint(one.snapshot());
    for (let index = 0; index < 12; index += 1) one.put(g(20 + index), 'k', 1_000);
    await scene.clock.advance(100);
    expect(scene.kinds().slice(from, from + 8)).toEqual(Array(4).fill(['checkpoint', 'records']).flat());
  });

  test('is never ahead of the live records: wherever the log ends, it loads to what they say (K1)', async () => {
    const scene = new LogScene({}, small);
    const one = await scene.claimed('n1');
    await populate(scene, one);
    one.log.checkpoint(one.snapshot());
    // Each group changes all the time, so that something of it waits whenever its turn comes; one is deleted and comes back.
    for (let round = 0; round < 40; round += 1) {
      for (let index = 0; index < 6; index += 1) one.put(g(index), 'k', 60);
      if (round % 5 === 2) one.deleteGroup(g(4));
      one.log.kick();
      await scene.clock.advance(1);
    }
    await scene.clock.advance(200);
    const live = scene.bodies().flatMap((body) => (body.kind === 'checkpoint' ? body.live : []));
    expect(live.length).toBeGreaterThan(3);
    const all = scene.store.landed.filter(({ partition }) => partition === scene.partition);
    for (let length = 1; length <= all.length; length += 1) {
      const prefix = all.slice(0, length);
      const state = new Map();
      const replay = new Replay(
        {
          record: (seq, group, record) => applyRecord(state, group, record, seq),
          // Nothing of what the live records say lies below the checkpoint only.
          forgetBelow: () => {},
        },
        logLimitsDefaults.recordBytesMax,
      );
      for (const stored of prefix) replay.take(stored);
      expect(replay.state).toEqual({ kind: 'reading' });
      expect(describeState(state), `after ${length} frames`).toEqual(
        describeState(checkLandedLog(prefix, scene.partition).state),
      );
    }
  });

  test('lets a frame of records pass where more of a group waits than a frame of the checkpoint takes', async () => {
    const scene = new LogScene({}, small);
    const one = await scene.claimed('n1');
    await populate(scene, one);
    const from = scene.kinds().length;
    for (let times = 0; times < 6; times += 1) one.put(g(0), `large ${times}`, 1_000);
    one.log.checkpoint(one.snapshot());
    await scene.clock.advance(200);
    expect(scene.kinds().slice(from, from + 5)).toEqual(Array(5).fill('records'));
    expect(one.log.checkpointRunning).toBe(false);
    const two = await scene.claimed('n2');
    expect(describeState(two.state)).toEqual(describeState(scene.verdict().state));
  });

  test('writes no record that is not durable, and none of it after a newer one of the group (K1)', async () => {
    const scene = new LogScene({}, small);
    const one = await scene.claimed('n1');
    await populate(scene, one);
    one.log.checkpoint(one.snapshot());
    // The large group is being written for several frames; meanwhile every one of its values changes.
    for (let round = 0; round < 12; round += 1) {
      for (const key of ['j', 'k', 'l', 'large']) one.put(g(1), key, key === 'large' ? 2_000 : 200);
      one.log.kick();
      await scene.clock.advance(1);
    }
    await scene.clock.advance(200);
    const two = await scene.claimed('n2');
    expect(describeState(two.state)).toEqual(describeState(scene.verdict().state));
  });

  test('keeps the parts of a live record that was half written when it began (L5)', async () => {
    const scene = new LogScene({}, small);
    const one = await scene.claimed('n1');
    await populate(scene, one);
    const id = one.put(g(3), 'half', 6_000);
    one.log.kick();
    await scene.clock.advance(2);
    expect(one.acknowledged).not.toContain(id);
    one.log.checkpoint(one.snapshot());
    await scene.clock.advance(200);
    expect([endOf(scene) !== undefined, one.acknowledged.includes(id)]).toEqual([true, true]);
    const two = await scene.claimed('n2');
    expect(two.state.get(g(3))?.get('half')?.id).toBe(id);
    expect(describeState(two.state)).toEqual(describeState(scene.verdict().state));
  });

  test('purges only after its end marker is acknowledged, again where that fails, and one at a time', async () => {
    const scene = new LogScene({}, small);
    const one = await scene.claimed('n1', { checkpointBytesMin: 1 });
    await populate(scene, one);
    const purges: string[] = [];
    scene.store.plan = {
      purge: () => {
        purges.push(scene.kinds().at(-1) ?? '');
        return purges.length < 3 ? { kind: 'unavailable' } : undefined;
      },
    };
    one.log.checkpoint(one.snapshot());
    await scene.clock.advance(100);
    for (let index = 0; index < 60; index += 1) one.put(g(1), 'k', 1_000);
    one.log.kick();
    await scene.clock.advance(200);
    expect(one.log.checkpointDue).toBe(false);
    await scene.clock.advance(20_000);
    expect([purges.length, purges[0], one.log.checkpointDue]).toEqual([3, 'checkpoint-end', true]);
  });

  test('whose purge overtakes a load does not bring back a deleted group (K2)', async () => {
    const scene = new LogScene({}, small);
    const one = await scene.claimed('n1');
    await populate(scene, one);
    scene.store.plan = { purge: () => ({ kind: 'hang' }) };
    one.log.checkpoint(one.snapshot());
    await scene.clock.advance(200);
    const claimSeq = scene.store.frames(scene.partition)[0]?.seq ?? 0;
    // The load reads the group that is gone, then the purge takes the record of its end.
    scene.store.plan = {
      ...scene.store.plan,
      reading: ({ seq }) => {
        if (seq === claimSeq + 6) scene.store.purgeNow(scene.partition, endOf(scene)?.coversFrom ?? 0);
      },
    };
    const two = await scene.claimed('n2');
    expect(describeState(two.state)).toEqual(describeState(scene.verdict().state));
    expect(scene.store.hanging).toBe(1);
  });

  test('tells a loader to forget what it did not write again, below its start only', async () => {
    const scene = new LogScene({}, small);
    const one = await scene.claimed('n1');
    await populate(scene, one);
    scene.store.plan = { purge: () => ({ kind: 'unavailable' }) };
    // A group that went without a record of its end, as expired offsets do.
    const isKept = ({ group }: { group: string }): boolean => group !== g(2);
    one.log.checkpoint([...one.snapshot()].filter(isKept));
    one.put(g(30), 'new');
    await scene.clock.advance(200);
    const two = await scene.claimed('n2');
    const groups = Object.keys(describeState(two.state));
    expect([groups.includes(g(2)), groups.includes(g(30)), groups.length]).toEqual([false, true, 6]);
  });
});

test('a checkpoint interrupted at any of its frames loses nothing and revives nothing', async () => {
  let interrupted = 0;
  for (let frames = 0; ; frames += 1) {
    const scene = new LogScene({}, small);
    const one = await scene.claimed('n1');
    await populate(scene, one);
    const from = scene.store.landed.length;
    one.log.checkpoint(one.snapshot());
    for (let round = 0; round < 4; round += 1) one.put(g(round), 'k', 500);
    await scene.clock.advanceUntil(() => scene.store.landed.length >= from + frames, 1_000);
    if (!one.log.checkpointRunning) break;
    interrupted += 1;
    scene.store.cut('n1');
    const two = await scene.claimed('n2');
    expect(describeState(two.state)).toEqual(describeState(scene.verdict().state));
    two.log.checkpoint(two.snapshot());
    await scene.clock.advance(5_000);
    expect(scene.store.frames(scene.partition)[0]?.seq).toBeGreaterThan(from);
    const three = await scene.claimed('n3');
    expect(describeState(three.state)).toEqual(describeState(scene.verdict().state));
    for (const id of one.acknowledged) expect(scene.verdict().landed).toContain(id);
  }
  expect(interrupted).toBeGreaterThan(8);
});

describe('when a checkpoint is due', () => {
  test('not before 8 MiB of live frames (K3)', () => {
    const meter = new CheckpointMeter(logLimitsDefaults, 0, 0);
    meter.earn(8 * 1024 * 1024 - 1);
    expect(meter.isDue(false)).toBe(false);
    meter.earn(1);
    expect(meter.isDue(false)).toBe(true);
  });

  test('after a load, by what lies there beside the last checkpoint', () => {
    expect(new CheckpointMeter(logLimitsDefaults, 20e6, 5e6).isDue(false)).toBe(true);
    expect(new CheckpointMeter(logLimitsDefaults, 20e6, 12e6).isDue(false)).toBe(false);
    // More than 8 MiB beside it, but less than it cost: another one would overdraw.
    expect(new CheckpointMeter(logLimitsDefaults, 30e6, 16e6).isDue(false)).toBe(false);
    expect(new CheckpointMeter(logLimitsDefaults, 32e6, 16e6).isDue(false)).toBe(true);
  });

  test('so that all checkpoints together cost at most about as much as the live frames', async () => {
    const write = fc.record({
      group: fc.nat({ max: 15 }),
      key: fc.nat({ max: 9 }),
      bytes: fc.integer({ min: 0, max: 900 }),
      isEnd: fc.integer({ min: 0, max: 40 }).map((dice) => dice === 0),
    });
    const workload = fc.array(write, { minLength: 600, maxLength: 900 });
    let checkpoints = 0;
    await fc.assert(
      fc.asyncProperty(workload, async (writes) => {
        const limits = { ...small, checkpointBytesMin: 10_000 };
        const scene = new LogScene({}, limits);
        const one = await scene.claimed('n1');
        for (const { group, key, bytes, isEnd } of writes) {
          if (isEnd) one.deleteGroup(g(group));
          else one.put(g(group), `k${key}`, bytes);
          one.log.kick();
          if (one.log.checkpointDue) one.log.checkpoint(one.snapshot());
          if (one.log.queuedRecords > 5) await scene.clock.advance(2);
        }
        await scene.clock.advance(1_000);
        const { liveBytes, checkpointBytes, state } = scene.verdict();
        checkpoints += scene.kinds().filter((kind) => kind === 'checkpoint-end').length;
        expect((liveBytes + checkpointBytes) / liveBytes).toBeLessThanOrEqual(2.2);
        const two = await scene.claimed('n2');
        expect(describeState(two.state)).toEqual(describeState(state));
      }),
      { numRuns: 12 },
    );
    expect(checkpoints).toBeGreaterThan(30);
  });
});
