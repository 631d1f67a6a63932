import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readLogTail, takenPort } from './log-tail.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'muster-log-test-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('the end of a log', () => {
  it('is its last twenty lines', async () => {
    const path = join(folder, 'log');
    await writeFile(path, Array.from({ length: 5_000 }, (_, index) => `line ${index}\n`).join(''));
    const lines = (await readLogTail(path)).split('\n');
    expect(lines).toHaveLength(20);
    expect(lines.at(-1)).toBe('line 4999');
  });

  it('is empty where there is no log', async () => {
    expect(await readLogTail(join(folder, 'none'))).toBe('');
  });
});

describe('a taken port', () => {
  it.each([
    [
      '[FTL] Error listening on port: 127.0.0.1:24222, "listen tcp 127.0.0.1:24222: bind: address already in use"',
      24222,
    ],
    ["[FTL] can't listen to the monitor port: listen tcp 127.0.0.1:28222: bind: address already in use", 28222],
    ['[INF] Listening for client connections on 127.0.0.1:24222', undefined],
    ['', undefined],
  ])('in %j is %s', (log, expected) => {
    expect(takenPort(log)).toBe(expected);
  });
});
