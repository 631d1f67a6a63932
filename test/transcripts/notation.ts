/**
 * How transcripts write things down: times, byte strings, and every field of a reply, record, timer or notice.
 *
 * It leaves nothing out: a field that is added to an effect appears in the transcripts.
 */

const unitsMs = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;
type Unit = keyof typeof unitsMs;

/** @returns the milliseconds of a text such as `3s`, `500ms`, `7d`. @throws where it is none */
export function parseDuration(text: string): number {
  const [, amount, unit] = /^(\d+)(ms|s|m|h|d)$/.exec(text) ?? [];
  if (amount === undefined || unit === undefined) throw new Error(`${text} is no duration: 500ms, 3s, 5m, 2h, 7d`);
  return Number(amount) * unitsMs[unit as Unit];
}

/** @returns the duration in units that fit: `0s`, `3s`, `10s1ms`, `6d2h` */
export function writeDuration(ms: number): string {
  if (ms === 0 || !Number.isSafeInteger(ms)) return `${ms}s`;
  let rest = Math.abs(ms);
  const parts: string[] = [];
  for (const unit of Object.keys(unitsMs) as Unit[]) {
    const amount = Math.floor(rest / unitsMs[unit]);
    if (amount > 0) parts.push(`${amount}${unit}`);
    rest -= amount * unitsMs[unit];
  }
  return `${ms < 0 ? '-' : ''}${parts.join('')}`;
}

/** Numbers under these names are times or durations in milliseconds; the clock of a transcript starts at 0. */
function isTime(name: string): boolean {
  return /(Ms|At|Timestamp)$|^at$/.test(name);
}

/**
 * @returns one line with the fields `name=value`; lists of objects follow on lines of their own, one per element, indented
 */
export function writeFields(fields: object, indent: string): string[] {
  const line: string[] = [];
  const below: string[] = [];
  for (const [name, value] of Object.entries(fields)) {
    if (isListOfObjects(value)) {
      if (value.length === 0) line.push(`${name}=[]`);
      for (const each of value) {
        const [first = '', ...rest] = writeFields(each, `${indent}  `);
        below.push(`${indent}${name}: ${first}`, ...rest);
      }
    } else line.push(`${name}=${writeValue(name, value)}`);
  }
  return [line.join(' '), ...below];
}

function writeValue(name: string, value: unknown): string {
  if (value === null) return '-';
  if (value instanceof Uint8Array) return writeBytes(value);
  if (Array.isArray(value)) return `[${value.map((each) => writeValue(name, each)).join(', ')}]`;
  if (typeof value === 'object') {
    const inner = Object.entries(value).map(([key, each]) => `${key}=${writeValue(key, each)}`);
    return `{${inner.join(' ')}}`;
  }
  if (typeof value === 'number' && isTime(name)) return writeDuration(value);
  return value === '' ? "''" : String(value);
}

function writeBytes(bytes: Uint8Array): string {
  if (bytes.every((byte) => byte > 0x20 && byte < 0x7f)) return `'${Buffer.from(bytes).toString('latin1')}'`;
  return `0x${Buffer.from(bytes).toString('hex')}`;
}

function isListOfObjects(value: unknown): value is readonly object[] {
  return (
    Array.isArray(value) && value.every((each) => typeof each === 'object' && each !== null && !Array.isArray(each))
  );
}
