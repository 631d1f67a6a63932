import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Runnable, TurnLoop, type TurnLoopOptions } from './turn-loop.js';

/** A loop whose clock and deferred slices are in the hands of the test. */
function loopOf(options: Partial<TurnLoopOptions> = {}) {
  const world = {
    nowMs: 0,
    deferred: [] as (() => void)[],
    sliceEnds: 0,
    thrown: [] as { who: Runnable; error: unknown }[],
    /** Runs one asked slice; false when none was asked for. */
    slice(): boolean {
      const run = world.deferred.shift();
      run?.();
      return run !== undefined;
    },
    drain(): number {
      let slices = 0;
      while (world.slice()) {
        slices += 1;
        if (slices > 10_000) throw new Error('the loop does not come to rest');
      }
      return slices;
    },
    loop: undefined as unknown as TurnLoop,
  };
  world.loop = new TurnLoop({
    messagesPerVisit: 2,
    sliceMs: 5,
    now: () => world.nowMs,
    defer: (run) => world.deferred.push(run),
    onSliceEnd: () => {
      world.sliceEnds += 1;
    },
    onThrow: (who, error) => world.thrown.push({ who, error }),
    ...options,
  });
  return world;
}

/** An actor with so many messages waiting, which writes its name down at each visit. */
function actor(name: string, visits: string[], messages: number, onVisit: () => void = () => {}): Runnable {
  let left = messages;
  return {
    runTurns(messagesMax) {
      visits.push(name);
      left -= Math.min(left, messagesMax);
      onVisit();
      return left > 0;
    },
  };
}

