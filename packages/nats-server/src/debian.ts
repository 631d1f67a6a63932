/**
 * Debian's nats-server package, from whichever suite has it, without root and without installing a service.
 *
 * Does not choose a version and does not install into the cache.
 *
 * D1: the machine's own apt state is only read (which site it uses, its proxy); everything written lies in `workDir`.
 * D2: packages are trusted through Debian's own keyring, whatever other keys the machine trusts.
 */

import { join } from 'node:path';
import { newestReleaseFirst } from './cache.js';
import type { ResolverHost, RunOutcome } from './host.js';
import { compareVersions, formatVersion, type NatsServerVersion, parseDebianVersion } from './version.js';

export const DEBIAN_KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
/** By suite, not by code name: these stay true when Debian releases. Testing has nothing that unstable has not. */
const SUITES = ['unstable', 'stable', 'oldstable'];
const LOCAL_TIMEOUT_MS = 20_000;
const NETWORK_TIMEOUT_MS = 90_000;

export interface DebianArchive {
  readonly kind: 'open';
  /** What the suites carry, releases newest first. */
  readonly versions: readonly NatsServerVersion[];
  /** Downloads and unpacks one of `versions`; answers the path of the binary inside the work folder. */
  unpack(version: NatsServerVersion): Promise<DebianUnpackOutcome>;
}

export type DebianUnpackOutcome =
  | { readonly kind: 'unpacked'; readonly binary: string }
  | { readonly kind: 'failed'; readonly reason: string };

export type DebianOutcome = DebianArchive | { readonly kind: 'failed'; readonly reason: string };

interface DebianPackage {
  readonly debianVersion: string;
  readonly version: NatsServerVersion;
}

/** Reads the package lists of Debian's suites into `workDir` (some seconds, tens of megabytes). */
export async function openDebianArchive(host: ResolverHost, workDir: string): Promise<DebianOutcome> {
  if (host.platform !== 'linux') return { kind: 'failed', reason: 'this is not Linux' };
  if (!(await host.isFile(DEBIAN_KEYRING))) return { kind: 'failed', reason: `${DEBIAN_KEYRING} is missing` };
  const site = await findSite(host);
  if (typeof site !== 'string') return site;

  const config = await writeAptState(host, workDir, site);
  const apt = (tool: string, args: readonly string[], timeoutMs: number) =>
    host.run(tool, ['-c', config, ...args], { timeoutMs, cwd: workDir });

  // A site that lacks one of the suites makes the update as a whole fail; the lists of the others are there none the less.
  const update = await apt('apt-get', ['-q', 'update'], NETWORK_TIMEOUT_MS);
  const madison = await apt('apt-cache', ['madison', 'nats-server'], LOCAL_TIMEOUT_MS);
  const packages = madison.kind === 'exited' ? parseMadison(madison.stdout) : [];
  if (packages.length === 0) {
    const why = complaintOf(update) ?? complaintOf(madison) ?? 'no suite carries nats-server';
    return { kind: 'failed', reason: `apt: ${why}` };
  }

  return {
    kind: 'open',
    versions: packages.map((entry) => entry.version),
    unpack: async (version) => {
      const entry = packages.find((candidate) => compareVersions(candidate.version, version) === 0);
      if (entry === undefined) return { kind: 'failed', reason: `Debian does not carry ${formatVersion(version)}` };
      const folder = join(workDir, `unpacked-${formatVersion(version)}`);
      await host.makeDir(folder);
      const download = await host.run(
        'apt-get',
        ['-c', config, '-q', 'download', `nats-server=${entry.debianVersion}`],
        { timeoutMs: NETWORK_TIMEOUT_MS, cwd: folder },
      );
      const file = (await host.list(folder)).find((name) => name.endsWith('.deb'));
      if (file === undefined) {
        return { kind: 'failed', reason: `apt-get download: ${complaintOf(download) ?? 'it left no package'}` };
      }
      const extract = await host.run('dpkg-deb', ['-x', file, '.'], { timeoutMs: LOCAL_TIMEOUT_MS, cwd: folder });
      const complaint = complaintOf(extract);
      if (complaint !== undefined) return { kind: 'failed', reason: `dpkg-deb: ${complaint}` };
      for (const place of ['usr/sbin/nats-server', 'usr/bin/nats-server']) {
        if (await host.isExecutable(join(folder, place))) return { kind: 'unpacked', binary: join(folder, place) };
      }
      return { kind: 'failed', reason: `${file} has no nats-server binary in it` };
    },
  };
}

