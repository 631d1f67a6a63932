/**
 * What happened in a run: a hash over all of it, a transcript of the end of it, and the marks of paths that were reached.
 *
 * H1 The hash takes in every delivery and every frame in order: two runs of one seed agree in it, or the simulator is broken.
 */

const TRANSCRIPT_LINES_MAX = 4_000;

export class History {
  #hash = 0x811c9dc5;
  readonly #marks = new Map<string, number>();
  #lines: { readonly about: string; readonly text: string }[] = [];
  readonly #now: () => number;
  readonly #isWritten: boolean;

  /** @param isWritten whether a transcript is kept; without it lines cost nothing */
  constructor(now: () => number, isWritten: boolean) {
    this.#now = now;
    this.#isWritten = isWritten;
  }

  /** Takes numbers and short texts into the hash (H1). */
  take(value: number | string): void {
    if (typeof value === 'number') {
      this.#hash = Math.imul(this.#hash ^ Math.floor(value * 1_000), 0x01000193);
      return;
    }
    for (let index = 0; index < value.length; index += 1) {
      this.#hash = Math.imul(this.#hash ^ value.charCodeAt(index), 0x01000193);
    }
  }

  /** An interesting path was reached. */
  mark(name: string): void {
    this.#marks.set(name, (this.#marks.get(name) ?? 0) + 1);
  }

  /** One line of the transcript. `about` names a group, a node, or `log 3`; the text is made only where it is kept. */
  note(about: string, text: () => string): void {
    if (!this.#isWritten) return;
    this.#lines.push({ about, text: `${this.#now().toFixed(1).padStart(9)}  ${about.padEnd(14)} ${text()}` });
    if (this.#lines.length > 2 * TRANSCRIPT_LINES_MAX) this.#lines = this.#lines.slice(-TRANSCRIPT_LINES_MAX);
  }

  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0');
  }
  get marks(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#marks].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** @returns the lines about these, and those about faults and ownership; all where nothing is named */
  transcript(abouts: readonly string[]): readonly string[] {
    const wanted = new Set(abouts);
    const isWanted = ({ about }: { readonly about: string }) =>
      wanted.size === 0 || wanted.has(about) || about === 'fault' || about.startsWith('node ');
    return this.#lines.filter(isWanted).map(({ text }) => text);
  }
}
