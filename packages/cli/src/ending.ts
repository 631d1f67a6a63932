/**
 * When a process that runs until it is told otherwise has to end: at Ctrl-C, SIGTERM, a closed terminal, or when whoever started it
 * is gone.
 *
 * X1 npm and npx do not take their command with them when they are killed, nor does the shell that they start it in: under them the
 * ancestors up to npm are looked at each second. X2 without npm nobody's end is ours: `muster node &` survives its shell.
 */

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const LOOK_INTERVAL_MS = 1_000;
/** npm, a shell, a script, and npm once more. */
const ANCESTORS_MAX = 6;
/** What npm, npx, pnpm and yarn set for all that they start. */
const STARTED_BY_NPM = 'npm_lifecycle_event';

/** A second signal within this time belongs to the first: terminals and npm each pass it on. */
const SECOND_AFTER_MS = 500;

/**
 * @param onFirst the process shall end, in order
 * @param onAgain somebody insists: a signal once more, not before `againAfterMs` have passed
 * @returns how to stop listening: signals then end the process by themselves again
 */
export function listenForEnd(
  onFirst: () => void,
  onAgain: () => void,
  againAfterMs: number = SECOND_AFTER_MS,
): () => void {
  let firstAt: number | undefined;
  const onEnd = () => {
    const now = performance.now();
    if (firstAt === undefined) {
      firstAt = now;
      onFirst();
    } else if (now - firstAt > againAfterMs) onAgain();
  };
  for (const signal of signals) process.on(signal, onEnd);
  const stopWatching = watchStarter(onEnd);
  return () => {
    for (const signal of signals) process.off(signal, onEnd);
    stopWatching();
  };
}

function watchStarter(onGone: () => void): () => void {
  if (process.channel) {
    process.once('disconnect', onGone);
    // Listening alone must not keep the process.
    process.channel.unref();
    return () => void process.off('disconnect', onGone);
  }
  if (process.env[STARTED_BY_NPM] === undefined) return () => {};
  const links = ancestry();
  const timer = setInterval(() => {
    if (links.every(({ pid, parent }) => parentOf(pid) === parent)) return;
    clearInterval(timer);
    onGone();
  }, LOOK_INTERVAL_MS);
  timer.unref();
  return () => clearInterval(timer);
}

interface Link {
  readonly pid: number;
  readonly parent: number;
}

/** @returns who started whom, from this process up to npm */
function ancestry(): readonly Link[] {
  const links: Link[] = [];
  let pid = process.pid;
  while (links.length < ANCESTORS_MAX) {
    const parent = parentOf(pid);
    if (parent === undefined || parent <= 1) break;
    links.push({ pid, parent });
    if (!wasStartedByNpm(parent)) break;
    pid = parent;
  }
  return links;
}

function wasStartedByNpm(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`${STARTED_BY_NPM}=`);
  } catch {
    // Without /proc: the shell that npm starts is the one worth looking behind.
    return process.platform !== 'linux' && pid === process.ppid;
  }
}

function parentOf(pid: number): number | undefined {
  if (pid === process.pid) return process.ppid;
  try {
    const text =
      process.platform === 'linux'
        ? // The name, in parentheses, may have anything in it.
          readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) \S /s, '')
        : execFileSync('ps', ['-o', 'ppid=', '-p', String(pid)], { encoding: 'utf8', timeout: LOOK_INTERVAL_MS });
    const parent = Number.parseInt(text, 10);
    return Number.isNaN(parent) ? undefined : parent;
  } catch {
    return undefined;
  }
}
