/**
 * A process of a chaos run: a node, a worker, a producer, the driver of the light groups. Started, listened to, and treated badly
 * by its id.
 *
 * P1: whatever was started ends with this process, paused ones too.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export type ChildOptions = {
  readonly name: string;
  /** Relative to this file as it is built. */
  readonly script: string;
  readonly args: readonly string[];
  readonly logFolder: string;
};

const running = new Set<Child>();
process.once('exit', () => {
  for (const child of running) child.signal('SIGKILL');
});

export class Child {
  readonly name: string;
  readonly logFile: string;
  readonly exited: Promise<number | null>;
  readonly #process: ChildProcess;
  #isGone = false;

  constructor(options: ChildOptions) {
    this.name = options.name;
    this.logFile = join(options.logFolder, `${options.name}.log`);
    const log = openSync(this.logFile, 'a');
    const script = fileURLToPath(new URL(options.script, import.meta.url));
    const { PATH = '', HOME = '' } = process.env;
    this.#process = fork(script, options.args, {
      stdio: ['ignore', log, log, 'ipc'],
      execArgv: [],
      env: { PATH, HOME },
    });
    closeSync(log);
    running.add(this);
    this.exited = new Promise((resolve) => {
      this.#process.once('exit', (code) => {
        this.#isGone = true;
        running.delete(this);
        resolve(code);
      });
    });
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** @returns how to stop listening */
  onMessage(listener: (message: unknown) => void): () => void {
    this.#process.on('message', listener);
    return () => this.#process.off('message', listener);
  }

  send(message: object): void {
    // A process that is just going: what it was told does not matter any more.
    if (this.#process.connected) this.#process.send(message, () => {});
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.#isGone) this.#process.kill(signal);
  }

  /** kill -9. Settles when it is gone. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited;
  }

  /** Asks it to end in order, and insists after the deadline. @returns its exit code, null where it had to be killed */
  async stop(deadlineMs: number): Promise<number | null> {
    this.signal('SIGCONT');
    this.signal('SIGTERM');
    const insist = setTimeout(() => this.signal('SIGKILL'), deadlineMs);
    const code = await this.exited;
    clearTimeout(insist);
    return code;
  }
}
