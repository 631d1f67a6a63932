import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type TimerHandle, TimerWheel } from './timer-wheel.js';

const HOUR_MS = 3_600_000;

type Step =
  | { kind: 'create' }
  | { kind: 'set'; which: number; deltaMs: number }
  | { kind: 'clear'; which: number }
  | { kind: 'release'; which: number }
  | { kind: 'advance'; byMs: number }
  | { kind: 'due' };

const deltaMs = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 70 }) },
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 5000 }) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 30 * HOUR_MS }) },
  { weight: 1, arbitrary: fc.integer({ min: -2000, max: 0 }) },
  { weight: 2, arbitrary: fc.double({ min: 0, max: 3000, noNaN: true }) },
);
const which = fc.nat({ max: 1_000_000 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.constant({ kind: 'create' as const }) },
  { weight: 12, arbitrary: fc.record({ kind: fc.constant('set' as const), which, deltaMs }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('clear' as const), which }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('release' as const), which }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('advance' as const), byMs: deltaMs.map((ms) => Math.max(0, ms)) }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: 'due' as const }) },
);
const tickMs = fc.constantFrom(1, 3, 10);

/** The time of the first tick at or after a deadline; a subnormal deadline rounds to tick 0, which is before it. */
function tickTimeMs(deadlineMs: number, tick: number): number {
  const timeMs = Math.ceil(deadlineMs / tick) * tick;
  return timeMs < deadlineMs ? timeMs + tick : timeMs;
}

describe('the wheel, against a list that is sorted at each advance', () => {
  test('fires the same timers in the same order at the same times', () => {
    fc.assert(
      fc.property(tickMs, fc.array(step, { maxLength: 400, size: 'max' }), (tick, steps) => {
        const wheel = new TimerWheel<number>({ tickMs: tick });
        /** Handle by owner, deadline by owner. */
        const handles = new Map<number, TimerHandle>();
        const deadlines = new Map<number, number>();
        let nowMs = 0;
        const dueMs = (owner: number) => tickTimeMs(deadlines.get(owner)!, tick);
        const advance = (toMs: number) => {
          nowMs = toMs;
          const due = [...deadlines.keys()].filter((owner) => dueMs(owner) <= nowMs);
          const fired: number[] = [];
          const firedAt: number[] = [];
          wheel.advance(nowMs, (owner, handle) => {
            expect(handles.get(owner)).toBe(handle);
            fired.push(owner);
            firedAt.push(deadlines.get(owner)!);
          });
          expect([...fired].sort((a, b) => a - b)).toEqual(due.sort((a, b) => a - b));
          expect(firedAt).toEqual([...firedAt].sort((a, b) => a - b));
          for (const owner of due) deadlines.delete(owner);
        };
        steps.forEach((next, id) => {
          const owners = [...handles.keys()];
          const owner = 'which' in next && owners.length > 0 ? owners[next.which % owners.length]! : -1;
          const handle = handles.get(owner);
          if (next.kind === 'create') handles.set(id, wheel.create(id));
          else if (next.kind === 'advance') advance(nowMs + next.byMs);
          else if (next.kind === 'due') {
            const boundMs = wheel.nextDueMs();
            expect(boundMs === undefined).toBe(deadlines.size === 0);
            for (const set of deadlines.keys()) {
              if (boundMs! > Math.max(dueMs(set), nowMs)) expect.fail(`bound ${boundMs} for ${deadlines.get(set)}`);
            }
            if (boundMs !== undefined) advance(Math.max(nowMs, boundMs));
          } else if (handle !== undefined) {
            if (next.kind === 'set') {
              wheel.set(handle, nowMs + next.deltaMs);
              deadlines.set(owner, nowMs + next.deltaMs);
            } else if (next.kind === 'clear') {
              wheel.clear(handle);
              deadlines.delete(owner);
            } else {
              wheel.release(handle);
              expect(wheel.isSet(handle)).toBe(false);
              handles.delete(owner);
              deadlines.delete(owner);
            }
          }
          expect(wheel.setCount).toBe(deadlines.size);
          expect(wheel.createdCount).toBe(handles.size);
          // One expectation for all: an expect() per timer and step takes most of the time of this test.
          const wrong = [...handles].filter(([each, its]) => wheel.deadlineOf(its) !== deadlines.get(each));
          expect(wrong).toEqual([]);
        });
        advance(nowMs + 100 * HOUR_MS);
        expect(deadlines.size).toBe(0);
        expect(wheel.nextDueMs()).toBeUndefined();
      }),
      { numRuns: 250 },
    );
  });

  test('keeps its rules when fire itself sets, clears, releases and creates', () => {
    const inFire = fc.record({ steps: fc.array(step, { maxLength: 4 }) });
    const round = fc.record({ before: fc.array(step, { maxLength: 25 }), byMs: deltaMs, during: fc.array(inFire) });
    fc.assert(
      fc.property(tickMs, fc.array(round, { minLength: 1, maxLength: 12 }), (tick, rounds) => {
        const wheel = new TimerWheel<number>({ tickMs: tick });
        const handles = new Map<number, TimerHandle>();
        const deadlines = new Map<number, number>();
        let nowMs = 0;
        let id = 0;
        /** Timers set since the running advance began: when due, they wait for the next one. */
        const touched = new Set<number>();
        const act = (next: Step) => {
          const owners = [...handles.keys()];
          const owner = 'which' in next && owners.length > 0 ? owners[next.which % owners.length]! : -1;
          const handle = handles.get(owner);
          if (next.kind === 'create') {
            id += 1;
            handles.set(id, wheel.create(id));
          } else if (next.kind === 'set' && handle !== undefined) {
            wheel.set(handle, nowMs + next.deltaMs);
            deadlines.set(owner, nowMs + next.deltaMs);
            touched.add(owner);
          } else if (next.kind === 'clear' && handle !== undefined) {
            wheel.clear(handle);
            deadlines.delete(owner);
          } else if (next.kind === 'release' && handle !== undefined) {
            wheel.release(handle);
            handles.delete(owner);
            deadlines.delete(owner);
          }
        };
        for (const { before, byMs, during } of rounds) {
          for (const next of before) act(next);
          nowMs += Math.max(0, byMs);
          touched.clear();
          const fired: number[] = [];
          let lastMs = Number.NEGATIVE_INFINITY;
          wheel.advance(nowMs, (owner, handle) => {
            expect(handles.get(owner)).toBe(handle);
            const deadlineMs = deadlines.get(owner)!;
            expect(touched.has(owner)).toBe(false);
            expect(deadlineMs).toBeLessThanOrEqual(nowMs);
            expect(deadlineMs).toBeGreaterThanOrEqual(lastMs);
            lastMs = deadlineMs;
            deadlines.delete(owner);
            for (const next of during[fired.length]?.steps ?? []) act(next);
            fired.push(owner);
          });
          expect(new Set(fired).size).toBe(fired.length);
          const overdue = [...deadlines].filter(([, ms]) => tickTimeMs(ms, tick) <= nowMs);
          for (const [owner] of overdue) expect(touched.has(owner)).toBe(true);
          if (overdue.length > 0) expect(wheel.nextDueMs()).toBeLessThanOrEqual(nowMs);
          expect(wheel.setCount).toBe(deadlines.size);
        }
        const rest: number[] = [];
        wheel.advance(nowMs + 100 * HOUR_MS, (owner) => rest.push(owner));
        expect(rest.sort((a, b) => a - b)).toEqual([...deadlines.keys()].sort((a, b) => a - b));
      }),
      { numRuns: 400 },
    );
  });
});
