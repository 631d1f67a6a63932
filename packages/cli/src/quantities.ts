/**
 * Quantities as people read them: sizes and spans of time in few characters. For tables; programs get plain numbers.
 */

const sizeUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** @returns such as `512 B` or `1.5 MiB` */
export function byteText(bytes: number): string {
  let size = bytes;
  let unit = 0;
  while (size >= 1_024 && unit < sizeUnits.length - 1) {
    size /= 1_024;
    unit += 1;
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${sizeUnits[unit]}`;
}

const timeUnits = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
] as const;

/** @returns such as `0.4s`, `12s`, `3m`, `5h`, `2d` */
export function durationText(ms: number): string {
  const [unit, unitMs] = timeUnits.find(([, least]) => ms >= least) ?? ['s', 1_000];
  return unit === 's' && ms < 10_000 ? `${(ms / unitMs).toFixed(1)}s` : `${Math.floor(ms / unitMs)}${unit}`;
}

/** @returns such as `1 message` or `3 messages` */
export function countText(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
