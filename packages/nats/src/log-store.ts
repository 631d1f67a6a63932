/**
 * The port of the partition logs on JetStream: one subject per partition, spread over the log streams.
 *
 * Tries once and tells what it knows; what an outcome means is the log's business (L2, L3). The streams are log-streams.ts.
 *
 * 1. Every append is conditional on the last sequence of its subject, the only check that names a predecessor safely on
 *    every supported server (nats.md facts 4 and 5). No message id: deduplication would answer in place of the check.
 * 2. `last` asks the stream leader, never a replica (fact 6). 3. One purge at a time per stream (K3).
 */

import { type AppendOutcome, type LogRoom, type LogStore, LogStoreUnavailable, type StoredFrame } from '@muster/log';
import type { Partition } from '@muster/protocol';
import { headers, type NatsConnection } from 'nats';
import { API_ERROR, type ApiAnswer, isMap, JetStreamApi, numberIn, readApiAnswer, textIn } from './jetstream-api.js';
import { linkOf } from './link.js';
import { type LogPlacement, logStreamOf } from './log-placement.js';
import { readLog } from './log-reader.js';
import { inboxOf } from './request-inbox.js';

export type LogStoreOptions = LogPlacement & {
  /** Limit of one append or read of a message, and longest silence within a read, in ms. Default 2,000. */
  readonly timeoutMs?: number;
};

const TIMEOUT_MS_DEFAULT = 2_000;
/** A purge of many frames takes its time and holds up the stream meanwhile (K3). */
const PURGE_TIMEOUT_MS = 10_000;
/** Room that the header block of an append takes of a payload. */
const HEADER_BYTES = 128;
/** For so long the fullness of a stream is not asked for again. */
const FULLNESS_KNOWN_MS = 5_000;
/**
 * A short way to go in the stream is read frame by frame, at most so many, before a consumer is made: making one goes through the
 * servers' own consensus and takes 7 to 130 ms where several are made at once, a single read one round trip. What a hand-over leaves
 * to read is one or two frames.
 */
const SINGLE_READS_MAX = 6;
const SHORT_WAY = 256;
/**
 * A consumer may be put on a server that has just been cut off, and making one needs a meta leader: silent for so long, it is left for
 * single reads from the stream's own leader, who has to be there for the claim anyway.
 */
const CONSUMER_PATIENCE_MS = 500;
/** JetStream could not store: no room under `max_bytes` or `max_msgs`, or none on the disk. */
const STORE_FAILED = 10077;

export class JetStreamLogStore implements LogStore, LogRoom {
  readonly #nc: NatsConnection;
  readonly #api: JetStreamApi;
  readonly #placement: LogPlacement;
  readonly #timeoutMs: number;
  /** The end of the purges of each stream that are under way or wait. */
  readonly #purges = new Map<string, Promise<unknown>>();

  /** How full each stream was when it was last asked. */
  readonly #fullness = new Map<string, { readonly at: number; readonly share: number }>();

  /** Expects the streams to be there: `ensureLogStreams` sees to that. */
  constructor(nc: NatsConnection, options: LogStoreOptions) {
    this.#nc = nc;
    this.#api = new JetStreamApi(nc);
    this.#placement = options;
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS_DEFAULT;
  }

