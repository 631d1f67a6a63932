import { encode, epoch, groupId, incarnation, nodeId } from '@muster/protocol';
import { describeState, LogScene } from '@muster/testkit/internals';
import { beforeEach, describe, expect, test } from 'vitest';
import { encodeFrame, type Frame, logLimitsDefaults } from './index.js';

const a = groupId('a');
const b = groupId('b');

let scene: LogScene;

beforeEach(() => {
  scene = new LogScene();
});

const frame = (changes: Partial<Frame>): Uint8Array =>
  encodeFrame({
    epoch: epoch(1),
    node: nodeId('n1'),
    incarnation: incarnation('n1-1'),
    nonce: 'by-hand',
    previousSeq: 0,
    previousNonce: '',
    body: { kind: 'barrier' },
    ...changes,
  });

/** Three frames of an owner that is gone: claim, records, records. */
async function predecessor(): Promise<void> {
  const one = await scene.claimed('n1');
  for (const group of [a, b]) {
    one.put(group, 'k');
    one.log.kick();
    await scene.clock.advance(10);
  }
}

describe('a claim', () => {
  test('of an empty log starts with epoch 1', async () => {
    const one = scene.owner('n1');
    expect(await scene.claim(one)).toMatchObject({ kind: 'claimed', loadedFrames: 1, log: { epoch: 1 } });
  });

  test('stands one epoch above the last frame and loads what is there', async () => {
    await predecessor();
    const two = scene.owner('n2');
    expect(await scene.claim(two)).toMatchObject({ kind: 'claimed', loadedFrames: 4, log: { epoch: 2 } });
    expect(describeState(two.state)).toEqual({ a: { k: 1 }, b: { k: 2 } });
  });

  test('stands above the floor of a log that was restored (O2)', async () => {
    await predecessor();
    expect(await scene.claim(scene.owner('n2'), { epochFloor: 70 })).toMatchObject({ log: { epoch: 71 } });
    expect(await scene.claim(scene.owner('n3'), { epochFloor: 70 })).toMatchObject({ log: { epoch: 72 } });
  });

  test('whose acknowledgement is lost counts once it is found', async () => {
    await predecessor();
    scene.appendsGoWrong({ kind: 'ack-lost' });
    const outcome = await scene.claim(scene.owner('n2'));
    expect(outcome).toMatchObject({ kind: 'claimed', log: { epoch: 2, proofSentAt: undefined } });
    expect(scene.kinds()).toEqual(['claim', 'records', 'records', 'claim']);
  });

  test('gives way to another that was faster', async () => {
    await predecessor();
    scene.appendsGoWrong({ kind: 'hang' });
    const two = scene.owner('n2');
    const slow = two.claim();
    await scene.clock.advance(100);
    await scene.claimed('n3');
    scene.store.releaseHung();
    expect(await scene.finish(slow)).toMatchObject({ kind: 'superseded' });
    expect([two.log, two.events]).toEqual([undefined, []]);
  });

  test('goes on top of what the old owner wrote in between', async () => {
    const one = await scene.claimed('n1');
    scene.store.plan = { last: () => (scene.store.landed.length < 3 ? { kind: 'hang' } : undefined) };
    const claiming = scene.owner('n2').claim();
    await scene.clock.advance(10);
    scene.store.releaseHung();
    one.put(a, 'k');
    one.log.kick();
    await scene.clock.advance(1);
    scene.store.releaseHung();
    expect(await scene.finish(claiming)).toMatchObject({ kind: 'claimed' });
    expect(scene.kinds()).toEqual(['claim', 'records', 'claim']);
    expect(scene.verdict().problems).toEqual([]);
  });

  test('made after a stale look is refused and made again', async () => {
    await predecessor();
    let looks = 0;
    scene.store.plan = {
      last: () => {
        looks += 1;
        return looks === 1 ? { kind: 'stale', behind: 2 } : undefined;
      },
    };
    expect(await scene.claim(scene.owner('n2'))).toMatchObject({ kind: 'claimed', log: { epoch: 2 } });
    expect(scene.verdict().problems).toEqual([]);
  });

  test('is not made where the last writer may still own the partition', async () => {
    await predecessor();
    const asked: unknown[] = [];
    const mayClaim = (tail: unknown): boolean => {
      asked.push(tail);
      return false;
    };
    expect(await scene.claim(scene.owner('n2'), { mayClaim })).toMatchObject({ kind: 'superseded' });
    expect(asked).toEqual([{ node: 'n1', incarnation: 'n1-1', epoch: 1, released: undefined }]);
    expect(scene.kinds().length).toBe(3);
  });

  test('gives up at its deadline where nothing is known', async () => {
    await predecessor();
    scene.store.cut('n2');
    expect(await scene.claim(scene.owner('n2'), { deadlineMs: 5_000 })).toMatchObject({ kind: 'unavailable' });
    scene.store.heal('n2');
    scene.appendsGoWrong(...Array(100).fill({ kind: 'full' }));
    expect(await scene.claim(scene.owner('n2'), { deadlineMs: 5_000 })).toEqual({
      kind: 'unavailable',
      cause: 'the store is full',
    });
  });

  test('does not touch a log that ends in something else', async () => {
    scene.store.inject(scene.partition, encode('rubbish'));
    expect(await scene.claim(scene.owner('n1'))).toMatchObject({ kind: 'broken' });
    expect(scene.store.landed.length).toBe(1);
  });
});

