/**
 * Values of options as people write them: whole numbers, durations, moments, topics with partitions, headers.
 */

import { InvalidArgumentError, Option } from 'commander';

const unitsMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};
const isoDuration = /^P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/;

/**
 * @param text such as `90s`, `1h30m`, `2d`, or ISO 8601 as Kafka takes it: `P1DT12H`
 * @returns milliseconds; throws InvalidArgumentError
 */
export function duration(text: string): number {
  const iso = isoDuration.exec(text);
  if (iso !== null && /\d/.test(text) && !text.endsWith('T')) {
    const [, weeks = 0, days = 0, hours = 0, minutes = 0, seconds = 0] = iso.map((part) => Number(part ?? 0));
    return weeks * 604_800_000 + days * 86_400_000 + hours * 3_600_000 + minutes * 60_000 + seconds * 1_000;
  }
  if (!/^(?:\d+(?:ms|s|m|h|d|w))+$/.test(text)) {
    throw new InvalidArgumentError('write a duration like 500ms, 90s, 1h30m, 2d or P1DT12H.');
  }
  let totalMs = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)(ms|[smhdw])/g))
    totalMs += Number(count) * (unitsMs[unit ?? ''] ?? 0);
  return totalMs;
}

/** An option that takes a duration between two bounds. */
export function durationOption(
  flags: string,
  what: string,
  { minMs, maxMs }: { readonly minMs: number; readonly maxMs: number },
): Option {
  return new Option(flags, what).argParser((text: string) => {
    const ms = duration(text);
    if (ms >= minMs && ms <= maxMs) return ms;
    throw new InvalidArgumentError(`allowed are ${minMs} ms to ${maxMs / 1_000} s.`);
  });
}

/** Parses whole numbers between two bounds. */
export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^-?\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`allowed are whole numbers from ${min} to ${max}, in digits.`);
  };
}

/**
 * @param text ISO 8601, `2026-11-20T10:00:00Z`; kafka: without a zone it is UTC
 * @returns milliseconds since 1970; throws InvalidArgumentError
 */
export function moment(text: string): number {
  const match = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?$/.exec(text);
  const ms = match === null ? Number.NaN : Date.parse(match[1] === undefined && text.includes('T') ? `${text}Z` : text);
  if (Number.isNaN(ms)) throw new InvalidArgumentError('write a moment like 2026-11-20T10:00:00Z.');
  return ms;
}

/** A size in bytes: `512`, `10MB`, `1GiB`. */
export function byteSize(text: string): number {
  const match = /^(\d+)(?:(K|M|G|T)(i?)B?)?B?$/i.exec(text);
  const power = ' KMGT'.indexOf((match?.[2] ?? ' ').toUpperCase());
  const bytes = Number(match?.[1] ?? Number.NaN) * (match?.[3] === '' ? 1_000 : 1_024) ** power;
  if (!Number.isSafeInteger(bytes)) throw new InvalidArgumentError('write a size like 512, 10MB or 1GiB.');
  return bytes;
}

/** A topic, and which of its partitions; undefined for all. */
export interface TopicChoice {
  readonly topic: string;
  readonly partitions: readonly number[] | undefined;
}

/** Collects `orders` and, as Kafka writes it, `orders:0,1`. Partitions may be a range: `orders:0-3`. */
export function collectTopics(text: string, before: readonly TopicChoice[] = []): readonly TopicChoice[] {
  const colon = text.lastIndexOf(':');
  if (colon < 0) return [...before, { topic: text, partitions: undefined }];
  const partitions = text
    .slice(colon + 1)
    .split(',')
    .flatMap(partitionRange);
  if (colon === 0) throw new InvalidArgumentError('the topic is missing before the colon.');
  return [...before, { topic: text.slice(0, colon), partitions: [...new Set(partitions)] }];
}

const PARTITION_MAX = 9_999;

function partitionRange(text: string): number[] {
  const match = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(text);
  const first = Number(match?.[1] ?? Number.NaN);
  const last = Number(match?.[2] ?? first);
  if (!(first <= last && last <= PARTITION_MAX)) {
    throw new InvalidArgumentError('write partitions like orders:0,1 or orders:0-3.');
  }
  return Array.from({ length: last - first + 1 }, (_, at) => first + at);
}

/** @returns why it can be no header of a message; undefined where it can */
export function wrongHeader(name: string, value: string): string | undefined {
  // As the client of NATS has it: visible ASCII.
  if (!/^[!-9;-~]+$/.test(name)) {
    return `${JSON.stringify(name)} is no name of a header: allowed are the visible characters of ASCII but the colon`;
  }
  if (/^nats-/i.test(name)) {
    return `${JSON.stringify(name)} is for JetStream to read, not for messages: names that begin with Nats- mean something to the server`;
  }
  return /[\r\n]/.test(value) ? `the value of header ${JSON.stringify(name)} has a line end` : undefined;
}

/** Collects headers, `name=value`. */
export function collectHeaders(
  text: string,
  before: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const equals = text.indexOf('=');
  if (equals <= 0) throw new InvalidArgumentError('write it as name=value.');
  const [name, value] = [text.slice(0, equals), text.slice(equals + 1)];
  const why = wrongHeader(name, value);
  if (why !== undefined) throw new InvalidArgumentError(`${why}.`);
  return { ...before, [name]: value };
}

/**
 * Parses a regular expression. kafka: `--validate-regex`; what RE2 refuses there is refused here, so that a pattern is good for both.
 */
export function pattern(text: string): RegExp {
  // RE2 has no look-around and no back-references.
  if (/\(\?(?:=|!|<=|<!)|\\[1-9]|\\k</.test(text)) {
    throw new InvalidArgumentError('look-around and back-references are not allowed in a pattern.');
  }
  try {
    return new RegExp(text, 'u');
  } catch (cause) {
    throw new InvalidArgumentError(`it is no regular expression: ${cause instanceof Error ? cause.message : ''}.`);
  }
}

/** Collects words out of a few, separated by commas or given one by one; kafka: upper and lower case are the same. */
export function oneOrMoreOf<Word extends string>(
  allowed: readonly Word[],
): (text: string, before: unknown) => readonly Word[] {
  return (text, before) => {
    const words = text.split(',').map((wanted) => {
      const word = allowed.find((each) => each.toLowerCase() === wanted.trim().toLowerCase());
      if (word === undefined) throw new InvalidArgumentError(`Allowed choices are ${allowed.join(', ')}.`);
      return word;
    });
    return [...(isListOf(allowed, before) ? before : []), ...words];
  };
}

function isListOf<Word extends string>(allowed: readonly Word[], value: unknown): value is readonly Word[] {
  return Array.isArray(value) && value.every((each) => allowed.includes(each));
}

/** Collects texts. */
export function collect(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}
