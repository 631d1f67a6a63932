/**
 * A message on its way through a handler: settled once, with signals of its own.
 *
 * D1 `signal` aborts when the ownership of the partition ends or the handler's time is over, whichever comes first; `handover` when somebody
 *    waits for the partition.
 * D2 a signal costs nothing where nobody asks for it, and lives no longer than its message: what listens to it cannot pile up over the life
 *    of a partition.
 */

import type { FailedPlace, MusterError } from './errors.js';
import type { Lane } from './lane.js';
import type { StreamMessage } from './streams.js';

export class Delivery {
  readonly lane: Lane;
  readonly message: StreamMessage;
  readonly #settle: (state: 'acked' | 'given-up') => void;
  #abort: AbortController | undefined;
  #handover: AbortController | undefined;
  #expiry: MusterError | undefined;
  #isSettled = false;

  /** Made by its lane. */
  constructor(lane: Lane, message: StreamMessage, settle: (state: 'acked' | 'given-up') => void) {
    this.lane = lane;
    this.message = message;
    this.#settle = settle;
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  get place(): FailedPlace {
    const { lane, message } = this;
    return { topic: lane.topic.name, partition: lane.partition, offset: message.offset };
  }

  /** D1 */
  get signal(): AbortSignal {
    const { signal: ownership } = this.lane;
    this.#abort ??= this.#watching(this.#expiry ?? (ownership.aborted ? ownership.reason : undefined));
    return this.#abort.signal;
  }

  /** D1 */
  get handover(): AbortSignal {
    const { handover } = this.lane;
    this.#handover ??= this.#watching(handover.aborted ? handover.reason : undefined);
    return this.#handover.signal;
  }

  /** Handled: may be committed once all before it are. Harmless when called twice or late. */
  ack(): void {
    this.#isSettled = true;
    this.lane.forget(this);
    this.#settle('acked');
  }

  /** Not handled, and nobody works on it any more: nothing from here on can be committed by this lane. */
  giveUp(): void {
    this.#isSettled = true;
    this.lane.forget(this);
    this.#settle('given-up');
  }

  /** The handler's time is over: it sees its signal abort. */
  expire(reason: MusterError): void {
    this.#expiry = reason;
    this.#abort?.abort(reason);
  }

  /** Said by the lane: somebody waits for it. */
  handOver(reason: MusterError): void {
    this.#handover?.abort(reason);
  }

  /** Said by the lane: whatever is done with it now, another may do too. */
  end(reason: MusterError): void {
    this.#handover?.abort(reason);
    this.#abort?.abort(reason);
  }

  /** @param reason why the signal is to be aborted from the start */
  #watching(reason: unknown): AbortController {
    const abort = new AbortController();
    if (reason !== undefined) abort.abort(reason);
    else if (!this.#isSettled) this.lane.watch(this);
    return abort;
  }
}
