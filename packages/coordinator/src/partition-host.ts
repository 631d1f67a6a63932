/**
 * The partitions of this node: claims, loads, suspends, resumes and releases them for the cluster (port `PartitionHost`).
 *
 * H1: at most one runtime per partition, and none without a claim. H2: nothing here decides about ownership; it carries out what
 * package cluster has decided and reports what the log says. H3: what is read ahead of a claim is memory of the log and nothing
 * else: it serves nothing and expires.
 */

import type { ClaimResult, Clock, LogTail, PartitionHost } from '@muster/cluster';
import type { TurnContext } from '@muster/group';
import type { ClaimOptions, ClaimOutcome, LogListener, LogStore, PartitionLog, Replay } from '@muster/log';
import { claimPartition, logLimitsDefaults, readAhead } from '@muster/log';
import type { Incarnation, MonotonicMs, NodeId, Partition } from '@muster/protocol';
import { monotonicMs } from '@muster/protocol';
import { nodeLimits } from './limits.js';
import { PartitionLoader, type Skipped } from './loader.js';
import type { NodeParts } from './partition-runtime.js';
import { PartitionRuntime } from './partition-runtime.js';

export type PartitionHostOptions = {
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  readonly store: LogStore;
  readonly clock: Clock;
  readonly parts: NodeParts;
  readonly context: () => TurnContext;
  readonly newNonce: () => string;
  readonly epochFloor: number;
  /** O5: how long after a claim without release no loaded member is dropped. */
  readonly graceMs: number;
  /** The log says that the partition is lost, stalled or full. */
  readonly onLost: (partition: Partition, reason: string, detail: string) => void;
  readonly onStalled: (partition: Partition) => void;
  readonly onFull: (partition: Partition) => void;
  readonly onLoaded: (loaded: {
    readonly partition: Partition;
    readonly groups: number;
    readonly bytes: number;
    readonly skipped: Skipped | undefined;
    /** What of the take-over was the claim, and what reading the log. */
    readonly claimMs: number;
    readonly loadMs: number;
  }) => void;
};

type Loaded =
  | Exclude<ClaimOutcome, { kind: 'claimed' }>
  | {
      readonly kind: 'loaded';
      readonly log: PartitionLog;
      readonly bytes: number;
      readonly claimMs: number;
      readonly loadMs: number;
      readonly runtime: PartitionRuntime;
    };

/** A log that was read while its owner still served it. */
type ReadAhead = { readonly loader: PartitionLoader; readonly replay: Replay | undefined };

export class NodePartitions implements PartitionHost {
  readonly #options: PartitionHostOptions;
  readonly #runtimes = new Map<Partition, PartitionRuntime>();
  /** H3: bounded in number and time; a claim takes what is there, or reads everything itself. */
  readonly #readAhead = new Map<Partition, ReadAhead>();

  constructor(options: PartitionHostOptions) {
    this.#options = options;
  }

  /** @returns the partitions in memory, suspended ones too */
  all(): Iterable<PartitionRuntime> {
    return this.#runtimes.values();
  }

