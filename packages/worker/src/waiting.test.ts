import { setMaxListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { settle, VirtualClock } from '../test/virtual-clock.js';
import { Occasion } from './waiting.js';

describe('an occasion', () => {
  it('wakes everybody who waits, once', async () => {
    const clock = new VirtualClock();
    const occasion = new Occasion(clock);
    const waits = [occasion.next(1_000), occasion.next(1_000)];
    occasion.happens();
    expect(await Promise.all(waits)).toEqual(['done', 'done']);
    const later = occasion.next(1_000);
    await clock.advance(1_000);
    expect(await later).toBe('timeout');
  });

  it('keeps nothing of those who have given up, however many there were', async () => {
    const clock = new VirtualClock();
    const occasion = new Occasion(clock);
    const stop = new AbortController();
    setMaxListeners(0, stop.signal);
    const waits = Array.from({ length: 100 }, (_, at) => occasion.next(10, at % 2 === 0 ? stop.signal : undefined));
    expect(occasion.waiting).toBe(100);
    stop.abort();
    await clock.advance(10);
    expect(new Set(await Promise.all(waits))).toEqual(new Set(['aborted', 'timeout']));
    await settle();
    expect([occasion.waiting, clock.timers]).toEqual([0, 0]);
  });
});
