/**
 * The end of a server's log, for messages about servers that did not start, and what it says about ports.
 */

import { open } from 'node:fs/promises';
import { LOOPBACK } from './loopback-ports.js';

const TAIL_BYTES_MAX = 4_096;
const TAIL_LINES_MAX = 20;

/** At most the last 20 lines and 4 kB. Empty where there is no log. Never throws. */
export async function readLogTail(path: string): Promise<string> {
  try {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      const length = Math.min(size, TAIL_BYTES_MAX);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length);
      const lines = buffer.subarray(0, bytesRead).toString('utf8').trimEnd().split('\n');
      return lines.slice(-TAIL_LINES_MAX).join('\n');
    } finally {
      await file.close();
    }
  } catch {
    return '';
  }
}

/** The port that the server could not bind because another process has it; undefined where that was not the trouble. */
export function takenPort(logTail: string): number | undefined {
  const pattern = new RegExp(`${LOOPBACK.replaceAll('.', '\\.')}:(\\d+)\\b[^\\n]*address already in use`);
  const match = pattern.exec(logTail);
  return match === null ? undefined : Number(match[1]);
}
