/**
 * Starts a single server or a cluster on loopback ports and hands out the handle.
 *
 * Does not look for the binary and does not watch the processes; the supervisor does.
 *
 * T1: whatever fails here, no process and no temporary folder is left behind.
 * T2: a chosen port that another process took meanwhile means a fresh start with other ports; a given port is an error.
 * T3: a cluster that was founded incomplete (see `readiness.ts`) is founded anew, but only where the store was empty:
 *     nothing is removed that was there before.
 */

import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { NatsServerError } from './errors.js';
import { releasePorts, reservePorts } from './loopback-ports.js';
import { isClusterFormed, isHealthy } from './readiness.js';
import type { NatsServerBinary } from './resolve.js';
import { type ClusterPlan, type ServerPlan, type ServerPorts, serverConfig } from './server-config.js';
import { type NatsServerControl, ServerProcess, waitForServers } from './server-process.js';
import {
  checkOptions,
  chooseBinary,
  type NatsClusterOptions,
  type NatsServerOptions,
  READY_TIMEOUT_MS,
  STOP_TIMEOUT_MS,
} from './start-options.js';
import { Supervisor } from './supervisor.js';

const START_TRIES_MAX = 5;

/**
 * Running servers. They end with `stop`, and by themselves when this process ends for whatever reason. The handle does
 * not keep this process alive.
 */
export interface NatsServerHandle {
  /** The client URL of the first server. */
  readonly url: string;
  /** The client URLs of all servers. */
  readonly urls: readonly string[];
  /** `2.10.27` */
  readonly version: string;
  readonly binary: NatsServerBinary;
  readonly servers: readonly NatsServerControl[];
  /** Waits until all servers are healthy and, in a cluster, agree on a JetStream leader that sees all of them. */
  waitUntilReady(): Promise<void>;
  /** Ends all servers and removes the temporary store. May be called again. */
  stop(): Promise<void>;
}

/**
 * Starts one JetStream server and waits until it is ready. Throws NatsServerError: `bad-option`, what
 * `resolveNatsServer` throws, `port-taken`, `start-failed` and `not-ready` with the end of the server's log.
 */
export function startNatsServer(options: NatsServerOptions = {}): Promise<NatsServerHandle> {
  const { ports, serverName, ...shared } = options;
  return startServers(
    { ...shared, servers: 1, ...(ports === undefined ? {} : { ports: [ports] }) },
    serverName === undefined ? undefined : [serverName],
  );
}

/**
 * Starts a JetStream cluster and waits until it has formed: routes between all servers, one meta leader, all peers
 * current. Throws as `startNatsServer`, and `not-cluster-safe` where the only binary is older than 2.10.27.
 */
export function startNatsCluster(options: NatsClusterOptions = {}): Promise<NatsServerHandle> {
  return startServers(options, undefined);
}

async function startServers(
  options: NatsClusterOptions,
  names: readonly string[] | undefined,
): Promise<NatsServerHandle> {
  checkOptions(options);
  const count = options.servers ?? 3;
  const binary = await chooseBinary(options, count);
  const isStoreNew = options.storeDir === undefined || (await isEmptyDir(options.storeDir));
  for (let tries = 1; ; tries += 1) {
    try {
      return await startOnce(options, names, count, binary);
    } catch (thrown) {
      const code = thrown instanceof NatsServerError ? thrown.code : undefined;
      const isWorthAnotherTry =
        (code === 'port-taken' && options.ports === undefined) || (code === 'cluster-misfounded' && isStoreNew);
      if (!isWorthAnotherTry || tries >= START_TRIES_MAX) throw thrown;
      if (code === 'cluster-misfounded' && options.storeDir !== undefined) await emptyDir(options.storeDir);
    }
  }
}

async function isEmptyDir(path: string): Promise<boolean> {
  const names = await readdir(path).catch(() => []);
  return names.length === 0;
}

async function emptyDir(path: string): Promise<void> {
  for (const name of await readdir(path)) await rm(join(path, name), { recursive: true, force: true, maxRetries: 3 });
}

