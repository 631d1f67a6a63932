/**
 * Options of a chaos run, each bounded by what one machine can carry.
 */

import { InvalidArgumentError, Option } from 'commander';
import { type FaultKind, faultKinds } from './schedule.js';

export type RunFlags = {
  readonly duration: number;
  readonly seed: string;
  readonly faults: readonly FaultKind[];
  readonly nodes: number;
  readonly groups: number;
  readonly workers: number;
  readonly partitions: number;
  readonly rate: number;
  readonly keep?: string;
  readonly json: boolean;
};

const DURATION_MS_MIN = 1_000;
const DURATION_MS_MAX = 24 * 3_600_000;

export const runFlags: readonly Option[] = [
  new Option('--duration <time>', 'how long faults happen, such as 60s or 10m')
    .default(60_000, '60s')
    .argParser(duration),
  new Option('--seed <seed>', 'what the schedule of faults is drawn from').default('1').argParser(seed),
  new Option('--faults <kinds>', `any of ${faultKinds.join(',')}`)
    .default([...faultKinds], 'all of them')
    .argParser(faults),
  new Option('--nodes <count>', 'coordinator processes').default(3).argParser(integer(2, 9)),
  new Option('--groups <count>', 'light groups of three members each').default(120).argParser(integer(1, 5_000)),
  new Option('--workers <count>', 'worker processes').default(4).argParser(integer(0, 16)),
  new Option('--partitions <count>', 'coordinator partitions').default(24).argParser(integer(1, 1_000)),
  new Option('--rate <messages>', 'messages per second for the workers').default(200).argParser(integer(1, 5_000)),
  new Option('--keep <folder>', 'write history and logs there and keep them'),
  new Option('--json', 'print one JSON object').default(false),
];

export function duration(text: string): number {
  const match = /^(\d+)(ms|s|m|h)?$/.exec(text.trim());
  const unit = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[match?.[2] ?? 's'] ?? 1_000;
  const ms = Number(match?.[1] ?? Number.NaN) * unit;
  if (!(ms >= DURATION_MS_MIN && ms <= DURATION_MS_MAX)) {
    throw new InvalidArgumentError('allowed are 1s to 24h, written like 60s or 10m.');
  }
  return ms;
}

/** @returns a refusal in words where options do not go together */
export function disagreement(flags: RunFlags, areFaultsChosen: boolean): string | undefined {
  const ofWorkers = flags.faults.filter((kind) => kind.startsWith('worker-'));
  if (flags.workers > 0 || ofWorkers.length === 0 || !areFaultsChosen) return undefined;
  return `--faults ${ofWorkers.join(',')} needs workers: --workers is 0.`;
}

function seed(text: string): string {
  if (!/^[\w.-]{1,64}$/.test(text)) {
    throw new InvalidArgumentError('allowed are up to 64 letters, digits, points, dashes and underscores.');
  }
  return text;
}

function faults(text: string): FaultKind[] {
  const kinds = [...new Set(text.split(',').map((kind) => kind.trim()))];
  if (kinds.includes('')) throw new InvalidArgumentError(`a name is missing: allowed are ${faultKinds.join(',')}.`);
  const isKind = (kind: string): kind is FaultKind => faultKinds.some((known) => known === kind);
  const unknown = kinds.filter((kind) => !isKind(kind));
  if (unknown.length > 0) throw new InvalidArgumentError(`${unknown.join(', ')}: allowed are ${faultKinds.join(',')}.`);
  return kinds.filter(isKind);
}

export function integer(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(`allowed are whole numbers from ${least} to ${most}.`);
    }
    return value;
  };
}
