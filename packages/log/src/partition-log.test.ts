import { encode, groupId, nodeId, partition } from '@muster/protocol';
import { describeState, LogScene } from '@muster/testkit/internals';
import { beforeEach, describe, expect, test } from 'vitest';
import { logLimitsDefaults } from './index.js';

const p = partition(3);
const a = groupId('a');
const b = groupId('b');

let scene: LogScene;

beforeEach(() => {
  scene = new LogScene();
});

describe('group commit', () => {
  test('sends what was decided while a frame was in flight as one frame, and reports it in order', async () => {
    const one = await scene.claimed('n1');
    one.put(a, 'k');
    one.log.kick();
    one.put(a, 'k');
    one.put(b, 'k');
    one.log.kick();
    one.put(a, 'k');
    expect(one.log.queuedRecords).toBe(4);
    await scene.clock.advance(10);
    expect(scene.kinds()).toEqual(['claim', 'records', 'records']);
    expect(one.acknowledged).toEqual([1, 2, 4, 3]);
    expect(one.log.queuedRecords).toBe(0);
    expect(one.log.queuedBytes).toBe(0);
  });

  test('sends nothing before the kick and nothing without a reason', async () => {
    const one = await scene.claimed('n1');
    one.log.kick();
    one.put(a, 'k');
    one.log.barrier(() => undefined);
    await scene.clock.advance(1_000);
    expect(scene.kinds()).toEqual(['claim']);
  });

  test('writes a record above 64 kB in parts, reports it once at the last, and lets other groups go between', async () => {
    const one = await scene.claimed('n1');
    const big = one.put(a, 'big', 200_000);
    one.log.kick();
    const small = one.put(b, 'small');
    await scene.clock.advance(2);
    expect(one.acknowledged).toEqual([small]);
    const after = one.put(a, 'after');
    one.log.kick();
    await scene.clock.advance(20);
    expect(one.acknowledged).toEqual([small, big, after]);
    for (const { bytes } of scene.store.landed) expect(bytes.length).toBeLessThan(66_000);
    const two = await scene.claimed('n2');
    expect(describeState(two.state)).toEqual({ a: { after, big }, b: { small } });
  });

  test('keeps frames within what the store accepts', async () => {
    scene = new LogScene({ frameBytesMax: 2_500 });
    const one = await scene.claimed('n1');
    for (let count = 0; count < 20; count += 1) one.put(groupId(`g${count}`), 'k', count * 300);
    one.log.kick();
    await scene.clock.advance(200);
    expect(one.acknowledged.length).toBe(20);
    for (const { bytes } of scene.store.landed) expect(bytes.length).toBeLessThanOrEqual(2_500);
    const two = await scene.claimed('n2');
    expect(describeState(two.state)).toEqual(describeState(scene.verdict().state));
  });
});

