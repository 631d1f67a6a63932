/**
 * Standard output as what it is: a place that may go away (`muster groups list | head -1`) or take no more (a full disk).
 *
 * S1 what could not be written never counts as shown: whoever writes hears it of each piece, and whoever streams is told to end.
 */

import type { Writable } from 'node:stream';

/** Why nothing can be written any more. */
export type Broken =
  /** Who read it has gone: no failure, there is just nobody left to write for. */
  { readonly kind: 'unread' } | { readonly kind: 'failed'; readonly detail: string };

export class StandardOutput {
  readonly #stream: Writable;
  readonly #controller = new AbortController();
  #broken: Broken | undefined;
  #last: Promise<boolean> = Promise.resolve(true);

  constructor(stream: Writable) {
    this.#stream = stream;
    stream.on('error', (error: NodeJS.ErrnoException) => {
      // A terminal that was closed cannot be written to either; the signal that comes with it ends us in order.
      if (error.code === 'EIO') return;
      this.#broken ??= error.code === 'EPIPE' ? { kind: 'unread' } : { kind: 'failed', detail: error.message };
      this.#controller.abort();
    });
  }

  /** Undefined as long as it can be written to. */
  get broken(): Broken | undefined {
    return this.#broken;
  }
  /** Aborts when it is broken. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  write(text: string): void {
    this.#last = new Promise((resolve) => {
      this.#stream.write(text, (error) => resolve(error === null || error === undefined));
    });
  }

  /** Settles when the last piece has left, or never will. @returns whether it has */
  written(): Promise<boolean> {
    return this.#last;
  }
}