async function startOnce(
  options: NatsClusterOptions,
  names: readonly string[] | undefined,
  count: number,
  binary: NatsServerBinary,
): Promise<NatsServerHandle> {
  const stopTimeoutMs = options.stopTimeoutMs ?? STOP_TIMEOUT_MS;
  const readyTimeoutMs = options.readyTimeoutMs ?? READY_TIMEOUT_MS;
  // A store that stays deserves an orderly end even when nobody waits for it; a temporary one goes at once.
  const supervisor = await Supervisor.start(options.storeDir === undefined ? 0 : stopTimeoutMs);
  const reserved: number[] = [];
  try {
    reserved.push(...(await reservePorts(count * 3)));
    const cluster = await planCluster(options, names, count, reserved, supervisor.root);
    const servers: ServerProcess[] = [];
    for (const plan of cluster.servers) {
      const folder = join(supervisor.root, plan.name);
      await mkdir(folder, { recursive: true });
      await mkdir(plan.storeDir, { recursive: true });
      const configPath = join(folder, 'server.conf');
      const { syncInterval, jetStreamDomain: domain, extraConfig } = options;
      const settings = { syncInterval, domain, extraConfig };
      // The route secret is in it.
      await writeFile(configPath, serverConfig(plan, count > 1 ? cluster : undefined, settings), { mode: 0o600 });
      const logPath = join(folder, 'server.log');
      const binaryPath = resolve(binary.path);
      servers.push(
        new ServerProcess(plan, supervisor, { binaryPath, configPath, logPath, readyTimeoutMs, stopTimeoutMs }),
      );
    }
    for (const server of servers) await server.launch();
    const handle = makeHandle(servers, binary, readyTimeoutMs, async () => {
      await supervisor.end(stopTimeoutMs);
      releasePorts(reserved);
    });
    await handle.waitUntilReady();
    return handle;
  } catch (thrown) {
    // T1
    await supervisor.end(0).catch(() => undefined);
    releasePorts(reserved);
    throw thrown;
  }
}

async function planCluster(
  options: NatsClusterOptions,
  names: readonly string[] | undefined,
  count: number,
  reserved: readonly number[],
  root: string,
): Promise<ClusterPlan> {
  const isTemporary = options.storeDir === undefined;
  // A lasting store remembers the names of its cluster and servers; for a temporary one, names that nobody else has make
  // a mix-up of servers visible (Y1).
  const name = options.clusterName ?? (isTemporary ? `muster-${randomBytes(4).toString('hex')}` : 'muster');
  const servers: ServerPlan[] = [];
  for (let index = 0; index < count; index += 1) {
    const serverName = names?.[index] ?? `${name}-${index + 1}`;
    const given = options.ports?.[index] ?? {};
    const pick = (offset: number) => reserved[index * 3 + offset] ?? 0;
    const ports: ServerPorts = {
      client: given.client ?? pick(0),
      monitor: given.monitor ?? pick(1),
      cluster: given.cluster ?? pick(2),
    };
    const lasting = options.storeDir === undefined ? undefined : resolve(options.storeDir);
    const storeDir =
      lasting === undefined ? join(root, serverName, 'store') : count === 1 ? lasting : join(lasting, serverName);
    servers.push({ name: serverName, ports, storeDir });
  }
  const planned = await Promise.all(servers.map((server, from) => planRoutes(server, from, servers, options)));
  return { name, secret: randomBytes(16).toString('hex'), servers: planned };
}

/** Its own route is dropped by the server and needs no proxy. */
async function planRoutes(
  server: ServerPlan,
  from: number,
  servers: readonly ServerPlan[],
  { routeVia }: NatsClusterOptions,
): Promise<ServerPlan> {
  if (routeVia === undefined || servers.length === 1) return server;
  const port = ({ ports }: ServerPlan, to: number) => (to === from ? ports.cluster : routeVia(from, to, ports.cluster));
  return { ...server, routePorts: await Promise.all(servers.map(port)) };
}

function makeHandle(
  servers: readonly ServerProcess[],
  binary: NatsServerBinary,
  readyTimeoutMs: number,
  end: () => Promise<void>,
): NatsServerHandle {
  const urls = servers.map((server) => server.clientUrl);
  let stopping: Promise<void> | undefined;
  const check = () => {
    const [only] = servers;
    return servers.length === 1 && only !== undefined ? isHealthy(only) : isClusterFormed(servers);
  };
  return {
    url: urls[0] ?? '',
    urls,
    version: binary.version,
    binary,
    servers,
    waitUntilReady: () => waitForServers(servers, check, readyTimeoutMs),
    stop: () => {
      stopping ??= end();
      return stopping;
    },
  };
}