  get frameBytesMax(): number {
    return linkOf(this.#nc).payloadBytesMax - HEADER_BYTES;
  }

  async append(partition: Partition, bytes: Uint8Array, expectedSeq: number): Promise<AppendOutcome> {
    const condition = headers();
    condition.set('Nats-Expected-Last-Subject-Sequence', String(expectedSeq));
    const answer = await inboxOf(this.#nc).ask(this.#subject(partition), bytes, this.#timeoutMs, condition);
    if (answer.kind !== 'reply') return { kind: 'unknown', cause: answer.kind };
    return appendOutcome(readApiAnswer(answer.payload), logStreamOf(this.#placement, partition));
  }

  last(partition: Partition): Promise<StoredFrame | undefined> {
    return this.#get(partition, { last_by_subj: this.#subject(partition) });
  }

  /** One message by the stream leader's word. @throws LogStoreUnavailable */
  async #get(partition: Partition, which: object): Promise<StoredFrame | undefined> {
    const subject = this.#subject(partition);
    const path = `STREAM.MSG.GET.${logStreamOf(this.#placement, partition)}`;
    const answer = await this.#api.call(path, which, this.#timeoutMs);
    if (answer.kind === 'error' && answer.code === API_ERROR.messageNotFound) return undefined;
    const frame = storedFrame(okOrThrow(answer, subject), subject);
    if (frame === undefined) throw new LogStoreUnavailable(`${subject}: the answer is not readable`);
    return frame;
  }

  async read(
    partition: Partition,
    fromSeq: number,
    throughSeq: number,
    onFrame: (frame: StoredFrame) => void,
  ): Promise<void> {
    let next = fromSeq;
    const take = (frame: StoredFrame) => {
      onFrame(frame);
      next = frame.seq + 1;
    };
    const readSingly = async (readsMax: number) => {
      for (let reads = 0; reads < readsMax && next <= throughSeq; reads += 1) {
        const frame = await this.#get(partition, { seq: next, next_by_subj: this.#subject(partition) });
        if (frame === undefined || frame.seq > throughSeq) next = throughSeq + 1;
        else take(frame);
      }
    };
    if (throughSeq - fromSeq < SHORT_WAY) await readSingly(SINGLE_READS_MAX);
    if (next > throughSeq) return;
    try {
      await this.#readByConsumer(partition, next, throughSeq, take);
    } catch (error) {
      if (!(error instanceof LogStoreUnavailable)) throw error;
      await readSingly(Number.POSITIVE_INFINITY);
    }
  }

  #readByConsumer(
    partition: Partition,
    fromSeq: number,
    throughSeq: number,
    onFrame: (frame: StoredFrame) => void,
  ): Promise<void> {
    return readLog(this.#nc, this.#api, {
      stream: logStreamOf(this.#placement, partition),
      subject: this.#subject(partition),
      fromSeq,
      throughSeq,
      onFrame,
      idleMs: Math.min(this.#timeoutMs, CONSUMER_PATIENCE_MS),
    });
  }

  async fullness(partition: Partition): Promise<number> {
    const stream = logStreamOf(this.#placement, partition);
    const known = this.#fullness.get(stream);
    const now = performance.now();
    if (known !== undefined && now - known.at < FULLNESS_KNOWN_MS) return known.share;
    const { state, config } = okOrThrow(
      await this.#api.call(`STREAM.INFO.${stream}`, undefined, this.#timeoutMs),
      stream,
    );
    const used = isMap(state) ? (numberIn(state, 'bytes') ?? 0) : 0;
    const most = isMap(config) ? (numberIn(config, 'max_bytes') ?? -1) : -1;
    const share = most > 0 ? used / most : 0;
    this.#fullness.set(stream, { at: now, share });
    return share;
  }

  async purgeBelow(partition: Partition, seq: number): Promise<void> {
    // Servers up to at least 2.10.27 take "below 1" for "everything" and empty the subject; there is nothing below 1.
    if (seq <= 1) return;
    const stream = logStreamOf(this.#placement, partition);
    const before = this.#purges.get(stream) ?? Promise.resolve();
    const purge = before.then(() => this.#purge(stream, this.#subject(partition), seq));
    // Those that wait behind it do so whether or not it succeeds.
    this.#purges.set(
      stream,
      purge.catch(() => undefined),
    );
    await purge;
  }

  async #purge(stream: string, subject: string, seq: number): Promise<void> {
    const answer = await this.#api.call(`STREAM.PURGE.${stream}`, { filter: subject, seq }, PURGE_TIMEOUT_MS);
    okOrThrow(answer, subject);
  }

  #subject(partition: Partition): string {
    return this.#placement.subjects.log(this.#placement.logId, partition);
  }
}

/** What the answer to a conditional publish says (nats.md 4.1); what is not named here says nothing. */
function appendOutcome(answer: ApiAnswer, stream: string): AppendOutcome {
  switch (answer.kind) {
    case 'ok': {
      const seq = numberIn(answer.body, 'seq');
      const by = textIn(answer.body, 'stream');
      if (seq !== undefined && by === stream) return { kind: 'stored', seq };
      return { kind: 'unknown', cause: `acknowledged by the stream ${by ?? '(none)'} instead of ${stream}` };
    }
    case 'unavailable':
      return { kind: 'unknown', cause: answer.cause };
    case 'error':
      break;
  }
  switch (answer.code) {
    case API_ERROR.wrongLastSequence:
      return { kind: 'refused', lastSeq: namedSequence(answer.description) };
    case API_ERROR.writeInFlight:
      return { kind: 'busy' };
    case STORE_FAILED:
      return { kind: 'full' };
    default:
      return { kind: 'unknown', cause: answer.description };
  }
}

/** @returns the N of `wrong last sequence: N` */
function namedSequence(description: string): number | undefined {
  const digits = /wrong last sequence: (\d+)/.exec(description)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

function storedFrame(body: Record<string, unknown>, subject: string): StoredFrame | undefined {
  const { message } = body;
  if (!isMap(message)) return undefined;
  const { seq, data } = message;
  if (message['subject'] !== subject || typeof seq !== 'number') return undefined;
  return { seq, bytes: typeof data === 'string' ? new Uint8Array(Buffer.from(data, 'base64')) : new Uint8Array(0) };
}

function okOrThrow(answer: ApiAnswer, subject: string): Record<string, unknown> {
  switch (answer.kind) {
    case 'ok':
      return answer.body;
    case 'error':
      throw new LogStoreUnavailable(`${subject}: ${answer.description}`);
    case 'unavailable':
      throw new LogStoreUnavailable(`${subject}: ${answer.cause}`);
  }
}
