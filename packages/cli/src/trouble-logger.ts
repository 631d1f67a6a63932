/**
 * What goes wrong while a member of a group runs, for a person: one plain line each on standard error.
 *
 * T1 the same line again within a few seconds tells nothing new and is left out.
 */

import type { Logger } from '@muster/worker';
import type { Io } from './io.js';

const REPEAT_AFTER_MS = 10_000;
const BACK = 'the coordinator answers again';

/** @returns a logger that writes warnings and errors, and that what was warned of is over */
export function troubleLogger(io: Pick<Io, 'err'>, now: () => number = () => performance.now()): Logger {
  let last = '';
  let lastAt = Number.NEGATIVE_INFINITY;
  const write = (message: string, fields: Readonly<Record<string, unknown>> = {}) => {
    const line = lineOf(message, fields);
    // T1
    if (line === last && now() - lastAt < REPEAT_AFTER_MS) return;
    last = line;
    lastAt = now();
    io.err(`${line}\n`);
  };
  return {
    debug: () => {},
    info: (message) => {
      if (message === BACK) write(message);
    },
    warn: write,
    error: write,
  };
}

function lineOf(message: string, fields: Readonly<Record<string, unknown>>): string {
  const { problem, error, operation, subject } = { ...fields };
  const details = [problem, error, operation, subject].filter((detail) => typeof detail === 'string' && detail !== '');
  return details.length === 0 ? message : `${message}: ${details.join(' ')}`;
}
