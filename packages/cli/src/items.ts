/**
 * Results of a command about several items: one row each, and one exit code for all.
 */

import { MusterError, type MusterErrorCode } from '@muster/worker';
import { type ExitCode, exitCodeOfItems, exitCodes } from './exit-codes.js';
import { verdictOf } from './failure.js';
import type { Io } from './io.js';
import { type Column, type Format, type Report, type Row, show } from './output.js';

export interface Item {
  readonly row: Row;
  /** `NONE` where it worked. */
  readonly error: MusterErrorCode;
  /** Instead of the general words of the error. */
  readonly message?: string;
}

/** @returns the item for a result of the library */
export function itemOf(
  row: Row,
  { error, detail }: { readonly error: MusterErrorCode; readonly detail?: string },
): Item {
  return { row, error, ...(detail === undefined ? {} : { message: detail }) };
}

/**
 * Shows the items with a column RESULT, says what to do about those that failed.
 * @returns the exit code of the command
 */
export function showItems(
  io: Io,
  format: Format,
  shape: {
    readonly columns: readonly Column[];
    readonly name: Report['name'];
    readonly done: string;
    readonly empty: string;
    /** What to do about errors where this command knows better than others. */
    readonly advice?: Partial<Record<MusterErrorCode, string>>;
  },
  items: readonly Item[],
): ExitCode {
  const rows = items.map(({ row, error }) => ({ ...row, result: error === 'NONE' ? shape.done : error }));
  const columns = [...shape.columns, { key: 'result', title: 'RESULT' }];
  // Names are for what comes after in a pipe: only of what was done.
  const shown = format === 'name' ? rows.filter((_, at) => items[at]?.error === 'NONE') : rows;
  show(io, format, { columns, rows: shown, name: shape.name, empty: items.length === 0 ? shape.empty : '' });
  const failed = items.filter(({ error }) => error !== 'NONE');
  for (const error of new Set(failed.map((item) => item.error))) {
    const advice = shape.advice?.[error] ?? verdictOf(error).advice;
    const first = failed.find((item) => item.error === error);
    const message = first?.message ?? new MusterError(error).message;
    io.err(`error: ${first === undefined ? message : withName(message, first.row, shape.name)}\n`);
    if (advice !== undefined) io.err(`${error}: ${advice}\n`);
  }
  return items.length === 0 ? exitCodes.ok : exitCodeOfItems(items.map(({ error }) => verdictOf(error).exitCode));
}

/** The general words of an error say what is wrong, seldom with what. */
function withName(message: string, row: Row, name: Report['name']): string {
  const subject = typeof name === 'string' ? String(row[name] ?? '') : name(row);
  const isNamed = subject === '' || message.includes(subject) || message.includes('"');
  return isNamed ? message : `${subject}: ${message}`;
}
