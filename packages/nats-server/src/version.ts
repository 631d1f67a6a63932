/**
 * Versions of nats-server: parsing, order, and the oldest one that a cluster may run on.
 *
 * Knows nothing about where a binary comes from.
 */

import { NatsServerError } from './errors.js';

export interface NatsServerVersion {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
  /** `RC.1`, `dev`, ...; empty for a release. */
  readonly prerelease: string;
}

const VERSION = /(?<![\d.])v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?:-([0-9A-Za-z.-]+))?/;

/**
 * Before 2.10.27 a conditional write to a replicated stream can be accepted twice, or desynchronise the replicas
 * (nats-server #4320, #4365, #4764, #5179, #6888). A single server is exact in every version.
 */
export const CLUSTER_SAFE_SINCE: NatsServerVersion = { major: 2, minor: 10, patch: 27, prerelease: '' };

/** The first version in `text` (`nats-server: v2.10.27`, `2.12.1-RC.4`, Debian's `2.10.27-1+b2` is not meant here). */
export function parseVersion(text: string): NatsServerVersion | undefined {
  const match = VERSION.exec(text);
  if (match === null) return undefined;
  return {
    major: Number(match[1]),
    minor: Number(match[2]),
    patch: Number(match[3]),
    prerelease: match[4] ?? '',
  };
}

/** A version that a caller asked for, `2.10.27` or `v2.10.27`. Throws `bad-option` for anything else. */
export function requireVersion(text: string): NatsServerVersion {
  const parsed = parseVersion(text);
  if (parsed === undefined || formatVersion(parsed) !== text.replace(/^v/, '')) {
    throw new NatsServerError(
      'bad-option',
      `"${text}" is not a nats-server version; give it as major.minor.patch, for example 2.10.27`,
    );
  }
  return parsed;
}

/** The upstream version of a Debian package version: `2.10.27-1+b2` is 2.10.27; a `~rc` is a prerelease. */
export function parseDebianVersion(text: string): NatsServerVersion | undefined {
  const match = /^(?:\d+:)?(\d{1,6}\.\d{1,6}\.\d{1,6})(~[0-9A-Za-z.~]+)?/.exec(text);
  if (match === null) return undefined;
  const parsed = parseVersion(match[1] ?? '');
  return parsed === undefined ? undefined : { ...parsed, prerelease: (match[2] ?? '').replaceAll('~', '') };
}

export function formatVersion(version: NatsServerVersion): string {
  const release = `${version.major}.${version.minor}.${version.patch}`;
  return version.prerelease === '' ? release : `${release}-${version.prerelease}`;
}

/** Negative where `left` is older. A prerelease is older than its release; prereleases compare by their parts. */
export function compareVersions(left: NatsServerVersion, right: NatsServerVersion): number {
  return (
    left.major - right.major ||
    left.minor - right.minor ||
    left.patch - right.patch ||
    comparePrereleases(left.prerelease, right.prerelease)
  );
}

export function isClusterSafe(version: NatsServerVersion): boolean {
  return compareVersions(version, CLUSTER_SAFE_SINCE) >= 0;
}

function comparePrereleases(left: string, right: string): number {
  if (left === right) return 0;
  if (left === '') return 1;
  if (right === '') return -1;
  const leftParts = left.split('.');
  const rightParts = right.split('.');
  for (let index = 0; index < Math.max(leftParts.length, rightParts.length); index += 1) {
    const order = comparePrereleaseParts(leftParts[index], rightParts[index]);
    if (order !== 0) return order;
  }
  return 0;
}

function comparePrereleaseParts(left: string | undefined, right: string | undefined): number {
  if (left === right) return 0;
  if (left === undefined) return -1;
  if (right === undefined) return 1;
  const isNumberLeft = /^\d+$/.test(left);
  const isNumberRight = /^\d+$/.test(right);
  if (isNumberLeft && isNumberRight) return Number(left) - Number(right);
  if (isNumberLeft !== isNumberRight) return isNumberLeft ? -1 : 1;
  return left < right ? -1 : 1;
}
