/**
 * A stage for tests of a partition log: virtual time, one memory store, owners that come and go on one partition.
 */

import { type ClaimOutcome, decodeFrame, type FrameBody, type LogLimits, type PartitionLog } from '@muster/log';
import { type Partition, partition } from '@muster/protocol';
import { checkLandedLog, type LogVerdict } from './log-checker.js';
import { LogOwner } from './log-owner.js';
import { type AppendFault, type MemoryLogOptions, MemoryLogStore } from './memory-log-store.js';
import { VirtualClock } from './virtual-clock.js';

/** Longer than anything on the stage may take. */
const PATIENCE_MS = 600_000;

export class LogScene {
  readonly clock = new VirtualClock();
  readonly store: MemoryLogStore;
  readonly partition: Partition = partition(3);
  readonly #limits: Partial<LogLimits>;
  #ids = 0;
  #nonces = 0;

  /** @param limits of every owner, where it names no others */
  constructor(options: Omit<MemoryLogOptions, 'clock'> = {}, limits: Partial<LogLimits> = {}) {
    this.store = new MemoryLogStore({ ...options, clock: this.clock });
    this.#limits = limits;
  }

  /** @returns an owner that has not claimed yet; it is the store's client of the same name */
  owner(name: string, limits: Partial<LogLimits> = {}): LogOwner {
    return new LogOwner({
      store: this.store.connect(name),
      clock: this.clock,
      partition: this.partition,
      name,
      newNonce: () => {
        this.#nonces += 1;
        return `${name}-${this.#nonces}`;
      },
      newId: () => {
        this.#ids += 1;
        return this.#ids;
      },
      limits: { ...this.#limits, ...limits },
    });
  }

  /** @returns how the claim ended */
  claim(owner: LogOwner, options: Parameters<LogOwner['claim']>[0] = {}): Promise<ClaimOutcome> {
    return this.finish(owner.claim(options));
  }

  /** @returns an owner whose claim has succeeded. @throws Error where it has not */
  async claimed(name: string, limits: Partial<LogLimits> = {}): Promise<LogOwner & { log: PartitionLog }> {
    const owner = this.owner(name, limits);
    const outcome = await this.claim(owner);
    if (!hasLog(owner)) throw new Error(`the claim of ${name} ended as ${JSON.stringify(outcome)}`);
    return owner;
  }

  /** Lets time pass until the promise is settled. @throws Error after ten minutes of virtual time */
  async finish<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    promise.then(settle, settle);
    if (!(await this.clock.advanceUntil(() => isSettled, PATIENCE_MS))) throw new Error('it does not come to an end');
    return promise;
  }

  /** Lets the next append calls go wrong, in order. */
  appendsGoWrong(...faults: AppendFault[]): void {
    const left = [...faults];
    this.store.plan = { ...this.store.plan, append: () => left.shift() };
  }

  /** The bodies of all frames that ever landed. */
  bodies(): FrameBody[] {
    return this.store.landed.map(({ bytes }) => {
      const decoded = decodeFrame(bytes);
      if (!decoded.ok) throw new Error(decoded.reason);
      return decoded.frame.body;
    });
  }
  /** Their kinds. */
  kinds(): string[] {
    return this.bodies().map((body) => body.kind);
  }
  verdict(): LogVerdict {
    return checkLandedLog(this.store.landed, this.partition);
  }
}

function hasLog(owner: LogOwner): owner is LogOwner & { log: PartitionLog } {
  return owner.log !== undefined;
}
