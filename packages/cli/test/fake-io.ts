/**
 * The surroundings of a command under test: what it writes is kept, nobody sits at a terminal unless the test says so.
 */

import { Readable } from 'node:stream';
import type { Io } from '../src/io.js';
import { runCli } from '../src/program.js';

export class FakeIo implements Io {
  readonly stdin: Readable;
  readonly env: Record<string, string | undefined>;
  readonly home: string;
  readonly startedAs = 'muster';
  readonly isInteractive = false;
  readonly isTerminal: boolean;
  readonly hasColor = false;
  readonly columns: number | undefined;
  readonly interruption = new AbortController();
  stdout = '';
  stderr = '';

  constructor(
    options: {
      readonly env?: Record<string, string>;
      readonly home?: string;
      readonly stdin?: string;
      readonly columns?: number;
      readonly isTerminal?: boolean;
    } = {},
  ) {
    this.columns = options.columns;
    this.isTerminal = options.isTerminal === true;
    this.env = { ...options.env };
    this.home = options.home ?? '/nonexistent';
    this.stdin = Readable.from(options.stdin === undefined ? [] : [options.stdin]);
  }
  out(text: string): void {
    this.stdout += text;
  }
  err(text: string): void {
    this.stderr += text;
  }
  async drained(): Promise<boolean> {
    return true;
  }
  interrupted(): AbortSignal {
    return this.interruption.signal;
  }
}

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line to its end. */
export async function run(args: readonly string[], io: FakeIo = new FakeIo()): Promise<Ran> {
  const code = await runCli(args, io);
  return { code, stdout: io.stdout, stderr: io.stderr };
}