describe('a load', () => {
  test('that starts in the middle of a log accepts its first frame without a predecessor', async () => {
    await predecessor();
    scene.store.purgeNow(scene.partition, 3);
    const two = await scene.claimed('n2');
    expect(describeState(two.state)).toEqual({ b: { k: 2 } });
  });

  test('starts again where a purge took frames from under it, and forgets what it had read (K4)', async () => {
    await predecessor();
    const one = await scene.claimed('n3');
    one.deleteGroup(a);
    one.log.kick();
    await scene.clock.advance(10);
    // The load has read the group that is gone, and will not read its end: sequences 1 to 5 vanish after sequence 2.
    scene.store.plan = {
      reading: ({ seq }) => {
        if (seq === 2) scene.store.purgeNow(scene.partition, 6);
      },
    };
    const two = scene.owner('n2');
    expect(await scene.claim(two)).toMatchObject({ kind: 'claimed', loadedFrames: 1 });
    expect(describeState(two.state)).toEqual({});
  });

  test('goes on where the log was read ahead, and reads no more than what came since', async () => {
    await predecessor();
    const two = scene.owner('n2');
    const ahead = await scene.finish(two.readAhead());
    const one = await scene.claimed('n1');
    one.put(a, 'later');
    one.log.kick();
    await scene.clock.advance(10);
    const read: number[] = [];
    scene.store.plan = { reading: ({ seq }) => void read.push(seq) };
    if (ahead === undefined) throw new Error('nothing was read ahead');
    expect(await scene.claim(two, { ahead })).toMatchObject({ kind: 'claimed', loadedFrames: 6 });
    expect(read).toEqual([4, 5, 6]);
    expect(describeState(two.state)).toEqual({ a: { k: 1, later: 3 }, b: { k: 2 } });
  });

  test('reads nothing more where only the release came since: that frame and the own claim are at hand', async () => {
    const one = await scene.claimed('n1');
    one.put(a, 'k');
    one.log.kick();
    await scene.clock.advance(10);
    const two = scene.owner('n2');
    const ahead = await scene.finish(two.readAhead());
    await scene.finish(one.log.release(nodeId('n2')));
    scene.store.plan = { read: () => ({ kind: 'unavailable' }) };
    if (ahead === undefined) throw new Error('nothing was read ahead');
    expect(await scene.claim(two, { ahead })).toMatchObject({
      kind: 'claimed',
      loadedFrames: 4,
      releasedBy: { node: 'n1', target: 'n2' },
    });
    expect(scene.kinds()).toEqual(['claim', 'records', 'release', 'claim']);
    expect(describeState(two.state)).toEqual({ a: { k: 1 } });
  });

  test('reads all of it where what was read ahead does not fit any more, because a checkpoint has purged since', async () => {
    const one = await scene.claimed('n1');
    one.put(a, 'gone');
    one.put(b, 'k');
    one.log.kick();
    await scene.clock.advance(10);
    const two = scene.owner('n2');
    const ahead = await scene.finish(two.readAhead());
    one.deleteGroup(a);
    one.log.kick();
    await scene.clock.advance(10);
    one.log.checkpoint(one.snapshot());
    await scene.clock.advance(1_000);
    expect(scene.kinds().at(-1)).toBe('checkpoint-end');
    if (ahead === undefined) throw new Error('nothing was read ahead');
    expect(await scene.claim(two, { ahead })).toMatchObject({ kind: 'claimed' });
    expect(describeState(two.state)).toEqual({ b: { k: 2 } });
  });

  test('takes nothing from a log that cannot be read ahead', async () => {
    expect(await scene.finish(scene.owner('n2').readAhead())).toBeUndefined();
    await predecessor();
    scene.store.plan = { read: () => ({ kind: 'cut', afterFrames: 1 }) };
    expect(await scene.finish(scene.owner('n2').readAhead())).toBeUndefined();
    scene.store.plan = { last: () => ({ kind: 'unavailable' }) };
    expect(await scene.finish(scene.owner('n2').readAhead())).toBeUndefined();
  });

  test('starts again where a reader lags, fails, or breaks off', async () => {
    await predecessor();
    const faults = [
      { kind: 'stale' as const, behind: 1 },
      { kind: 'stale' as const, behind: 3 },
      { kind: 'unavailable' as const },
      { kind: 'cut' as const, afterFrames: 2 },
    ];
    scene.store.plan = { read: () => faults.shift() };
    const two = scene.owner('n2');
    expect(await scene.claim(two)).toMatchObject({ kind: 'claimed', loadedFrames: 4 });
    expect([describeState(two.state), faults]).toEqual([{ a: { k: 1 }, b: { k: 2 } }, []]);
  });

  test('is superseded where another claim stands above the own one', async () => {
    await predecessor();
    scene.store.plan = { read: () => ({ kind: 'unavailable' }) };
    const two = scene.owner('n2');
    const loading = two.claim();
    await scene.clock.advance(100);
    scene.store.plan = {};
    await scene.claimed('n3');
    scene.store.plan = { read: () => ({ kind: 'unavailable' }) };
    expect(await scene.finish(loading)).toMatchObject({ kind: 'superseded' });
    expect(two.state.size).toBe(0);
  });

  test('is over at the deadline where the reader never shows the own claim', async () => {
    await predecessor();
    scene.store.plan = { read: () => ({ kind: 'stale', behind: 1 }) };
    expect(await scene.claim(scene.owner('n2'), { deadlineMs: 5_000 })).toEqual({
      kind: 'unavailable',
      cause: 'the own claim is missing',
    });
  });

  test('does not complete with its own frames what a predecessor left half written', async () => {
    const part = (index: number): Frame['body'] => {
      const bytes = encode(['put', 7, 'k', '']).subarray(index === 1 ? 0 : 4, index === 1 ? 4 : undefined);
      return { kind: 'records', entries: [{ group: a, pieces: [{ kind: 'part', set: 's', index, count: 2, bytes }] }] };
    };
    const two = { epoch: epoch(2), node: nodeId('n2'), incarnation: incarnation('n2-1') };
    const put = (changes: Partial<Frame>): number => scene.store.inject(scene.partition, frame(changes));
    put({ nonce: '1', body: { kind: 'claim' } });
    put({ nonce: '2', previousSeq: 1, previousNonce: '1', body: part(1) });
    put({ nonce: '3', previousSeq: 2, previousNonce: '2', body: { kind: 'claim' }, ...two });
    put({ nonce: '4', previousSeq: 3, previousNonce: '3', body: part(2), ...two });
    const three = await scene.claimed('n3');
    expect(describeState(three.state)).toEqual({});
  });

  test('does not take parts of a predecessor as the start of its own', async () => {
    const one = await scene.claimed('n1');
    one.put(a, 'big', 200_000);
    one.log.kick();
    await scene.clock.advance(1);
    scene.store.cut('n1');
    const two = await scene.claimed('n2');
    expect(scene.kinds()).toEqual(['claim', 'records', 'records', 'claim']);
    expect([describeState(two.state), one.acknowledged]).toEqual([{}, []]);
    two.put(a, 'big', 100);
    two.log.kick();
    await scene.clock.advance(10);
    const three = await scene.claimed('n3');
    expect(describeState(three.state)).toEqual({ a: { big: 2 } });
  });
});

