/**
 * `npm run chaos -- figures`: how long things take that a failover consists of, as distributions, beside a plain NATS round trip
 * measured in the same run.
 *
 * Every figure has a target (docs/testing.md); a miss is printed as one. They are figures, not checks: a busy machine misses them.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import Table from 'cli-table3';
import type { Figure, FigureContext } from './figure.js';
import { measureFailovers, measureRollingRestart } from './figures-failover.js';
import { measureLoads } from './figures-load.js';

export const figureNames = ['failover', 'rolling-restart', 'load'] as const;
export type FigureName = (typeof figureNames)[number];

const measurements = {
  failover: measureFailovers,
  'rolling-restart': measureRollingRestart,
  load: measureLoads,
} as const satisfies Record<FigureName, (context: FigureContext) => Promise<readonly Figure[]>>;

export async function runFigures(
  names: readonly FigureName[],
  options: Omit<FigureContext, 'folder'> & { readonly json: boolean; readonly keep?: string },
): Promise<void> {
  const figures: Figure[] = [];
  const folder = options.keep ?? (await mkdtemp(join(tmpdir(), 'muster-figures-')));
  const [loadBefore = 0] = loadavg();
  for (const name of names) figures.push(...(await measurements[name]({ ...options, folder })));
  const [loadAfter = 0] = loadavg();
  if (options.json) process.stdout.write(`${JSON.stringify({ figures, loadBefore, loadAfter })}\n`);
  else print(figures, options.say);
  options.say(`load average ${loadBefore.toFixed(1)} before, ${loadAfter.toFixed(1)} after`);
  if (options.keep === undefined) await rm(folder, { recursive: true, force: true });
}

function print(figures: readonly Figure[], say: (line: string) => void): void {
  const table = new Table({
    head: ['figure', 'unit', 'count', 'p50', 'p99', 'max', 'target', ''],
    style: { head: [], border: [] },
  });
  for (const { name, unit, count, p50, p99, max, target } of figures) {
    const isMet = target === undefined ? '' : (target === 0 ? max === 0 : p99 < target) ? 'met' : 'MISSED';
    const wanted = target === undefined ? '' : target === 0 ? '0' : `p99 < ${target}`;
    table.push([name, unit, count, p50, p99, max, wanted, isMet]);
  }
  say(table.toString());
}
