/**
 * What a command found, in the format that was asked for. Table is for people, the others for programs; the keys of JSON,
 * YAML and CSV are the same and stay.
 *
 * F1 text from elsewhere (client ids, group names) cannot send control characters to the terminal.
 * F2 standard output carries the result and nothing else; that there is none is said on standard error.
 */

import Table from 'cli-table3';
import { Option } from 'commander';
import { stringify } from 'yaml';
import type { Io } from './io.js';

export const formats = ['table', 'json', 'yaml', 'csv', 'name'] as const;
export type Format = (typeof formats)[number];

/** `null` is "none": a dash in a table, empty in CSV. Nested values appear in JSON and YAML only. */
export type Cell = string | number | boolean | null | readonly unknown[] | { readonly [key: string]: unknown };
export type Row = Readonly<Record<string, Cell>>;

export interface Column {
  readonly key: string;
  /** As the table heads it; Kafka's names where Kafka has one. */
  readonly title: string;
  /** How a table shows the value where that differs; CSV has the value itself. */
  readonly text?: (cell: Cell, row: Row) => string | null;
}

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

/** Writes the report. */
export function show(io: Io, format: Format, report: Report): void {
  if (report.rows.length === 0 && (format === 'table' || format === 'name')) io.err(`${report.empty}\n`);
  io.out(render(format, report, io.hasColor));
}

/** @returns the text of the report, with a line end where there is any */
export function render(format: Format, report: Report, hasColor = false): string {
  switch (format) {
    case 'table':
      return report.rows.length === 0 ? '' : `${table(report, hasColor)}\n`;
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
  return typeof name === 'string' ? text(row[name]) : name(row);
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
const noBorders = { ...Object.fromEntries([...edges, ...lines].map((part) => [part, ''])), middle: '  ' };

const BOLD = '\u001b[1m';
const NOT_BOLD = '\u001b[22m';

function table({ columns, rows }: Report, hasColor: boolean): string {
  const isNumber = (key: string) => rows.every((row) => row[key] === null || typeof row[key] === 'number');
  const made = new Table({
    // Not the table's own colours: they follow the environment, not what is known about the output.
    head: columns.map(({ title }) => (hasColor ? `${BOLD}${title}${NOT_BOLD}` : title)),
    colAligns: columns.map(({ key }) => (isNumber(key) ? 'right' : 'left')),
    chars: noBorders,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0, compact: true },
  });
  for (const row of rows) made.push(columns.map((column) => shown(tableCell(column, row))));
  return made
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

function tableCell({ key, text: textOf }: Column, row: Row): Cell {
  const cell = row[key] ?? null;
  return textOf === undefined || cell === null ? cell : textOf(cell, row);
}

function shown(cell: Cell | undefined): string {
  const content = printable(text(cell));
  return content === '' ? '-' : content;
}

function text(cell: Cell | undefined): string {
  if (cell === null || cell === undefined) return '';
  return typeof cell === 'object' ? JSON.stringify(cell) : String(cell);
}

function csv({ columns, rows }: Report): string {
  const records = [columns.map(({ key }) => key), ...rows.map((row) => columns.map(({ key }) => text(row[key])))];
  return records.map((record) => `${record.map(quoted).join(',')}\n`).join('');
}

/** RFC 4180. */
export function quoted(field: string): string {
  return /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
}

/** F1 @returns the text with control characters written as `\xHH` */
export function printable(content: string): string {
  // biome's rule against control characters in regular expressions is about accidents; code points say it plainly.
  return [...content]
    .map((character) => {
      const code = character.codePointAt(0) ?? 0;
      return code < 32 || (code >= 127 && code < 160) ? `\\x${code.toString(16).padStart(2, '0')}` : character;
    })
    .join('');
}
