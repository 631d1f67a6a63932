/**
 * Files that a command line names: one that is not there ends every command in the same way.
 */

import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { exitCodes } from './exit-codes.js';
import { CliError } from './failure.js';

/** @returns its text; throws CliError: notFound where there is no such file, usage where it cannot be read */
export async function readNamedFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown error';
    const advice = `check the path: it means ${resolve(path)}`;
    if (code === 'ENOENT') throw new CliError(exitCodes.notFound, `the file ${path} does not exist`, advice);
    const why = code === 'EISDIR' ? 'it is a folder' : code === 'EACCES' ? 'this user may not' : code;
    throw new CliError(exitCodes.usage, `the file ${path} cannot be read: ${why}`, advice);
  }
}
