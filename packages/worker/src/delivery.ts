/**
 * A message on its way through a handler: settled once, with a signal of its own.
 *
 * D1 `signal` aborts when the ownership of the partition ends or the handler's time is over, whichever comes first.
 * D2 the signal costs nothing where nobody asks for it.
 */

import type { FailedPlace, MusterError } from './errors.js';
import type { Lane } from './lane.js';
import type { StreamMessage } from './streams.js';

export class Delivery {
  readonly lane: Lane;
  readonly message: StreamMessage;
  readonly #settle: (state: 'acked' | 'given-up') => void;
  #abort: AbortController | undefined;
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
    const known = this.#abort;
    if (known !== undefined) return known.signal;
    const abort = new AbortController();
    const { signal: ownership } = this.lane;
    this.#abort = abort;
    if (this.#expiry !== undefined) abort.abort(this.#expiry);
    else if (ownership.aborted) abort.abort(ownership.reason);
    else this.lane.onEnd(this, (reason) => abort.abort(reason));
    return abort.signal;
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
    this.lane.forget(this);
    this.#abort?.abort(reason);
  }
}