describe('an append whose outcome is unknown (L2)', () => {
  test('is sent again as it was, and its frame counts when a read shows its nonce', async () => {
    const one = await scene.claimed('n1');
    scene.appendsGoWrong({ kind: 'ack-lost' });
    const id = one.put(a, 'k');
    one.log.kick();
    await scene.clock.advance(1_900);
    one.put(b, 'k');
    one.log.kick();
    expect(one.acknowledged).toEqual([]);
    await scene.clock.advance(2_000);
    expect(one.acknowledged).toEqual([id, id + 1]);
    expect(scene.kinds()).toEqual(['claim', 'records', 'records']);
    expect(one.lostReason).toBe(undefined);
  });

  test('that lands after its timeout is found by its nonce, and never lands twice', async () => {
    const one = await scene.claimed('n1');
    scene.appendsGoWrong({ kind: 'delayed', landsAfterMs: 5_000 }, { kind: 'dropped' }, { kind: 'dropped' });
    one.put(a, 'k');
    one.log.kick();
    await scene.clock.advance(20_000);
    expect(one.acknowledged).toEqual([1]);
    expect(scene.kinds()).toEqual(['claim', 'records']);
  });

  test('does not count as lost because a read does not show it yet', async () => {
    const one = await scene.claimed('n1');
    let stale = 3;
    scene.appendsGoWrong({ kind: 'ack-lost' });
    scene.store.plan = { ...scene.store.plan, last: () => (stale-- > 0 ? { kind: 'stale', behind: 1 } : undefined) };
    one.put(a, 'k');
    one.log.kick();
    await scene.clock.advance(10_000);
    expect(one.acknowledged).toEqual([1]);
    expect(one.lostReason).toBe(undefined);
  });

  test('does the same where the refusal names no sequence or the reader fails', async () => {
    const one = await scene.claimed('n1');
    let reads = 0;
    scene.appendsGoWrong({ kind: 'ack-lost' }, { kind: 'refusal-unnamed' });
    scene.store.plan = {
      ...scene.store.plan,
      last: () => {
        reads += 1;
        return reads === 1 ? { kind: 'stale', behind: 1 } : reads === 2 ? { kind: 'unavailable' } : undefined;
      },
    };
    one.put(a, 'k');
    one.log.kick();
    await scene.clock.advance(10_000);
    expect([one.acknowledged, one.lostReason, reads]).toEqual([[1], undefined, 3]);
  });

  test('means fenced where another claim stands there, and then nothing of it is reported', async () => {
    const one = await scene.claimed('n1');
    scene.appendsGoWrong({ kind: 'dropped' });
    one.put(a, 'k');
    one.log.kick();
    const log = one.log;
    await scene.claimed('n2');
    await scene.clock.advance(5_000);
    expect([one.lostReason, one.acknowledged, log.isLost]).toEqual(['fenced', [], true]);
    expect(() => log.append(a, [['x']])).toThrow('takes no more records');
    expect(scene.verdict().problems).toEqual([]);
  });

  test('means fenced also where the frame landed before the claim: the successor has it', async () => {
    const one = await scene.claimed('n1');
    scene.appendsGoWrong({ kind: 'ack-lost' });
    one.put(a, 'k');
    one.log.kick();
    const two = await scene.claimed('n2');
    await scene.clock.advance(5_000);
    expect([one.lostReason, one.acknowledged]).toEqual(['fenced', []]);
    expect(describeState(two.state)).toEqual({ a: { k: 1 } });
  });

  test('tells of a stall, once, and reports its frame when the outcome is known', async () => {
    const one = await scene.claimed('n1', { stallMs: 500 });
    scene.appendsGoWrong({ kind: 'dropped' }, { kind: 'dropped' });
    one.put(a, 'k');
    one.log.kick();
    await scene.clock.advance(499);
    expect(one.events).toEqual([]);
    await scene.clock.advance(1_600);
    expect([one.events, one.acknowledged]).toEqual([['stalled'], []]);
    await scene.clock.advance(3_000);
    expect([one.events, one.acknowledged]).toEqual([['stalled'], [1]]);
  });

  test('counts the time for a stall per frame', async () => {
    scene = new LogScene({ latencyMs: 300 });
    const one = await scene.claimed('n1', { stallMs: 500 });
    for (let count = 0; count < 5; count += 1) {
      one.put(a, 'k');
      one.log.kick();
      await scene.clock.advance(300);
    }
    expect(one.events).toEqual([]);
    scene.appendsGoWrong({ kind: 'hang' });
    one.put(a, 'k');
    one.log.kick();
    await scene.clock.advance(499);
    expect(one.events).toEqual([]);
    await scene.clock.advance(1);
    expect(one.events).toEqual(['stalled']);
  });
});