  async prepare(partition: Partition): Promise<void> {
    const { store, clock, newNonce } = this.#options;
    const isKnown = this.#runtimes.has(partition) || this.#readAhead.has(partition);
    if (isKnown || this.#readAhead.size >= nodeLimits.readAheadMax) return;
    const loader = new PartitionLoader();
    this.#readAhead.set(partition, { loader, replay: undefined });
    const access = { store, clock, partition, limits: logLimitsDefaults, newNonce };
    // What is damaged or out of reach is for the claim to find.
    const replay = await readAhead(access, loader).catch(() => undefined);
    if (this.#readAhead.get(partition)?.loader !== loader) return;
    if (replay === undefined) return void this.#readAhead.delete(partition);
    const read: ReadAhead = { loader, replay };
    this.#readAhead.set(partition, read);
    clock.after(nodeLimits.readAheadKeptMs, () => {
      if (this.#readAhead.get(partition) === read) this.#readAhead.delete(partition);
    });
  }

  async claim(partition: Partition, mayClaim: (tail: LogTail) => boolean): Promise<ClaimResult> {
    const { store, clock, node, incarnation, newNonce, epochFloor, onLoaded } = this.#options;
    const ahead = this.#takeReadAhead(partition);
    const loader = ahead?.loader ?? new PartitionLoader();
    const listener = new LateListener();
    const outcome = await this.#claimAndLoad(
      {
        store,
        clock,
        partition,
        node,
        incarnation,
        newNonce,
        sink: loader,
        listener,
        limits: logLimitsDefaults,
        deadlineMs: nodeLimits.claimDeadlineMs,
        epochFloor,
        mayClaim,
        ...(ahead === undefined ? {} : { ahead: ahead.replay }),
      },
      loader,
    );
    switch (outcome.kind) {
      case 'loaded': {
        const { log, runtime, bytes, claimMs, loadMs } = outcome;
        listener.target = runtime;
        this.#runtimes.set(partition, runtime);
        runtime.serve();
        // What loading decided is written now, not with the first request.
        runtime.flush();
        const { skipped } = loader;
        onLoaded({ partition, groups: runtime.groupCount, bytes, skipped, claimMs, loadMs });
        return { kind: 'claimed', epoch: log.epoch };
      }
      case 'superseded':
        return { kind: 'not-ours', detail: outcome.detail };
      case 'unavailable':
        return { kind: 'unavailable', detail: outcome.cause };
      case 'broken':
        return { kind: 'broken', detail: outcome.detail };
    }
  }

  /** One that is still being read is of no use to a claim, which must not share its loader. */
  #takeReadAhead(partition: Partition): { readonly loader: PartitionLoader; readonly replay: Replay } | undefined {
    const read = this.#readAhead.get(partition);
    this.#readAhead.delete(partition);
    return read?.replay === undefined ? undefined : { loader: read.loader, replay: read.replay };
  }

  /**
   * A record that cannot be read makes the whole partition untrustworthy: skipping it could lose an acknowledged commit. The same
   * goes for whatever else throws while groups are rebuilt and get their actors: the partition is quarantined, the node serves its
   * others.
   */
  async #claimAndLoad(options: ClaimOptions, loader: PartitionLoader): Promise<Loaded> {
    let log: PartitionLog | undefined;
    try {
      const outcome = await claimPartition(options);
      if (outcome.kind !== 'claimed') return outcome;
      log = outcome.log;
      const { clock, graceMs, context, parts, onStalled, onLost, onFull } = this.#options;
      const { partition } = log;
      // O5: after an orderly release nobody can have been missed.
      const graceUntil = outcome.releasedBy === undefined ? monotonicMs(clock.now() + graceMs) : undefined;
      const { loadedBytes: bytes, claimMs, loadMs } = outcome;
      const runtime = new PartitionRuntime(log, loader.finish(context(), graceUntil), parts, {
        stalled: () => onStalled(partition),
        lost: (reason, detail) => onLost(partition, reason, detail),
        full: () => onFull(partition),
      });
      return { kind: 'loaded', log, runtime, bytes, claimMs, loadMs };
    } catch (cause) {
      log?.close();
      return { kind: 'broken', detail: cause instanceof Error ? cause.message : String(cause) };
    }
  }

  suspend(partition: Partition, since: MonotonicMs): void {
    this.#runtimes.get(partition)?.suspend(since);
  }

  async resume(partition: Partition): Promise<'resumed' | 'lost'> {
    const runtime = this.#runtimes.get(partition);
    if (runtime === undefined) return 'lost';
    const isOurs = await runtime.log.verify();
    if (!isOurs || this.#runtimes.get(partition) !== runtime) return 'lost';
    runtime.resume(this.#options.clock.now());
    return 'resumed';
  }

  async release(partition: Partition, target: NodeId | undefined): Promise<void> {
    const runtime = this.#runtimes.get(partition);
    if (runtime === undefined) return;
    runtime.suspend(this.#options.clock.now());
    await runtime.log.release(target ?? null);
    this.#forget(partition);
  }

  drop(partition: Partition): void {
    this.#forget(partition);
  }

  prove(partition: Partition): void {
    this.#runtimes.get(partition)?.prove();
  }

  proofSentAt(partition: Partition): MonotonicMs | undefined {
    return this.#runtimes.get(partition)?.log.proofSentAt;
  }

  #forget(partition: Partition): void {
    const runtime = this.#runtimes.get(partition);
    this.#runtimes.delete(partition);
    runtime?.close();
  }
}

/** The log's listener before there is a runtime: while it loads, a log of ours says nothing that anybody must hear. */
class LateListener implements LogListener {
  target: LogListener | undefined;

  durable(...said: Parameters<LogListener['durable']>): void {
    this.target?.durable(...said);
  }
  stalled(): void {
    this.target?.stalled();
  }
  lost(...said: Parameters<LogListener['lost']>): void {
    this.target?.lost(...said);
  }
  full(): void {
    this.target?.full();
  }
}
