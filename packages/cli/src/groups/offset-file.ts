/**
 * A file with offsets, as `--export` writes it. What may stand in it the worker library says (`parseOffsets`).
 */

import { readFile } from 'node:fs/promises';
import { MusterError, type PartitionOffset, parseOffsets } from '@muster/worker';
import { exitCodes } from '../exit-codes.js';
import { CliError } from '../failure.js';

/** @returns the offsets of the group; throws CliError for a file that cannot be read or holds anything else */
export async function readOffsetFile(path: string, group: string): Promise<PartitionOffset[]> {
  let content: string;
  try {
    content = await readFile(path, 'utf8');
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CliError(exitCodes.notFound, `the file ${path} cannot be read: ${why}`);
  }
  try {
    return parseOffsets(content, { group });
  } catch (thrown) {
    if (!(thrown instanceof MusterError)) throw thrown;
    throw new CliError(
      exitCodes.usage,
      `${path}: ${thrown.message}`,
      'write lines like orders,0,17, or make the file with --export',
    );
  }
}
