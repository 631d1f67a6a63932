/**
 * Options of the demonstration: how long, how many, how fast.
 */

import { InvalidArgumentError, Option } from 'commander';

export type DemoOptions = {
  /** How long the producer runs, in milliseconds. */
  readonly duration: number;
  readonly nodes: number;
  readonly workers: number;
  readonly partitions: number;
  /** Messages per second. */
  readonly rate: number;
  readonly json: boolean;
};

/** The flags of `npm start`, each bounded by what one machine can show. */
export const demoFlags: readonly Option[] = [
  new Option('--duration <time>', 'how long messages are produced, from 10s to 60m, such as 40s or 2m')
    .default(40_000, '40s')
    .argParser(duration),
  new Option('--nodes <count>', 'coordinator processes, 1 to 9').default(3).argParser(integer(1, 9)),
  new Option('--workers <count>', 'worker processes at the start, 1 to 32').default(4).argParser(integer(1, 32)),
  new Option('--partitions <count>', 'partitions of the topic, 1 to 256').default(12).argParser(integer(1, 256)),
  new Option('--rate <messages>', 'messages per second, 1 to 20000').default(2_000).argParser(integer(1, 20_000)),
  new Option('--json', 'the last line of standard output is one JSON object').default(false),
];

const durationMsMin = 10_000;
const durationMsMax = 3_600_000;

function duration(text: string): number {
  const match = /^(\d+)(ms|s|m)?$/.exec(text.trim());
  const unit = { ms: 1, s: 1_000, m: 60_000 }[match?.[2] ?? 's'] ?? 1_000;
  const ms = Number(match?.[1] ?? Number.NaN) * unit;
  if (!(ms >= durationMsMin && ms <= durationMsMax)) {
    throw new InvalidArgumentError('allowed are 10s to 60m, written like 40s or 2m.');
  }
  return ms;
}

function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(`allowed are whole numbers from ${min} to ${max}.`);
    }
    return value;
  };
}
