/**
 * A file with offsets, as `--export` writes it. What may stand in it the worker library says (`parseOffsets`).
 */

import { MusterError, type PartitionOffset, parseOffsets } from '@muster/worker';
import { exitCodes } from '../exit-codes.js';
import { CliError } from '../failure.js';
import { readNamedFile } from '../named-file.js';

const advice = 'write lines like orders,0,17, or make the file with --export';

/** @returns the offsets of the group; throws CliError for a file that cannot be read or holds anything else */
export async function readOffsetFile(path: string, group: string): Promise<PartitionOffset[]> {
  const content = await readNamedFile(path);
  if (content.trim() === '') {
    throw new CliError(exitCodes.usage, `${path}: the file is empty`, advice);
  }
  const broken = brokenJson(content);
  if (broken !== undefined) throw new CliError(exitCodes.usage, `${path}: ${broken}`, advice);
  try {
    return withoutTwins(path, parseOffsets(content, { group }));
  } catch (thrown) {
    if (!(thrown instanceof MusterError)) throw thrown;
    const wrong = wrongLines(content);
    const why = wrong.length === 0 ? thrown.message : wrong.join('\n  ');
    throw new CliError(exitCodes.usage, `${path}: ${why}`, advice);
  }
}

/** @returns what keeps a text that begins like JSON from being a list in JSON; undefined where it is one, and for CSV */
function brokenJson(content: string): string | undefined {
  if (!/^\s*[[{]/.test(content)) return undefined;
  try {
    return Array.isArray(JSON.parse(content)) ? undefined : 'it is JSON, but no list of offsets';
  } catch (cause) {
    return `it is no JSON: ${cause instanceof Error ? cause.message : String(cause)}`;
  }
}

/** Which of two was meant nobody knows. @returns the same offsets */
function withoutTwins(path: string, offsets: PartitionOffset[]): PartitionOffset[] {
  const seen = new Set<string>();
  for (const { topic, partition } of offsets) {
    const place = `${topic}:${partition}`;
    if (seen.has(place)) throw new CliError(exitCodes.usage, `${path}: ${place} is there twice`, 'keep one of the two');
    seen.add(place);
  }
  return offsets;
}

/** No group has this name. */
const NOBODY = '\0';

/** @returns how many offsets of the file are of groups that are not among these; the file was read before */
export async function countForeign(path: string, groups: readonly string[]): Promise<number> {
  const content = await readNamedFile(path);
  const ofNone = parseOffsets(content, { group: NOBODY }).length;
  const own = groups.reduce((sum, group) => sum + parseOffsets(content, { group }).length - ofNone, 0);
  return parseOffsets(content).length - ofNone - own;
}

/** More of them tell nothing new. */
const WRONG_SHOWN_MAX = 20;

/** @returns of CSV what is wrong with each line, by its number in the file; empty for JSON */
function wrongLines(content: string): string[] {
  if (/^\s*[[{]/.test(content)) return [];
  const lines = content
    .split(/\r?\n/)
    .map((text, at) => ({ text, number: at + 1 }))
    .filter(({ text }) => text.trim() !== '' && !text.startsWith('#'));
  const first = lines[0]?.text ?? '';
  const names = first.split(',').map((name) => name.trim());
  const hasHead = names.includes('topic') && names.includes('partition');
  const plain = 'topic,partition,offset';
  // As in the whole file: the first line says how many fields there are.
  const head = hasHead ? first : names.length === 4 ? `group,${plain}` : plain;
  const wrong = lines.slice(hasHead ? 1 : 0).flatMap(({ text, number }) => {
    const problem = problemOf(`${head}\n${text}`);
    return problem === undefined ? [] : [`line ${number} ${problem.replace(/^.*?entry 1 /, '')}`];
  });
  const more = wrong.length - WRONG_SHOWN_MAX;
  return more > 0 ? [...wrong.slice(0, WRONG_SHOWN_MAX), `and ${more} lines more`] : wrong;
}

function problemOf(text: string): string | undefined {
  try {
    parseOffsets(text);
    return undefined;
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown);
  }
}
