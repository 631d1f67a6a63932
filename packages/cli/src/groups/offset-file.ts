/**
 * Offsets in a file: Kafka's CSV (`topic,partition,offset`, or with the group in front), with or without a head, or JSON.
 */

import { readFile } from 'node:fs/promises';
import type { PartitionOffset } from '@muster/worker';
import { z } from 'zod';
import { exitCodes } from '../exit-codes.js';
import { CliError } from '../failure.js';

const entry = z
  .object({
    group: z.string().optional(),
    topic: z.string().min(1),
    partition: z.int().min(0),
    offset: z.int().min(0).optional(),
    newOffset: z.int().min(0).optional(),
  })
  .transform(({ group, topic, partition, offset, newOffset }) => ({
    group,
    topic,
    partition,
    offset: newOffset ?? offset,
  }));

/** @returns the offsets of the group; throws CliError for a file that cannot be read or holds anything else */
export async function readOffsetFile(path: string, group: string): Promise<PartitionOffset[]> {
  let content: string;
  try {
    content = await readFile(path, 'utf8');
  } catch (cause) {
    throw new CliError(
      exitCodes.notFound,
      `the file ${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
    );
  }
  return parseOffsets(content, path, group);
}

/** The same for text. */
export function parseOffsets(content: string, path: string, group: string): PartitionOffset[] {
  const offsets: PartitionOffset[] = [];
  for (const [at, candidate] of candidates(content, path).entries()) {
    const parsed = entry.safeParse(candidate);
    if (!parsed.success || parsed.data.offset === undefined) {
      throw wrong(path, `entry ${at + 1} has no topic, partition and offset: ${JSON.stringify(candidate)}`);
    }
    const { group: of, topic, partition, offset } = parsed.data;
    if (of === undefined || of === group) offsets.push({ topic, partition, offset });
  }
  return offsets;
}

function candidates(content: string, path: string): unknown[] {
  if (!/^\s*\[/.test(content)) return csvEntries(content, path);
  try {
    const parsed: unknown = JSON.parse(content);
    if (Array.isArray(parsed)) return parsed;
  } catch {
    // Said below.
  }
  throw wrong(path, 'it begins like JSON and is no JSON array');
}

function csvEntries(content: string, path: string): unknown[] {
  const records = content
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '')
    .map(fieldsOf);
  const [first = []] = records;
  const hasHead = first.includes('topic') && first.includes('partition');
  const keys = hasHead
    ? first
    : first.length === 4
      ? ['group', 'topic', 'partition', 'offset']
      : ['topic', 'partition', 'offset'];
  return records.slice(hasHead ? 1 : 0).map((fields) => {
    if (fields.length !== keys.length)
      throw wrong(path, `the line ${JSON.stringify(fields.join(','))} has not ${keys.length} fields`);
    const numbers = new Set(['partition', 'offset', 'newOffset']);
    const pairs = keys.map((key, at): [string, unknown] => {
      const text = fields[at] ?? '';
      return [key, numbers.has(key) && /^\d+$/.test(text) ? Number(text) : text];
    });
    return Object.fromEntries(pairs);
  });
}

/** RFC 4180, without line ends inside of fields. */
function fieldsOf(line: string): string[] {
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(([, inQuotes, plain]) =>
    inQuotes === undefined ? (plain ?? '').trim() : inQuotes.replaceAll('""', '"'),
  );
}

function wrong(path: string, why: string): CliError {
  return new CliError(
    exitCodes.usage,
    `${path}: ${why}`,
    'write lines like orders,0,17, or make the file with --export',
  );
}