/** The site this machine itself fetches Debian from. */
async function findSite(host: ResolverHost): Promise<string | { readonly kind: 'failed'; readonly reason: string }> {
  const format = '$(SITE)|$(RELEASE)|$(ORIGIN)|$(LABEL)|$(COMPONENT)';
  // Without package lists (a fresh container image) apt does not know the origin yet, but still knows the sites.
  for (const flags of [[], ['--no-release-info']]) {
    const outcome = await host.run('apt-get', [...flags, 'indextargets', '--format', format], {
      timeoutMs: LOCAL_TIMEOUT_MS,
    });
    const complaint = complaintOf(outcome);
    if (complaint !== undefined) return { kind: 'failed', reason: `apt-get indextargets: ${complaint}` };
    const site = outcome.kind === 'exited' ? chooseSite(outcome.stdout) : undefined;
    if (site !== undefined) return site;
  }
  return { kind: 'failed', reason: 'apt names no Debian site on this machine' };
}

/** From lines of `site|release|origin|label|component`: the first that is Debian's main archive. */
export function chooseSite(lines: string): string | undefined {
  for (const line of lines.split('\n')) {
    const [site = '', release = '', origin = '', label = '', component = ''] = line.split('|');
    // An unknown field stays as it was written in the format. Debian's keyring then decides whether it is Debian.
    const isDebian = (origin === 'Debian' && label === 'Debian') || origin === '$(ORIGIN)';
    if (site === '' || !isDebian || component !== 'main' || release.includes('security')) continue;
    // It goes into a sources.list line: nothing in it may end the field or the line.
    if (/^[a-z][a-z0-9+.-]*:[^\s[\]]+$/i.test(site)) return site;
  }
  return undefined;
}

/** `apt-cache madison`: `nats-server | 2.15.1-1 | <site> <suite>/main amd64 Packages`, one line for each suite. */
export function parseMadison(text: string): readonly DebianPackage[] {
  const packages = new Map<string, DebianPackage>();
  for (const line of text.split('\n')) {
    const [name = '', debianVersion = ''] = line.split('|').map((field) => field.trim());
    const version = parseDebianVersion(debianVersion);
    if (name !== 'nats-server' || version === undefined || packages.has(formatVersion(version))) continue;
    packages.set(formatVersion(version), { debianVersion, version });
  }
  return [...packages.values()].sort((left, right) => newestReleaseFirst(left.version, right.version));
}

async function writeAptState(host: ResolverHost, workDir: string, site: string): Promise<string> {
  for (const folder of ['state/lists/partial', 'cache/archives/partial']) await host.makeDir(join(workDir, folder));
  await host.writeFile(join(workDir, 'status'), '');
  const source = (suite: string) =>
    `deb [signed-by=${DEBIAN_KEYRING} lang=none target=Packages] ${site} ${suite} main\n`;
  await host.writeFile(join(workDir, 'sources.list'), SUITES.map(source).join(''));
  const config = join(workDir, 'apt.conf');
  // Given with -c this is read after the machine's own configuration (proxies stay), so that it also takes away the
  // hooks that the machine runs after an update.
  await host.writeFile(
    config,
    [
      '#clear APT::Update::Pre-Invoke;',
      '#clear APT::Update::Post-Invoke;',
      '#clear APT::Update::Post-Invoke-Success;',
      '#clear DPkg::Post-Invoke;',
      `Dir::State "${join(workDir, 'state')}";`,
      `Dir::State::status "${join(workDir, 'status')}";`,
      `Dir::Cache "${join(workDir, 'cache')}";`,
      `Dir::Etc::sourcelist "${join(workDir, 'sources.list')}";`,
      'Dir::Etc::sourceparts "/dev/null";',
      'Dir::Etc::preferences "/dev/null";',
      'Dir::Etc::preferencesparts "/dev/null";',
      'Acquire::Retries "1";',
      'Acquire::http::Timeout "5";',
      'Acquire::https::Timeout "5";',
      '',
    ].join('\n'),
  );
  return config;
}

/** Why a program failed, in one line; undefined where it did not. */
function complaintOf(outcome: RunOutcome): string | undefined {
  if (outcome.kind === 'failed') return outcome.reason;
  if (outcome.code === 0) return undefined;
  const lines = outcome.stderr.split('\n').map((line) => line.trim());
  return lines.find((line) => line.startsWith('E:')) ?? lines.find((line) => line !== '') ?? `code ${outcome.code}`;
}
