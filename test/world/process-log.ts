/**
 * A partition log as one process sees it: answers come through the input of the process, so that a frozen process reads them
 * when it goes on, a cut one hears nothing, and a dead one does nothing more.
 *
 * It decides no outcome: what lands, lands in the store of the testkit. Here only the way back is the process's own.
 */

import type { Clock } from '@muster/cluster';
import type { AppendOutcome, LogStore, StoredFrame } from '@muster/log';
import { LogStoreUnavailable } from '@muster/log';
import type { Partition } from '@muster/protocol';
import type { MemoryBus, MemoryNats } from '@muster/testkit/internals';

/** As long as the real adapter waits for an answer. */
const TIMEOUT_MS = 5_000;
const SERVER = '$LOG';

type Answer<T> = { readonly kind: 'answer'; readonly value: T } | { readonly kind: 'none'; readonly cause: string };

export class ProcessLogStore implements LogStore {
  readonly #inner: LogStore;
  readonly #nats: MemoryNats;
  readonly #bus: MemoryBus;
  readonly #clock: Clock;

  constructor(inner: LogStore, nats: MemoryNats, bus: MemoryBus) {
    this.#inner = inner;
    this.#nats = nats;
    this.#bus = bus;
    this.#clock = nats.clockOf(bus.name);
  }

  get frameBytesMax(): number {
    return this.#inner.frameBytesMax;
  }

  async append(partition: Partition, bytes: Uint8Array, expectedSeq: number): Promise<AppendOutcome> {
    const answer = await this.#call(() => this.#inner.append(partition, bytes, expectedSeq));
    return answer.kind === 'answer' ? answer.value : { kind: 'unknown', cause: answer.cause };
  }

  async last(partition: Partition): Promise<StoredFrame | undefined> {
    return unwrap(await this.#call(() => this.#inner.last(partition)));
  }

  async read(
    partition: Partition,
    fromSeq: number,
    throughSeq: number,
    onFrame: (frame: StoredFrame) => void,
  ): Promise<void> {
    const frames: StoredFrame[] = [];
    const answer = await this.#call(() =>
      this.#inner.read(partition, fromSeq, throughSeq, (frame) => void frames.push(frame)),
    );
    unwrap(answer);
    for (const frame of frames) onFrame(frame);
  }

  async purgeBelow(partition: Partition, seq: number): Promise<void> {
    unwrap(await this.#call(() => this.#inner.purgeBelow(partition, seq)));
  }

  #call<T>(work: () => Promise<T>): Promise<Answer<T>> {
    return new Promise((resolve, reject) => {
      if (!this.#bus.connected) return resolve({ kind: 'none', cause: 'disconnected' });
      const settle = (answer: Answer<T>): void => {
        cancelTimer();
        forget();
        resolve(answer);
      };
      const cancelTimer = this.#clock.after(TIMEOUT_MS, () => settle({ kind: 'none', cause: 'timeout' }));
      const forget = this.#bus.onConnection((connected) => {
        if (!connected) settle({ kind: 'none', cause: 'disconnected' });
      });
      if (!this.#isUp()) return;
      work().then(
        (value) => this.#deliver(() => settle({ kind: 'answer', value })),
        (error: unknown) => {
          if (error instanceof LogStoreUnavailable) this.#deliver(() => settle({ kind: 'none', cause: error.message }));
          else reject(error);
        },
      );
    });
  }

  #deliver(run: () => void): void {
    if (this.#isUp()) this.#nats.inputOf(this.#bus.name, SERVER, 0, run);
  }

  /** Whether the connection stands, and is still that of this process: a restarted one has the same name. */
  #isUp(): boolean {
    const { name } = this.#bus;
    return this.#nats.stateOf(name) === 'up' && this.#nats.busOf(name) === this.#bus;
  }
}

function unwrap<T>(answer: Answer<T>): T {
  if (answer.kind === 'answer') return answer.value;
  throw new LogStoreUnavailable(answer.cause);
}
