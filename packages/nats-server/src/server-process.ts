/**
 * One server of a handle: its process comes and goes, its name, ports, configuration and store stay.
 *
 * Does not write the configuration and does not know of the other servers.
 */

import { NatsServerError } from './errors.js';
import { readLogTail, takenPort } from './log-tail.js';
import { LOOPBACK } from './loopback-ports.js';
import { isHealthy, isListening, type Readiness } from './readiness.js';
import type { ServerPlan } from './server-config.js';
import type { ServerExit, Supervisor } from './supervisor.js';
import { waitUntil } from './wait.js';

export interface RestartOptions {
  /**
   * How far to wait: `healthy` (default) until the server finds itself in order, which in a cluster takes a majority of
   * servers; `listening` until it accepts connections.
   */
  readonly until?: 'healthy' | 'listening';
}

/** What users of a handle may do with one server. Every method throws NatsServerError. */
export interface NatsServerControl {
  readonly name: string;
  /** undefined while it does not run. */
  readonly pid: number | undefined;
  /** `nats://127.0.0.1:<port>`; stays the same over restarts, as does `monitorUrl`. */
  readonly clientUrl: string;
  readonly monitorUrl: string;
  /** Sends a signal, SIGKILL by default; after SIGKILL it waits for the end. Nothing happens where it does not run. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** SIGTERM, and SIGKILL if that did not end it in time. Also ends a paused server. */
  stop(): Promise<void>;
  /** Starts it again with the same ports and store, having stopped it first if it runs. */
  restart(options?: RestartOptions): Promise<void>;
  /** SIGSTOP: connections stay, nothing is answered. */
  pause(): Promise<void>;
  /** SIGCONT */
  resume(): Promise<void>;
  /** The last lines of its log (all runs since the handle was started). */
  logTail(): Promise<string>;
}

export interface ServerProcessSettings {
  readonly binaryPath: string;
  readonly configPath: string;
  readonly logPath: string;
  readonly readyTimeoutMs: number;
  readonly stopTimeoutMs: number;
}

type Run =
  | { readonly kind: 'never' }
  | { readonly kind: 'running'; readonly pid: number; readonly ended: Promise<ServerExit> }
  | { readonly kind: 'ended'; readonly exit: ServerExit };

export class ServerProcess implements NatsServerControl {
  readonly plan: ServerPlan;
  readonly clientUrl: string;
  readonly monitorUrl: string;
  readonly #supervisor: Supervisor;
  readonly #settings: ServerProcessSettings;
  #run: Run = { kind: 'never' };

  constructor(plan: ServerPlan, supervisor: Supervisor, settings: ServerProcessSettings) {
    this.plan = plan;
    this.clientUrl = `nats://${LOOPBACK}:${plan.ports.client}`;
    this.monitorUrl = `http://${LOOPBACK}:${plan.ports.monitor}`;
    this.#supervisor = supervisor;
    this.#settings = settings;
  }

  get name(): string {
    return this.plan.name;
  }

  get pid(): number | undefined {
    return this.#run.kind === 'running' ? this.#run.pid : undefined;
  }

  /** Starts the process without waiting for it to be ready. It must not be running. */
  async launch(): Promise<void> {
    const { binaryPath, configPath, logPath } = this.#settings;
    let exit: ServerExit | undefined;
    let announce: (exit: ServerExit) => void = () => {};
    const ended = new Promise<ServerExit>((resolve) => {
      announce = resolve;
    });
    const pid = await this.#supervisor.spawn(this.name, binaryPath, ['-c', configPath], logPath, (report) => {
      exit = report;
      this.#run = { kind: 'ended', exit: report };
      announce(report);
    });
    // Its end may have been reported in the same breath as its start.
    if (exit === undefined) this.#run = { kind: 'running', pid, ended };
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const run = this.#run;
    await this.#supervisor.signal(this.name, signal);
    if (signal === 'SIGKILL' && run.kind === 'running') await this.#supervisor.hold(run.ended);
  }

  async stop(): Promise<void> {
    const run = this.#run;
    if (run.kind !== 'running') return;
    await this.#supervisor.signal(this.name, 'SIGTERM');
    await this.#supervisor.signal(this.name, 'SIGCONT');
    let timer: NodeJS.Timeout | undefined;
    const isLate = await Promise.race([
      this.#supervisor.hold(run.ended).then(() => false),
      new Promise<boolean>((resolve) => {
        timer = setTimeout(() => resolve(true), this.#settings.stopTimeoutMs);
      }),
    ]);
    clearTimeout(timer);
    if (isLate) await this.kill('SIGKILL');
  }

  async restart(options: RestartOptions = {}): Promise<void> {
    await this.stop();
    await this.launch();
    const check = options.until === 'listening' ? isListening : isHealthy;
    await this.waitFor(() => check(this));
  }

  async pause(): Promise<void> {
    await this.#supervisor.signal(this.name, 'SIGSTOP');
  }

  async resume(): Promise<void> {
    await this.#supervisor.signal(this.name, 'SIGCONT');
  }

  logTail(): Promise<string> {
    return readLogTail(this.#settings.logPath);
  }

  /** Waits for a condition of this server; see `waitForServers`. */
  waitFor(check: () => Promise<Readiness>): Promise<void> {
    return waitForServers([this], check, this.#settings.readyTimeoutMs);
  }

  /** Throws where the process does not run: `port-taken` if its log says so, else `start-failed` with the log's end. */
  async requireRunning(): Promise<void> {
    if (this.#run.kind === 'running') return;
    const how =
      this.#run.kind === 'never'
        ? 'was not started'
        : this.#run.exit.signal === null
          ? `ended with code ${this.#run.exit.code}`
          : `was ended by ${this.#run.exit.signal}`;
    const tail = await this.logTail();
    const port = takenPort(tail);
    if (port !== undefined) {
      throw new NatsServerError('port-taken', `${this.name}: port ${port} on ${LOOPBACK} is held by another process`);
    }
    throw new NatsServerError('start-failed', `${this.name} ${how}. The end of its log:\n${tail}`);
  }
}

/**
 * Waits until `check` says ready. Throws as soon as one of the servers has ended (see `requireRunning`), `cluster-misfounded`
 * where more waiting would not help, and `not-ready` with what was missing and the ends of the logs when `timeoutMs` are
 * over.
 */
export async function waitForServers(
  servers: readonly ServerProcess[],
  check: () => Promise<Readiness>,
  timeoutMs: number,
): Promise<void> {
  const outcome = await waitUntil(async () => {
    for (const server of servers) await server.requireRunning();
    return check();
  }, timeoutMs);
  if (outcome.kind === 'ready') return;
  const tails = await Promise.all(servers.map(async (server) => `--- ${server.name}\n${await server.logTail()}`));
  const logs = `The ends of the logs:\n${tails.join('\n')}`;
  if (outcome.kind === 'misfounded') {
    throw new NatsServerError('cluster-misfounded', `the cluster was founded incomplete: ${outcome.reason}. ${logs}`);
  }
  throw new NatsServerError('not-ready', `not ready within ${timeoutMs} ms: ${outcome.reason}. ${logs}`);
}
