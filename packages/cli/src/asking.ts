/**
 * Questions and progress: only where a person sits at a terminal, never in the way of a script.
 *
 * A1 without a terminal nothing waits for an answer: what needs one is refused and says which flag answers it.
 * A2 the end of the input (Ctrl-D, a terminal that nobody feeds any more) is no: a question never hangs on it.
 * A3 a terminal is one only where standard input and standard output both are: the questions are drawn on the latter.
 */

import { confirm, isCancel, spinner, updateSettings } from '@clack/prompts';
import { exitCodes } from './exit-codes.js';
import { CliError } from './failure.js';
import type { Io } from './io.js';

// A2 A Ctrl-D from before the question has become a NUL when it is read.
updateSettings({ aliases: { '\u0004': 'cancel', '\u0000': 'cancel' } });

/**
 * Asks whether to go on with something that cannot be undone.
 * @param isForced `--force` was given: nobody is asked
 * @returns when the answer is yes; throws CliError otherwise
 */
export async function requireConsent(io: Io, question: string, isForced: boolean): Promise<void> {
  if (isForced) return;
  if (!io.isInteractive) {
    throw new CliError(exitCodes.usage, `${question} There is no terminal to ask on`, 'add --force to go ahead');
  }
  const answer = await confirm({ message: question, initialValue: false });
  if (isCancel(answer) || !answer) throw new CliError(exitCodes.failed, 'nothing was changed');
}

export interface Progress {
  /** How far it is; drawn at most ten times a second. */
  at(done: number): void;
  end(summary: string): void;
  /** Ends without a word: the result says it. */
  clear(): void;
}

const DRAW_INTERVAL_MS = 100;
const BAR_WIDTH = 24;

/** Progress of long work: a bar where `total` is known; silent without a terminal. */
export function startProgress(io: Io, what: string, total: number | undefined): Progress {
  if (!io.isInteractive) return { at: () => {}, end: () => {}, clear: () => {} };
  const startedAt = performance.now();
  let drawnAt = startedAt;
  let isDrawn = false;
  return {
    at: (done) => {
      const now = performance.now();
      if (now - drawnAt < DRAW_INTERVAL_MS) return;
      drawnAt = now;
      isDrawn = true;
      io.err(`\r\u001b[K${what} ${progressText(done, total, now - startedAt)}`);
    },
    end: (summary) => io.err(`\r\u001b[K${summary}\n`),
    clear: () => {
      if (isDrawn) io.err('\r\u001b[K');
    },
  };
}

/** @returns such as `[######------] 50 % 120/240, 40/s` */
export function progressText(done: number, total: number | undefined, elapsedMs: number): string {
  const rate = `${Math.round((done / Math.max(1, elapsedMs)) * 1_000)}/s`;
  if (total === undefined || total === 0) return `${done}, ${rate}`;
  const share = Math.min(1, done / total);
  const filled = Math.round(share * BAR_WIDTH);
  return `[${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}] ${Math.floor(share * 100)} % ${done}/${total}, ${rate}`;
}

/** Runs something that takes its time; a person sees that it goes on, and whether it worked. */
export async function withSpinner<Result>(io: Io, what: string, run: () => Promise<Result>): Promise<Result> {
  if (!io.isInteractive) return run();
  const wheel = spinner();
  wheel.start(what);
  try {
    const result = await run();
    wheel.stop(what);
    return result;
  } catch (thrown) {
    wheel.stop(`${what}: failed`, 1);
    throw thrown;
  }
}
