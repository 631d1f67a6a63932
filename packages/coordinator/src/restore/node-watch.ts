/**
 * Whether any coordinator node runs: listens for heartbeats and watches the leases for longer than any observer waits.
 *
 * W1: a node counts as seen for good: whoever stops one later starts over. W2: a node that stands still is not seen; the new
 * subjects of the streams fence it.
 */

import {
  clusterSettingsDefaults,
  decodeLease,
  type LeaseStore,
  nodeOfKey,
  parseHeartbeat,
  silenceMsMax,
} from '@muster/cluster';
import { NatsBus } from '@muster/nats';
import type { Subjects } from '@muster/protocol';
import type { NatsConnection } from 'nats';
import { RestoreRefused } from './refusal.js';

/** By then a node that lives has been heard or has renewed its lease. */
export const NODE_WATCH_MS = silenceMsMax(clusterSettingsDefaults);
/** A store that tells nothing for so long is taken for one that cannot be watched. */
const READY_MS = 15_000;

export class NodeWatch {
  readonly #seen = new Set<string>();
  readonly #watched: Promise<void>;
  readonly #stops: (() => void)[] = [];
  #wake: () => void = () => {};

  /** @param leases undefined where there is no such store: then only heartbeats tell */
  constructor(nc: NatsConnection, subjects: Subjects, leases: LeaseStore | undefined, watchMs: number) {
    const { heartbeats } = subjects;
    const subscription = new NatsBus(nc).subscribe(heartbeats, ({ payload }) => {
      const heartbeat = parseHeartbeat(payload);
      if (heartbeat !== undefined) this.#see(heartbeat.node);
    });
    this.#stops.push(() => subscription.unsubscribe());
    this.#watched = this.#watch(leases, watchMs);
    // Whoever asks hears of it.
    this.#watched.catch(() => {});
  }

  /** Settles when it has watched for long enough, or has seen a node. @returns the nodes seen, in order */
  async watched(): Promise<readonly string[]> {
    await this.#watched;
    return this.seen;
  }

  /** The nodes seen so far, in order. */
  get seen(): readonly string[] {
    return [...this.#seen].sort();
  }

  stop(): void {
    for (const stop of this.#stops.splice(0)) stop();
    this.#wake();
  }

  async #watch(leases: LeaseStore | undefined, watchMs: number): Promise<void> {
    if (leases !== undefined) await this.#watchLeases(leases);
    await this.#wait(watchMs);
  }

  async #watchLeases(leases: LeaseStore): Promise<void> {
    const revisions = new Map<string, number>();
    let isReady = false;
    const watch = await leases.watch(
      ({ key, value, revision }) => {
        const node = nodeOfKey(key);
        if (node === undefined) return;
        const before = revisions.get(key);
        revisions.set(key, revision);
        // What was there at first may be of a node that is gone; what changes is of one that runs, or of the one that marked it.
        if (before === revision || (before === undefined && !isReady)) return;
        const markedBy = value === undefined ? '' : (decodeLease(value)?.markedBy ?? '');
        this.#see(markedBy === '' ? node : `${node} (${markedBy})`);
      },
      () => {
        isReady = true;
        this.#wake();
      },
    );
    this.#stops.push(() => watch.stop());
    if (!isReady) await this.#wait(READY_MS);
    if (!isReady && this.#seen.size === 0) {
      throw new RestoreRefused('UNAVAILABLE', 'the leases cannot be watched: whether a node runs is not known');
    }
  }

  #see(node: string): void {
    this.#seen.add(node);
    this.#wake();
  }

  /** Ends early where a node was seen. */
  #wait(ms: number): Promise<void> {
    if (this.#seen.size > 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
