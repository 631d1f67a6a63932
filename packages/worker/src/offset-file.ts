/**
 * Offsets as text: kafka's CSV (`topic,partition,offset`, or with the group in front), with or without a head, or JSON.
 *
 * Does not read files and does not write them.
 */

import { z } from 'zod';
import { checkArguments } from './check-arguments.js';
import { MusterError } from './errors.js';
import type { PartitionOffset } from './offset-reset.js';

const entry = z.object({
  group: z.string().optional(),
  topic: z.string().min(1),
  partition: z.int().min(0),
  offset: z.int().min(0).optional(),
  newOffset: z.int().min(0).optional(),
});

/**
 * Reads offsets from a file's text. Lines that begin with # and empty lines do not count; names with commas stand in quotes.
 * @param options with `group`, only what is of that group, or of none by name
 * @returns the offsets in their order; throws MusterError INVALID_ARGUMENT naming the entry
 */
export function parseOffsets(text: string, options: { readonly group?: string } = {}): PartitionOffset[] {
  checkArguments('parseOffsets', { text, options });
  const offsets: PartitionOffset[] = [];
  for (const [at, candidate] of candidates(text).entries()) {
    const { data } = entry.safeParse(candidate);
    const offset = data?.newOffset ?? data?.offset;
    if (data === undefined || offset === undefined) {
      throw wrong(`entry ${at + 1} is not a topic, a partition and an offset: ${JSON.stringify(candidate)}`);
    }
    const { group, topic, partition } = data;
    const isWanted = options.group === undefined || group === undefined || group === options.group;
    if (isWanted) offsets.push({ topic, partition, offset });
  }
  return offsets;
}

function candidates(text: string): unknown[] {
  if (!/^\s*\[/.test(text)) return csvEntries(text);
  try {
    const parsed: unknown = JSON.parse(text);
    if (Array.isArray(parsed)) return parsed;
  } catch {
    // Said below.
  }
  throw wrong('the text begins like JSON and is no JSON array');
}

const numbers: ReadonlySet<string> = new Set(['partition', 'offset', 'newOffset']);

function csvEntries(text: string): unknown[] {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '' && !line.startsWith('#'));
  const records = lines.map(fieldsOf);
  const [first = []] = records;
  const hasHead = first.includes('topic') && first.includes('partition');
  const plain = ['topic', 'partition', 'offset'];
  const keys = hasHead ? first : first.length === 4 ? ['group', ...plain] : plain;
  return records.slice(hasHead ? 1 : 0).map((fields, at) => {
    if (fields.length !== keys.length) {
      throw wrong(
        `entry ${at + 1} has not ${keys.length} fields, ${keys.join(', ')}: ${JSON.stringify(fields.join(','))}`,
      );
    }
    const pairs = keys.map((key, index): [string, unknown] => {
      const field = fields[index] ?? '';
      return [key, numbers.has(key) && /^\d+$/.test(field) ? Number(field) : field];
    });
    return Object.fromEntries(pairs);
  });
}

/** RFC 4180, without line ends inside of fields. */
function fieldsOf(line: string): string[] {
  return [...line.matchAll(/(?:^|,)\s*(?:"((?:[^"]|"")*)"\s*(?=,|$)|([^,]*))/g)].map(([, inQuotes, plain]) =>
    inQuotes === undefined ? (plain ?? '').trim() : inQuotes.replaceAll('""', '"'),
  );
}

function wrong(why: string): MusterError {
  return new MusterError('INVALID_ARGUMENT', why);
}
