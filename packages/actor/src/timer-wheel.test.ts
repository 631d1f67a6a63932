import { describe, expect, test } from 'vitest';
import { type TimerHandle, TimerWheel } from './timer-wheel.js';

const HOUR_MS = 3_600_000;

function wheelOf(tickMs = 1) {
  const wheel = new TimerWheel<string>({ tickMs });
  const advance = (nowMs: number) => {
    const fired: string[] = [];
    wheel.advance(nowMs, (owner) => fired.push(owner));
    return fired;
  };
  const timer = (owner: string, deadlineMs: number) => {
    const handle = wheel.create(owner);
    wheel.set(handle, deadlineMs);
    return handle;
  };
  return { wheel, advance, timer };
}

describe('a timer', () => {
  test('fires once, at its deadline and not before', () => {
    const { wheel, advance, timer } = wheelOf();
    const handle = timer('a', 100);
    expect(wheel.deadlineOf(handle)).toBe(100);
    expect(advance(99.9)).toEqual([]);
    expect(advance(100)).toEqual(['a']);
    expect(wheel.isSet(handle)).toBe(false);
    expect(wheel.deadlineOf(handle)).toBeUndefined();
    expect(advance(1000)).toEqual([]);
  });

  test('fires at the first tick at or after its deadline', () => {
    const { advance, timer } = wheelOf(10);
    timer('a', 20.5);
    timer('b', 20);
    expect(advance(29)).toEqual(['b']);
    expect(advance(30)).toEqual(['a']);
  });

  test('with the smallest deadline there is does not fire at 0', () => {
    const { advance, timer } = wheelOf(3);
    timer('a', Number.MIN_VALUE);
    expect(advance(0)).toEqual([]);
    expect(advance(3)).toEqual(['a']);
  });

  test('with a deadline in the past fires at the next advance, also when the time is the same or goes back', () => {
    const { advance, timer } = wheelOf();
    advance(1000);
    timer('late', 999);
    timer('later', 10);
    timer('negative', -5);
    expect(advance(1000)).toEqual(['negative', 'later', 'late']);
    timer('again', 1000);
    expect(advance(3)).toEqual(['again']);
  });

  test('does not move time backwards when advance is told an earlier time', () => {
    const { advance, timer } = wheelOf();
    advance(1000);
    timer('filed before', 1002);
    timer('past', 500);
    expect(advance(10)).toEqual(['past']);
    timer('past too', 600);
    expect(advance(20)).toEqual(['past too']);
    timer('a', 1001);
    expect(advance(1000)).toEqual([]);
    expect(advance(1001)).toEqual(['a']);
    expect(advance(1002)).toEqual(['filed before']);
  });

  test('moved to a later deadline fires there only, and its old slot costs one look', () => {
    const { wheel, advance, timer } = wheelOf();
    const handle = timer('a', 100);
    for (let deadlineMs = 101; deadlineMs <= 5000; deadlineMs += 1) wheel.set(handle, deadlineMs);
    // Still filed at its first place: that is the lazy part.
    expect(wheel.nextDueMs()).toBeLessThanOrEqual(100);
    expect(advance(4999)).toEqual([]);
    expect(wheel.nextDueMs()).toBe(5000);
    expect(advance(5000)).toEqual(['a']);
  });

  test('moved to an earlier deadline fires there', () => {
    const { wheel, advance, timer } = wheelOf();
    const handle = timer('a', 50_000);
    wheel.set(handle, 10);
    expect(advance(10)).toEqual(['a']);
    expect(advance(60_000)).toEqual([]);
  });

  test('that was cleared or released does not fire', () => {
    const { wheel, advance, timer } = wheelOf();
    wheel.clear(timer('cleared', 10));
    wheel.release(timer('released', 10));
    timer('stays', 10);
    expect(wheel.setCount).toBe(1);
    expect(advance(20)).toEqual(['stays']);
    expect(wheel.nextDueMs()).toBeUndefined();
  });

  test('hours and years away fires in its millisecond', () => {
    const { wheel, advance, timer } = wheelOf();
    advance(12_345_678);
    const deadlines = [12_345_678 + 5 * HOUR_MS, 400 * 24 * HOUR_MS, 2 ** 45 + 7];
    for (const deadlineMs of deadlines) timer(`${deadlineMs}`, deadlineMs);
    for (const deadlineMs of deadlines) {
      expect(advance(deadlineMs - 1)).toEqual([]);
      expect(advance(deadlineMs)).toEqual([`${deadlineMs}`]);
    }
    expect(wheel.nextDueMs()).toBeUndefined();
  });

  test('refuses a deadline that is no finite safe number and keeps the old one', () => {
    const { wheel, advance, timer } = wheelOf();
    const handle = timer('a', 10);
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 2 ** 60]) {
      expect(() => wheel.set(handle, bad)).toThrow(RangeError);
    }
    expect(() => advance(Number.NaN)).toThrow(RangeError);
    expect(advance(10)).toEqual(['a']);
  });
});

