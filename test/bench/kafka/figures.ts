/**
 * Figures of the comparison: values of several sides, what they come to, and the ratios.
 *
 * Pure. A ratio says how many times better the second side does than the first; below 1 the first is ahead.
 */

import { quantile } from '../../chaos/report.js';

export type Unit = 'ms' | 'per second' | 'count' | 'MiB';
/** Of one side in one round. */
export type Sample = {
  readonly figure: string;
  readonly unit: Unit;
  readonly side: string;
  readonly values: readonly number[];
};

export type Summary = {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly total: number;
};
export type Figure = {
  readonly figure: string;
  readonly unit: Unit;
  readonly sides: Readonly<Record<string, Summary>>;
};

/** @returns the figures in the order of their first samples, rounds put together */
export function figuresOf(samples: readonly Sample[]): Figure[] {
  const figures = new Map<string, { unit: Unit; values: Map<string, number[]> }>();
  for (const { figure, unit, side, values } of samples) {
    const known = figures.get(figure) ?? { unit, values: new Map<string, number[]>() };
    figures.set(figure, known);
    known.values.set(side, [...(known.values.get(side) ?? []), ...values]);
  }
  return [...figures].map(([figure, { unit, values }]) => ({
    figure,
    unit,
    sides: Object.fromEntries([...values].map(([side, list]) => [side, summaryOf(list)])),
  }));
}

export function summaryOf(values: readonly number[]): Summary {
  const [p50, p99, max] = [quantile(values, 0.5), quantile(values, 0.99), quantile(values, 1)];
  const total = values.reduce((sum, value) => sum + value, 0);
  return { count: values.length, p50, p99, max, total };
}

/** @returns how many times better `second` is than `first`; undefined where one of them is 0 or missing */
export function ratioOf(unit: Unit, first: number | undefined, second: number | undefined): number | undefined {
  if (first === undefined || second === undefined || !(first > 0) || !(second > 0)) return undefined;
  return unit === 'per second' ? second / first : first / second;
}

/** @returns a ratio for people: two digits that mean something */
export function ratioText(ratio: number | undefined): string {
  if (ratio === undefined) return '-';
  return ratio >= 10 ? ratio.toFixed(0) : ratio.toPrecision(2);
}

/** @returns a summary for people: of counts how many in all, of a single value that value, of more p50 / p99 / max */
export function summaryText(unit: Unit, summary: Summary | undefined): string {
  if (summary === undefined) return '-';
  const { p50, p99, max, count, total } = summary;
  if (unit === 'count') return `${total} in ${count}`;
  return count === 1 ? valueText(p50) : `${[p50, p99, max].map(valueText).join(' / ')} (${count})`;
}

/** @returns a value for people: three digits that mean something */
export function valueText(value: number): string {
  return value >= 100 || value === 0 ? value.toFixed(0) : value.toPrecision(3);
}
