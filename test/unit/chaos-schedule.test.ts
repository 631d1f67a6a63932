import { describe, expect, test } from 'vitest';
import { drawSchedule, type Fault, faultKinds, type ScheduleOptions } from '../chaos/schedule.js';

const options: ScheduleOptions = {
  seed: '7',
  kinds: faultKinds,
  durationMs: 600_000,
  nodes: 3,
  workers: 4,
  servers: 3,
  workerSessionMs: 9_000,
  lightSessionMs: 12_000,
};

describe('the schedule of faults', () => {
  test('is the same for the same seed, and another for another', () => {
    expect(drawSchedule(options)).toEqual(drawSchedule(options));
    expect(drawSchedule({ ...options, seed: '8' })).not.toEqual(drawSchedule(options));
  });

  test('has every kind of fault in it, each about as often as any other', () => {
    const counts = faultKinds.map((kind) => drawSchedule(options).filter((fault) => fault.kind === kind).length);
    expect(Math.min(...counts)).toBeGreaterThan(2);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
  });

  test('has only the kinds that were asked for', () => {
    const kinds = new Set(drawSchedule({ ...options, kinds: ['kill', 'drain'] }).map(({ kind }) => kind));
    expect([...kinds].sort()).toEqual(['drain', 'kill']);
  });

  test('ends in time, and its faults begin one after the other', () => {
    for (let seed = 0; seed < 50; seed += 1) {
      const faults = drawSchedule({ ...options, seed: String(seed), durationMs: 60_000 });
      expect(faults.length).toBeGreaterThan(1);
      faults.forEach((fault, at) => {
        expect(fault.atMs).toBeGreaterThanOrEqual(faults[at - 1]?.atMs ?? 0);
        expect(fault.atMs + fault.forMs).toBeLessThanOrEqual(60_000);
      });
    }
  });

  test('cuts members off for less than their session only: longer silence would expel them rightly', () => {
    const mayBeLong = (fault: Fault) =>
      fault.kind === 'partition' && (fault.role === 'node' || (fault.role === 'routes' && fault.shelters));
    const long = drawSchedule(options).filter(
      (fault) => fault.kind === 'partition' && !mayBeLong(fault) && fault.forMs >= options.workerSessionMs / 2,
    );
    expect(long).toEqual([]);
  });

  test('parts servers from one another in every way: one from all and one from one, both ways and one way, long and short', () => {
    const ways = new Set<string>();
    for (let seed = 0; seed < 20; seed += 1) {
      for (const fault of drawSchedule({ ...options, seed: String(seed), kinds: ['partition'] })) {
        if (fault.kind !== 'partition' || fault.role !== 'routes') continue;
        expect(fault.other).not.toBe(fault.server);
        expect(fault.server).toBeLessThan(options.servers);
        ways.add(`${fault.other === undefined ? 'all' : 'one'} ${fault.how} ${fault.hears} ${fault.shelters}`);
      }
    }
    expect(ways.size).toBe(2 * 3 * 2 * 2);
  });
});