describe('a handle', () => {
  test('that was released is invalid although its place is used again', () => {
    const { wheel, advance } = wheelOf();
    const old = wheel.create('old');
    wheel.release(old);
    const young = wheel.create('young');
    expect(young).not.toBe(old);
    wheel.set(young, 10);
    expect(wheel.isSet(old)).toBe(false);
    expect(wheel.deadlineOf(old)).toBeUndefined();
    wheel.clear(old);
    expect(() => wheel.set(old, 5)).toThrow('released');
    expect(() => wheel.release(old)).toThrow('released');
    expect(advance(10)).toEqual(['young']);
  });

  test('is not valid before it was handed out', () => {
    const { wheel } = wheelOf();
    const first = wheel.create('a');
    wheel.release(first);
    const second = wheel.create('b');
    wheel.release(second);
    expect(() => wheel.set((second + (second - first)) as TimerHandle, 1)).toThrow('released');
    expect(wheel.createdCount).toBe(0);
  });

  test('is refused beyond timersMax and granted again after a release', () => {
    const wheel = new TimerWheel<number>({ tickMs: 1, timersMax: 200 });
    const handles = Array.from({ length: 200 }, (_, i) => wheel.create(i));
    expect(() => wheel.create(200)).toThrow(RangeError);
    wheel.release(handles[77]!);
    wheel.create(201);
    expect(wheel.createdCount).toBe(200);
  });

  test.each([{ tickMs: 0 }, { tickMs: 0.5 }, { tickMs: 1, timersMax: 0 }, { tickMs: 1, timersMax: 2 ** 25 }])(
    'cannot come from a wheel of %o',
    (options) => {
      expect(() => new TimerWheel<string>(options)).toThrow(RangeError);
    },
  );
});

