import type { DescribeReply } from '@muster/protocol';
import { describe, expect, it } from 'vitest';
import { consumerScene, orders } from '../test/consumer-scene.js';
import { emptyGroup } from '../test/scripted-coordinator.js';
import { VirtualClock } from '../test/virtual-clock.js';
import { MusterError } from './errors.js';
import { type GroupFacts, LagMonitor } from './lag-monitor.js';
import { PROGRESS_WINDOW_MAX } from './progress.js';

interface Seen {
  readonly offset: number;
  readonly lag: number;
  readonly note?: string;
  readonly owner?: string;
  readonly error?: 'NONE' | 'STREAM_UNAVAILABLE';
}

/** A group with one partition that looks as the test says. */
function scene(options: { readonly stoppedAfterMs?: number } = {}) {
  const clock = new VirtualClock();
  let state = 'Stable';
  let seen: Seen = { offset: 1, lag: 0 };
  let partitions = [0];
  const facts = (): GroupFacts => {
    const { offset, lag, note = '', owner = 'm1', error = 'NONE' } = seen;
    const memberId = owner === '' ? undefined : owner;
    const described = { ...emptyGroup('billing'), state } as unknown as DescribeReply;
    return {
      described,
      commits: new Map(partitions.map((partition) => [`orders/${partition}`, { offset, metadata: note }])),
      lags: partitions.map((partition) => ({
        topic: 'orders',
        partition,
        offset,
        lag,
        lagMs: 1_000_000,
        memberId,
        error,
      })),
    };
  };
  const monitor = new LagMonitor('billing', clock, async () => facts(), options);
  return {
    clock,
    monitor,
    setState: (to: string) => {
      state = to;
    },
    setPartitions: (...to: number[]) => {
      partitions = to;
    },
    /** Looks once, ten seconds after the last. @returns the verdict */
    look: async (now: Seen) => {
      seen = now;
      clock.jump(10_000);
      return (await monitor.sample()).verdict;
    },
  };
}

