import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { installIntoCache, listCached } from './cache.js';
import type { ResolverHost } from './host.js';
import { nodeHost } from './node-host.js';
import { formatVersion, parseVersion } from './version.js';

const VERSION = parseVersion('2.12.4')!;
let folder: string;
let host: ResolverHost;
let binary: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'muster-cache-test-'));
  host = { ...nodeHost(), env: { MUSTER_CACHE_DIR: join(folder, 'cache') } };
  binary = join(folder, 'server');
  await writeFile(binary, '#!/bin/sh\necho "nats-server: v2.12.4"\n');
});

afterEach(() => rm(folder, { recursive: true, force: true }));

describe('the cache on a real file system', () => {
  it('ends up with one complete folder when ten install the same version at once', async () => {
    const paths = await Promise.all(Array.from({ length: 10 }, () => installIntoCache(host, binary, VERSION)));
    expect(new Set(paths).size).toBe(1);
    expect(await host.isExecutable(paths[0]!)).toBe(true);
    expect(await readdir(join(folder, 'cache/nats-server'))).toEqual(['2.12.4']);
  });

  it('takes nothing that turns out to be another version, and leaves nothing behind', async () => {
    const other = parseVersion('2.15.1')!;
    await expect(installIntoCache(host, binary, other)).rejects.toMatchObject({ code: 'bad-binary' });
    expect(await readdir(join(folder, 'cache/nats-server'))).toEqual([]);
  });

  it('lists versions only, releases newest first', async () => {
    for (const name of ['2.9.10', '2.10.27', '2.16.0-RC.1', '.installing-x', 'notes']) {
      await host.makeDir(join(folder, 'cache/nats-server', name));
    }
    expect((await listCached(host)).map(formatVersion)).toEqual(['2.10.27', '2.9.10', '2.16.0-RC.1']);
  });
});
