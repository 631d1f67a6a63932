/**
 * Runs handlers over what the dispatch hands out, each under the failure policy, and settles every delivery.
 *
 * N1 a delivery is settled exactly once: acked when handled, skipped or moved away, given up otherwise.
 * N2 a lane goes back to the dispatch only after its delivery is settled.
 * N3 a value that cannot be decoded never reaches a handler; the decode policy settles it.
 */

import { setMaxListeners } from 'node:events';
import { type Batch, batchOf } from './batch.js';
import type { Environment } from './clock.js';
import type { DeadLetters } from './dead-letters.js';
import type { Delivery } from './delivery.js';
import type { Dispatch } from './dispatch.js';
import { asMusterError, HandlerFailedError, type MusterError } from './errors.js';
import { type FailurePolicy, handleUnderPolicy, type LastResort, lastResort } from './failure-policy.js';
import type { Logger } from './logger.js';
import type { Message } from './message.js';
import type { Telemetry } from './telemetry.js';

export type Handling<Value> =
  | { readonly kind: 'message'; run(message: Message<Value>): Promise<void> | void }
  | { readonly kind: 'batch'; readonly size: number; run(batch: Batch<Value>): Promise<void> | void };

export interface RunnerOptions<Value> {
  readonly group: string;
  readonly dispatch: Dispatch;
  readonly environment: Environment;
  readonly logger: Logger;
  readonly telemetry: Telemetry;
  readonly onFailure: FailurePolicy;
  readonly onDecodeFailure: LastResort;
  readonly maxPollIntervalMs: number;
  readonly deadLetters: DeadLetters;
  /** Throws HandlerFailedError DECODE_FAILED; undefined while this is no member. */
  toMessage(delivery: Delivery): Message<Value> | undefined;
  onDeadLetter(delivery: Delivery, error: HandlerFailedError): void;
  /** The consumer cannot go on. */
  onFatal(error: MusterError): void;
}

/** What is left of a batch: several deliveries of one lane. */
interface Work<Value> {
  readonly delivery: Delivery;
  readonly message: Message<Value>;
}

export class Runner<Value> {
  readonly #options: RunnerOptions<Value>;
  readonly #closed = new AbortController();

  constructor(options: RunnerOptions<Value>) {
    this.#options = options;
    // One listener for each handler that runs: their number is no leak.
    setMaxListeners(0, this.#closed.signal);
  }

  /** Waits no longer for handlers that still run. */
  stop(): void {
    this.#closed.abort();
  }

  /** One of the workers that run side by side: handles what there is until the dispatch is closed. */
  async work(handling: Handling<Value>): Promise<void> {
    const { dispatch } = this.#options;
    while (true) {
      const delivery = await dispatch.next();
      if (delivery === undefined) return;
      try {
        if (handling.kind === 'message') await this.#one(delivery, handling);
        else await this.#several(delivery, handling);
      } finally {
        dispatch.giveBack(delivery.lane);
      }
    }
  }

  /** @returns the message; undefined where there is none for a handler, and the delivery is settled */
  async decode(delivery: Delivery): Promise<Message<Value> | undefined> {
    const { toMessage, logger, onDecodeFailure, telemetry, group } = this.#options;
    try {
      const message = toMessage(delivery);
      if (message === undefined) delivery.giveUp();
      else telemetry.consumed(group, message);
      return message;
    } catch (thrown) {
      if (!(thrown instanceof HandlerFailedError)) throw thrown;
      logger.error('message value could not be decoded', { error: thrown.message });
      await this.#settleFailed([delivery], thrown, 1, onDecodeFailure);
      return undefined;
    }
  }

  /** A message of a `for await` loop has taken too long: the last resort of the policy, as for a handler. */
  async expire(delivery: Delivery, error: HandlerFailedError): Promise<void> {
    delivery.expire(error);
    await this.#settleFailed([delivery], error, 1, lastResort(this.#options.onFailure));
  }

  async #one(delivery: Delivery, handling: Extract<Handling<Value>, { kind: 'message' }>): Promise<void> {
    const message = await this.decode(delivery);
    if (message === undefined) return;
    const { telemetry, group } = this.#options;
    await this.#handle([{ delivery, message }], () => telemetry.handle(group, [message], () => handling.run(message)));
  }

  async #several(first: Delivery, handling: Extract<Handling<Value>, { kind: 'batch' }>): Promise<void> {
    const works: Work<Value>[] = [];
    for (let next: Delivery | undefined = first; next !== undefined; ) {
      const message = await this.decode(next);
      if (message !== undefined) works.push({ delivery: next, message });
      next = works.length < handling.size ? first.lane.deliver() : undefined;
    }
    const { telemetry, group } = this.#options;
    await this.#handle(works, () => {
      // A retry gets only what the handler has not acked yet.
      const messages = works.filter(({ delivery }) => !delivery.isSettled).map(({ message }) => message);
      const batch = batchOf(messages);
      return batch === undefined ? undefined : telemetry.handle(group, messages, () => handling.run(batch));
    });
  }

  async #handle(works: readonly Work<Value>[], run: () => Promise<void> | void): Promise<void> {
    const [first] = works;
    if (first === undefined) return;
    const { environment, logger, onFailure: policy, maxPollIntervalMs: deadlineMs } = this.#options;
    const closed = this.#closed.signal;
    const open = () => works.filter(({ delivery }) => !delivery.isSettled).map(({ delivery }) => delivery);
    const attempt = {
      place: () => (open()[0] ?? first.delivery).place,
      signal: first.delivery.lane.signal,
      handover: first.delivery.lane.handover,
      run,
      expire: (reason: MusterError) => {
        for (const { delivery } of works) delivery.expire(reason);
      },
    };
    const result = await handleUnderPolicy(attempt, { policy, environment, logger, deadlineMs, closed });
    if (result.kind === 'failed') await this.#settleFailed(open(), result.error, result.attempts, result.last);
    else for (const delivery of open()) result.kind === 'handled' ? delivery.ack() : delivery.giveUp();
  }

  async #settleFailed(
    deliveries: readonly Delivery[],
    error: HandlerFailedError,
    attempts: number,
    last: LastResort,
  ): Promise<void> {
    for (const delivery of deliveries) {
      const verdict = await this.#settleByLastResort(delivery, error, attempts, last);
      if (verdict === undefined) continue;
      for (const rest of deliveries) rest.giveUp();
      this.#options.onFatal(verdict);
      return;
    }
  }

  /** @returns the error that ends the consumer; undefined where it goes on */
  async #settleByLastResort(
    delivery: Delivery,
    error: HandlerFailedError,
    attempts: number,
    last: LastResort,
  ): Promise<MusterError | undefined> {
    if (last === 'stop') return error;
    if (last === 'skip') {
      delivery.ack();
      return undefined;
    }
    try {
      const isStored = await this.#options.deadLetters.send(last, delivery, error, attempts);
      if (isStored) delivery.ack();
      else delivery.giveUp();
      if (isStored) this.#options.onDeadLetter(delivery, error);
      return undefined;
    } catch (thrown) {
      const cause = asMusterError(thrown, 'DEAD_LETTER_FAILED');
      return new HandlerFailedError('DEAD_LETTER_FAILED', delivery.place, cause);
    }
  }
}
