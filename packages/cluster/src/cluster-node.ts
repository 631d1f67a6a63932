/**
 * One node's membership in the cluster: joins with a lease, hears and sends heartbeats, and drives detection and ownership.
 *
 * M1: an incarnation that has lost its lease owns nothing any more; the process starts another or ends. M2: after a stall or a
 * lost connection nothing is served before a round trip with the server and a barrier frame (O6, O11).
 */

import type { Epoch, Incarnation, MonotonicMs, NodeId, Partition, Subjects } from '@muster/protocol';
import { encode } from '@muster/protocol';
import { DeathDetector, probeSubject } from './detector.js';
import type { KnownOwner } from './known-owners.js';
import { NodeLease } from './lease.js';
import { leaseKey } from './lease-entry.js';
import { encodeHeartbeat, encodeOffer, parseHeartbeat, parseOffer } from './messages.js';
import { Ownership } from './ownership.js';
import type { OwnershipReport } from './ownership-report.js';
import type { PartitionHost } from './partition-host.js';
import type { Bus, BusMessage, Clock, LeaseStore, Random } from './ports.js';
import type { ClusterSettings } from './settings.js';
import { View } from './view.js';

/** What happened, for logs and metrics. */
export type ClusterReport =
  | OwnershipReport
  | { readonly kind: 'suspected' | 'marked' | 'lives'; readonly node: NodeId; readonly why: string }
  | { readonly kind: 'view-changed'; readonly nodes: readonly NodeId[] }
  | { readonly kind: 'lease-failed' | 'lease-lost'; readonly detail: string };

export type ClusterNodeOptions = {
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  readonly partitionCount: number;
  readonly subjects: Subjects;
  readonly bus: Bus;
  readonly leases: LeaseStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly settings: ClusterSettings;
  readonly host: PartitionHost;
  readonly report: (report: ClusterReport) => void;
  /** M1: this incarnation is over. Everything has been dropped. */
  readonly onOver: (detail: string) => void;
  /** A partition is served by this node from now on, or again. */
  readonly onServing: (partition: Partition, epoch: Epoch) => void;
};

/** A partition that its owner is about to give away. */
type Offering = { readonly partition: Partition; readonly epoch: Epoch; readonly offeredTo: NodeId };

export class ClusterNode {
  readonly #options: ClusterNodeOptions;
  readonly #view: View;
  readonly #lease: NodeLease;
  readonly #detector: DeathDetector;
  readonly ownership: Ownership;
  readonly #viewOf = new Map<NodeId, string>();
  readonly #endings: (() => void)[] = [];
  #isCaughtUp = false;
  #isPaused = false;
  #isHeartbeatDue = false;
  #isStopped = false;

