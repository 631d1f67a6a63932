/**
 * The folder that a run is told to keep its history in: made where it is missing, refused where it is of no use.
 */

import { mkdir, readdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

/** @returns why the folder cannot be used, in words; undefined where it is there and holds no history of another run */
export async function refusalOfFolder(folder: string): Promise<string | undefined> {
  try {
    await makeFolder(resolve(folder));
    const held = await readdir(join(folder, 'history')).catch(() => []);
    // Two histories in one would be judged as one.
    return held.length > 0 ? `--keep ${folder}: it holds the history of another run.` : undefined;
  } catch (thrown) {
    return `--keep ${folder}: ${thrown instanceof Error ? thrown.message : String(thrown)}.`;
  }
}

/** One folder after the other: where none can be made, as under /proc, `recursive` never comes to an end. */
async function makeFolder(folder: string): Promise<void> {
  const made = await mkdir(folder).catch((thrown: NodeJS.ErrnoException) => thrown);
  if (made === undefined || made.code === 'EEXIST') return;
  if (made.code !== 'ENOENT' || dirname(folder) === folder) throw made;
  await makeFolder(dirname(folder));
  await mkdir(folder);
}
