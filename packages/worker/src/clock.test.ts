import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from './clock.js';

const DAY_MS = 86_400_000;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('the clock of the process', () => {
  // setTimeout knows 31 bits: what is longer would be due at once, and "never" would mean "now".
  it.each([30 * DAY_MS, 400 * DAY_MS, Number.MAX_SAFE_INTEGER])('does not call back early after %d ms', (ms) => {
    const called = vi.fn();
    systemClock.after(ms, called);
    vi.advanceTimersByTime(29 * DAY_MS);
    expect(called).not.toHaveBeenCalled();
  });

  it('calls back once, on time, after more than setTimeout can count', () => {
    const called = vi.fn();
    systemClock.after(30 * DAY_MS, called);
    vi.advanceTimersByTime(30 * DAY_MS - 1);
    expect(called).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(called).toHaveBeenCalledOnce();
    vi.advanceTimersByTime(60 * DAY_MS);
    expect(called).toHaveBeenCalledOnce();
  });

  it('forgets what is cancelled, however far it is on its way', () => {
    const called = vi.fn();
    const cancel = systemClock.after(30 * DAY_MS, called);
    vi.advanceTimersByTime(28 * DAY_MS);
    cancel();
    cancel();
    vi.advanceTimersByTime(60 * DAY_MS);
    expect(called).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });
});
