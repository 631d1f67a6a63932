/**
 * What callers may ask of a server or cluster, checked and completed before anything is started.
 */

import { NatsServerError } from './errors.js';
import { describeBinary, type NatsServerBinary, resolveNatsServer } from './resolve.js';
import type { ServerPorts } from './server-config.js';
import { compareVersions, requireVersion } from './version.js';

interface SharedOptions {
  /** A binary from `resolveNatsServer`, or the path of one. Without it one is resolved. */
  readonly binary?: NatsServerBinary | string;
  /** Passed to `resolveNatsServer` where `binary` is not given. */
  readonly version?: string;
  /** Appended to every server's configuration as it stands: `accounts`, `mappings`, `max_payload`, ... */
  readonly extraConfig?: string;
  /** JetStream domain of the servers: needed where leaf nodes connect systems that have a JetStream each. */
  readonly jetStreamDomain?: string;
  /** JetStream's `sync_interval`: `always`, `10s`, ... Needs 2.10. */
  readonly syncInterval?: string;
  /** An existing or new folder that outlives the servers. Without it the store is temporary and removed by `stop`. */
  readonly storeDir?: string;
  /** How long a start, restart or forming of the cluster may take. Default 30 000 ms. */
  readonly readyTimeoutMs?: number;
  /** How long a server gets between SIGTERM and SIGKILL. Default 5 000 ms. */
  readonly stopTimeoutMs?: number;
}

export interface NatsServerOptions extends SharedOptions {
  /** Ports to use as given; others are chosen. A given port that is taken is an error. */
  readonly ports?: Partial<Omit<ServerPorts, 'cluster'>>;
  readonly serverName?: string;
}

export interface NatsClusterOptions extends SharedOptions {
  /** Default 3; 1 is a single server without routes. */
  readonly servers?: number;
  /** Ports to use as given, server by server. */
  readonly ports?: readonly Partial<ServerPorts>[];
  /** Also prefix of the server names. Default: random with a temporary store, `muster` with `storeDir`. */
  readonly clusterName?: string;
  /**
   * Which loopback port server `from` dials to reach the route port `port` of server `to` (indexes from 0): that of a proxy which
   * can cut the two apart. The servers then announce no route ports to each other, so that none goes round it.
   */
  readonly routeVia?: (from: number, to: number, port: number) => Promise<number>;
  /** Runs a cluster on a version older than 2.10.27 all the same; only to show what goes wrong there. */
  readonly acceptUnsafeVersion?: boolean;
}

const SERVERS_MAX = 9;
export const READY_TIMEOUT_MS = 30_000;
export const STOP_TIMEOUT_MS = 5_000;

/** Throws `bad-option`, `not-cluster-safe`, or what resolving throws. */
export async function chooseBinary(options: NatsClusterOptions, serverCount: number): Promise<NatsServerBinary> {
  const binary = await givenOrResolved(options);
  if (serverCount > 1 && !binary.clusterSafe && options.acceptUnsafeVersion !== true) {
    throw new NatsServerError('not-cluster-safe', binary.warning);
  }
  if (options.syncInterval !== undefined && compareVersions(requireVersion(binary.version), SYNC_SINCE) < 0) {
    throw new NatsServerError('bad-option', `syncInterval needs nats-server 2.10; ${binary.path} is ${binary.version}`);
  }
  return binary;
}

const SYNC_SINCE = { major: 2, minor: 10, patch: 0, prerelease: '' };

async function givenOrResolved(options: SharedOptions): Promise<NatsServerBinary> {
  if (typeof options.binary === 'string') return describeBinary(options.binary);
  if (options.binary !== undefined) return options.binary;
  return resolveNatsServer(options.version === undefined ? {} : { version: options.version });
}

export function checkOptions(options: NatsClusterOptions): void {
  const count = options.servers ?? 3;
  if (!Number.isInteger(count) || count < 1 || count > SERVERS_MAX) {
    throw new NatsServerError('bad-option', `servers must be a whole number from 1 to ${SERVERS_MAX}, not ${count}`);
  }
  for (const [name, ms] of Object.entries({
    readyTimeoutMs: options.readyTimeoutMs,
    stopTimeoutMs: options.stopTimeoutMs,
  })) {
    if (ms !== undefined && !(Number.isFinite(ms) && ms > 0)) {
      throw new NatsServerError('bad-option', `${name} must be above 0 ms, not ${ms}`);
    }
  }
  if (options.jetStreamDomain !== undefined && !/^[\w-]{1,64}$/.test(options.jetStreamDomain)) {
    throw new NatsServerError(
      'bad-option',
      `"${options.jetStreamDomain}" cannot be a domain: use letters, digits, - and _`,
    );
  }
  if (options.clusterName !== undefined && !/^[\w-]{1,64}$/.test(options.clusterName)) {
    throw new NatsServerError('bad-option', `"${options.clusterName}" cannot be a name: use letters, digits, - and _`);
  }
  const ports = (options.ports ?? []).flatMap((entry) => [entry.client, entry.monitor, entry.cluster]);
  const fixed = ports.filter((port) => port !== undefined);
  for (const port of fixed) {
    if (!Number.isInteger(port) || port < 1 || port > 65_535) {
      throw new NatsServerError('bad-option', `${port} is not a port`);
    }
  }
  if (new Set(fixed).size !== fixed.length) {
    throw new NatsServerError('bad-option', `a port is given twice: ${fixed.join(', ')}`);
  }
}
