/**
 * Which partitions this node owns, and what it does about the others: claims, suspends, resumes, hands over.
 *
 * One pass over all partitions (`reconcile`) compares what is with what should be; it runs at every tick and after every event,
 * so no event is ever the only chance. What a partition *is* lies behind the port `PartitionHost`.
 *
 * W1: a partition is owned only through a claim of this incarnation (O1). W2: nothing is claimed whose last owner is live by
 * the leases (O4), which the claim checks again against the log itself. W3: a live owner gives a partition away only by its own
 * view (O8). W4: everything in flight is bounded.
 */

import type { Epoch, Incarnation, MonotonicMs, NodeId, Partition } from '@muster/protocol';
import { monotonicMs, partition as partitionOf } from '@muster/protocol';
import type { Placement } from './placement.js';
import { claimOrder, place } from './placement.js';
import type { Clock } from './ports.js';
import type { ClusterSettings } from './settings.js';
import type { View } from './view.js';

/** Who wrote the last frame of a partition's log. */
export type LogTail = {
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  readonly epoch: Epoch;
  /** The last frame is a Release: its writer will write no more. */
  readonly released: { readonly target: NodeId | undefined } | undefined;
};

export type ClaimResult =
  | { readonly kind: 'claimed'; readonly epoch: Epoch }
  /** The check of W2 said no, or another claim was faster. */
  | { readonly kind: 'not-ours'; readonly detail: string }
  | { readonly kind: 'unavailable'; readonly detail: string }
  /** The log cannot be trusted: the partition is quarantined until a person has looked. */
  | { readonly kind: 'broken'; readonly detail: string };

/** What owns the partitions' logs and groups. All of it settles within its own deadlines and never rejects. */
export interface PartitionHost {
  /** Claims, loads and serves. `mayClaim` is asked about the log's tail before the claim is written (W2). */
  claim(partition: Partition, mayClaim: (tail: LogTail) => boolean): Promise<ClaimResult>;
  /** Stops serving at once, keeps memory (O6); time stands still for its groups from `since` on. */
  suspend(partition: Partition, since: MonotonicMs): void;
  /** Proves by an append that the log is still ours, then serves again (O6). */
  resume(partition: Partition): Promise<'resumed' | 'lost'>;
  /** Stops serving, releases to the target with the last append, drops (O9). */
  release(partition: Partition, target: NodeId | undefined): Promise<void>;
  /** Forgets the partition: it is not ours. */
  drop(partition: Partition): void;
  /** Proves by a barrier frame that the log is ours, when no other append will (O3). */
  prove(partition: Partition): void;
  /** Send time of the youngest acknowledged append. */
  proofSentAt(partition: Partition): MonotonicMs | undefined;
}

type Local =
  | { readonly kind: 'none' }
  | { readonly kind: 'claiming' }
  | { readonly kind: 'owned'; readonly epoch: Epoch; readonly since: MonotonicMs }
  | { readonly kind: 'suspended'; readonly epoch: Epoch; readonly since: MonotonicMs; isResuming: boolean }
  | { readonly kind: 'releasing'; readonly target: NodeId | undefined }
  | { readonly kind: 'quarantined'; readonly detail: string };

/** Who is known to own a partition, from heartbeats and from our own doing. */
export type KnownOwner = { readonly node: NodeId; readonly incarnation: Incarnation; readonly epoch: Epoch };

export type OwnershipReport =
  | {
      readonly kind: 'claimed' | 'resumed';
      readonly partition: Partition;
      readonly epoch: Epoch;
      readonly tookMs: number;
    }
  | { readonly kind: 'not-claimed'; readonly partition: Partition; readonly detail: string }
  | { readonly kind: 'quarantined' | 'suspended' | 'lost'; readonly partition: Partition; readonly detail: string }
  | {
      readonly kind: 'handed-over';
      readonly partition: Partition;
      readonly target: NodeId | undefined;
      tookMs: number;
    };

type Options = {
  readonly self: NodeId;
  readonly incarnation: Incarnation;
  readonly partitionCount: number;
  readonly view: View;
  readonly host: PartitionHost;
  readonly clock: Clock;
  readonly settings: ClusterSettings;
  /** Whether the connection stands and no stall is being waited out. */
  readonly isConnected: () => boolean;
  /** Send time of the youngest acknowledged renewal of our lease. */
  readonly leaseProofSentAt: () => MonotonicMs | undefined;
  /** Whether the node's latest heartbeat showed the same view as ours (O8). */
  readonly hasSameView: (node: NodeId) => boolean;
  /** Ownership has changed: tell the world. */
  readonly announce: (change: {
    readonly partition: Partition;
    readonly offeredTo?: NodeId;
    readonly epoch: Epoch;
  }) => void;
  readonly report: (report: OwnershipReport) => void;
};

