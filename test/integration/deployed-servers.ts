/**
 * The files of deploy/ as the tests read and run them: compose.yaml with its variables filled in, and the three NATS
 * servers it describes as processes of this machine.
 *
 * Changes nothing of the files: what differs from a container (addresses, store) goes through the same environment.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';

export const DEPLOY = fileURLToPath(new URL('../../deploy/', import.meta.url));
export const NATS_CONFIG = join(DEPLOY, 'nats/nats-server.conf');
const START_TIMEOUT_MS = 60_000;

const service = z.object({
  image: z.string(),
  build: z.object({ context: z.string(), dockerfile: z.string() }).optional(),
  environment: z.record(z.string(), z.string()),
  command: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
  ports: z.array(z.string()).default([]),
  stop_grace_period: z.string(),
  depends_on: z.record(z.string(), z.unknown()).default({}),
  healthcheck: z.object({ test: z.array(z.string()) }).optional(),
});
const compose = z.object({
  services: z.record(z.string(), service),
  volumes: z.record(z.string(), z.unknown()),
});
export type Compose = z.output<typeof compose>;
export type Environment = Readonly<Record<string, string>>;

/** @returns compose.yaml as it stands */
export async function readCompose(): Promise<Compose> {
  return compose.parse(parseYaml(await readFile(join(DEPLOY, 'compose.yaml'), 'utf8'), { merge: true }));
}

/** @returns the variables of .env.example */
export async function readExampleEnvironment(): Promise<Environment> {
  const found: Record<string, string> = {};
  for (const line of (await readFile(join(DEPLOY, '.env.example'), 'utf8')).split('\n')) {
    const match = /^([A-Z_]+)=(.*)$/.exec(line);
    if (match?.[1] !== undefined && match[2] !== undefined) found[match[1]] = match[2];
  }
  return found;
}

const variable = /\$\{([A-Z_]+)(?::\?[^}]*)?\}/g;

/** @returns the names of the variables that a text of compose.yaml refers to */
export function variablesIn(text: string): string[] {
  return [...text.matchAll(variable)].map((match) => match[1] ?? '');
}

/** @returns a service's environment as compose would give it to the container */
export function filledIn(environment: Environment, values: Environment): Environment {
  const fill = (text: string) =>
    text.replace(variable, (_, name: string) => {
      const value = values[name];
      if (value === undefined) throw new Error(`${name} is not declared in .env.example`);
      return value;
    });
  return Object.fromEntries(Object.entries(environment).map(([name, text]) => [name, fill(text)]));
}

export interface DeployedServers {
  readonly urls: readonly string[];
  /** The loopback URLs of monitoring. */
  readonly monitors: readonly string[];
  stop(): Promise<void>;
}

/** Starts the NATS servers of compose.yaml on free loopback ports and waits until JetStream has formed its cluster. */
export async function startDeployedServers(
  binaryPath: string,
  environments: readonly Environment[],
): Promise<DeployedServers> {
  const root = await mkdtemp(join(tmpdir(), 'muster-deploy-'));
  const ports = await freePorts(environments.length * 3);
  const at = (index: number, which: number) => `127.0.0.1:${ports[index * 3 + which]}`;
  const children = environments.map((environment, index) => {
    // Hosts of the routes are containers there and ports here.
    const routes = (environment['NATS_ROUTES'] ?? '').replace(/nats-(\d):6222/g, (_, n: string) =>
      at(Number(n) - 1, 2),
    );
    return startServer(binaryPath, {
      ...environment,
      NATS_CLIENT_LISTEN: at(index, 0),
      NATS_MONITOR_LISTEN: at(index, 1),
      NATS_CLUSTER_LISTEN: at(index, 2),
      NATS_STORE_DIR: join(root, String(index)),
      NATS_ROUTES: routes,
    });
  });
  const monitors = environments.map((_, index) => `http://${at(index, 1)}`);
  const stop = async () => {
    await Promise.all(children.map((child) => child.stop()));
    await rm(root, { recursive: true, force: true });
  };
  try {
    const check = () => {
      if (children.some((child) => child.hasGivenUp())) throw new Error('a server did not start');
      return isFormed(monitors);
    };
    await until('the servers form a JetStream cluster', check, START_TIMEOUT_MS);
  } catch (thrown) {
    await stop();
    throw new Error(`${String(thrown)}\n${children.map((child) => child.log()).join('\n---\n')}`);
  }
  return { urls: environments.map((_, index) => `nats://${at(index, 0)}`), monitors, stop };
}

/** The shell in between kills the server when its standard input closes: no server outlives this process, however it ends. */
function startServer(binaryPath: string, environment: Environment) {
  const script = '"$@" & server=$!; cat >/dev/null; kill -9 "$server"; wait "$server"';
  const child: ChildProcess = spawn('sh', ['-c', script, 'sh', binaryPath, '-c', NATS_CONFIG], {
    env: { PATH: process.env['PATH'], ...environment },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let log = '';
  const keep = (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-4_000);
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  const exited = once(child, 'exit');
  return {
    log: () => log,
    // How nats-server says that it cannot run with this configuration or these ports.
    hasGivenUp: () => /^nats-server: |\[FTL\]/m.test(log),
    stop: async () => {
      child.stdin?.end();
      await exited;
    },
  };
}

/** What the health check of compose.yaml asks, and that all servers are peers of one leader: earlier, streams are refused. */
async function isFormed(monitors: readonly string[]): Promise<boolean> {
  for (const monitor of monitors) {
    const health = await fetch(`${monitor}/healthz?js-server-only=true`).catch(() => undefined);
    if (health?.status !== 200) return false;
    const jsz = z
      .object({ meta_cluster: z.object({ leader: z.string().min(1), cluster_size: z.number() }) })
      .safeParse(await (await fetch(`${monitor}/jsz`)).json());
    if (!jsz.success || jsz.data.meta_cluster.cluster_size !== monitors.length) return false;
  }
  return true;
}

/** Waits for a condition; throws when `timeoutMs` are over. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 20_000,
): Promise<void> {
  const giveUpAt = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > giveUpAt) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Below the range of outgoing connections, which would take a port between here and the server's bind. */
async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  for (let tries = 0; ports.size < count && tries < 500; tries += 1) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}
