import {
  type CanaryName,
  canaries,
  invariants,
  play,
  type Scenario,
  type ScenarioName,
  scenarios,
  simulate,
} from '@muster/testkit/internals';
import { describe, expect, test } from 'vitest';

const SEEDS = 25;

/** What random seeds find soon. The others need more seeds than a test has time for; the scenarios below catch them all. */
const soonFound = [
  'log-condition',
  'resend',
  'mark-before-claim',
  'barrier-on-resume',
  'end-marker',
  'release-rule',
  'incarnation',
  'commit-number',
  'full-store',
] as const satisfies readonly CanaryName[];
const SOON_SEEDS = 60;

describe('the simulator', () => {
  test('finds nothing wrong in a few seeds, and the same twice', async () => {
    const exercised = new Set<string>();
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const report = await simulate({ seed });
      const violated = Object.entries(report.verdicts).filter(([, { kind }]) => kind === 'violated');
      expect(violated, `seed ${seed}: npm run sim -- --replay ${seed}`).toEqual([]);
      for (const [name, { kind }] of Object.entries(report.verdicts)) if (kind === 'ok') exercised.add(name);
      if (seed <= 5) expect((await simulate({ seed })).hash).toBe(report.hash);
    }
    const missed = Object.keys(invariants).filter((name) => !exercised.has(name));
    // Takes an instance that is fenced: the scenario with two of them has one each time, and a large batch must (marks.ts).
    expect(missed.filter((name) => name !== 'no-success-for-the-fenced')).toEqual([]);
  }, 60_000);

  test.for(soonFound)('notices within a few seeds when a fence is missing: %s', { timeout: 60_000 }, async (canary) => {
    let isFound = false;
    for (let seed = 1; seed <= SOON_SEEDS && !isFound; seed += 1)
      isFound = (await simulate({ seed, canary })).isViolated;
    expect(isFound).toBe(true);
  });
});

/** A scenario is played with other random delays each time: so often with its rule, at most so often without. */
const CLEAN_ATTEMPTS = 3;
const CAUGHT_ATTEMPTS = 15;

describe('the directed scenarios', () => {
  test('have one for each canary', () => {
    const all: readonly Scenario[] = Object.values(scenarios);
    expect(new Set(all.map(({ canary }) => canary))).toEqual(new Set(Object.keys(canaries)));
  });

  test.for(Object.keys(scenarios) as ScenarioName[])(
    '%s: nothing is violated, and something is without its rule',
    { timeout: 40_000 },
    async (name) => {
      const { canary, invariant }: Scenario = scenarios[name];
      for (let attempt = 1; attempt <= CLEAN_ATTEMPTS; attempt += 1) {
        expect(await play(name, attempt), `attempt ${attempt}`).toEqual([]);
      }
      let isCaught = false;
      for (let attempt = 1; attempt <= CAUGHT_ATTEMPTS && !isCaught; attempt += 1) {
        isCaught = (await play(name, attempt, canary)).some(([violated]) => violated === invariant);
      }
      expect(isCaught).toBe(true);
    },
  );
});
