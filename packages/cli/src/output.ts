/**
 * What a command found, in the format that was asked for. Table is for people, the others for programs; the keys of JSON,
 * YAML and CSV are the same and stay.
 *
 * F2 standard output carries the result and nothing else; that there is none is said on standard error.
 */

import { Option } from 'commander';
import { stringify } from 'yaml';
import { type Column, printable, type Row, textOfCell } from './cells.js';
import type { Io } from './io.js';
import { drawTable, type Look } from './table.js';

export type { Cell, Column, Row } from './cells.js';
export { printable } from './cells.js';

export const formats = ['table', 'json', 'yaml', 'csv', 'name'] as const;
export type Format = (typeof formats)[number];

export interface Report {
  /** What table and CSV show, in this order. JSON and YAML show whole rows. */
  readonly columns: readonly Column[];
  readonly rows: readonly Row[];
  /** The key whose values are the answer of `-o name`, or how to make it. */
  readonly name: string | ((row: Row) => string);
  /** Said where there are no rows. */
  readonly empty: string;
  /** Instead of the rows in JSON and YAML. */
  readonly document?: unknown;
}

export interface OutputOptions {
  readonly output: Format;
}

/** @returns the option `-o`, with the formats it takes */
export function outputOption(): Option {
  return new Option('-o, --output <format>', 'format of the result').choices([...formats]).default('table');
}

const NO_TERMINAL: Look = { hasColor: false, columns: undefined };

/** Writes the report. */
export function show(io: Io, format: Format, report: Report): void {
  const { columns, rows, empty } = report;
  if (rows.length === 0 && (format === 'table' || format === 'name') && empty !== '') io.err(`${empty}\n`);
  if (format !== 'table' || rows.length === 0) return io.out(render(format, report));
  const { text, leftOut } = drawTable(columns, rows, io);
  io.out(`${text}\n`);
  if (leftOut.length > 0) io.err(`no room for ${leftOut.join(', ')}\n-o json has all, or a wider terminal\n`);
}

/** @returns the text of the report, with a line end where there is any */
export function render(format: Format, report: Report, look: Look = NO_TERMINAL): string {
  switch (format) {
    case 'table':
      return report.rows.length === 0 ? '' : `${drawTable(report.columns, report.rows, look).text}\n`;
    case 'json':
      return `${JSON.stringify(report.document ?? report.rows, null, 2)}\n`;
    case 'yaml':
      return stringify(report.document ?? report.rows, { lineWidth: 0 });
    case 'csv':
      return csv(report);
    case 'name':
      return report.rows.map((row) => `${printable(nameOf(report, row))}\n`).join('');
    default:
      return unknownFormat(format);
  }
}

function unknownFormat(format: never): never {
  throw new Error(`unhandled format ${String(format)}`);
}

function nameOf({ name }: Report, row: Row): string {
  return typeof name === 'string' ? textOfCell(row[name]) : name(row);
}

function csv({ columns, rows }: Report): string {
  const records = [columns.map(({ key }) => key), ...rows.map((row) => columns.map(({ key }) => textOfCell(row[key])))];
  return records.map((record) => `${record.map(quoted).join(',')}\n`).join('');
}

/** RFC 4180. */
export function quoted(field: string): string {
  return /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
}