describe('a store that refuses for reasons of its own (L3)', () => {
  test('busy: the same expectation again, after a pause', async () => {
    const one = await scene.claimed('n1');
    scene.appendsGoWrong({ kind: 'busy' }, { kind: 'busy' });
    one.put(a, 'k');
    one.log.kick();
    await scene.clock.advance(5);
    expect(one.acknowledged).toEqual([]);
    await scene.clock.advance(1_000);
    expect([one.acknowledged, one.events]).toEqual([[1], []]);
  });

  test('full: tells once, keeps its state, and goes on when there is room', async () => {
    const one = await scene.claimed('n1', { stallMs: 60_000 });
    scene.appendsGoWrong(...Array(20).fill({ kind: 'full' }));
    one.put(a, 'k');
    one.log.kick();
    await scene.clock.advance(2_000);
    expect([one.events, one.log.queuedRecords]).toEqual([['full'], 1]);
    await scene.clock.advance(20_000);
    expect([one.acknowledged, one.events]).toEqual([[1], ['full']]);
  });

  test('a deposed leader that names an older sequence fences nobody', async () => {
    const one = await scene.claimed('n1');
    one.put(a, 'k');
    one.log.kick();
    await scene.clock.advance(10);
    scene.appendsGoWrong({ kind: 'deposed', lastSeq: 1 }, { kind: 'deposed', lastSeq: 0 });
    one.put(a, 'k');
    one.log.kick();
    await scene.clock.advance(2_000);
    expect([one.acknowledged, one.lostReason]).toEqual([[1, 2], undefined]);
  });

  test('a log that ends below what it acknowledged, and stays so, is broken', async () => {
    const one = await scene.claimed('n1');
    one.put(a, 'k');
    one.log.kick();
    await scene.clock.advance(10);
    scene.store.remove(p, 2);
    one.put(a, 'k');
    one.log.kick();
    await scene.clock.advance(logLimitsDefaults.regressionMs - 1_000);
    expect(one.lostReason).toBe(undefined);
    await scene.clock.advance(2_000);
    expect(one.lostReason).toBe('broken');
  });

  test('a last frame that is nobody’s breaks the log', async () => {
    const one = await scene.claimed('n1');
    scene.store.inject(p, encode('rubbish'));
    one.put(a, 'k');
    one.log.kick();
    await scene.clock.advance(100);
    expect(one.lostReason).toBe('broken');
  });
});

describe('a barrier (O7)', () => {
  test('rides on the frame that is due anyway', async () => {
    const one = await scene.claimed('n1');
    let proven = 0;
    one.log.barrier(() => (proven += 1));
    one.put(a, 'k');
    one.log.kick();
    await scene.clock.advance(10);
    expect([scene.kinds(), proven]).toEqual([['claim', 'records'], 1]);
  });

  test('is not served by a frame that was sent before, and all who wait share one empty frame', async () => {
    const one = await scene.claimed('n1');
    const proven: string[] = [];
    one.put(a, 'k');
    one.log.kick();
    one.log.barrier(() => proven.push(`first at ${scene.kinds().length}`));
    one.log.barrier(() => proven.push(`second at ${scene.kinds().length}`));
    one.log.kick();
    await scene.clock.advance(10);
    expect(scene.kinds()).toEqual(['claim', 'records', 'barrier']);
    expect(proven).toEqual(['first at 3', 'second at 3']);
  });

  test('is not served by a frame that only a read showed to be durable', async () => {
    const one = await scene.claimed('n1');
    let proven = false;
    one.log.barrier(() => {
      proven = true;
    });
    scene.appendsGoWrong({ kind: 'ack-lost' });
    one.put(a, 'k');
    one.log.kick();
    await scene.clock.advanceUntil(() => one.acknowledged.length > 0, 10_000);
    expect([one.acknowledged, proven]).toEqual([[1], false]);
    await scene.clock.advance(10);
    expect([scene.kinds().at(-1), proven]).toEqual(['barrier', true]);
  });

  test('is never served by a log that is fenced meanwhile', async () => {
    const one = await scene.claimed('n1');
    await scene.claimed('n2');
    let proven = false;
    one.log.barrier(() => {
      proven = true;
    });
    one.log.kick();
    await scene.clock.advance(1_000);
    expect([proven, one.lostReason]).toEqual([false, 'fenced']);
  });
});

