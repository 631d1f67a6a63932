import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { faultKinds } from '../chaos/schedule.js';

const CHAOS = fileURLToPath(new URL('../dist/chaos/main.js', import.meta.url));
/** Of a run of a minute on a machine that has other things to do. */
const DEADLINE_MS = 280_000;
const ROUTES = 'partition (routes)';

type Ended = { readonly code: number; readonly out: string; readonly said: string };

/** Runs the command as `npm run chaos` does, after the build that `npm test` begins with. */
function chaos(...args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const bounds = { timeout: DEADLINE_MS, maxBuffer: 16 * 1024 * 1024 };
    const child = execFile(process.execPath, [CHAOS, ...args], bounds, (_error, out, said) =>
      resolve({ code: child.exitCode ?? -1, out, said }),
    );
  });
}

test(
  'a short run with every kind of fault loses nothing, expels nobody and rebalances nobody without cause',
  async () => {
    const sizes = ['--groups', '40', '--workers', '2', '--partitions', '12', '--rate', '100'];
    // A seed that fits each kind of fault into the time, a server cut off from the others for longer than an election among them.
    const { code, out, said } = await chaos('--duration', '40s', '--seed', '42', '--json', ...sizes);
    expect(code, said).not.toBe(-1);
    const result = JSON.parse(out);
    expect(
      result.verdicts.filter(({ verdict }: { verdict: string }) => verdict !== 'ok'),
      said,
    ).toEqual([]);
    const kinds = result.faults
      .map(({ fault }: { fault: string }) => fault)
      .filter((fault: string) => fault !== ROUTES);
    expect(kinds.sort()).toEqual([...faultKinds].sort());
    expect(result.faults.map(({ fault }: { fault: string }) => fault)).toContain(ROUTES);
    expect(result.total.commitsAcknowledged).toBeGreaterThan(100);
    expect([result.total.commitsLost, result.total.rebalancesWithoutCause]).toEqual([0, 0]);
    expect(code).toBe(0);
  },
  DEADLINE_MS + 10_000,
);

const refused: readonly (readonly [string, string, readonly string[]])[] = [
  ['a fault that does not exist', 'earthquake: allowed are kill,pause,partition', ['--faults', 'earthquake']],
  ['a fault without a name', 'a name is missing', ['--faults', 'kill,']],
  ['a duration that is none', 'allowed are 1s to 24h', ['--duration', 'soon']],
  ['a seed with blanks', 'letters, digits', ['--seed', 'a b']],
  ['faults of workers without workers', '--workers is 0', ['--faults', 'worker-kill', '--workers', '0']],
  ['a folder that cannot be made', '--keep /dev/null/x: ENOTDIR', ['--keep', '/dev/null/x']],
  ['a folder that cannot be made, for which Node would try for ever', '--keep /proc/x: ENOENT', ['--keep', '/proc/x']],
];

test.for(refused)('%s is refused before anything is started', async ([, words, args]) => {
  const { code, out, said } = await chaos(...args);
  expect([code, out]).toEqual([2, '']);
  expect(said).toContain(words);
});
