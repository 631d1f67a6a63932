/**
 * Which partitions this node owns, and what it does about the others: claims, suspends, resumes, hands over.
 *
 * One pass over all partitions (`reconcile`) compares what is with what should be; it runs at every tick and after every event,
 * so no event is ever the only chance. What a partition *is* lies behind the port `PartitionHost`; what proves ownership is
 * proof.ts, when a claim is due claim-timing.ts, whom it may overtake claim-right.ts.
 *
 * W1: a partition is owned only through a claim of this incarnation (O1). W2: nothing is claimed whose last owner is live by
 * the leases (O4), which the claim checks again against the log itself. W3: a live owner gives a partition away only by its own
 * view (O8). W4: everything in flight is bounded.
 */

import type { Epoch, Incarnation, MonotonicMs, NodeId, Partition } from '@muster/protocol';
import { claimRight } from './claim-right.js';
import { ClaimTiming } from './claim-timing.js';
import type { KnownOwner } from './known-owners.js';
import { KnownOwners } from './known-owners.js';
import type { Local, LocalCounts } from './local-partitions.js';
import { LocalPartitions, none } from './local-partitions.js';
import type { OwnershipReport } from './ownership-report.js';
import type { ClaimResult, LogTail, PartitionHost } from './partition-host.js';
import type { Placement } from './placement.js';
import { claimOrder, place } from './placement.js';
import type { Clock, Random } from './ports.js';
import { Proof } from './proof.js';
import type { ClusterSettings } from './settings.js';
import type { View } from './view.js';

