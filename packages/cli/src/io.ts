/**
 * What a command sees of its process: streams, environment, terminal, interruption. Tests pass their own.
 */

import { homedir } from 'node:os';
import { relative } from 'node:path';
import type { Readable } from 'node:stream';
import { listenForEnd } from './ending.js';
import { type ExitCode, exitCodes } from './exit-codes.js';
import { StandardOutput } from './standard-output.js';

export interface Io {
  readonly stdin: Readable;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  /** How this command was started, for command lines that a person shall type: `muster`, `npx muster`, `node path/to/muster.mjs`. */
  readonly startedAs: string;
  /** Whether a person can be asked: standard input and standard output are a terminal. */
  readonly isInteractive: boolean;
  /** Whether standard output is a terminal. */
  readonly isTerminal: boolean;
  readonly hasColor: boolean;
  /** Width of the terminal that standard output is; undefined where it is none. */
  readonly columns: number | undefined;
  /** Results: what a pipe wants. */
  out(text: string): void;
  /**
   * Settles when the last result has left: what streams waits for it, so that memory stays bounded.
   * @returns false where it could not be written
   */
  drained(): Promise<boolean>;
  /** Everything said to a person beside the result. */
  err(text: string): void;
  /**
   * Aborts at Ctrl-C, SIGTERM, a closed terminal, when whoever started us is gone, or nobody reads the results any more. From the first
   * call on signals no longer end the process by themselves; a second one does.
   */
  interrupted(): AbortSignal;
}

/** What every command gets: its surroundings, and where it leaves its exit code. */
export interface Cli {
  readonly io: Io;
  exitCode: number;
}

const COLUMNS = 80;
const STAY_MS = 3_600_000;
const EXIT_OF_SECOND_SIGNAL = 130;

/** The surroundings of a process that ends when its command has. */
export interface ProcessIo extends Io {
  /** Waits until all that was written has left. @returns the exit code of the process: `code`, unless results could not be written */
  ended(code: number): Promise<number>;
}

/** @returns the surroundings of this process */
export function processIo(): ProcessIo {
  const { stdin, stdout, stderr, env } = process;
  const output = new StandardOutput(stdout);
  stderr.on('error', () => {});
  let interruption: AbortController | undefined;
  // Some terminals (of containers, of `script`) say that they have no width; questions would be drawn a letter per line.
  if (stdout.isTTY && !(stdout.columns > 0)) stdout.columns = COLUMNS;
  return {
    stdin,
    env,
    home: env['HOME'] ?? homedir(),
    startedAs: startedAs(process.argv[1] ?? '', env, process.cwd()),
    isInteractive: Boolean(stdin.isTTY && stdout.isTTY),
    isTerminal: Boolean(stdout.isTTY),
    hasColor: Boolean(stdout.isTTY) && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb',
    get columns() {
      return stdout.isTTY ? stdout.columns : undefined;
    },
    out: (text) => output.write(text),
    drained: () => output.written(),
    err: (text) => void stderr.write(text),
    interrupted: () => {
      interruption ??= onEnd(output);
      return interruption.signal;
    },
    ended: async (code) => {
      await output.written();
      const verdict = ofOutput(output, code);
      if (verdict.said !== undefined) stderr.write(verdict.said);
      await new Promise((resolve) => stderr.write('', resolve));
      return verdict.code;
    },
  };
}

function ofOutput({ broken }: StandardOutput, code: number): { readonly code: number; readonly said?: string } {
  if (broken?.kind !== 'failed') return { code };
  const said = `error: the results cannot be written: ${broken.detail}\nwhat the command did is done; give it another place to write to\n`;
  const failed: ExitCode = exitCodes.failed;
  return { code: code === exitCodes.ok ? failed : code, said };
}

/** @returns how the script was started; as a path where nothing else is known to work */
export function startedAs(script: string, env: Io['env'], cwd: string): string {
  if (env['npm_command'] === 'exec') return 'npx muster';
  if (!/\.m?js$/.test(script)) return 'muster';
  const near = relative(cwd, script);
  return `node ${near.startsWith('..') ? script : near}`;
}

function onEnd(output: StandardOutput): AbortController {
  const controller = new AbortController();
  listenForEnd(
    () => controller.abort(),
    () => process.exit(EXIT_OF_SECOND_SIGNAL),
  );
  if (output.signal.aborted) controller.abort();
  output.signal.addEventListener('abort', () => controller.abort(), { once: true });
  return controller;
}

/** @returns when the signal has aborted. The process stays for it: a handler of signals alone would let it end. */
export async function aborted(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) await pause(STAY_MS, signal);
}

/** @returns after `ms`, or as soon as the signal aborts */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end, { once: true });
  });
}
