import { describe, expect, test } from 'vitest';
import { ChaosRun } from '../world/chaos.js';

const seeds = process.env['CHAOS_SEEDS'] === undefined ? 20 : Number(process.env['CHAOS_SEEDS']);
const first = Number(process.env['CHAOS_FIRST'] ?? 1);

// About a second of CPU each; the time is for machines that are busy otherwise.
describe('a cluster under random faults', { timeout: 90_000 }, () => {
  test.for(Array.from({ length: seeds }, (_, index) => index + first))(
    'loses no acknowledged commit, expels nobody, and never answers twice: seed %i',
    async (seed) => {
      const { violations, acknowledged, story } = await new ChaosRun(seed).run(8);
      expect(violations.slice(0, 20), `seed ${seed}\n${story.join('\n')}`).toEqual([]);
      expect(acknowledged).toBeGreaterThan(100);
    },
  );
});
