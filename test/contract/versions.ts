/**
 * The servers that the contracts are checked against: the oldest that a cluster accepts and a new one; 2.9.10 as a single
 * server only (on several it is not safe, nats.md facts 1 and 2). `MUSTER_NATS_VERSIONS=2.10.27,2.15.1` chooses others.
 */

const { MUSTER_NATS_VERSIONS = '' } = process.env;
const chosen = MUSTER_NATS_VERSIONS.split(',').filter((version) => version !== '');

export const CLUSTER_VERSIONS: readonly string[] =
  chosen.length > 0 ? chosen.filter((version) => !version.startsWith('2.9.')) : ['2.10.27', '2.15.1'];
export const SINGLE_VERSIONS: readonly string[] = chosen.length > 0 ? chosen : ['2.9.10', '2.10.27', '2.15.1'];
/** For tests that need only one version. */
export const newestVersion: string = CLUSTER_VERSIONS.at(-1) ?? '2.15.1';