  constructor(options: ClusterNodeOptions) {
    this.#options = options;
    const { node, incarnation, bus, leases, clock, subjects, settings, report } = options;
    this.#view = new View(clock.now());
    this.#lease = new NodeLease({
      node,
      incarnation,
      store: leases,
      clock,
      listener: {
        failed: (detail) => {
          this.#view.restartCounts(clock.now());
          report({ kind: 'lease-failed', detail });
        },
        refused: () => this.ownership.suspendAll('a renewal of the lease was refused'),
        lost: (detail) => this.#end(detail),
      },
    });
    this.#detector = new DeathDetector({
      self: node,
      view: this.#view,
      bus,
      store: leases,
      clock,
      subjects,
      settings,
      report: (event) => this.#detected(event),
    });
    this.ownership = new Ownership({
      self: node,
      incarnation,
      partitionCount: options.partitionCount,
      view: this.#view,
      host: options.host,
      clock,
      random: options.random,
      settings,
      isConnected: () => bus.connected && !this.#isPaused,
      leaseProofSentAt: () => this.#lease.proofSentAt,
      hasSameView: (other) => this.#viewOf.get(other) === this.#view.hash,
      look: (other, holder) => this.#look(other, holder),
      prepare: (change) => this.#prepare(change),
      announce: (change) => this.#announce(change),
      report,
    });
  }

  /**
   * Joins: takes the lease, learns the view, starts to claim.
   * @throws NodeIdInUse, IncarnationOver, LeaseStoreUnavailable
   */
  async start(): Promise<void> {
    const { node, incarnation, bus, leases, clock, subjects, settings } = this.#options;
    // Before the lease is there: whoever sees it and hears no heartbeat yet must find that somebody answers.
    this.#listen(probeSubject(subjects, node, incarnation), (message) => {
      if (message.reply !== '') bus.publish(message.reply, encode({ v: 1, node, incarnation }));
    });
    await this.#lease.acquire(async (holder) => {
      const answer = await bus.request(probeSubject(subjects, node, holder), new Uint8Array(), settings.probeTimeoutMs);
      return answer.kind === 'reply';
    });
    if (this.#isStopped) return;
    this.#listen(subjects.node(node, `${incarnation}.offer`), (message) => this.#onOffer(message));
    this.#listen(subjects.node(node, `${incarnation}.prepare`), (message) => void this.#onPrepare(message));
    this.#listen(subjects.heartbeats, (message) => this.#onHeartbeat(message));
    this.#endings.push(bus.onConnection((connected) => (connected ? void this.#afterGap() : this.#onDisconnect())));
    // From here on the lease has to be kept, however long the watch takes to begin.
    this.#every(settings.renewIntervalMs, () => this.#lease.renew());
    const watch = await leases.watch(
      (entry) => {
        if (this.#view.observe(entry, clock.now())) this.#viewChanged();
      },
      () => {
        this.#isCaughtUp = true;
        this.ownership.reconcile();
      },
    );
    if (this.#isStopped) return watch.stop();
    this.#endings.push(() => watch.stop());
    this.#every(settings.heartbeatIntervalMs, () => this.#sendHeartbeat());
    this.#every(settings.tickMs, () => this.#tick());
    this.#sendHeartbeat();
  }

  /** Whether the node knows the cluster: it has caught up with the leases and holds its own. */
  get isReady(): boolean {
    return this.#isCaughtUp && !this.#isStopped && this.#lease.proofSentAt !== undefined;
  }
  /** The nodes that partitions are placed on now. */
  get nodes(): readonly NodeId[] {
    return this.#view.placeable().map(({ node }) => node);
  }
  /** @returns who is known to own the partition and has not been marked dead */
  ownerOf(partition: Partition): KnownOwner | undefined {
    const owner = this.ownership.ownerOf(partition);
    return owner !== undefined && this.#view.isLive(owner.node, owner.incarnation) ? owner : undefined;
  }
  /** A client did not reach the owner of the partition in the reign `epoch` (C5). */
  hint(partition: Partition, epoch: Epoch): void {
    if (this.#isStopped) return;
    const owner = this.ownership.ownerOf(partition);
    if (owner !== undefined && owner.epoch <= epoch) this.#detector.hint(owner.node);
  }

  /** The event loop has stood still since then: nothing is served until we know what we have missed (O11). */
  stalled(detail: string, since: MonotonicMs): void {
    if (this.#isPaused || this.#isStopped) return;
    this.ownership.suspendAll(detail, since);
    void this.#afterGap();
  }

  /** Gives everything away and leaves (O9). Settles at the deadline at the latest. */
  async drain(deadline: MonotonicMs): Promise<void> {
    await this.#lease.change('draining');
    await this.ownership.drain(deadline);
    await this.#lease.change('left');
    this.stop();
  }

  /** Ends all activity of this node at once; nothing is given away. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    for (const end of this.#endings.splice(0)) end();
    this.ownership.end();
  }

  #end(detail: string): void {
    if (this.#isStopped) return;
    this.#options.report({ kind: 'lease-lost', detail });
    this.stop();
    this.#options.onOver(detail);
  }

  #tick(): void {
    if (!this.#isCaughtUp || this.#isPaused) return;
    const { clock, settings } = this.#options;
    const proof = this.#lease.proofSentAt;
    this.#detector.tick(proof !== undefined && clock.now() - proof < settings.proofMaxAgeMs);
    this.ownership.reconcile();
  }

  #onHeartbeat(message: BusMessage): void {
    const heartbeat = parseHeartbeat(message.payload);
    if (heartbeat === undefined || heartbeat.node === this.#options.node) return;
    const known = this.#view.get(heartbeat.node);
    // O1: an earlier process of that id, paused until now, says what was.
    if (known !== undefined && known.incarnation !== heartbeat.incarnation) return;
    this.#detector.heard(heartbeat.node, heartbeat.incarnation);
    this.#viewOf.set(heartbeat.node, heartbeat.view);
    this.ownership.learn(heartbeat);
  }

  #sendHeartbeat(): void {
    const { bus, subjects, node, incarnation } = this.#options;
    const owned = this.ownership.owned().map(([partition, epoch]): [Partition, Epoch] => [partition, epoch]);
    bus.publish(subjects.heartbeats, encodeHeartbeat({ node, incarnation, view: this.#view.hash, owned }));
  }

  /** One heartbeat for all that changes within a moment: each names everything that the node owns. */
  #sendHeartbeatSoon(): void {
    if (this.#isHeartbeatDue) return;
    this.#isHeartbeatDue = true;
    this.#options.clock.after(this.#options.settings.announceDelayMs, () => {
      this.#isHeartbeatDue = false;
      if (!this.#isStopped) this.#sendHeartbeat();
    });
  }

  #onOffer(message: BusMessage): void {
    const offer = parseOffer(message.payload);
    if (offer !== undefined && this.#view.isLive(offer.node, offer.incarnation))
      this.ownership.offered(offer.partition, offer);
  }

  /** Settles when the target has read the log ahead, or has said nothing for too long. */
  async #prepare({ partition, epoch, offeredTo }: Offering): Promise<void> {
    const { bus, subjects, node, incarnation, settings } = this.#options;
    const target = this.#view.get(offeredTo);
    if (target === undefined) return;
    const subject = subjects.node(offeredTo, `${target.incarnation}.prepare`);
    await bus.request(subject, encodeOffer({ node, incarnation, partition, epoch }), settings.prepareTimeoutMs);
  }

  async #onPrepare({ payload, reply }: BusMessage): Promise<void> {
    const { host, bus, node, incarnation } = this.#options;
    const offer = parseOffer(payload);
    if (offer === undefined || !this.#view.isLive(offer.node, offer.incarnation)) return;
    await host.prepare(offer.partition);
    if (reply !== '' && !this.#isStopped) bus.publish(reply, encode({ v: 1, node, incarnation }));
  }

  /** The claim that needs to know tries again by itself where the store does not answer. */
  async #look(node: NodeId, holder: Incarnation): Promise<void> {
    const { leases, clock } = this.#options;
    try {
      const entry = await leases.read(leaseKey(node));
      if (this.#isStopped) return;
      if (entry !== undefined && this.#view.observe(entry, clock.now())) this.#viewChanged();
      this.#view.looked(node, holder);
    } catch (cause) {
      this.#options.report({
        kind: 'lease-failed',
        detail: `the lease of ${node} could not be read: ${String(cause)}`,
      });
    }
  }

  #announce(change: { readonly partition: Partition; readonly offeredTo?: NodeId; readonly epoch: Epoch }): void {
    const { bus, subjects, node, incarnation } = this.#options;
    this.#sendHeartbeatSoon();
    const { partition, epoch, offeredTo } = change;
    if (offeredTo === undefined) {
      if (this.ownership.ownerOf(partition)?.node === node) this.#options.onServing(partition, epoch);
      return;
    }
    const target = this.#view.get(offeredTo);
    if (target === undefined) return;
    bus.publish(
      subjects.node(offeredTo, `${target.incarnation}.offer`),
      encodeOffer({ node, incarnation, partition, epoch }),
    );
  }

  #detected(event: {
    readonly node: NodeId;
    readonly kind: 'suspected' | 'marked' | 'lives';
    readonly why: string;
  }): void {
    this.#options.report(event);
    if (event.kind === 'marked') this.#viewChanged();
  }

  #viewChanged(): void {
    this.#options.report({ kind: 'view-changed', nodes: this.nodes });
    if (!this.#isCaughtUp) return;
    this.#sendHeartbeat();
    this.ownership.reconcile();
  }

  #onDisconnect(): void {
    this.ownership.suspendAll('no connection to NATS');
    this.#view.restartCounts(this.#options.clock.now());
  }

  /** M2: what the server sent while we were away comes before what we decide next. */
  async #afterGap(): Promise<void> {
    if (this.#isPaused) return;
    this.#isPaused = true;
    const { bus, settings, clock } = this.#options;
    while (!this.#isStopped && !(bus.connected && (await bus.roundTrip(settings.renewIntervalMs)))) {
      await new Promise<void>((resolve) => {
        clock.after(settings.tickMs, resolve);
      });
    }
    this.#isPaused = false;
    if (this.#isStopped) return;
    this.#view.restartCounts(clock.now());
    this.#detector.wasAway();
    // The heartbeat that fell into the gap made us silent for the others: they may be about to mark us.
    this.#sendHeartbeat();
    this.#lease.renew();
  }

  #listen(subject: string, onMessage: (message: BusMessage) => void): void {
    const subscription = this.#options.bus.subscribe(subject, onMessage);
    this.#endings.push(() => subscription.unsubscribe());
  }

  #every(ms: number, run: () => void): void {
    const { clock } = this.#options;
    let cancel = () => {};
    const again = () => {
      cancel = clock.after(ms, () => {
        again();
        run();
      });
    };
    again();
    this.#endings.push(() => cancel());
  }
}
