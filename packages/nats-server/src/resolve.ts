/**
 * Finds a nats-server binary, or fetches one into the private cache.
 *
 * Does not run a server. Reads the environment through the host only.
 *
 * The order: NATS_SERVER_BIN, PATH, cache, release download, Debian package; last, where nothing fits, a server that is
 * too old for a cluster. Every step that does not deliver leaves its reason for the final message.
 */

import { delimiter, join } from 'node:path';
import { cacheDir, cachedPath, installIntoCache, listCached } from './cache.js';
import { type DebianArchive, openDebianArchive } from './debian.js';
import { NatsServerError, reasonOf } from './errors.js';
import type { ResolverHost } from './host.js';
import { nodeHost } from './node-host.js';
import { probe } from './probe.js';
import { fetchRelease, RELEASE_VERSION } from './release.js';
import {
  CLUSTER_SAFE_SINCE,
  compareVersions,
  formatVersion,
  isClusterSafe,
  type NatsServerVersion,
  requireVersion,
} from './version.js';

export type NatsServerSource = 'NATS_SERVER_BIN' | 'PATH' | 'cache' | 'release' | 'debian' | 'option';

interface FoundBinary {
  readonly path: string;
  /** `2.10.27`. */
  readonly version: string;
  readonly source: NatsServerSource;
}

/** A binary that runs on this machine. Where `clusterSafe` is false it may serve as a single server only. */
export type NatsServerBinary = FoundBinary &
  ({ readonly clusterSafe: true } | { readonly clusterSafe: false; readonly warning: string });

export interface ResolveOptions {
  /** Exactly this version, `2.10.27`. Without it any release from 2.10.27 on will do. */
  readonly version?: string;
}

export interface Attempt {
  readonly step: string;
  readonly reason: string;
}

interface Search {
  readonly host: ResolverHost;
  /** undefined: any that is fit for a cluster. */
  readonly exact: NatsServerVersion | undefined;
  readonly attempts: Attempt[];
  /** The first binary found that is only too old. */
  tooOld: NatsServerBinary | undefined;
}

/**
 * Finds or fetches a binary; see the top of this file for the order. A first fetch takes some seconds, afterwards the
 * cache answers.
 *
 * Throws NatsServerError: `bad-option` for a malformed version, `bad-binary` where NATS_SERVER_BIN is not usable,
 * `not-found` with everything that was tried.
 */
export async function resolveNatsServer(
  options: ResolveOptions = {},
  host: ResolverHost = nodeHost(),
): Promise<NatsServerBinary> {
  const exact = options.version === undefined ? undefined : requireVersion(options.version);
  const search: Search = { host, exact, attempts: [], tooOld: undefined };
  const found =
    (await fromEnvironment(search)) ??
    (await fromPath(search)) ??
    (await fromCache(search)) ??
    (await fromRelease(search)) ??
    (await fromDebian(search)) ??
    search.tooOld;
  if (found === undefined) throw notFound(search.attempts, exact);
  return found;
}

/** A binary at a path that the caller names. Throws `bad-binary` with the path where it does not run. */
export async function describeBinary(path: string, host: ResolverHost = nodeHost()): Promise<NatsServerBinary> {
  const outcome = await probe(host, path);
  if (outcome.kind === 'unusable') throw new NatsServerError('bad-binary', outcome.reason);
  return describe(path, outcome.version, 'option');
}

async function fromEnvironment(search: Search): Promise<NatsServerBinary | undefined> {
  const step = 'NATS_SERVER_BIN';
  const path = search.host.env.NATS_SERVER_BIN;
  if (path === undefined || path === '') return miss(search, step, 'not set');
  const outcome = await probe(search.host, path);
  if (outcome.kind === 'unusable') {
    // The user named this one: taking another silently would hide the mistake.
    throw new NatsServerError('bad-binary', `NATS_SERVER_BIN does not name a usable nats-server: ${outcome.reason}`);
  }
  if (search.exact !== undefined && compareVersions(outcome.version, search.exact) !== 0) {
    return miss(search, step, `${path} is ${formatVersion(outcome.version)}`);
  }
  return describe(path, outcome.version, 'NATS_SERVER_BIN');
}

async function fromPath(search: Search): Promise<NatsServerBinary | undefined> {
  const step = 'PATH';
  const reasons: string[] = [];
  for (const folder of searchFolders(search.host)) {
    const path = join(folder, 'nats-server');
    if (!(await search.host.isExecutable(path))) continue;
    const outcome = await probe(search.host, path);
    if (outcome.kind === 'unusable') {
      reasons.push(outcome.reason);
      continue;
    }
    const binary = describe(path, outcome.version, 'PATH');
    if (fits(search, outcome.version)) return binary;
    if (search.exact === undefined) search.tooOld ??= binary;
    reasons.push(`${path} is ${binary.version}`);
  }
  return miss(search, step, reasons.length === 0 ? 'no nats-server there' : reasons.join('; '));
}