describe('a broken chain quarantines the partition (L1)', () => {
  const broken = async (): Promise<void> => {
    const outcome = await scene.claim(scene.owner('n2'));
    expect(outcome).toMatchObject({ kind: 'broken' });
  };

  test('a frame that vanished from the middle', async () => {
    await predecessor();
    scene.store.remove(scene.partition, 2);
    await broken();
  });

  const forgeries: [string, Partial<Frame>][] = [
    ['a predecessor with another nonce', { previousSeq: 3, previousNonce: 'another' }],
    ['a predecessor that is too old', { previousSeq: 2, previousNonce: 'n1-3' }],
    ['another epoch without a claim', { previousSeq: 3, previousNonce: 'n1-3', epoch: epoch(2) }],
    ['another incarnation without a claim', { previousSeq: 3, previousNonce: 'n1-3', incarnation: incarnation('x') }],
    ['a claim of the same epoch', { previousSeq: 3, previousNonce: 'n1-3', body: { kind: 'claim' } }],
    [
      'a record that is no record',
      {
        previousSeq: 3,
        previousNonce: 'n1-3',
        body: { kind: 'records', entries: [{ group: a, pieces: [{ kind: 'whole', bytes: encode('text') }] }] },
      },
    ],
  ];
  test.each(forgeries)('%s', async (_, changes) => {
    await predecessor();
    scene.store.inject(scene.partition, frame(changes));
    await broken();
  });

  test('a frame after a release', async () => {
    await predecessor();
    const release = { nonce: 'r', body: { kind: 'release' as const, target: null } };
    scene.store.inject(scene.partition, frame({ ...release, previousSeq: 3, previousNonce: 'n1-3' }));
    scene.store.inject(scene.partition, frame({ previousSeq: 4, previousNonce: 'r' }));
    await broken();
  });

  test('while the same frames in good order do not', async () => {
    await predecessor();
    scene.store.inject(scene.partition, frame({ previousSeq: 3, previousNonce: 'n1-3' }));
    expect(await scene.claim(scene.owner('n2'))).toMatchObject({ kind: 'claimed', loadedFrames: 5 });
    expect(logLimitsDefaults.loadGapsMax).toBeGreaterThan(1);
  });
});
