/**
 * Tables for people: columns without borders, fitted to the terminal.
 *
 * T1 what is written into a pipe or a file is never cut: only a terminal has a width. T2 numbers, groups and topics are never
 * shortened; a column that does not fit is left out as a whole, and that is said.
 */

import Table from 'cli-table3';
import { type Cell, type Column, printable, type Row, textOfCell } from './cells.js';

/** What is known of the output: a terminal has columns, perhaps colours. */
export interface Look {
  readonly hasColor: boolean;
  /** Undefined where it is no terminal. */
  readonly columns: number | undefined;
}

export interface Drawn {
  readonly text: string;
  /** Titles of the columns for which there was no room. */
  readonly leftOut: readonly string[];
}

const edges = [
  'top',
  'top-mid',
  'top-left',
  'top-right',
  'bottom',
  'bottom-mid',
  'bottom-left',
  'bottom-right',
] as const;
const lines = ['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid'] as const;
const GAP = '  ';
const noBorders = { ...Object.fromEntries([...edges, ...lines].map((part) => [part, ''])), middle: GAP };
const BOLD = '\u001b[1m';
const NOT_BOLD = '\u001b[22m';
const SHORTENED_TO_MIN = 8;

/** @returns the table without a line end */
export function drawTable(columns: readonly Column[], rows: readonly Row[], look: Look): Drawn {
  const { kept, widths } = fit(columns, rows, look.columns ?? Number.POSITIVE_INFINITY);
  const isNumber = (key: string) => rows.every((row) => row[key] === null || typeof row[key] === 'number');
  const made = new Table({
    // Not the table's own colours: they follow the environment, not what is known about the output.
    head: kept.map(({ title }) => (look.hasColor ? `${BOLD}${title}${NOT_BOLD}` : title)),
    colAligns: kept.map(({ key }) => (isNumber(key) ? 'right' : 'left')),
    chars: noBorders,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0, compact: true },
  });
  for (const row of rows) made.push(kept.map((column) => shortened(shown(column, row), widths.get(column.key))));
  const text = made
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
  return { text, leftOut: columns.filter((column) => !kept.includes(column)).map(({ title }) => title) };
}

/** Leaves columns out, in their order of being missed least, until the rest fits, shortened where that is allowed. */
function fit(
  columns: readonly Column[],
  rows: readonly Row[],
  width: number,
): { readonly kept: readonly Column[]; readonly widths: ReadonlyMap<string, number> } {
  const isEmpty = ({ key }: Column) => rows.every((row) => (row[key] ?? null) === null);
  // What has no value in any row is missed least of all.
  const rank = (column: Column) => (isEmpty(column) ? Number.NEGATIVE_INFINITY : (column.leaveOut ?? 0));
  const droppable = columns
    .filter(({ leaveOut }) => leaveOut !== undefined)
    .sort((left, right) => Number(rank(left) > rank(right)) - Number(rank(left) < rank(right)));
  for (let dropped = 0; ; dropped += 1) {
    const gone = new Set(droppable.slice(0, dropped));
    const kept = columns.filter((column) => !gone.has(column));
    const widths = widthsWithin(kept, rows, width);
    if (totalOf(kept, widths) <= width || dropped === droppable.length) return { kept, widths };
  }
}

function widthsWithin(columns: readonly Column[], rows: readonly Row[], width: number): Map<string, number> {
  const widths = new Map(
    columns.map((column): [string, number] => {
      const lengths = rows.map((row) => shown(column, row).length);
      return [column.key, lengths.reduce((most, length) => Math.max(most, length), column.title.length)];
    }),
  );
  const elastic = columns.filter(({ isElastic }) => isElastic === true);
  for (let excess = totalOf(columns, widths) - width; excess > 0; ) {
    // The widest gives first: two ids of the same length end with the same length.
    const spare = ({ key, title }: Column) => (widths.get(key) ?? 0) - Math.max(SHORTENED_TO_MIN, title.length);
    const widest = elastic.filter((column) => spare(column) > 0).sort((a, b) => wide(widths, b) - wide(widths, a))[0];
    if (widest === undefined) break;
    widths.set(widest.key, wide(widths, widest) - 1);
    excess -= 1;
  }
  return widths;
}

function wide(widths: ReadonlyMap<string, number>, { key }: Column): number {
  return widths.get(key) ?? 0;
}

function totalOf(columns: readonly Column[], widths: ReadonlyMap<string, number>): number {
  return columns.reduce((sum, column) => sum + wide(widths, column), GAP.length * (columns.length - 1));
}

function shortened(text: string, width = Number.POSITIVE_INFINITY): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}

function shown(column: Column, row: Row): string {
  const content = printable(textOfCell(tableCell(column, row)));
  return content === '' ? '-' : content;
}

function tableCell({ key, text: textOf }: Column, row: Row): Cell {
  const cell = row[key] ?? null;
  return textOf === undefined || cell === null ? cell : textOf(cell, row);
}
