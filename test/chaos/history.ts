/**
 * The history of a chaos run: what every participant did and was told, one JSON line each.
 *
 * It is written while things happen and judged afterwards, from the files alone (checkers/). Times are milliseconds since 1970
 * with fractions: all processes of a run share one machine and so one clock.
 */

import { closeSync, createReadStream, openSync, write, writeSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

/** A request about a group with its answer. `error` is NO_ANSWER where none came before the deadline. */
export type RequestEvent = {
  readonly kind: 'request';
  /** When it was first sent. */
  readonly at: number;
  readonly done: number;
  readonly api: string;
  readonly group: string;
  readonly member: string;
  readonly generation: number;
  readonly error: string;
  /** Coordinator partition, node and epoch that answered; the highest epoch seen when it was first sent. */
  readonly partition: number;
  readonly node: string;
  readonly epoch: number;
  readonly seenEpoch: number;
  /** Of a commit. */
  readonly committed?: readonly (readonly [partition: number, offset: number])[];
  /** Of a fetch. */
  readonly fetched?: readonly (readonly [partition: number, offset: number])[];
  /** Of a join. `members` only in the leader's answer. */
  readonly joined?: { readonly generation: number; readonly leader: string; readonly members: readonly string[] };
  readonly joinedAs?: string;
};

export type HistoryEvent =
  | RequestEvent
  /** A reply of an earlier reign than seen came and was skipped (rule C2). */
  | { readonly kind: 'skipped'; readonly at: number; readonly partition: number; readonly epoch: number }
  /** What a member holds in a generation. */
  | {
      readonly kind: 'assignment';
      readonly at: number;
      readonly group: string;
      readonly member: string;
      readonly generation: number;
      readonly partitions: readonly number[];
    }
  /** All members of a group are in one generation, and nobody will join or leave from here on. */
  | { readonly kind: 'formed'; readonly at: number; readonly group: string; readonly generation: number }
  | {
      readonly kind: 'fault';
      readonly at: number;
      readonly id: number;
      readonly fault: string;
      readonly target: string;
      readonly detail: string;
    }
  | { readonly kind: 'healed'; readonly at: number; readonly id: number }
  | { readonly kind: 'phase'; readonly at: number; readonly phase: 'steady' | 'settling' | 'over' }
  /** What was done to a worker process, or what it did by itself. */
  | {
      readonly kind: 'worker';
      readonly at: number;
      readonly worker: string;
      readonly event: 'started' | 'killed' | 'paused' | 'resumed' | 'stopping' | 'stopped' | 'failed';
      readonly detail?: string;
    }
  | {
      readonly kind: 'handled';
      readonly at: number;
      readonly group: string;
      readonly member: string;
      readonly generation: number;
      readonly partition: number;
      readonly offset: number;
      readonly id: number;
    }
  /** A commit at the worker's API. `error` is empty where it was acknowledged. */
  | {
      readonly kind: 'api-commit';
      readonly at: number;
      readonly done: number;
      readonly group: string;
      readonly worker: string;
      readonly offsets: readonly (readonly [partition: number, offset: number])[];
      readonly error: string;
    }
  /** What a topic's stream holds at the very end. */
  | { readonly kind: 'stored'; readonly ids: readonly number[] }
  | { readonly kind: 'produced'; readonly at: number; readonly ids: readonly number[] }
  /** What the cluster says at the very end. */
  | {
      readonly kind: 'final-offsets';
      readonly at: number;
      readonly group: string;
      readonly offsets: readonly (readonly [partition: number, offset: number])[];
    }
  | { readonly kind: 'final-state'; readonly at: number; readonly group: string; readonly state: string }
  /** Who a generation of a group consists of, by the log. Several of one generation where it was written again. */
  | {
      readonly kind: 'generation';
      /** When the generation came into this state. */
      readonly at: number;
      readonly group: string;
      readonly generation: number;
      readonly state: string;
      readonly members: readonly string[];
    }
  /** One rebalance of a group, as the coordinator tells it. */
  | {
      readonly kind: 'rebalance';
      readonly group: string;
      readonly generation: number;
      readonly cause: string;
      readonly member: string;
      readonly startedAt: number;
      readonly durationMs: number;
    }
  /** A member gave partitions up because others are to have them, or lost them; or could not begin with what it was given. */
  | {
      readonly kind: 'gave-up';
      readonly at: number;
      readonly group: string;
      readonly worker: string;
      readonly why: 'revoked' | 'lost' | 'not begun';
      readonly detail: string;
    }
  /** A frame of a partition log as it stands in the stream at the end, in order. */
  | {
      readonly kind: 'frame';
      readonly partition: number;
      readonly seq: number;
      readonly epoch: number;
      readonly incarnation: string;
      readonly nonce: string;
      readonly previousSeq: number;
      readonly previousNonce: string;
      readonly body: string;
    }
  /** Something came later than it should on a machine that has time; no promise is broken. */
  | { readonly kind: 'slow'; readonly at: number; readonly what: string; readonly ms: number }
  /** Something that had to come when all faults were over, and never did. */
  | { readonly kind: 'unsettled'; readonly at: number; readonly what: string }
  /** The first frame of a partition log that is still there after everything was read. */
  | { readonly kind: 'log-start'; readonly partition: number; readonly seq: number }
  /** A plain NATS round trip between two connections. */
  | { readonly kind: 'round-trip'; readonly at: number; readonly ms: number }
  /** A participant's own event loop stood still. */
  | { readonly kind: 'stall'; readonly at: number; readonly who: string; readonly ms: number }
  /** Something that should not happen to a participant, in words. */
  | { readonly kind: 'trouble'; readonly at: number; readonly who: string; readonly detail: string };

/** @returns now, in milliseconds since 1970 with fractions, by a clock that does not jump */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

/**
 * Writes the events of one participant, beside its other work: a disk that is slow for a moment must not stop whoever measures.
 * What a process that is killed must not lose is written with `writeNow`.
 */
export class HistoryWriter {
  readonly #file: number;
  readonly #flushing: NodeJS.Timeout;
  #lines: string[] = [];
  #writing: Promise<void> = Promise.resolve();

  constructor(folder: string, participant: string) {
    this.#file = openSync(join(folder, `${participant}.jsonl`), 'a');
    this.#flushing = setInterval(() => void this.flush(), 200);
    this.#flushing.unref();
  }

  write(event: HistoryEvent): void {
    this.#lines.push(JSON.stringify(event));
  }

  /** Writes it before anything else happens: it survives a kill -9 of this process. */
  writeNow(event: HistoryEvent): void {
    writeSync(this.#file, `${JSON.stringify(event)}\n`);
  }

  /** Settles when everything so far is in the file. @throws where it could not be written */
  flush(): Promise<void> {
    if (this.#lines.length === 0) return this.#writing;
    const text = `${this.#lines.join('\n')}\n`;
    this.#lines = [];
    this.#writing = this.#writing.then(() => appendAll(this.#file, Buffer.from(text)));
    return this.#writing;
  }

  async close(): Promise<void> {
    clearInterval(this.#flushing);
    await this.flush();
    closeSync(this.#file);
  }
}

const append = promisify(write);

async function appendAll(file: number, bytes: Buffer): Promise<void> {
  let at = 0;
  while (at < bytes.byteLength) at += (await append(file, bytes, at)).bytesWritten;
}

/** Reads everything that the participants wrote, in no order between participants. A line cut short by a kill is left out. */
export async function readHistory(folder: string): Promise<HistoryEvent[]> {
  const events: HistoryEvent[] = [];
  for (const name of await readdir(folder)) {
    if (!name.endsWith('.jsonl')) continue;
    const lines = createInterface({ input: createReadStream(join(folder, name)), crlfDelay: Number.POSITIVE_INFINITY });
    for await (const line of lines) {
      const event = parseLine(line);
      if (event !== undefined) events.push(event);
    }
  }
  return events;
}

function parseLine(line: string): HistoryEvent | undefined {
  try {
    return JSON.parse(line) as HistoryEvent;
  } catch {
    return undefined;
  }
}