function searchFolders(host: ResolverHost): readonly string[] {
  const folders = (host.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  // Debian puts the server into sbin, which is not on an ordinary user's PATH.
  const extra = host.platform === 'win32' ? [] : ['/usr/local/sbin', '/usr/sbin'];
  return [...new Set([...folders, ...extra])];
}

async function fromCache(search: Search): Promise<NatsServerBinary | undefined> {
  const step = `cache ${cacheDir(search.host)}`;
  const reasons: string[] = [];
  for (const version of await listCached(search.host)) {
    const path = cachedPath(search.host, version);
    const isFit = fits(search, version);
    const isLastResort = search.exact === undefined && search.tooOld === undefined && !isFit;
    if (!isFit && !isLastResort) {
      reasons.push(`has ${formatVersion(version)}`);
      continue;
    }
    const outcome = await probe(search.host, path);
    if (outcome.kind === 'unusable') {
      reasons.push(outcome.reason);
      continue;
    }
    const binary = describe(path, outcome.version, 'cache');
    if (fits(search, outcome.version)) return binary;
    if (isLastResort) search.tooOld = binary;
    reasons.push(`has ${binary.version}`);
  }
  return miss(search, step, reasons.length === 0 ? 'empty' : reasons.join('; '));
}

async function fromRelease(search: Search): Promise<NatsServerBinary | undefined> {
  const version = search.exact ?? RELEASE_VERSION;
  return inWorkFolder(search, 'release download', async (workDir) => {
    const outcome = await fetchRelease(search.host, version, workDir);
    if (outcome.kind === 'failed') return miss(search, 'release download', outcome.reason);
    const path = await installIntoCache(search.host, outcome.binary, version);
    return describe(path, version, 'release');
  });
}

async function fromDebian(search: Search): Promise<NatsServerBinary | undefined> {
  const step = 'Debian package';
  return inWorkFolder(search, step, async (workDir) => {
    const archive = await openDebianArchive(search.host, workDir);
    if (archive.kind === 'failed') return miss(search, step, archive.reason);
    const offered = archive.versions.map(formatVersion).join(', ');
    const fitting = archive.versions.filter((version) => fits(search, version));
    const found = await firstThatRuns(search, archive, fitting);
    if (found !== undefined) return found;
    if (fitting.length === 0) miss(search, step, `its suites carry ${offered}`);
    if (search.exact !== undefined || search.tooOld !== undefined) return undefined;
    return firstThatRuns(
      search,
      archive,
      archive.versions.filter((version) => !fits(search, version)),
    );
  });
}

/** Newest first: a package built for a newer C library than this machine has does not run here, an older one may. */
async function firstThatRuns(
  search: Search,
  archive: DebianArchive,
  versions: readonly NatsServerVersion[],
): Promise<NatsServerBinary | undefined> {
  for (const version of versions) {
    const step = `Debian package ${formatVersion(version)}`;
    const outcome = await archive.unpack(version);
    if (outcome.kind === 'failed') {
      miss(search, step, outcome.reason);
      continue;
    }
    try {
      const path = await installIntoCache(search.host, outcome.binary, version);
      return describe(path, version, 'debian');
    } catch (thrown) {
      miss(search, step, reasonOf(thrown));
    }
  }
  return undefined;
}

/** Runs a step with a folder that is gone afterwards; whatever the step throws becomes its reason. */
async function inWorkFolder(
  search: Search,
  step: string,
  body: (workDir: string) => Promise<NatsServerBinary | undefined>,
): Promise<NatsServerBinary | undefined> {
  try {
    const workDir = await search.host.makeTempDir(search.host.tempDir, 'muster-fetch-');
    try {
      return await body(workDir);
    } finally {
      await search.host.remove(workDir);
    }
  } catch (thrown) {
    return miss(search, step, reasonOf(thrown));
  }
}

function fits(search: Search, version: NatsServerVersion): boolean {
  return search.exact === undefined ? isClusterSafe(version) : compareVersions(version, search.exact) === 0;
}

function describe(path: string, version: NatsServerVersion, source: NatsServerSource): NatsServerBinary {
  const found: FoundBinary = { path, version: formatVersion(version), source };
  if (isClusterSafe(version)) return { ...found, clusterSafe: true };
  const since = formatVersion(CLUSTER_SAFE_SINCE);
  const warning =
    `nats-server ${found.version} (${path}) is older than ${since}: run it as a single server only. ` +
    'On a replicated stream it can accept two conflicting conditional writes; without replication they are sound. ' +
    `Install ${since} or newer for a cluster.`;
  return { ...found, clusterSafe: false, warning };
}

function miss(search: Search, step: string, reason: string): undefined {
  search.attempts.push({ step, reason });
  return undefined;
}

function notFound(attempts: readonly Attempt[], exact: NatsServerVersion | undefined): NatsServerError {
  const since = formatVersion(CLUSTER_SAFE_SINCE);
  const wanted = exact === undefined ? `nats-server ${since} or newer` : `nats-server ${formatVersion(exact)}`;
  const tried = attempts.map((attempt, index) => `  ${index + 1}. ${attempt.step}: ${attempt.reason}`);
  const message = [
    `${wanted} was not found and could not be fetched. Tried:`,
    ...tried,
    `What to do: install ${wanted} so that it is on PATH, or set NATS_SERVER_BIN to the path of its binary,`,
    'or put the binary into the cache folder above as <version>/nats-server.',
  ];
  return new NatsServerError('not-found', message.join('\n'));
}
