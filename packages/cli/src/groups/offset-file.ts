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
  try {
    return parseOffsets(content, { group });
  } catch (thrown) {
    if (!(thrown instanceof MusterError)) throw thrown;
    const wrong = wrongLines(content);
    const why = wrong.length === 0 ? thrown.message : wrong.join('\n  ');
    throw new CliError(exitCodes.usage, `${path}: ${why}`, advice);
  }
}

/** More of them tell nothing new. */
const WRONG_SHOWN_MAX = 20;

/** @returns of CSV what is wrong with each line, by its number in the file; empty for JSON */
function wrongLines(content: string): string[] {
  if (/^\s*\[/.test(content)) return [];
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