describe('proof of ownership (O3, O6)', () => {
  test('is as old as the send time of the acknowledged try', async () => {
    scene = new LogScene({ latencyMs: 100 });
    const one = await scene.claimed('n1');
    const sentAt = scene.clock.now();
    one.put(a, 'k');
    one.log.kick();
    await scene.clock.advance(99);
    expect(one.log.proofSentAt).toBeLessThan(sentAt);
    await scene.clock.advance(1);
    expect(one.log.proofSentAt).toBe(sentAt);
  });

  test('does not come from a read', async () => {
    const one = await scene.claimed('n1');
    const before = one.log.proofSentAt;
    scene.appendsGoWrong({ kind: 'ack-lost' });
    one.put(a, 'k');
    one.log.kick();
    await scene.clock.advanceUntil(() => one.acknowledged.length > 0, 10_000);
    expect([one.acknowledged, one.log.proofSentAt]).toEqual([[1], before]);
  });

  test('verify appends, and answers by what came of it', async () => {
    const one = await scene.claimed('n1');
    const answers: boolean[] = [];
    void one.log.verify().then((isOurs) => answers.push(isOurs));
    await scene.clock.advance(10);
    expect([scene.kinds(), answers]).toEqual([['claim', 'barrier'], [true]]);
    const log = one.log;
    await scene.claimed('n2');
    void log.verify().then((isOurs) => answers.push(isOurs));
    await scene.clock.advance(100);
    expect(answers).toEqual([true, false]);
    await expect(log.verify()).resolves.toBe(false);
  });

  test('verify is content with the unresolved frame once a try of it is acknowledged', async () => {
    const one = await scene.claimed('n1');
    scene.appendsGoWrong({ kind: 'dropped' });
    one.put(a, 'k');
    one.log.kick();
    await scene.clock.advance(1_000);
    const answers: boolean[] = [];
    void one.log.verify().then((isOurs) => answers.push(isOurs));
    await scene.clock.advance(2_000);
    expect([scene.kinds(), answers]).toEqual([['claim', 'records'], [true]]);
  });
});

describe('a release (O9)', () => {
  test('goes out after everything queued, as the last append', async () => {
    const one = await scene.claimed('n1');
    const log = one.log;
    const answers: string[] = [];
    one.put(a, 'k');
    log.barrier(() => answers.push('proven'));
    void log.release(nodeId('n2')).then((outcome) => answers.push(outcome));
    expect(() => log.append(a, [['x']])).toThrow('takes no more records');
    await scene.clock.advance(10);
    expect(scene.kinds()).toEqual(['claim', 'records', 'release']);
    expect([answers, one.lostReason]).toEqual([['proven', 'released'], 'released']);
    log.kick();
    log.barrier(() => answers.push('proven again'));
    log.kick();
    await scene.clock.advance(5_000);
    expect(scene.kinds().length).toBe(3);
    const two = scene.owner('n2');
    expect(await scene.claim(two)).toMatchObject({ kind: 'claimed', releasedBy: { node: 'n1', target: 'n2' } });
  });

  test('gives up after a second without an answer, and sends nothing after', async () => {
    const one = await scene.claimed('n1');
    const answers: string[] = [];
    scene.appendsGoWrong(...Array(50).fill({ kind: 'hang' }));
    void one.log.release(null).then((outcome) => answers.push(outcome));
    await scene.clock.advance(999);
    expect(answers).toEqual([]);
    await scene.clock.advance(1);
    expect([answers, one.lostReason]).toEqual([['gave-up'], 'released']);
    const tries = scene.store.hanging;
    await scene.clock.advance(20_000);
    expect(scene.store.hanging).toBe(tries);
  });

  test('is not mistaken for one where a later claim stands above it', async () => {
    const one = await scene.claimed('n1');
    void one.log.release(null);
    await scene.clock.advance(10);
    await scene.claimed('n2');
    const three = await scene.claim(scene.owner('n3'));
    expect(three).toMatchObject({ kind: 'claimed' });
    expect(three).not.toHaveProperty('releasedBy');
  });
});

