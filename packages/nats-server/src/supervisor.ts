/**
 * This process's end of the supervisor (`supervisor.mjs`): starts it, sends commands, hears of exits.
 *
 * Does not know what a NATS server is.
 *
 * V1: whoever waits for an answer or the end of a server keeps this process alive; an idle supervisor does not.
 * V2: if the supervisor itself is killed, its servers are killed from here and its folder is removed.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { NatsServerError } from './errors.js';

/** `../` of both `src/supervisor.ts` and `dist/supervisor.js`. */
const SCRIPT = fileURLToPath(new URL('../supervisor.mjs', import.meta.url));
const START_TIMEOUT_MS = 20_000;

export interface ServerExit {
  readonly pid: number;
  readonly code: number | null;
  readonly signal: string | null;
}

type Report =
  | { readonly kind: 'ready'; readonly root: string }
  | { readonly kind: 'done'; readonly id: number; readonly pid?: number; readonly delivered?: boolean }
  | { readonly kind: 'refused'; readonly id: number; readonly reason: string }
  | ({ readonly kind: 'exited'; readonly name: string } & ServerExit);

type DoneReport = Extract<Report, { kind: 'done' }>;

interface Waiting {
  readonly resolve: (report: DoneReport) => void;
  readonly reject: (error: NatsServerError) => void;
}

type ExitListener = (exit: ServerExit) => void;

export class Supervisor {
  readonly #child: ChildProcess;
  readonly #input: Socket;
  readonly #output: Socket;
  readonly #waiting = new Map<number, Waiting>();
  readonly #pids = new Map<string, number>();
  readonly #exitListeners = new Map<string, ExitListener>();
  #root = '';
  #nextId = 1;
  #holds = 0;
  #isEnding = false;
  #isGone = false;

  private constructor(orphanGraceMs: number) {
    const { NODE_OPTIONS: _, ...env } = process.env;
    this.#child = spawn(process.execPath, [SCRIPT, join(tmpdir(), 'muster-nats-'), String(orphanGraceMs)], {
      stdio: ['pipe', 'pipe', 'inherit'],
      // A session of its own: Ctrl-C at a terminal must reach the parent only, which then decides.
      detached: true,
      env,
    });
    const { stdin, stdout } = this.#child;
    if (!(stdin instanceof Socket) || !(stdout instanceof Socket)) throw new TypeError('pipes are sockets in Node');
    this.#input = stdin;
    this.#output = stdout;
    this.#input.on('error', () => this.#lost());
    this.#child.once('error', () => this.#lost());
    this.#child.once('exit', () => this.#lost());
  }

  /** Starts one. `orphanGraceMs`: what servers get between SIGTERM and SIGKILL when this process is gone. */
  static async start(orphanGraceMs: number): Promise<Supervisor> {
    const supervisor = new Supervisor(orphanGraceMs);
    await supervisor.#becomeReady();
    return supervisor;
  }

  /** The temporary folder, removed when the supervisor ends. */
  get root(): string {
    return this.#root;
  }

  /** Starts a server under a name that is not running; answers its process id. Output is appended to `log`. */
  async spawn(name: string, file: string, args: readonly string[], log: string, onExit: ExitListener): Promise<number> {
    this.#exitListeners.set(name, onExit);
    const { pid } = await this.#ask({ kind: 'spawn', name, file, args, log });
    if (pid === undefined) throw new NatsServerError('start-failed', `${name} has no process id`);
    return pid;
  }

  /** False where that server is not running. */
  async signal(name: string, signal: NodeJS.Signals): Promise<boolean> {
    return (await this.#ask({ kind: 'signal', name, signal })).delivered ?? false;
  }

  /** Keeps this process alive until `promise` has settled (V1): for the end of a server, which no command answers. */
  async hold<T>(promise: Promise<T>): Promise<T> {
    this.#holds += 1;
    this.#holdProcess();
    try {
      return await promise;
    } finally {
      this.#holds -= 1;
      this.#holdProcess();
    }
  }

  /** Ends all servers and the supervisor, and removes the folder. `graceMs` 0 kills at once. */
  async end(graceMs: number): Promise<void> {
    if (this.#isGone) return;
    const ended = this.#ask({ kind: 'end', graceMs });
    this.#isEnding = true;
    await ended;
  }

  #becomeReady(): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (why: string) => {
        clearTimeout(timer);
        reject(new NatsServerError('supervisor-lost', `the process that watches over the servers ${why}`));
      };
      const timer = setTimeout(() => {
        fail(`was not ready within ${START_TIMEOUT_MS} ms`);
        this.#child.kill('SIGKILL');
      }, START_TIMEOUT_MS);
      const onEarlyEnd = () => fail('did not start');
      this.#child.once('exit', onEarlyEnd);
      this.#child.once('error', onEarlyEnd);
      createInterface({ input: this.#output }).on('line', (line) => {
        const report = JSON.parse(line) as Report;
        if (report.kind !== 'ready') return this.#take(report);
        this.#root = report.root;
        clearTimeout(timer);
        this.#child.off('exit', onEarlyEnd);
        this.#child.off('error', onEarlyEnd);
        this.#holdProcess();
        resolve();
      });
    });
  }

  #take(report: Exclude<Report, { kind: 'ready' }>): void {
    if (report.kind === 'exited') {
      this.#pids.delete(report.name);
      this.#exitListeners.get(report.name)?.(report);
      return;
    }
    const waiting = this.#waiting.get(report.id);
    this.#waiting.delete(report.id);
    this.#holdProcess();
    if (report.kind === 'done') waiting?.resolve(report);
    else waiting?.reject(new NatsServerError('start-failed', report.reason));
  }

  #ask(command: {
    readonly kind: string;
    readonly name?: string;
    readonly [field: string]: unknown;
  }): Promise<DoneReport> {
    if (this.#isGone) return Promise.reject(lostError());
    if (this.#isEnding) return Promise.reject(new NatsServerError('stopped', 'the servers were stopped'));
    const id = this.#nextId;
    this.#nextId += 1;
    return new Promise((resolve, reject) => {
      const remember = (report: DoneReport) => {
        if (command.name !== undefined && report.pid !== undefined) this.#pids.set(command.name, report.pid);
        resolve(report);
      };
      this.#waiting.set(id, { resolve: remember, reject });
      this.#holdProcess();
      this.#input.write(`${JSON.stringify({ id, ...command })}\n`);
    });
  }

  /** V1 */
  #holdProcess(): void {
    const method = this.#waiting.size + this.#holds > 0 ? 'ref' : 'unref';
    for (const handle of [this.#child, this.#input, this.#output]) handle[method]();
  }

  #lost(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    if (!this.#isEnding) this.#killOrphans();
    for (const waiting of this.#waiting.values()) waiting.reject(lostError());
    this.#waiting.clear();
  }

  /** V2 */
  #killOrphans(): void {
    for (const [name, pid] of this.#pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // Gone already.
      }
      this.#exitListeners.get(name)?.({ pid, code: null, signal: 'SIGKILL' });
    }
    this.#pids.clear();
    if (this.#root !== '') rmSync(this.#root, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}

function lostError(): NatsServerError {
  return new NatsServerError('supervisor-lost', 'the process that watches over the servers ended unexpectedly');
}