describe('the lag monitor of a group that is not ours', () => {
  it('calls it ok while it keeps up, behind while the rest grows with every commit', async () => {
    const { look } = scene();
    expect(await look({ offset: 10, lag: 5 })).toBe('ok');
    expect(await look({ offset: 20, lag: 6 })).toBe('ok');
    expect(await look({ offset: 30, lag: 9 })).toBe('behind');
    expect(await look({ offset: 40, lag: 8 })).toBe('ok');
    expect(await look({ offset: 48, lag: 0 })).toBe('ok');
  });

  it('calls it stalled where commits come and the offset does not move, told by their notes', async () => {
    const { look } = scene();
    await look({ offset: 10, lag: 5, note: 'muster:1:5:0' });
    await look({ offset: 10, lag: 6, note: 'muster:1:6:1000' });
    expect(await look({ offset: 10, lag: 7, note: 'muster:1:7:2000' })).toBe('stalled');
  });

  it('calls it stopped where messages wait and no commit comes any more', async () => {
    const { look } = scene({ stoppedAfterMs: 30_000 });
    await look({ offset: 10, lag: 5 });
    expect(await look({ offset: 10, lag: 5 })).toBe('ok');
    await look({ offset: 10, lag: 5 });
    await look({ offset: 10, lag: 5 });
    expect(await look({ offset: 10, lag: 5 })).toBe('stopped');
    expect(await look({ offset: 15, lag: 0 })).toBe('ok');
  });

  it('calls it stopped at once where nobody owns the partition, though not while a round is under way', async () => {
    const { look, setState } = scene();
    expect(await look({ offset: 10, lag: 5, owner: '' })).toBe('stopped');
    setState('PreparingRebalance');
    expect(await look({ offset: 10, lag: 5, owner: '' })).toBe('ok');
    setState('Empty');
    expect(await look({ offset: 10, lag: 0, owner: '' })).toBe('ok');
  });

  it('calls it rewound where an offset went back, whoever owns it', async () => {
    const { look } = scene();
    await look({ offset: 10, lag: 5 });
    expect(await look({ offset: 4, lag: 11, owner: '' })).toBe('rewound');
  });

  it('takes nothing from a look at which the lag could not be counted', async () => {
    const { look, monitor } = scene();
    await look({ offset: 10, lag: 5 });
    await look({ offset: 20, lag: 6 });
    await look({ offset: 25, lag: 0, error: 'STREAM_UNAVAILABLE' });
    // Had the failed look counted as a lag of none, the group would keep up "in bursts" for ten commits.
    expect(await look({ offset: 30, lag: 9 })).toBe('behind');
    expect((await monitor.sample()).partitions[0]).toMatchObject({ verdict: 'behind', error: 'NONE', lag: 9 });
  });

  it('forgets partitions that are gone, and an old rewind after as many commits as a window has', async () => {
    const { look, setPartitions, monitor } = scene();
    await look({ offset: 10, lag: 5 });
    await look({ offset: 4, lag: 5 });
    setPartitions(1);
    expect(await look({ offset: 4, lag: 5 })).toBe('ok');
    setPartitions(0);
    expect(await look({ offset: 4, lag: 5 })).toBe('ok');
    await look({ offset: 2, lag: 1 });
    for (let commit = 0; commit < PROGRESS_WINDOW_MAX; commit += 1) await look({ offset: 20 + commit, lag: 1 });
    expect((await monitor.sample()).verdict).toBe('ok');
  });

  it('looks once for two that ask at the same time', async () => {
    const clock = new VirtualClock();
    let looks = 0;
    const described = emptyGroup('billing') as unknown as DescribeReply;
    const monitor = new LagMonitor(
      'billing',
      clock,
      async () => {
        looks += 1;
        return { described, commits: new Map(), lags: [] };
      },
      {},
    );
    await Promise.all([monitor.sample(), monitor.sample()]);
    expect(looks).toBe(1);
  });
});

describe('watching', () => {
  it('goes on over a failed look, keeps its interval and ends with the signal', async () => {
    const clock = new VirtualClock();
    const described = emptyGroup('billing') as unknown as DescribeReply;
    let looks = 0;
    const look = async () => {
      looks += 1;
      if (looks === 2) throw new MusterError('TIMEOUT', 'describe');
      return { described, commits: new Map(), lags: [] };
    };
    const stop = new AbortController();
    const seen: string[] = [];
    const watching = (async () => {
      const monitor = new LagMonitor('billing', clock, look, {});
      for await (const found of monitor.watch({ intervalMs: 1_000, signal: stop.signal })) {
        seen.push(found.kind === 'failed' ? `${found.atMs} ${found.error.code}` : `${found.atMs} ${found.state}`);
      }
    })();
    await clock.advance(2_500);
    stop.abort();
    await watching;
    expect(seen).toEqual(['1000 Empty', '2000 TIMEOUT', '3000 Empty']);
    expect(clock.timers).toBe(0);
  });

  it('refuses an interval that would be a busy loop', async () => {
    const monitor = new LagMonitor('billing', new VirtualClock(), () => Promise.reject(new Error('never')), {});
    await expect(monitor.watch({ intervalMs: 1 }).next()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('is there on the admin, with the lag that the streams have', async () => {
    const { muster, store, coordinator, clock } = consumerScene();
    muster.topics.declare([orders]);
    store(0, 1, 2, 3);
    coordinator.offsets.set('orders/0', 2);
    const looking = muster.admin().watchLag('billing', { intervalMs: 500 }).next();
    await clock.advance(100);
    expect((await looking).value).toMatchObject({
      kind: 'seen',
      state: 'Empty',
      lag: 2,
      verdict: 'stopped',
      partitions: [{ partition: 0, offset: 2, lag: 2, verdict: 'stopped' }, {}, {}, {}],
    });
  });
});
