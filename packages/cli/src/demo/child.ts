/**
 * A child process of the demonstration: started, listened to, ended by its id.
 *
 * Children report over Node's channel and write their logs into files, which are shown only when something went wrong.
 */

import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { openSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export type ChildOptions = {
  readonly name: string;
  /** Script beside this file, such as `worker-process.js`, or `../main.js`. */
  readonly script: string;
  readonly args: readonly string[];
  readonly logFolder: string;
  readonly onReport?: (report: unknown) => void;
  readonly onExit?: (code: number | null) => void;
};

export class Child {
  readonly name: string;
  readonly logFile: string;
  readonly #process: ChildProcess;
  readonly #exited: Promise<number | null>;
  #isGone = false;

  constructor(options: ChildOptions) {
    this.name = options.name;
    this.logFile = join(options.logFolder, `${options.name}.log`);
    const log = openSync(this.logFile, 'a');
    const script = fileURLToPath(new URL(options.script, import.meta.url));
    // A process group of its own: Ctrl-C at a terminal reaches the demonstration alone, which ends its children in order. They end by
    // themselves when the channel to it breaks.
    this.#process = fork(script, options.args, { stdio: ['ignore', log, log, 'ipc'], detached: true });
    if (options.onReport !== undefined) this.#process.on('message', options.onReport);
    this.#exited = new Promise((resolve) => {
      this.#process.once('exit', (code) => {
        this.#isGone = true;
        resolve(code);
        options.onExit?.(code);
      });
    });
  }

  get isGone(): boolean {
    return this.#isGone;
  }
  get pid(): number {
    return this.#process.pid ?? -1;
  }

  /** kill -9: nothing of it gets a chance to say goodbye. Settles when the process is gone. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#exited;
  }

  /** Asks the process to end in order, and insists after the deadline. @returns its exit code */
  async stop(deadlineMs: number): Promise<number | null> {
    if (this.#isGone) return this.#exited;
    this.#process.kill('SIGTERM');
    const insist = setTimeout(() => this.#process.kill('SIGKILL'), deadlineMs);
    const code = await this.#exited;
    clearTimeout(insist);
    return code;
  }
}