export class Ownership {
  readonly #options: Options;
  readonly #locals: Local[];
  readonly #owners = new Map<Partition, KnownOwner>();
  readonly #orphanSince: (MonotonicMs | undefined)[];
  /** No claim before `until`; doubles while we keep being fenced (O8). */
  readonly #backoffs = new Map<Partition, { readonly until: MonotonicMs; readonly ms: number }>();
  #placement: Placement = [];
  #placedFor = '';
  #isDraining = false;
  #isOver = false;
  readonly #startedAt: MonotonicMs;

  constructor(options: Options) {
    this.#options = options;
    this.#startedAt = options.clock.now();
    this.#locals = Array.from({ length: options.partitionCount }, () => none);
    this.#orphanSince = new Array<MonotonicMs | undefined>(options.partitionCount).fill(undefined);
  }

  /** @returns what this node owns, suspended or not, with the epoch of its claim */
  owned(): readonly (readonly [Partition, Epoch])[] {
    const owned: (readonly [Partition, Epoch])[] = [];
    this.#locals.forEach((local, index) => {
      if (local.kind === 'owned' || local.kind === 'suspended') owned.push([partitionOf(index), local.epoch]);
    });
    return owned;
  }

  /** @returns how many partitions are served, suspended, on their way in or out, and quarantined */
  counts(): Readonly<Record<Local['kind'], number>> {
    const counts = { none: 0, claiming: 0, owned: 0, suspended: 0, releasing: 0, quarantined: 0 };
    for (const local of this.#locals) counts[local.kind] += 1;
    return counts;
  }

  /** @returns who is known to own the partition now, also where that node is being suspected */
  ownerOf(partition: Partition): KnownOwner | undefined {
    return this.#owners.get(partition);
  }

  /** A node says what it owns. What it owned before and no longer names is nobody's until a claim. */
  learn(owner: {
    readonly node: NodeId;
    readonly incarnation: Incarnation;
    readonly owned: readonly (readonly [Partition, Epoch])[];
  }): void {
    const { node, incarnation } = owner;
    const named = new Map(owner.owned);
    for (const [partition, known] of this.#owners) {
      if (known.node === node && named.get(partition) !== known.epoch) this.#owners.delete(partition);
    }
    for (const [partition, epoch] of named) {
      const known = this.#owners.get(partition);
      if (known === undefined || known.epoch <= epoch) this.#owners.set(partition, { node, incarnation, epoch });
    }
  }

  /** The owner has given the partition to us: claim at once, even where its Release did not land in time (O9). */
  offered(partition: Partition, by: KnownOwner): void {
    if (this.#locals[partition]?.kind !== 'none' || this.#isDraining || this.#isOver) return;
    this.#owners.delete(partition);
    this.#claim(partition, by);
  }

  /** The partition's log says that it is not ours any more (the fence has spoken). */
  lost(partition: Partition, detail: string): void {
    const { clock, settings, report } = this.#options;
    const local = this.#locals[partition];
    if (local === undefined || local.kind === 'none' || local.kind === 'quarantined') return;
    const { fencedBackoffMs, fencedBackoffMaxMs } = settings;
    const ms = Math.min(2 * (this.#backoffs.get(partition)?.ms ?? fencedBackoffMs / 2), fencedBackoffMaxMs);
    this.#backoffs.set(partition, { until: later(clock.now(), ms), ms });
    this.#locals[partition] = none;
    this.#forgetOurselves(partition);
    report({ kind: 'lost', partition, detail });
  }

  /** The partition's appends have stalled: stop serving it, keep it (O6, O12). */
  suspend(partition: Partition, why: string, since: MonotonicMs = this.#options.clock.now()): void {
    const local = this.#locals[partition];
    if (local?.kind !== 'owned') return;
    this.#options.host.suspend(partition, since);
    this.#locals[partition] = { kind: 'suspended', epoch: local.epoch, since: local.since, isResuming: false };
    this.#options.report({ kind: 'suspended', partition, detail: why });
  }

  /** Suspends everything at once: disconnected, stalled, or no proof left. */
  suspendAll(why: string, since?: MonotonicMs): void {
    for (let index = 0; index < this.#locals.length; index += 1) this.suspend(partitionOf(index), why, since);
  }

  /** O3: looked at before every turn and whenever replies are released. */
  mayServe(partition: Partition): boolean {
    return this.#locals[partition]?.kind === 'owned' && this.#options.isConnected() && this.#isProven(partition);
  }

  /** This incarnation is over: everything is dropped, nothing claimed any more. */
  end(): void {
    this.#isOver = true;
    this.#locals.forEach((local, index) => {
      if (local.kind !== 'none') this.#options.host.drop(partitionOf(index));
      this.#locals[index] = none;
      this.#forgetOurselves(partitionOf(index));
    });
  }

  /**
   * Gives everything away, paced, then settles (O9). Where no other node is there, serves until shortly before the deadline
   * and then releases to nobody.
   */
  async drain(deadline: MonotonicMs): Promise<void> {
    this.#isDraining = true;
    const { clock, settings } = this.#options;
    while (this.owned().length > 0 || this.counts().releasing > 0 || this.counts().claiming > 0) {
      const now = clock.now();
      if (now >= deadline - settings.renewIntervalMs) {
        await Promise.all(this.owned().map(([partition]) => this.#release(partition, undefined)));
        if (now >= deadline) return;
      }
      this.reconcile();
      await new Promise<void>((resolve) => {
        clock.after(settings.tickMs / 5, resolve);
      });
    }
  }

  /** One pass over all partitions. Cheap when nothing is due. */
  reconcile(): void {
    if (this.#isOver) return;
    this.#placeAnew();
    for (let index = 0; index < this.#locals.length; index += 1) {
      const partition = partitionOf(index);
      const local = this.#locals[index];
      switch (local?.kind) {
        case 'none':
          this.#considerClaim(partition);
          break;
        case 'owned':
          this.#considerOwned(partition, local);
          break;
        case 'suspended':
          this.#considerResume(partition, local);
          break;
        default:
      }
    }
  }

  #placeAnew(): void {
    const { view, settings, partitionCount } = this.#options;
    if (this.#placedFor === view.hash) return;
    this.#placedFor = view.hash;
    const nodes = view.placeable().map(({ node }) => node);
    this.#placement = place(nodes, partitionCount, settings.loadBound);
  }

  #considerClaim(partition: Partition): void {
    const { clock, settings, view, self, isConnected } = this.#options;
    const now = clock.now();
    const owner = this.#owners.get(partition);
    const isOwnedByOther = owner !== undefined && view.isLive(owner.node, owner.incarnation);
    // A partition whose owner is known to be dead waits for nobody; of an unknown one we first listen who claims to have it.
    const listenedMs = now - Math.max(this.#startedAt, view.stableSince);
    const isListening = owner === undefined && listenedMs < settings.listenBeforeClaimMs;
    if (isOwnedByOther || isListening || this.#isDraining || !isConnected() || !this.#isLeaseProven()) {
      this.#orphanSince[partition] = undefined;
      return;
    }
    const orphanSince = this.#orphanSince[partition] ?? now;
    this.#orphanSince[partition] = orphanSince;
    const backoff = this.#backoffs.get(partition);
    if (backoff !== undefined && now < backoff.until) return;
    const rank = this.#rank(partition, self);
    if (rank === undefined || now - orphanSince < rank * settings.claimRankDelayMs) return;
    if (this.counts().claiming < settings.claimsMax) this.#claim(partition);
  }

  /** 0 for the node that placement names, then the other nodes in rendezvous order. */
  #rank(partition: Partition, self: NodeId): number | undefined {
    const named = this.#placement[partition];
    if (named === self) return 0;
    const nodes = this.#options.view.placeable().map(({ node }) => node);
    const position = claimOrder(nodes, partition)
      .filter((node) => node !== named)
      .indexOf(self);
    return position < 0 ? undefined : position + 1;
  }

  #claim(partition: Partition, offeredBy?: KnownOwner): void {
    const { host, view, self, incarnation, clock } = this.#options;
    const startedAt = clock.now();
    this.#locals[partition] = { kind: 'claiming' };
    const mayClaim = (tail: LogTail): boolean => {
      if (tail.released !== undefined) return tail.released.target === self || !this.#isFreshRelease(tail, partition);
      const isOffered = tail.incarnation === offeredBy?.incarnation && tail.epoch === offeredBy.epoch;
      // Our own earlier reign: given up, or released without the Release having landed.
      const isOurs = tail.node === self && tail.incarnation === incarnation;
      return isOffered || isOurs || !view.isLive(tail.node, tail.incarnation);
    };
    void host.claim(partition, mayClaim).then((result) => this.#claimed(partition, result, startedAt));
  }

  /** A release to another node leaves that node its time (O9); afterwards the partition is anybody's. */
  #isFreshRelease(tail: LogTail, partition: Partition): boolean {
    const target = tail.released?.target;
    const { view, clock, settings } = this.#options;
    const targetLives = target !== undefined && view.get(target)?.state === 'alive';
    const orphanMs = clock.now() - (this.#orphanSince[partition] ?? clock.now());
    return targetLives && orphanMs < settings.fencedBackoffMs;
  }

  #claimed(partition: Partition, result: ClaimResult, startedAt: MonotonicMs): void {
    const { clock, settings, report, announce, self, incarnation, host } = this.#options;
    const now = clock.now();
    if (this.#isOver) {
      if (result.kind === 'claimed') host.drop(partition);
      return;
    }
    switch (result.kind) {
      case 'claimed': {
        const { epoch } = result;
        this.#locals[partition] = { kind: 'owned', epoch, since: now };
        this.#orphanSince[partition] = undefined;
        this.#owners.set(partition, { node: self, incarnation, epoch });
        announce({ partition, epoch });
        return report({ kind: 'claimed', partition, epoch, tookMs: now - startedAt });
      }
      case 'broken':
        this.#locals[partition] = { kind: 'quarantined', detail: result.detail };
        return report({ kind: 'quarantined', partition, detail: result.detail });
      case 'not-ours':
      case 'unavailable': {
        this.#locals[partition] = none;
        this.#backoffs.set(partition, {
          until: later(now, settings.claimRankDelayMs),
          ms: settings.fencedBackoffMs / 2,
        });
        return report({ kind: 'not-claimed', partition, detail: result.detail });
      }
    }
  }

  #considerOwned(partition: Partition, local: Extract<Local, { kind: 'owned' }>): void {
    const { clock, settings, view, self, isConnected, host, hasSameView } = this.#options;
    const now = clock.now();
    if (!isConnected()) return this.suspend(partition, 'no connection to NATS');
    if (!this.#isProven(partition)) return this.suspend(partition, 'no proof of ownership is young enough');
    this.#proveIfNeeded(partition, now, host, settings);
    const target = this.#placement[partition];
    if (target === undefined || target === self || this.counts().releasing >= settings.handOversMax) return;
    if (!hasSameView(target)) return;
    const isSettled = now - view.stableSince >= settings.viewStableMs && now - local.since >= settings.partitionStaysMs;
    if (isSettled || this.#isDraining) void this.#release(partition, target);
  }

  #proveIfNeeded(partition: Partition, now: MonotonicMs, host: PartitionHost, settings: ClusterSettings): void {
    const halfLife = settings.proofMaxAgeMs / 2;
    const leaseProof = this.#options.leaseProofSentAt();
    const logProof = host.proofSentAt(partition);
    const isLeaseOld = leaseProof === undefined || now - leaseProof > halfLife;
    if (isLeaseOld && (logProof === undefined || now - logProof > halfLife / 2)) host.prove(partition);
  }

  #considerResume(partition: Partition, local: Extract<Local, { kind: 'suspended' }>): void {
    const { host, isConnected, clock, report } = this.#options;
    if (local.isResuming || !isConnected()) return;
    local.isResuming = true;
    const startedAt = clock.now();
    void host.resume(partition).then((outcome) => {
      if (this.#locals[partition] !== local) return;
      local.isResuming = false;
      const { epoch, since } = local;
      if (outcome === 'resumed') {
        this.#locals[partition] = { kind: 'owned', epoch, since };
        this.#options.announce({ partition, epoch });
        report({ kind: 'resumed', partition, epoch, tookMs: clock.now() - startedAt });
      } else this.lost(partition, 'another node has claimed it meanwhile');
    });
  }

  async #release(partition: Partition, target: NodeId | undefined): Promise<void> {
    const { host, clock, announce, report } = this.#options;
    const local = this.#locals[partition];
    if (local?.kind !== 'owned' && local?.kind !== 'suspended') return;
    const { epoch } = local;
    const startedAt = clock.now();
    this.#locals[partition] = { kind: 'releasing', target };
    await host.release(partition, target);
    if (this.#locals[partition]?.kind === 'releasing') this.#locals[partition] = none;
    this.#forgetOurselves(partition);
    announce(target === undefined ? { partition, epoch } : { partition, epoch, offeredTo: target });
    report({ kind: 'handed-over', partition, target, tookMs: clock.now() - startedAt });
  }

  #forgetOurselves(partition: Partition): void {
    if (this.#owners.get(partition)?.node === this.#options.self) this.#owners.delete(partition);
  }

  #isLeaseProven(): boolean {
    const { clock, settings, leaseProofSentAt } = this.#options;
    const sentAt = leaseProofSentAt();
    return sentAt !== undefined && clock.now() - sentAt < settings.proofMaxAgeMs;
  }

  #isProven(partition: Partition): boolean {
    if (this.#isLeaseProven()) return true;
    const { host, clock, settings } = this.#options;
    const sentAt = host.proofSentAt(partition);
    return sentAt !== undefined && clock.now() - sentAt < settings.proofMaxAgeMs;
  }
}

const none: Local = { kind: 'none' };

function later(now: MonotonicMs, ms: number): MonotonicMs {
  return monotonicMs(now + ms);
}