describe('a closed log', () => {
  test('tells so once and sends nothing more, whatever comes back', async () => {
    const one = await scene.claimed('n1');
    const log = one.log;
    scene.appendsGoWrong({ kind: 'dropped' });
    one.put(a, 'k');
    log.kick();
    await scene.clock.advance(100);
    log.close();
    log.close();
    await scene.clock.advance(20_000);
    expect([one.events, one.acknowledged, scene.kinds()]).toEqual([['lost closed'], [], ['claim']]);
    expect([log.queuedRecords, log.queuedBytes, scene.clock.pending]).toEqual([0, 0, 0]);
  });

  test('may be closed from within a report: nothing else is reported', async () => {
    const one = await scene.claimed('n1');
    const log = one.log;
    one.put(a, 'k');
    one.put(b, 'k');
    const report = one.durable.bind(one);
    one.durable = (group, count) => {
      report(group, count);
      log.close();
    };
    log.kick();
    await scene.clock.advance(10);
    expect([one.acknowledged, one.events]).toEqual([[1], ['lost closed']]);
  });
});

describe('a record that no loader would take (L3)', () => {
  test('is refused with all that came with it, and the log goes on', async () => {
    const one = await scene.claimed('n1', { recordBytesMax: 5_000 });
    const records = [
      ['put', 1, 'k', ''],
      ['put', 2, 'k', 'x'.repeat(5_000)],
    ];
    expect(() => one.log.append(a, records)).toThrow(RangeError);
    expect([one.log.queuedRecords, one.log.queuedBytes]).toEqual([0, 0]);
    const id = one.put(a, 'k');
    one.log.kick();
    await scene.clock.advance(10);
    expect(one.acknowledged).toEqual([id]);
  });
});

describe('what throws on the way (W5)', () => {
  test('in the store’s adapter breaks the log', async () => {
    const one = await scene.claimed('n1');
    scene.store.plan = {
      ...scene.store.plan,
      append: () => {
        throw new RangeError('the payload is too large');
      },
    };
    one.put(a, 'k');
    one.log.kick();
    await scene.clock.advance(10);
    expect(one.lostReason).toBe('broken');
  });

  test('in the listener breaks the log: what comes after is told nobody', async () => {
    const one = await scene.claimed('n1');
    const durable = one.durable.bind(one);
    one.durable = (group, count) => {
      if (group === a) throw new Error('a bad count');
      durable(group, count);
    };
    one.put(a, 'k');
    one.put(b, 'k');
    one.log.kick();
    await scene.clock.advance(10);
    expect([one.lostReason, one.acknowledged]).toEqual(['broken', []]);
  });

  test('where a checkpoint asks for the state breaks the log', async () => {
    const one = await scene.claimed('n1');
    const source = [
      {
        group: a,
        records: () => {
          throw new Error('no such state');
        },
      },
    ];
    one.log.checkpoint(source);
    expect(one.lostReason).toBe('broken');
  });

  test('in a purge is left to the next checkpoint', async () => {
    const one = await scene.claimed('n1');
    scene.store.plan = {
      ...scene.store.plan,
      purge: () => {
        throw new TypeError('not what a store throws');
      },
    };
    one.put(a, 'k');
    one.log.checkpoint(one.snapshot());
    await scene.clock.advance(100);
    scene.store.plan = {};
    one.log.checkpoint(one.snapshot());
    await scene.clock.advance(100);
    expect(one.lostReason).toBe(undefined);
    expect(scene.store.frames(scene.partition)[0]?.seq).toBeGreaterThan(2);
  });
});
