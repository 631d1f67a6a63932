/**
 * Real servers and real nodes for the integration tests: nats-server through @muster/nats-server, nodes as processes of the built
 * command line (`muster node`), which can be killed, ended, paused and resumed.
 *
 * P1: what a test has started ends with its cluster, paused processes too, whatever the test's outcome. P2: processes are ended by
 * their id. P3: nothing here sleeps; it waits for conditions, each with a deadline.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The command line as `npm run build` made it, seen from here and from here as it is built. */
const places = ['../..', '../../..'].map((root) =>
  fileURLToPath(new URL(`${root}/packages/cli/dist/main.js`, import.meta.url)),
);
const MUSTER = places.find((place) => existsSync(place)) ?? places.join(' and ');
const LINES_MAX = 5_000;
export const WAIT_MS = 30_000;
const POLL_MS = 10;

/** One line of a node's log. */
export type LogLine = { readonly msg: string; readonly level: number; readonly [field: string]: unknown };

/** Waits for a condition. @throws Error naming `what` where it does not hold within `withinMs` */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  withinMs = WAIT_MS,
  explain: () => string = () => '',
): Promise<void> {
  const giveUpAt = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > giveUpAt) throw new Error(`not within ${withinMs} ms: ${what}. ${explain()}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** What a process or a node in this process has logged, the newest lines. */
export class LogLines {
  readonly #lines: LogLine[] = [];
  #rest = '';

  /** Takes text as it comes; a line that is no JSON is kept as its text. */
  add(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') this.#lines.push(parseLine(line));
    if (this.#lines.length > LINES_MAX) this.#lines.splice(0, this.#lines.length - LINES_MAX);
  }

  /** @returns the lines with this message */
  of(message: string): readonly LogLine[] {
    return this.#lines.filter(({ msg }) => msg === message);
  }

  /** @returns everything, for people */
  get text(): string {
    return [...this.#lines.map((line) => JSON.stringify(line)), this.#rest].join('\n');
  }
}

function parseLine(line: string): LogLine {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === 'object' && value !== null) return { msg: '', level: 0, ...value };
  } catch {
    // Not a line of pino.
  }
  return { msg: line, level: 0 };
}

/** A process of ours: a node, or a worker. */
export class Process {
  readonly name: string;
  readonly log = new LogLines();
  /** Messages over Node's channel between parent and child. */
  readonly messages: unknown[] = [];
  readonly exited: Promise<number | null>;
  #exitCode: number | null | undefined;
  readonly #child: ChildProcess;

  constructor(name: string, script: string, args: readonly string[]) {
    if (!existsSync(script)) throw new Error(`${script} is missing: run "npm run build" first`);
    this.name = name;
    const { PATH = '', HOME = '' } = process.env;
    // A clean environment: neither this test runner's switches nor options of Muster.
    this.#child = fork(script, args, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], execArgv: [], env: { PATH, HOME } });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => this.log.add(text));
    }
    this.#child.on('message', (message) => this.messages.push(message));
    this.exited = new Promise((resolve) => {
      // `close` comes after the last output, `exit` may come before it.
      this.#child.once('close', (code) => {
        this.#exitCode = code;
        resolve(code);
      });
    });
    running.add(this);
    void this.exited.then(() => running.delete(this));
  }

  get isRunning(): boolean {
    return this.#exitCode === undefined;
  }
  /** undefined while it runs, null where a signal ended it. */
  get exitCode(): number | null | undefined {
    return this.#exitCode;
  }

  /** SIGSTOP: connections stay, nothing is answered. */
  pause(): void {
    this.#child.kill('SIGSTOP');
  }
  /** SIGCONT */
  resume(): void {
    this.#child.kill('SIGCONT');
  }
  /** SIGTERM. @returns the exit code; @throws Error where it does not end within `withinMs` */
  async terminate(withinMs = WAIT_MS): Promise<number | null> {
    this.#child.kill('SIGTERM');
    await until(
      `${this.name} ends after SIGTERM`,
      () => !this.isRunning,
      withinMs,
      () => this.log.text,
    );
    return this.exited;
  }
  /** kill -9. Settles when it is gone. */
  async kill(): Promise<void> {
    this.killNow();
    await this.exited;
  }
  killNow(): void {
    this.#child.kill('SIGKILL');
  }
}

const running = new Set<Process>();
// P1, for a run that is ended from outside.
process.once('exit', () => {
  for (const child of running) child.killNow();
});

/** Starts `muster node` with these flags. */
export function startMusterNode(name: string, flags: readonly string[]): Process {
  return new Process(name, MUSTER, ['node', ...flags]);
}