describe('advance', () => {
  test('fires in the order of deadlines over one large jump', () => {
    const { advance, timer } = wheelOf(10);
    const deadlines = [9 * HOUR_MS, 31, 33, 32, 1_000_000, 12, 320, 330, 10_240, 10_241, 0];
    for (const deadlineMs of deadlines) timer(`${deadlineMs}`, deadlineMs);
    const sorted = [...deadlines].sort((a, b) => a - b).map(String);
    expect(advance(10 * HOUR_MS)).toEqual(sorted);
  });

  test('jumps years without walking the ticks between', () => {
    // At a million ticks per millisecond of a walk this would never end; the wheel looks at a dozen slots.
    const { advance, timer } = wheelOf();
    timer('a', 2 ** 50);
    expect(advance(2 ** 51)).toEqual(['a']);
    expect(advance(2 ** 52)).toEqual([]);
  });

  test('unsets a timer before it fires, so that fire may set it again', () => {
    const { wheel, timer } = wheelOf();
    const handle = timer('a', 10);
    let fired = 0;
    const fire = (_owner: string, which: TimerHandle) => {
      fired += 1;
      expect(which).toBe(handle);
      expect(wheel.isSet(which)).toBe(false);
      wheel.set(which, 10 + fired * 10);
    };
    wheel.advance(15, fire);
    expect(fired).toBe(1);
    wheel.advance(20, fire);
    expect(fired).toBe(2);
  });

  test('fires a timer at most once, although fire sets it to a time that has passed', () => {
    const { wheel, timer } = wheelOf();
    const handle = timer('a', 10);
    let fired = 0;
    const fire = () => {
      fired += 1;
      wheel.set(handle, 50);
    };
    wheel.advance(100, fire);
    expect(fired).toBe(1);
    expect(wheel.nextDueMs()).toBe(100);
    wheel.advance(100, fire);
    expect(fired).toBe(2);
  });

  test('fires a timer at most once, although fire sets it to the future and then back to a time that has passed', () => {
    const { wheel, timer } = wheelOf();
    const handle = timer('a', 0);
    let fired = 0;
    wheel.advance(32, () => {
      fired += 1;
      wheel.set(handle, 33);
      wheel.set(handle, 32);
    });
    expect(fired).toBe(1);
    expect(wheel.nextDueMs()).toBe(32);
  });

  test('does not fire a timer that an earlier callback of the same tick cleared, released or moved', () => {
    const { wheel, timer } = wheelOf();
    timer('first', 10);
    const cleared = timer('cleared', 10);
    const released = timer('released', 10);
    const moved = timer('moved', 10);
    const replaced = timer('replaced', 10);
    const fired: string[] = [];
    const fire = (owner: string) => {
      fired.push(owner);
      if (owner !== 'first') return;
      wheel.clear(cleared);
      wheel.release(released);
      wheel.create('takes the place');
      wheel.set(moved, 30);
      wheel.clear(replaced);
      wheel.set(replaced, 20);
    };
    wheel.advance(10, fire);
    expect(fired).toEqual(['first']);
    wheel.advance(20, fire);
    expect(fired).toEqual(['first', 'replaced']);
    wheel.advance(30, fire);
    expect(fired).toEqual(['first', 'replaced', 'moved']);
  });

  test('forgets a timer that a callback set anew and cleared, while others of its tick are moved', () => {
    const { wheel, advance, timer } = wheelOf();
    const first = timer('first', 10);
    const second = timer('second', 10);
    timer('third', 10);
    wheel.advance(10, (owner) => {
      if (owner !== 'first') return;
      wheel.set(first, 30);
      wheel.set(second, 40);
      wheel.clear(first);
    });
    expect(wheel.setCount).toBe(1);
    expect(advance(35)).toEqual([]);
    expect(advance(40)).toEqual(['second']);
  });

  test('fires the others at the next advance when fire throws', () => {
    const { wheel, advance, timer } = wheelOf();
    for (const [owner, deadlineMs] of [
      ['a', 10],
      ['b', 10],
      ['c', 10],
      ['d', 500],
    ] as const)
      timer(owner, deadlineMs);
    const fired: string[] = [];
    const breaking = (owner: string) => {
      fired.push(owner);
      throw new Error('broken');
    };
    expect(() => wheel.advance(1000, breaking)).toThrow('broken');
    expect(fired).toEqual(['a']);
    expect(wheel.setCount).toBe(3);
    expect(advance(1000)).toEqual(['b', 'c', 'd']);
  });

  test('inside advance is refused, and the outer one goes on', () => {
    const { wheel, timer } = wheelOf();
    timer('a', 10);
    timer('b', 20);
    const fired: string[] = [];
    wheel.advance(30, (owner) => {
      fired.push(owner);
      expect(() => wheel.advance(40, () => {})).toThrow('inside');
    });
    expect(fired).toEqual(['a', 'b']);
  });
});

describe('nextDueMs', () => {
  test('is undefined while nothing is set, and the present when something is overdue', () => {
    const { wheel, advance, timer } = wheelOf(10);
    expect(wheel.nextDueMs()).toBeUndefined();
    advance(105);
    timer('a', 50);
    expect(wheel.nextDueMs()).toBe(100);
  });

  test('leads a host timer to every deadline in few steps', () => {
    const { wheel, advance, timer } = wheelOf();
    timer('a', 5 * HOUR_MS + 17);
    let steps = 0;
    for (let due = wheel.nextDueMs(); due !== undefined; due = wheel.nextDueMs()) {
      steps += 1;
      const fired = advance(due);
      if (fired.length > 0) expect(due).toBe(5 * HOUR_MS + 17);
    }
    expect(steps).toBeLessThanOrEqual(11);
  });
});
