/**
 * The private cache of fetched binaries: `<cache>/nats-server/<version>/nats-server`.
 *
 * Does not fetch anything.
 *
 * C1: a version's folder appears complete or not at all: it is filled under a temporary name in the same file system,
 *     its binary is run once, and only then is the folder renamed.
 * C2: two processes may install the same version at once; the later one uses the earlier one's folder.
 */

import { join } from 'node:path';
import { NatsServerError } from './errors.js';
import type { ResolverHost } from './host.js';
import { probe } from './probe.js';
import { compareVersions, formatVersion, type NatsServerVersion, parseVersion } from './version.js';

const TEMP_PREFIX = '.installing-';
const BINARY = 'nats-server';

/** `MUSTER_CACHE_DIR`, else `muster` in `XDG_CACHE_HOME`, else `~/.cache/muster`; always with `/nats-server`. */
export function cacheDir(host: ResolverHost): string {
  const own = host.env.MUSTER_CACHE_DIR;
  if (own !== undefined && own !== '') return join(own, 'nats-server');
  const xdg = host.env.XDG_CACHE_HOME;
  const base = xdg !== undefined && xdg !== '' ? xdg : join(host.homeDir, '.cache');
  return join(base, 'muster', 'nats-server');
}

export function cachedPath(host: ResolverHost, version: NatsServerVersion): string {
  return join(cacheDir(host), formatVersion(version), BINARY);
}

/** The cached versions, releases newest first, prereleases behind every release. They have not been run. */
export async function listCached(host: ResolverHost): Promise<readonly NatsServerVersion[]> {
  const versions: NatsServerVersion[] = [];
  for (const name of await host.list(cacheDir(host))) {
    const version = parseVersion(name);
    if (version !== undefined && formatVersion(version) === name) versions.push(version);
  }
  return versions.sort(newestReleaseFirst);
}

export function newestReleaseFirst(left: NatsServerVersion, right: NatsServerVersion): number {
  const isReleaseLeft = left.prerelease === '';
  if (isReleaseLeft !== (right.prerelease === '')) return isReleaseLeft ? -1 : 1;
  return compareVersions(right, left);
}

/**
 * Copies `binary` into the cache as `version`. Answers the cached path. Throws `bad-binary` where the binary does not
 * run on this machine or is another version.
 */
export async function installIntoCache(
  host: ResolverHost,
  binary: string,
  version: NatsServerVersion,
): Promise<string> {
  const root = cacheDir(host);
  const work = await host.makeTempDir(root, TEMP_PREFIX);
  try {
    await host.copyExecutable(binary, join(work, BINARY));
    const outcome = await probe(host, join(work, BINARY));
    if (outcome.kind === 'unusable') throw new NatsServerError('bad-binary', outcome.reason);
    if (compareVersions(outcome.version, version) !== 0) {
      const versions = `${formatVersion(outcome.version)}, not ${formatVersion(version)}`;
      throw new NatsServerError('bad-binary', `the fetched binary is ${versions}`);
    }
    await publish(host, work, join(root, formatVersion(version)));
    return cachedPath(host, version);
  } finally {
    await host.remove(work);
  }
}

async function publish(host: ResolverHost, work: string, target: string): Promise<void> {
  if ((await host.renameDir(work, target)) === 'renamed') return;
  // C2: somebody else was first. What is there counts if it runs; otherwise (a disk that lost power, say) it makes room.
  if ((await probe(host, join(target, BINARY))).kind === 'runs') return;
  const broken = await host.makeTempDir(cacheDir(host), TEMP_PREFIX);
  try {
    await host.renameDir(target, join(broken, 'replaced'));
    if ((await host.renameDir(work, target)) === 'renamed') return;
  } finally {
    await host.remove(broken);
  }
  // A third process filled the gap between the two renames: its folder went through the same checks.
  const outcome = await probe(host, join(target, BINARY));
  if (outcome.kind === 'unusable') throw new NatsServerError('bad-binary', outcome.reason);
}
