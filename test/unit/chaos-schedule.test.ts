import { describe, expect, test } from 'vitest';
import { drawSchedule, faultKinds, type ScheduleOptions } from '../chaos/schedule.js';

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
    const long = drawSchedule(options).filter(
      (fault) => fault.kind === 'partition' && fault.role !== 'node' && fault.forMs >= options.workerSessionMs / 2,
    );
    expect(long).toEqual([]);
  });
});