describe('the turn loop', () => {
  test('runs nothing inside schedule and asks for one slice however often it is called', () => {
    const visits: string[] = [];
    const { loop, deferred } = loopOf();
    const a = actor('a', visits, 1);
    loop.schedule(a);
    loop.schedule(a);
    loop.schedule(actor('b', visits, 1));
    expect(visits).toEqual([]);
    expect(deferred.length).toBe(1);
    expect(loop.readyCount).toBe(2);
  });

  test('visits a runnable once although it was scheduled twice', () => {
    const visits: string[] = [];
    const { loop, drain } = loopOf();
    const a = actor('a', visits, 1);
    loop.schedule(a);
    loop.schedule(a);
    drain();
    expect(visits).toEqual(['a']);
  });

  test('gives each actor a few messages and then the next ready actor its visit', () => {
    const visits: string[] = [];
    const { loop, drain } = loopOf({ messagesPerVisit: 2 });
    loop.schedule(actor('a', visits, 5));
    loop.schedule(actor('b', visits, 1));
    loop.schedule(actor('c', visits, 3));
    expect(drain()).toBe(1);
    expect(visits).toEqual(['a', 'b', 'c', 'a', 'c', 'a']);
  });

  test('visits a runnable again that was scheduled during its own visit although it said it was done', () => {
    const visits: string[] = [];
    const world = loopOf();
    let again = true;
    const a = actor('a', visits, 0, () => {
      if (again) world.loop.schedule(a);
      again = false;
    });
    world.loop.schedule(a);
    world.drain();
    expect(visits).toEqual(['a', 'a']);
  });

  test('puts a runnable that was scheduled in its own visit behind those that became ready during that visit', () => {
    const visits: string[] = [];
    const world = loopOf({ messagesPerVisit: 1 });
    const b = actor('b', visits, 1);
    let first = true;
    const a = actor('a', visits, 2, () => {
      if (!first) return;
      first = false;
      world.loop.schedule(a);
      world.loop.schedule(b);
    });
    world.loop.schedule(a);
    world.drain();
    expect(visits).toEqual(['a', 'b', 'a']);
  });

  test('asks for no further slice when what became ready during a slice had its visit in the same one', () => {
    const visits: string[] = [];
    const world = loopOf();
    const b = actor('b', visits, 1);
    world.loop.schedule(actor('a', visits, 1, () => world.loop.schedule(b)));
    expect(world.drain()).toBe(1);
    expect(visits).toEqual(['a', 'b']);
    expect(world.sliceEnds).toBe(1);
  });

  test('gives the event loop its turn after sliceMs and goes on where it was', () => {
    const visits: string[] = [];
    const world = loopOf({ sliceMs: 5 });
    const slow = () => {
      world.nowMs += 2;
    };
    for (const name of ['a', 'b', 'c', 'd']) world.loop.schedule(actor(name, visits, 1, slow));
    world.slice();
    expect(visits).toEqual(['a', 'b', 'c']);
    expect(world.sliceEnds).toBe(1);
    expect(world.deferred.length).toBe(1);
    world.slice();
    expect(visits).toEqual(['a', 'b', 'c', 'd']);
    expect(world.sliceEnds).toBe(2);
    expect(world.deferred.length).toBe(0);
  });

  test('makes one visit per slice when sliceMs is 0', () => {
    const visits: string[] = [];
    const world = loopOf({ sliceMs: 0 });
    for (const name of ['a', 'b', 'c']) world.loop.schedule(actor(name, visits, 1));
    expect(world.drain()).toBe(3);
    expect(world.sliceEnds).toBe(3);
  });

  test('ignores a slice that was not asked for', () => {
    const visits: string[] = [];
    const world = loopOf();
    world.loop.schedule(actor('a', visits, 1));
    const run = world.deferred[0]!;
    world.drain();
    run();
    expect(world.sliceEnds).toBe(1);
    expect(world.deferred.length).toBe(0);
  });

  test('asks for the next slice once when onSliceEnd makes an actor ready', () => {
    const visits: string[] = [];
    let ends = 0;
    const world = loopOf({
      onSliceEnd: () => {
        ends += 1;
        if (ends === 1) world.loop.schedule(actor('b', visits, 1));
      },
    });
    world.loop.schedule(actor('a', visits, 1));
    world.slice();
    expect(visits).toEqual(['a']);
    expect(world.deferred.length).toBe(1);
    world.drain();
    expect(visits).toEqual(['a', 'b']);
  });

  test('reports a runnable that throws, leaves it out, and goes on with the others in the same slice', () => {
    const visits: string[] = [];
    const world = loopOf();
    const error = new Error('broken');
    const bad: Runnable = {
      runTurns() {
        visits.push('bad');
        throw error;
      },
    };
    world.loop.schedule(bad);
    world.loop.schedule(actor('b', visits, 3));
    expect(world.drain()).toBe(1);
    expect(visits).toEqual(['bad', 'b', 'b']);
    expect(world.thrown).toEqual([{ who: bad, error }]);
    expect(world.sliceEnds).toBe(1);
  });

  test('lets onThrow schedule the runnable again', () => {
    let attempts = 0;
    const bad: Runnable = {
      runTurns() {
        attempts += 1;
        if (attempts === 1) throw new Error('once');
        return false;
      },
    };
    const world = loopOf({ onThrow: (who) => world.loop.schedule(who) });
    world.loop.schedule(bad);
    world.drain();
    expect(attempts).toBe(2);
  });

  test.each(['onThrow', 'onSliceEnd'] as const)('keeps the others ready when %s itself throws', (name) => {
    const visits: string[] = [];
    const world = loopOf({
      sliceMs: 0,
      [name]: () => {
        throw new Error(`${name} is broken`);
      },
    });
    world.loop.schedule(
      actor('a', visits, 1, () => {
        throw new Error('broken');
      }),
    );
    world.loop.schedule(actor('b', visits, 1));
    expect(() => world.slice()).toThrow(`${name} is broken`);
    expect(world.deferred.length).toBe(1);
    if (name === 'onThrow') expect(world.sliceEnds).toBe(1);
    try {
      world.drain();
    } catch {
      // onSliceEnd throws each time
    }
    expect(visits).toEqual(['a', 'b']);
  });

  test.each([{ messagesPerVisit: 0 }, { messagesPerVisit: 1.5 }, { sliceMs: -1 }, { sliceMs: Number.NaN }])(
    'throws on %o',
    (options) => {
      expect(() => loopOf(options)).toThrow(RangeError);
    },
  );

  test('starves nobody: between two visits of a runnable every other ready one is visited once', () => {
    const plan = fc.record({
      messages: fc.array(fc.nat({ max: 12 }), { minLength: 2, maxLength: 8 }),
      // At visit number `at` a message comes for `to`.
      arrivals: fc.array(fc.record({ at: fc.nat({ max: 60 }), to: fc.nat({ max: 7 }) }), { maxLength: 40 }),
      costMs: fc.array(fc.nat({ max: 4 }), { minLength: 1, maxLength: 10 }),
      messagesPerVisit: fc.integer({ min: 1, max: 3 }),
      sliceMs: fc.nat({ max: 8 }),
    });
    fc.assert(
      fc.property(plan, ({ messages, arrivals, costMs, messagesPerVisit, sliceMs }) => {
        const world = loopOf({ messagesPerVisit, sliceMs });
        const waiting = [...messages];
        /** The visit, and who was ready when it ended with more to do. */
        const trace: { who: number; more: boolean; ready: Set<number> }[] = [];
        const ready = new Set<number>();
        const actors = waiting.map((_, who): Runnable => {
          return {
            runTurns(messagesMax) {
              ready.delete(who);
              world.nowMs += costMs[trace.length % costMs.length]!;
              waiting[who]! -= Math.min(waiting[who]!, messagesMax);
              for (const { at, to } of arrivals) {
                if (at !== trace.length || to >= actors.length) continue;
                waiting[to]! += 1;
                world.loop.schedule(actors[to]!);
                ready.add(to);
              }
              const more = waiting[who]! > 0;
              if (more) ready.add(who);
              trace.push({ who, more, ready: new Set(ready) });
              return more;
            },
          };
        });
        waiting.forEach((count, who) => {
          if (count === 0) return;
          ready.add(who);
          world.loop.schedule(actors[who]!);
        });
        world.drain();
        // Nothing is left behind.
        expect(waiting.every((count) => count === 0)).toBe(true);
        trace.forEach((visit, i) => {
          if (!visit.more) return;
          const next = trace.findIndex((later, j) => j > i && later.who === visit.who);
          expect(next).toBeGreaterThan(i);
          const between = trace.slice(i + 1, next).map((later) => later.who);
          const others = [...visit.ready].filter((who) => who !== visit.who);
          for (const other of others) expect(between.filter((who) => who === other)).toEqual([other]);
        });
      }),
      { numRuns: 300 },
    );
  });
});
