import type { TimerHandle } from '@muster/actor';
import { VirtualClock } from '@muster/testkit/internals';
import { describe, expect, test } from 'vitest';
import type { GroupActor, GroupTimerOf } from './group-actor.js';
import { nodeLimits } from './limits.js';
import { TurnEngine } from './turn-engine.js';

function scene() {
  const clock = new VirtualClock();
  const log: string[] = [];
  const engine = new TurnEngine({
    clock,
    defer: (run) => void clock.after(0, run),
    onSliceEnd: () => log.push('slice'),
    onThrow: (error) => log.push(`threw ${String(error)}`),
    onStall: (stalledMs, since) => log.push(`stalled ${stalledMs} since ${since}`),
  });
  const actor: Pick<GroupActor, 'fired'> = {
    fired: (_timer: GroupTimerOf, _handle: TimerHandle) => void log.push(`fired at ${clock.now()}`),
  };
  const setTimer = (deadline: number) => {
    const handle = engine.wheel.create({ actor: actor as GroupActor, kind: 'join', member: undefined });
    engine.wheel.set(handle, deadline);
  };
  return { clock, engine, log, setTimer };
}

describe('the turn engine', () => {
  test('notices that the process stood still, by how much and since when', async () => {
    const { clock, log } = scene();
    await clock.advance(5_000);
    expect(log).toEqual([]);
    clock.freeze(3_000);
    await clock.advance(1);
    expect(log).toHaveLength(1);
    const [, stalledMs, since] = /^stalled (\d+) since (\d+)$/.exec(log[0] ?? '') ?? [];
    expect(Number(since)).toBeLessThanOrEqual(5_000);
    expect(Number(since) + Number(stalledMs)).toBeGreaterThanOrEqual(8_000);
    await clock.advance(10_000);
    expect(log).toHaveLength(1);
  });

  test('notices a machine that slept: its monotonic clock stood still, the wall clock did not', async () => {
    const { clock, log } = scene();
    await clock.advance(5_000);
    clock.skewWall(60_000);
    await clock.advance(nodeLimits.stallMs);
    expect(log).toHaveLength(1);
    expect(log[0]).toMatch(/^stalled 60000 since/);
  });

  test('takes neither a short hiccup nor a wall clock that is set back for a pause', async () => {
    const { clock, log } = scene();
    await clock.advance(5_000);
    clock.freeze(500);
    await clock.advance(5_000);
    clock.skewWall(-3_600_000);
    await clock.advance(5_000);
    clock.skewWall(500);
    await clock.advance(5_000);
    expect(log).toEqual([]);
  });

  test('says so before it turns the wheel: timers that fell due during a pause come later (E1)', async () => {
    const { clock, engine, log, setTimer } = scene();
    await clock.advance(100);
    setTimer(600);
    engine.waitForTimers();
    clock.freeze(4_000);
    await clock.advance(100);
    expect(log[0]).toMatch(/^stalled/);
    expect(log[1]).toMatch(/^fired/);
  });

  test('fires a timer at its time, whether it was set in a turn or outside of one (E2)', async () => {
    const { clock, engine, log, setTimer } = scene();
    engine.loop.schedule({
      runTurns: () => {
        setTimer(300);
        return false;
      },
    });
    await clock.advance(50);
    setTimer(200);
    engine.waitForTimers();
    await clock.advance(500);
    expect(log).toEqual(['slice', 'fired at 200', 'fired at 300']);
  });

  test('reports what a visit threw and goes on', async () => {
    const { clock, engine, log } = scene();
    engine.loop.schedule({
      runTurns: () => {
        throw new Error('oops');
      },
    });
    engine.loop.schedule({
      runTurns: () => {
        log.push('next');
        return false;
      },
    });
    await clock.advance(10);
    expect(log).toEqual(['threw Error: oops', 'next', 'slice']);
  });

  test('does nothing more once it is stopped', async () => {
    const { clock, engine, log, setTimer } = scene();
    setTimer(100);
    engine.waitForTimers();
    engine.stop();
    await clock.advance(10);
    clock.freeze(5_000);
    await clock.advance(10_000);
    expect(log).toEqual([]);
    expect(clock.pending).toBe(0);
  });
});
