/**
 * Cells, rows and columns of results, and their plain text.
 *
 * F1 text from elsewhere (client ids, group names) cannot send control characters to the terminal.
 */

/** `null` is "none": a dash in a table, empty in CSV. Nested values appear in JSON and YAML only. */
export type Cell = string | number | boolean | null | readonly unknown[] | { readonly [key: string]: unknown };
export type Row = Readonly<Record<string, Cell>>;

export interface Column {
  readonly key: string;
  /** As the table heads it; Kafka's names where Kafka has one. */
  readonly title: string;
  /** How a table shows the value where that differs; CSV has the value itself. */
  readonly text?: (cell: Cell, row: Row) => string | null;
  /** On a narrow terminal its values may be shortened. */
  readonly isElastic?: boolean;
  /** On a terminal too narrow even so, the column with the lowest number is left out first. */
  readonly leaveOut?: number;
}

/** @returns a cell's plain text; empty for none */
export function textOfCell(cell: Cell | undefined): string {
  if (cell === null || cell === undefined) return '';
  return typeof cell === 'object' ? JSON.stringify(cell) : String(cell);
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
