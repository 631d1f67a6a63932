/**
 * The node's own lease: one key, renewed by conditional writes. Its acknowledgements are the proof that this incarnation may
 * serve (O3); a refusal means that somebody has marked it dead.
 *
 * N1: proof counts from the moment a write was sent. N2: a refused write ends the incarnation, unless what stands there is our
 * own write whose acknowledgement was lost. N3: one write at a time.
 */

import type { Incarnation, MonotonicMs, NodeId } from '@muster/protocol';
import type { LeaseState } from './lease-entry.js';
import { decodeLease, encodeLease, leaseKey } from './lease-entry.js';
import { patiently } from './patience.js';
import type { Clock, LeaseOutcome, LeaseStore } from './ports.js';
import { LeaseStoreUnavailable } from './ports.js';

const ACQUIRE_PATIENCE_MS = 15_000;

export type LeaseListener = {
  /** A renewal failed or its outcome is unknown: counts of other leases start anew (V2). */
  failed(cause: string): void;
  /** A renewal was refused; why is being found out. Everything suspends at once (O3). */
  refused(): void;
  /** Somebody else wrote the key: this incarnation is over. */
  lost(detail: string): void;
};

/** Another process already runs under this node id. */
export class NodeIdInUse extends Error {
  override readonly name = 'NodeIdInUse';
}

/** This incarnation is over before it was a member, or may be: the process starts another, or is started again. */
export class IncarnationOver extends Error {
  override readonly name = 'IncarnationOver';
}

export class NodeLease {
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  readonly #store: LeaseStore;
  readonly #clock: Clock;
  readonly #listener: LeaseListener;
  #state: LeaseState = 'alive';
  #revision = 0;
  #renewal = 0;
  #proofSentAt: MonotonicMs | undefined;
  #writing: Promise<void> | undefined;
  #isOver = false;

  constructor(options: {
    readonly node: NodeId;
    readonly incarnation: Incarnation;
    readonly store: LeaseStore;
    readonly clock: Clock;
    readonly listener: LeaseListener;
  }) {
    this.node = options.node;
    this.incarnation = options.incarnation;
    this.#store = options.store;
    this.#clock = options.clock;
    this.#listener = options.listener;
  }

  /** Send time of the youngest acknowledged write (N1). */
  get proofSentAt(): MonotonicMs | undefined {
    return this.#proofSentAt;
  }

  /**
   * Takes the node's key over from an earlier incarnation, or creates it.
   * @param isAnswering whether the incarnation that holds the key still answers probes
   * @throws NodeIdInUse where it does
   * @throws IncarnationOver where this incarnation was marked dead meanwhile
   * @throws LeaseStoreUnavailable where the key could not be read and written for some time
   */
  async acquire(isAnswering: (incarnation: Incarnation) => Promise<boolean>): Promise<void> {
    /** Whose place our last write would have taken, where it is not known to have failed. */
    let unsureOver: { readonly incarnation: Incarnation | undefined } | undefined;
    await patiently(this.#clock, ACQUIRE_PATIENCE_MS, async () => {
      const existing = await this.#store.read(leaseKey(this.node));
      const holder = existing?.value === undefined ? undefined : decodeLease(existing.value);
      const isOther = holder !== undefined && holder.incarnation !== this.incarnation;
      // O4: whoever else stands there now may have come after our own write and a mark on it, which is never taken back.
      if (isOther && unsureOver !== undefined && unsureOver.incarnation !== holder.incarnation) {
        throw new IncarnationOver(
          `another process has taken node ${this.node} over before this one had started: start it again`,
        );
      }
      const mayLive = holder?.state === 'alive' || holder?.state === 'draining';
      if (isOther && mayLive && (await isAnswering(holder.incarnation))) {
        throw new NodeIdInUse(`node id ${this.node} is in use by a running process: give this node another --id`);
      }
      // O4: our own first write had landed, and somebody has marked it since. A mark is never taken back.
      if (holder?.state === 'dead' && !isOther) {
        throw new IncarnationOver(
          `node ${this.node} was marked dead before it had started (${holder.markedBy}): start it again`,
        );
      }
      this.#revision = existing?.revision ?? 0;
      const outcome = await this.#write();
      unsureOver = outcome.kind === 'unknown' ? { incarnation: holder?.incarnation } : unsureOver;
      // Refused or unknown: another process of this id, or our own write without its acknowledgement; the next look tells.
      if (outcome.kind !== 'written') throw new LeaseStoreUnavailable(`the lease of ${this.node} was not written`);
    });
  }

  /** Renews once; called by the node each interval. Does nothing while a write is on its way, or when all is over. */
  renew(): void {
    if (this.#isOver || this.#writing !== undefined) return;
    this.#writing = this.#renew().finally(() => {
      this.#writing = undefined;
    });
  }

  /** Publishes another state: `draining`, at last `left`. Settles when it has been tried. */
  async change(state: 'draining' | 'left'): Promise<void> {
    await this.#writing;
    if (this.#isOver) return;
    this.#state = state;
    this.renew();
    await this.#writing;
    if (state === 'left') this.#isOver = true;
  }

  async #write(): Promise<LeaseOutcome> {
    const sentAt = this.#clock.now();
    this.#renewal += 1;
    const { node, incarnation } = this;
    const value = encodeLease({ node, incarnation, state: this.#state, renewal: this.#renewal, markedBy: '' });
    const outcome = await this.#store.write(leaseKey(node), value, this.#revision);
    if (outcome.kind === 'written') {
      this.#revision = outcome.revision;
      this.#proofSentAt = sentAt;
    }
    return outcome;
  }

  async #renew(): Promise<void> {
    const outcome = await this.#write();
    switch (outcome.kind) {
      case 'written':
        return;
      case 'refused':
        // O3: perhaps somebody has marked us dead. Only appends that are acknowledged from here on prove anything.
        this.#proofSentAt = undefined;
        this.#listener.refused();
        return this.#afterRefusal();
      case 'unknown':
        return this.#listener.failed(outcome.cause);
    }
  }

  async #afterRefusal(): Promise<void> {
    try {
      const entry = await this.#store.read(leaseKey(this.node));
      const value = entry?.value === undefined ? undefined : decodeLease(entry.value);
      if (entry !== undefined && value?.incarnation === this.incarnation && value.state !== 'dead') {
        // N2: our own earlier write. The next renewal, conditional on it, brings the proof; a read is none.
        this.#revision = entry.revision;
        return this.#listener.failed('an earlier renewal had landed without its acknowledgement');
      }
      this.#isOver = true;
      const by = value?.markedBy || `incarnation ${value?.incarnation ?? 'unknown'}`;
      this.#listener.lost(`the lease was taken by ${by}`);
    } catch (cause) {
      this.#listener.failed(`refused, and the key could not be read: ${String(cause)}`);
    }
  }
}
