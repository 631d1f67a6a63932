/**
 * What a person sees: a table that stays in place on a terminal, plain lines anywhere else.
 */

import Table from 'cli-table3';

export type NodeRow = { readonly name: string; readonly state: string; readonly partitions: number };
export type WorkerRow = {
  readonly name: string;
  readonly state: string;
  readonly partitions: readonly number[];
  readonly handled: number;
};

/** The state of the demonstration at one moment. */
export type Picture = {
  readonly elapsedMs: number;
  readonly durationMs: number;
  readonly nodes: readonly NodeRow[];
  readonly workers: readonly WorkerRow[];
  readonly group: { readonly state: string; readonly generation: number; readonly coordinator: string };
  readonly producedPerSecond: number;
  readonly handledPerSecond: number;
  readonly lag: number;
};

export interface Display {
  /** Something happened that should stay readable. */
  say(line: string): void;
  show(picture: Picture): void;
  end(): void;
}

/** @param out the stream for people; standard error where standard output belongs to a program */
export function makeDisplay(out: NodeJS.WriteStream): Display {
  return out.isTTY ? new LiveDisplay(out) : new LineDisplay(out);
}

class LineDisplay implements Display {
  readonly #out: NodeJS.WriteStream;
  #lastShownMs = Number.NEGATIVE_INFINITY;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }
  say(line: string): void {
    this.#out.write(`${line}\n`);
  }
  show(picture: Picture): void {
    if (picture.elapsedMs - this.#lastShownMs < 2_000) return;
    this.#lastShownMs = picture.elapsedMs;
    const nodes = picture.nodes.map(({ name, state, partitions }) => `${name} ${state === 'up' ? partitions : state}`);
    const workers = picture.workers.map(
      ({ name, partitions, state }) => `${name} ${state === 'up' ? partitions.length : state}`,
    );
    const { group } = picture;
    this.say(
      `${seconds(picture.elapsedMs)}  group ${group.state} generation ${group.generation} on ${group.coordinator}  ` +
        `nodes [${nodes.join(', ')}]  workers [${workers.join(', ')}]  ` +
        `${picture.producedPerSecond}/s in  ${picture.handledPerSecond}/s out  lag ${picture.lag}`,
    );
  }
  end(): void {}
}

const linesKept = 12;
/** No lines between rows and no colours: a picture that is drawn twice a second should be calm. */
const plain = {
  chars: {
    top: '',
    'top-mid': '',
    'top-left': '',
    'top-right': '',
    mid: '',
    'left-mid': '',
    'mid-mid': '',
    'right-mid': '',
  },
  style: { head: [], border: [] },
};

class LiveDisplay implements Display {
  readonly #out: NodeJS.WriteStream;
  readonly #said: string[] = [];
  #drawnLines = 0;
  #picture: Picture | undefined;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }
  say(line: string): void {
    if (this.#picture === undefined) {
      this.#out.write(`${folded(line, this.#out.columns)}\n`);
      return;
    }
    this.#said.push(...folded(line, this.#out.columns).split('\n'));
    this.show(this.#picture);
  }
  show(picture: Picture): void {
    this.#picture = picture;
    const text = `${this.#tables(picture)}\n${this.#said.slice(-linesKept).join('\n')}\n`;
    const erase = this.#drawnLines === 0 ? '' : `\x1b[${this.#drawnLines}A\x1b[0J`;
    this.#out.write(erase + text);
    this.#drawnLines = text.split('\n').length - 1;
  }
  end(): void {
    this.#picture = undefined;
  }

  #tables(picture: Picture): string {
    const { group } = picture;
    const nodes = new Table({ ...plain, head: ['coordinator', 'state', 'partitions'] });
    for (const { name, state, partitions } of picture.nodes) nodes.push([name, state, partitions]);
    const workers = new Table({ ...plain, head: ['worker', 'state', 'partitions of orders', 'handled'] });
    for (const { name, state, partitions, handled } of picture.workers) {
      workers.push([name, state, partitions.join(' '), handled]);
    }
    const line =
      `${seconds(picture.elapsedMs)} of ${seconds(picture.durationMs)}   group ${group.state}, generation ${group.generation}, ` +
      `coordinator ${group.coordinator}\n${picture.producedPerSecond}/s produced, ${picture.handledPerSecond}/s handled, lag ${picture.lag}`;
    return `${line}\n${nodes.toString()}\n${workers.toString()}`;
  }
}

const COLUMNS = 80;

/** The picture is erased line by line: one that the terminal folds by itself would be counted wrong. @returns it with line ends between words */
function folded(line: string, columns = COLUMNS): string {
  const rows: string[] = [];
  let row = '';
  for (const word of line.split(' ')) {
    const longer = row === '' ? word : `${row} ${word}`;
    if (longer.length <= columns || row === '') row = longer;
    else {
      rows.push(row);
      row = `  ${word}`;
    }
  }
  return [...rows, row].join('\n');
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(0).padStart(3)} s`;
}
