/**
 * The messages of one partition on their way into the stream: pipelined while all goes well, one at a time and in their
 * order while something has to be repeated.
 *
 * S1 messages are first sent in the order of `submit`, at most `inFlightMax` unanswered at a time.
 * S2 after a failure nothing new is sent until every message in flight has its answer; what failed is then repeated in
 *    order, each waiting for the ack of the one before. Only what JetStream stored between two failures of one window can
 *    have overtaken; `inFlightMax` 1 excludes even that.
 * S3 a message ends at its deadline, wherever it is.
 */

import { backoffMs, type Environment } from './clock.js';
import { MusterError } from './errors.js';
import type { Gate } from './gate.js';
import type { Headers, PublishOutcome, Streams } from './streams.js';
import { pause, withinMs } from './waiting.js';

export type StoredOutcome = Extract<PublishOutcome, { kind: 'stored' }>;

export interface Outgoing {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly headers: Headers;
  readonly messageId: string;
  readonly deadlineAtMs: number;
}

interface Waiting {
  /** Why it is not stored yet. */
  problem: string | undefined;
  readonly message: Outgoing;
  readonly order: number;
  resolve(outcome: StoredOutcome): void;
  reject(error: MusterError): void;
}

const noAnswer = { kind: 'unavailable', reason: 'no answer' } as const satisfies PublishOutcome;
const ATTEMPT_TIMEOUT_MS = 5_000;
const RETRY_LEAST_MS = 50;
const RETRY_MOST_MS = 1_000;

export interface PartitionSenderOptions {
  readonly streams: Streams;
  readonly environment: Environment;
  readonly inFlightMax: number;
  /** Shared by all partitions: places in flight. */
  readonly gate: Gate;
  /** The producer waits no longer: what has no answer yet is refused with CLOSED. */
  readonly giveUp: AbortSignal;
}

export class PartitionSender {
  readonly #options: PartitionSenderOptions;
  readonly #queue: Waiting[] = [];
  /** Sent without success, by order. */
  readonly #failed: Waiting[] = [];
  #inFlight = 0;
  #order = 0;
  #isRepeating = false;

  constructor(options: PartitionSenderOptions) {
    this.#options = options;
  }

  /** @returns where the message was stored; throws MusterError TIMEOUT or STREAM_REFUSED */
  submit(message: Outgoing): Promise<StoredOutcome> {
    return new Promise((resolve, reject) => {
      this.#order += 1;
      this.#queue.push({ message, order: this.#order, problem: undefined, resolve, reject });
      this.#pump();
    });
  }

  #pump(): void {
    while (this.#failed.length === 0 && this.#inFlight < this.#options.inFlightMax) {
      const next = this.#queue.shift();
      if (next === undefined) return;
      this.#inFlight += 1;
      void this.#sendFirst(next);
    }
    if (this.#failed.length > 0 && this.#inFlight === 0 && !this.#isRepeating) void this.#repeat();
  }

  async #sendFirst(waiting: Waiting): Promise<void> {
    const outcome = await this.#attempt(waiting);
    if (outcome === 'again') {
      this.#failed.push(waiting);
      this.#failed.sort((left, right) => left.order - right.order);
    }
    this.#inFlight -= 1;
    this.#pump();
  }

  async #repeat(): Promise<void> {
    const { clock, random } = this.#options.environment;
    this.#isRepeating = true;
    let failures = 0;
    for (let first = this.#failed[0]; first !== undefined; first = this.#failed[0]) {
      await pause(clock, backoffMs(failures, RETRY_LEAST_MS, RETRY_MOST_MS, random), this.#options.giveUp);
      // One after the other with acks in between: from here on the order is certain.
      while (first !== undefined && (await this.#attempt(first)) === 'done') {
        failures = 0;
        this.#failed.shift();
        first = this.#failed[0];
      }
      failures += 1;
    }
    this.#isRepeating = false;
    this.#pump();
  }

  /** Sends once. @returns `done` when the message has its answer, good or bad */
  async #attempt(waiting: Waiting): Promise<'done' | 'again'> {
    const { message, resolve, reject } = waiting;
    const { streams, environment, gate, giveUp } = this.#options;
    const place = `message ${message.messageId} for ${message.subject}`;
    await gate.enter();
    try {
      const leftMs = message.deadlineAtMs - environment.clock.now();
      if (leftMs <= 0) {
        reject(new MusterError('TIMEOUT', waiting.problem === undefined ? place : `${place}: ${waiting.problem}`));
        return 'done';
      }
      const timeoutMs = Math.min(leftMs, ATTEMPT_TIMEOUT_MS);
      // The port keeps its timeout itself; this one is only for what it does beside the waiting.
      const publishing = streams.publish({ ...message, timeoutMs });
      const ended = await withinMs(environment.clock, 2 * timeoutMs, publishing, giveUp);
      if (ended.kind === 'aborted') {
        reject(new MusterError('CLOSED', `the producer, before there was an answer to ${place}`));
        return 'done';
      }
      const outcome = ended.kind === 'done' ? ended.value : noAnswer;
      if (outcome.kind === 'unavailable') {
        waiting.problem = outcome.reason;
        return 'again';
      }
      if (outcome.kind === 'stored') resolve(outcome);
      else reject(new MusterError('STREAM_REFUSED', outcome.reason));
      return 'done';
    } finally {
      gate.leave();
    }
  }
}
