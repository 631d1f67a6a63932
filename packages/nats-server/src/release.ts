/**
 * Fetches a release archive of the nats-io project and unpacks it.
 *
 * Does not install into the cache and does not choose between sources.
 *
 * R1: nothing is unpacked before its sha256 matched.
 */

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { reasonOf } from './errors.js';
import type { FetchLimits, ResolverHost } from './host.js';
import { pinnedChecksum } from './release-checksums.js';
import { formatVersion, type NatsServerVersion } from './version.js';

/** What is fetched when no version was asked for: the newest release whose checksums are pinned here. */
export const RELEASE_VERSION: NatsServerVersion = { major: 2, minor: 12, patch: 4, prerelease: '' };

const DOWNLOAD_ROOT = 'https://github.com/nats-io/nats-server/releases/download';
const SUMS_LIMITS: FetchLimits = { connectTimeoutMs: 3_000, totalTimeoutMs: 10_000, bytesMax: 64 * 1024 };
const ARCHIVE_LIMITS: FetchLimits = { connectTimeoutMs: 3_000, totalTimeoutMs: 120_000, bytesMax: 64 * 1024 * 1024 };
const UNPACK_TIMEOUT_MS = 60_000;

const ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: 'amd64',
  arm64: 'arm64',
  arm: 'arm7',
  ia32: '386',
  s390x: 's390x',
  ppc64: 'ppc64le',
};

export type ReleaseOutcome =
  /** `binary` lies in `workDir`, which the caller removes. */
  { readonly kind: 'unpacked'; readonly binary: string } | { readonly kind: 'failed'; readonly reason: string };

/** Fetches, verifies and unpacks release `version` into `workDir`. Fails within about 3 s where there is no network. */
export async function fetchRelease(
  host: ResolverHost,
  version: NatsServerVersion,
  workDir: string,
): Promise<ReleaseOutcome> {
  const arch = ARCHITECTURES[host.arch];
  if ((host.platform !== 'linux' && host.platform !== 'darwin') || arch === undefined) {
    return { kind: 'failed', reason: `no release archive is known for ${host.platform} on ${host.arch}` };
  }
  const tag = `v${formatVersion(version)}`;
  const folder = `nats-server-${tag}-${host.platform}-${arch}`;
  const archive = `${folder}.tar.gz`;
  const expected = pinnedChecksum(archive) ?? (await publishedChecksum(host, tag, archive));
  if (typeof expected !== 'string') return expected;

  const url = `${DOWNLOAD_ROOT}/${tag}/${archive}`;
  const fetched = await host.fetch(url, ARCHIVE_LIMITS);
  if (fetched.kind === 'failed') return { kind: 'failed', reason: `${url}: ${fetched.reason}` };
  const actual = createHash('sha256').update(fetched.bytes).digest('hex');
  if (actual !== expected) {
    return { kind: 'failed', reason: `${url}: sha256 is ${actual}, expected ${expected}; the archive was not used` };
  }
  try {
    await host.writeFile(join(workDir, archive), fetched.bytes);
  } catch (thrown) {
    return { kind: 'failed', reason: reasonOf(thrown) };
  }
  const untar = await host.run('tar', ['-xzf', archive, `${folder}/nats-server`], {
    timeoutMs: UNPACK_TIMEOUT_MS,
    cwd: workDir,
  });
  if (untar.kind === 'failed') return { kind: 'failed', reason: `tar: ${untar.reason}` };
  if (untar.code !== 0) return { kind: 'failed', reason: `tar ended with code ${untar.code}: ${untar.stderr.trim()}` };
  return { kind: 'unpacked', binary: join(workDir, folder, 'nats-server') };
}

/**
 * For a version that is not pinned: the checksum file of the same release, over https. This guards against a damaged or
 * truncated download, not against a release page that was replaced as a whole; that is what the pins are for.
 */
async function publishedChecksum(
  host: ResolverHost,
  tag: string,
  archive: string,
): Promise<string | { readonly kind: 'failed'; readonly reason: string }> {
  const url = `${DOWNLOAD_ROOT}/${tag}/SHA256SUMS`;
  const sums = await host.fetch(url, SUMS_LIMITS);
  if (sums.kind === 'failed') return { kind: 'failed', reason: `${url}: ${sums.reason}` };
  for (const line of Buffer.from(sums.bytes).toString('utf8').split('\n')) {
    const match = /^([0-9a-f]{64})\s+\*?(\S+)\s*$/.exec(line);
    if (match !== null && match[2] === archive) return match[1] ?? '';
  }
  return { kind: 'failed', reason: `${url} does not list ${archive}` };
}
