import { describe, expect, test } from 'vitest';
import { type TimerOf, TimerTable } from './timer-table.js';
import { TimerWheel } from './timer-wheel.js';

type Kind = 'session' | 'join';
type Timer = TimerOf<string, Kind, string>;

function tableOf() {
  const wheel = new TimerWheel<Timer>({ tickMs: 1 });
  const table = new TimerTable<string, Kind, string>(wheel, 'group');
  const advance = (nowMs: number) => {
    const fired: Timer[] = [];
    wheel.advance(nowMs, (timer, handle) => {
      table.fired(timer, handle);
      fired.push(timer);
    });
    return fired;
  };
  return { wheel, table, advance };
}

describe('a timer table', () => {
  test('fires with actor, kind and member, and leaves nothing behind', () => {
    const { wheel, table, advance } = tableOf();
    table.set('session', 'm1', 10);
    table.set('join', undefined, 5);
    expect(table.count).toBe(2);
    expect(advance(10)).toEqual([
      { actor: 'group', kind: 'join', member: undefined },
      { actor: 'group', kind: 'session', member: 'm1' },
    ]);
    expect(table.count).toBe(0);
    expect(wheel.createdCount).toBe(0);
  });

  test('moves the one timer of a key that is set again', () => {
    const { wheel, table, advance } = tableOf();
    table.set('session', 'm1', 10);
    table.set('session', 'm1', 20);
    expect(wheel.createdCount).toBe(1);
    expect(table.deadlineOf('session', 'm1')).toBe(20);
    expect(advance(19)).toEqual([]);
    expect(advance(20).length).toBe(1);
  });

  test('keeps kinds and members apart, whatever the members are called', () => {
    const { table, advance } = tableOf();
    table.set('session', 'join', 10);
    table.set('session', '', 10);
    table.set('session', undefined, 10);
    table.set('join', undefined, 10);
    table.clear('join', undefined);
    table.clear('join', 'unknown');
    expect(table.count).toBe(3);
    expect(advance(10).map((timer) => timer.member)).toEqual(['join', '', undefined]);
  });

  test('clearAll clears every timer and gives the handles back', () => {
    const { wheel, table, advance } = tableOf();
    table.set('session', 'm1', 10);
    table.set('join', undefined, 10);
    table.clearAll();
    expect(wheel.createdCount).toBe(0);
    expect(advance(100)).toEqual([]);
    table.set('join', undefined, 200);
    expect(advance(200).length).toBe(1);
  });

  test('a late call of fired spares the key when it was set again', () => {
    const { wheel, table } = tableOf();
    table.set('session', 'm1', 10);
    const late: (() => void)[] = [];
    wheel.advance(10, (timer, handle) => late.push(() => table.fired(timer, handle)));
    table.clear('session', 'm1');
    table.set('session', 'm1', 20);
    for (const call of late) call();
    expect(table.deadlineOf('session', 'm1')).toBe(20);
  });

  test('is as before when the wheel refuses the deadline', () => {
    const { wheel, table } = tableOf();
    expect(() => table.set('session', 'm1', Number.NaN)).toThrow(RangeError);
    expect(table.count).toBe(0);
    expect(wheel.createdCount).toBe(0);
  });
});