type Options = {
  readonly self: NodeId;
  readonly incarnation: Incarnation;
  readonly partitionCount: number;
  readonly view: View;
  readonly host: PartitionHost;
  readonly clock: Clock;
  readonly random: Random;
  readonly settings: ClusterSettings;
  /** Whether the connection stands and no stall is being waited out. */
  readonly isConnected: () => boolean;
  /** Send time of the youngest acknowledged renewal of our lease. */
  readonly leaseProofSentAt: () => MonotonicMs | undefined;
  /** Whether the node's latest heartbeat showed the same view as ours (O8). */
  readonly hasSameView: (node: NodeId) => boolean;
  /** Reads the lease of a node that the view knows nothing of; settles when the view has it, or could not be told. */
  readonly look: (node: NodeId, incarnation: Incarnation) => Promise<void>;
  /** Asks the next owner to read the log ahead; settles when it has, or will not in time (O9). */
  readonly prepare: (change: {
    readonly partition: Partition;
    readonly offeredTo: NodeId;
    readonly epoch: Epoch;
  }) => Promise<void>;
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
  readonly #locals: LocalPartitions;
  readonly #owners: KnownOwners;
  readonly #timing: ClaimTiming;
  readonly #proof: Proof;
  /** Later reigns that clients have spoken of, and when we last looked into it (C2). */
  readonly #doubts = new Map<Partition, { readonly epoch: Epoch; readonly at: MonotonicMs }>();
  /** Hand-overs whose target reads ahead. */
  #preparing = 0;
  /** Resumes begun in this pass: each starts a little after the one before (O6). */
  #resumesInPass = 0;
  #placement: Placement = [];
  #placedFor = '';
  #isDraining = false;
  #isOver = false;
  readonly #startedAt: MonotonicMs;
  /** When the last pass over all partitions ended. */
  #passedAt: MonotonicMs;

  constructor(options: Options) {
    this.#options = options;
    this.#startedAt = options.clock.now();
    this.#passedAt = this.#startedAt;
    this.#locals = new LocalPartitions(options.partitionCount);
    this.#owners = new KnownOwners(options.partitionCount);
    this.#timing = new ClaimTiming(options.clock, options.settings);
    this.#proof = new Proof(options);
  }

  /** @returns what this node owns, suspended or not, with the epoch of its claim */
  owned(): readonly (readonly [Partition, Epoch])[] {
    return this.#locals.owned();
  }

  /** @returns how many partitions are served, suspended, on their way in or out, and quarantined */
  counts(): LocalCounts {
    return { ...this.#locals.counts };
  }

  /** @returns who is known to own the partition now, also where that node is being suspected */
  ownerOf(partition: Partition): KnownOwner | undefined {
    return this.#owners.get(partition);
  }

  /**
   * Another process says what it owns. Where that is a later reign over what we own, we doubt ours (C2): suspended, it resumes only
   * by an append.
   */
  learn(owner: Parameters<KnownOwners['learn']>[0]): void {
    this.#owners.learn(owner);
    for (const [partition, epoch] of owner.owned) {
      const local = this.#locals.get(partition);
      if (local?.kind === 'owned' && epoch > local.epoch) {
        this.suspend(partition, `${owner.node} says that it owns it in epoch ${epoch}`);
      }
    }
  }

  /** The owner has given the partition to us: claim at once, even where its Release did not land in time (O9). */
  offered(partition: Partition, by: KnownOwner): void {
    if (this.#locals.get(partition)?.kind !== 'none' || this.#isDraining || this.#isOver) return;
    if (!this.#options.isConnected() || !this.#proof.ofLease) return;
    this.#owners.forget(partition);
    this.#claim(partition, by);
  }

  /**
   * A client has seen a later reign of the partition (C2): we prove ours by an append before we serve on.
   * @returns false where the same was refuted a moment ago: a client that errs or lies does not keep the partition from serving
   */
  doubt(partition: Partition, epoch: Epoch): boolean {
    const { clock, settings } = this.#options;
    const now = clock.now();
    const last = this.#doubts.get(partition);
    if (last !== undefined && epoch <= last.epoch && now - last.at < settings.doubtIntervalMs) return false;
    this.#doubts.set(partition, { epoch, at: now });
    this.suspend(partition, `a client has seen epoch ${epoch}`);
    return true;
  }

  /** The partition's log says that it is not ours any more (the fence has spoken). */
  lost(partition: Partition, detail: string): void {
    const { clock, settings, report } = this.#options;
    const local = this.#locals.get(partition);
    if (local === undefined || local.kind === 'none' || local.kind === 'quarantined') return;
    this.#timing.fenced(partition, 'since' in local && clock.now() - local.since >= settings.partitionStaysMs);
    this.#locals.become(partition, none);
    this.#forgetOurselves(partition);
    report({ kind: 'lost', partition, detail });
  }

  /**
   * Stops serving the partition and keeps it (O6, O12).
   * @param since from when on time stands still for its groups. Unless somebody knows better, from the last pass on: where the
   *   process stood still, the lack of proof may be found out before the pause itself is (O11)
   */
  suspend(partition: Partition, why: string, since: MonotonicMs = this.#passedAt): void {
    const local = this.#locals.get(partition);
    if (local?.kind !== 'owned') return;
    // Time that a resume has made up for does not stand still again.
    this.#options.host.suspend(partition, since < local.servingSince ? local.servingSince : since);
    this.#locals.become(partition, { kind: 'suspended', epoch: local.epoch, since: local.since, isResuming: false });
    this.#options.report({ kind: 'suspended', partition, detail: why });
  }

  /** Suspends everything at once: disconnected, stalled, or no proof left. */
  suspendAll(why: string, since?: MonotonicMs): void {
    for (const [partition] of this.#locals.all()) this.suspend(partition, why, since);
  }

  /** O3: looked at before every turn and whenever replies are released. */
  mayServe(partition: Partition): boolean {
    return this.#locals.get(partition)?.kind === 'owned' && this.#options.isConnected() && this.#proof.of(partition);
  }

  /**
   * The same, asked by who is about to act on it. A no suspends the partition at once: so what was held back is taken up again by
   * the resume, and by nothing less (O3).
   */
  admit(partition: Partition): boolean {
    if (this.mayServe(partition)) return true;
    this.suspend(partition, 'no proof of ownership is young enough');
    return false;
  }

  /** This incarnation is over: everything is dropped, nothing claimed any more. */
  end(): void {
    this.#isOver = true;
    for (const [partition, local] of this.#locals.all()) {
      if (local.kind !== 'none') this.#options.host.drop(partition);
      this.#locals.become(partition, none);
      this.#forgetOurselves(partition);
    }
  }

  /**
   * Gives everything away, paced, then settles (O9). Where no other node is there, serves until shortly before the deadline
   * and then releases to nobody.
   */
  async drain(deadline: MonotonicMs): Promise<void> {
    this.#isDraining = true;
    const { clock, settings } = this.#options;
    while (this.#locals.isBusy) {
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
    this.#resumesInPass = 0;
    for (const [partition, local] of this.#locals.all()) {
      switch (local.kind) {
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
    this.#passedAt = this.#options.clock.now();
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
    if (isOwnedByOther || isListening || this.#isDraining || !isConnected() || !this.#proof.ofLease) {
      this.#timing.settled(partition);
    } else if (this.#timing.isDue(partition, this.#rank(partition, self))) {
      if (this.#locals.counts.claiming < settings.claimsMax) this.#claim(partition);
    }
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
    const { host, view, self, incarnation, clock, settings } = this.#options;
    const { fencedBackoffMs: targetsTimeMs } = settings;
    const startedAt = clock.now();
    const claiming: Local = { kind: 'claiming' };
    this.#locals.become(partition, claiming);
    const mayClaim = (tail: LogTail): boolean => {
      const orphanMs = this.#timing.orphanMs(partition);
      const right = claimRight(tail, { self, incarnation, view, offeredBy, orphanMs, targetsTimeMs });
      // O4: it may have started while our watch was behind. Its lease tells; the claim waits for that.
      if (right === 'unknown') void this.#lookBeforeClaim(partition, tail);
      return right === 'yes';
    };
    void host.claim(partition, mayClaim).then((result) => {
      if (this.#locals.get(partition) === claiming) return this.#claimed(partition, result, startedAt);
      // All is over meanwhile, or the log was lost as soon as it was ours (W1).
      if (result.kind === 'claimed') host.drop(partition);
    });
  }

  async #lookBeforeClaim(partition: Partition, { node, incarnation }: LogTail): Promise<void> {
    await this.#options.look(node, incarnation);
    if (this.#isOver || this.#options.view.isGone(node, incarnation) !== true) return;
    this.#timing.foundFree(partition);
    this.reconcile();
  }

  #claimed(partition: Partition, result: ClaimResult, startedAt: MonotonicMs): void {
    const { clock, report, announce, self, incarnation } = this.#options;
    const now = clock.now();
    switch (result.kind) {
      case 'claimed': {
        const { epoch } = result;
        this.#locals.become(partition, { kind: 'owned', epoch, since: now, servingSince: now, isOffered: false });
        this.#timing.settled(partition);
        this.#owners.set(partition, { node: self, incarnation, epoch });
        announce({ partition, epoch });
        return report({ kind: 'claimed', partition, epoch, tookMs: now - startedAt });
      }
      case 'broken':
        this.#locals.become(partition, { kind: 'quarantined', detail: result.detail });
        return report({ kind: 'quarantined', partition, detail: result.detail });
      case 'not-ours':
      case 'unavailable':
        this.#locals.become(partition, none);
        this.#timing.notMade(partition);
        return report({ kind: 'not-claimed', partition, detail: result.detail });
    }
  }

  #considerOwned(partition: Partition, local: Extract<Local, { kind: 'owned' }>): void {
    const { clock, settings, view, self, isConnected, hasSameView } = this.#options;
    const now = clock.now();
    if (!isConnected()) return this.suspend(partition, 'no connection to NATS');
    if (!this.#proof.of(partition)) return this.suspend(partition, 'no proof of ownership is young enough');
    this.#proof.refresh(partition);
    const target = this.#placement[partition];
    if (local.isOffered || target === undefined || target === self) return;
    if (this.#locals.counts.releasing + this.#preparing >= settings.handOversMax || !hasSameView(target)) return;
    const isSettled = now - view.stableSince >= settings.viewStableMs && now - local.since >= settings.partitionStaysMs;
    if (isSettled || this.#isDraining) void this.#handOver(partition, local, target);
  }

  /** The partition is served until its next owner has read the log ahead; what is left to do then is short (O9). */
  async #handOver(partition: Partition, local: Extract<Local, { kind: 'owned' }>, target: NodeId): Promise<void> {
    local.isOffered = true;
    this.#preparing += 1;
    await this.#options.prepare({ partition, epoch: local.epoch, offeredTo: target });
    this.#preparing -= 1;
    local.isOffered = false;
    const isStillDue = this.#locals.get(partition) === local && this.#placement[partition] === target;
    if (isStillDue && this.#options.hasSameView(target)) await this.#release(partition, target);
  }

  #considerResume(partition: Partition, local: Extract<Local, { kind: 'suspended' }>): void {
    const { isConnected, clock, random, settings } = this.#options;
    if (local.isResuming || !isConnected()) return;
    local.isResuming = true;
    // The first at once, the others in partition order, but neither together nor in step with other nodes.
    const { resumeSpacingMs, resumeSpreadMaxMs } = settings;
    const before = this.#resumesInPass;
    this.#resumesInPass += 1;
    if (before === 0) return this.#resume(partition, local);
    const delayMs = Math.min((before - random.next()) * resumeSpacingMs, resumeSpreadMaxMs);
    clock.after(delayMs, () => this.#resume(partition, local));
  }

  #resume(partition: Partition, local: Extract<Local, { kind: 'suspended' }>): void {
    const { host, clock, report } = this.#options;
    if (this.#locals.get(partition) !== local) return;
    const startedAt = clock.now();
    void host.resume(partition).then((outcome) => {
      if (this.#locals.get(partition) !== local) return;
      local.isResuming = false;
      const { epoch, since } = local;
      if (outcome === 'resumed') {
        this.#locals.become(partition, { kind: 'owned', epoch, since, servingSince: clock.now(), isOffered: false });
        this.#options.announce({ partition, epoch });
        report({ kind: 'resumed', partition, epoch, tookMs: clock.now() - startedAt });
      } else this.lost(partition, 'another node has claimed it meanwhile');
    });
  }

  async #release(partition: Partition, target: NodeId | undefined): Promise<void> {
    const { host, clock, announce, report } = this.#options;
    const local = this.#locals.get(partition);
    if (local?.kind !== 'owned' && local?.kind !== 'suspended') return;
    const { epoch } = local;
    const startedAt = clock.now();
    const releasing: Local = { kind: 'releasing', target };
    this.#locals.become(partition, releasing);
    await host.release(partition, target);
    if (this.#locals.get(partition) === releasing) this.#locals.become(partition, none);
    this.#forgetOurselves(partition);
    announce(target === undefined ? { partition, epoch } : { partition, epoch, offeredTo: target });
    report({ kind: 'handed-over', partition, target, tookMs: clock.now() - startedAt });
  }

  #forgetOurselves(partition: Partition): void {
    if (this.#owners.get(partition)?.node === this.#options.self) this.#owners.forget(partition);
  }
}
