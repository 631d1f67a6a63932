/**
 * One owned coordinator partition: its groups' actors and its log, from a claim to the loss of ownership.
 *
 * It does not decide who owns what (package cluster) nor what a group does (package group).
 *
 * R1: it exists only behind a claim of this process (O1). R2: suspended means deaf first, with memory kept and time standing
 * still (O6). R3: a checkpoint visits every group that exists when it begins, and reads what the group says is recorded (K1). R4: no
 * checkpoint once a turn has thrown: what a quarantined group has in memory must not replace what the log says. Where one is due, the
 * log is loaded anew instead, or it would grow for ever; that ends the quarantine. R5: nothing is answered without proof (O3), not even
 * a refusal.
 */

import type { TimerWheel, TurnLoop } from '@muster/actor';
import type { Bus, BusMessage, BusSubscription } from '@muster/cluster';
import type { GroupCommand, GroupNotice, GroupRequest, GroupSlot, TurnContext } from '@muster/group';
import { checkpointRecords, encodeRecord, listEntry } from '@muster/group';
import type { CheckpointGroup, LogListener, LostReason, PartitionLog } from '@muster/log';
import type {
  Answer,
  ApiName,
  Epoch,
  GroupId,
  ListReply,
  ListRequest,
  LogId,
  MonotonicMs,
  NodeId,
  Partition,
  RequestId,
  Subjects,
} from '@muster/protocol';
import { encodeNotice, encodeReply } from '@muster/protocol';
import type { ActorOutlet, GroupTimerOf } from './group-actor.js';
import { GroupActor } from './group-actor.js';
import { nodeLimits } from './limits.js';
import type { LoadedGroup } from './loader.js';
import type { NodeMeter } from './observe/meter.js';

/** What the node gives every partition. */
export type NodeParts = {
  readonly node: NodeId;
  readonly logId: LogId;
  readonly subjects: Subjects;
  readonly bus: Bus;
  readonly loop: TurnLoop;
  readonly wheel: TimerWheel<GroupTimerOf>;
  readonly context: () => TurnContext;
  readonly mayServe: (partition: Partition) => boolean;
  readonly onRequest: (runtime: PartitionRuntime, message: BusMessage) => void;
  readonly meter: NodeMeter;
  readonly onUndeliverable: (returnAddress: string, cause: unknown) => void;
  readonly onQuarantine: (group: GroupId, command: GroupCommand, error: unknown) => void;
};

/** APIs that make a group where there is none. */
const createsGroups: ReadonlySet<ApiName> = new Set(['join', 'commit', 'stage-offsets']);

export class PartitionRuntime implements LogListener {
  readonly partition: Partition;
  readonly epoch: Epoch;
  readonly log: PartitionLog;
  readonly #parts: NodeParts;
  readonly #outlet: ActorOutlet;
  readonly #actors = new Map<GroupId, GroupActor>();
  readonly #onLog: Pick<LogListener, 'stalled' | 'lost' | 'full'>;
  #subscription: BusSubscription | undefined;
  #frozenSince: MonotonicMs | undefined;
  #isClosed = false;
  #hasQuarantined = false;
  #room: 'ample' | 'short' | 'scarce' = 'ample';

  constructor(
    log: PartitionLog,
    groups: Iterable<LoadedGroup>,
    parts: NodeParts,
    onLog: Pick<LogListener, 'stalled' | 'lost' | 'full'>,
  ) {
    this.partition = log.partition;
    this.epoch = log.epoch;
    this.log = log;
    this.#parts = parts;
    this.#onLog = onLog;
    this.#outlet = this.#makeOutlet();
    for (const { slot, effects } of groups) {
      const actor = new GroupActor(slot, parts.wheel, this.#outlet);
      this.#actors.set(slot.groupId, actor);
      actor.adopt(effects);
    }
  }

  /** Listens: from here on requests come. */
  serve(): void {
    if (this.#isClosed || this.#subscription !== undefined) return;
    const subject = this.#parts.subjects.partitionWildcard(this.partition);
    this.#subscription = this.#parts.bus.subscribe(subject, (message) => this.#parts.onRequest(this, message));
  }

  /** Hands a request to its group's actor, making one where there is none. */
  offer(groupId: GroupId, request: GroupRequest, returnAddress: string, deadlineMs: number, bytes: number): void {
    let actor = this.#actors.get(groupId);
    if (this.#room === 'scarce' && actor?.slot.group === undefined && createsGroups.has(request.api)) {
      const detail = 'the log stream is nearly full: no new groups are taken in';
      this.#parts.meter.answered(request.api, 'KAFKA_STORAGE_ERROR');
      return this.answer(returnAddress, request.ref, { error: 'KAFKA_STORAGE_ERROR', detail }, {});
    }
    if (actor === undefined) {
      actor = new GroupActor({ groupId, group: undefined }, this.#parts.wheel, this.#outlet);
      this.#actors.set(groupId, actor);
    }
    actor.offer(request, returnAddress, deadlineMs, bytes);
  }

  /** Sends a reply of this partition, stamped with its reign. Too large a reply becomes a typed error. */
  answer(returnAddress: string, id: string, answer: Answer, fields: object): void {
    const { bus, node, logId } = this.#parts;
    if (returnAddress === '' || !this.#outlet.mayServe()) return;
    const stamp = { node, log: logId, epoch: this.epoch };
    let payload = encodeReply(id, stamp, answer, fields);
    if (payload.byteLength > bus.payloadBytesMax) {
      const detail = `the reply of ${payload.byteLength} bytes exceeds the server's max_payload of ${bus.payloadBytesMax}`;
      payload = encodeReply(id, stamp, { error: 'MESSAGE_TOO_LARGE', detail }, {});
    }
    try {
      bus.publish(returnAddress, payload);
    } catch (cause) {
      // A return address that no message can be sent to is the asker's fault and must not cost a turn.
      this.#parts.onUndeliverable(returnAddress, cause);
    }
  }

  /** Proves by an append that the log is still ours (O3). @param onProven not called where it is not, or nobody knows */
  prove(onProven: () => void = () => {}): void {
    this.log.barrier(() => {
      if (this.#outlet.mayServe()) onProven();
    });
    this.log.kick();
  }

  /** @returns the groups that pass the filters */
  list(filters: ListRequest): ListReply['groups'] {
    const groups: ListReply['groups'] = [];
    for (const { slot } of this.#actors.values()) {
      const entry = slot.group === undefined ? undefined : listEntry(slot.group, filters);
      if (entry !== undefined) groups.push(entry);
    }
    return groups;
  }

  /** How many groups are in memory. */
  get groupCount(): number {
    return this.#actors.size;
  }

  /** @returns every group in memory at this moment, for a look inside; not to be changed */
  *slots(): Generator<GroupSlot> {
    for (const { slot } of this.#actors.values()) yield slot;
  }

  /** How many requests were taken in and have no answer yet. */
  get openCount(): number {
    let count = 0;
    for (const actor of this.#actors.values()) count += actor.openCount;
    return count;
  }

  /** R2: stops listening; time stands still from `since` on. */
  suspend(since: MonotonicMs): void {
    this.#subscription?.unsubscribe();
    this.#subscription = undefined;
    this.#frozenSince ??= since;
  }

  /** R2: the log has been proven ours: deadlines move by the pause, what waited is handled, requests come again. */
  resume(now: MonotonicMs): void {
    const pauseMs = this.#frozenSince === undefined ? 0 : Math.max(0, now - this.#frozenSince);
    this.#frozenSince = undefined;
    for (const actor of this.#actors.values()) actor.thaw(pauseMs);
    this.serve();
  }

  /** Gives an order to every group of a partition that is served: to look for expired offsets, to drop those of deleted topics. */
  orderAll(order: Exclude<GroupCommand, GroupRequest>): void {
    // While time stands still orders would pile up.
    if (this.#frozenSince !== undefined) return;
    for (const actor of this.#actors.values()) actor.order(order);
  }

  /** @returns the group's state at this moment, for a look inside; not to be changed */
  inspect(group: GroupId): GroupSlot | undefined {
    return this.#actors.get(group)?.slot;
  }

  /** The end of a slice of turns: what was decided goes into a frame, and a checkpoint begins where one is due. */
  flush(): void {
    if (this.#isClosed) return;
    this.log.kick();
    const isDue = this.#room === 'ample' ? this.log.checkpointDue : this.log.urgentCheckpointDue;
    if (!isDue) return;
    if (this.#hasQuarantined) this.lost('broken', 'a checkpoint is due, and a group is quarantined');
    else this.log.checkpoint(this.checkpointSource());
  }

  /**
   * The stream of the partition is this full (L7): from 60 % on everything is checkpointed as soon as that frees room, from 80 % on
   * no new group is taken in, because a checkpoint needs room to make room.
   */
  noteFullness(share: number): void {
    const { roomShortShare, roomScarceShare } = nodeLimits;
    this.#room = share >= roomScarceShare ? 'scarce' : share >= roomShortShare ? 'short' : 'ample';
    if (this.#room !== 'ample') this.flush();
  }

  /** The partition is not ours any more. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#subscription?.unsubscribe();
    this.#subscription = undefined;
    for (const actor of this.#actors.values()) actor.drop();
    this.#actors.clear();
    this.log.close();
  }

  durable(group: GroupId, count: number): void {
    if (!this.#isClosed) this.#actors.get(group)?.durable(count);
  }
  stalled(): void {
    this.#onLog.stalled();
  }
  lost(reason: LostReason, detail: string): void {
    // What we gave away or closed ourselves is no loss.
    if (!this.#isClosed && reason !== 'released' && reason !== 'closed') this.#onLog.lost(reason, detail);
  }
  full(): void {
    this.#onLog.full();
  }

  /** What a checkpoint writes: every group that exists now, as it is when its turn comes (R3). */
  *checkpointSource(): Generator<CheckpointGroup> {
    for (const [group, { slot }] of [...this.#actors]) {
      const records = () => (slot.group === undefined ? [] : checkpointRecords(slot.group).map(encodeRecord));
      if (slot.group !== undefined) yield { group, records };
    }
  }

  #makeOutlet(): ActorOutlet {
    const { parts, partition, log } = { parts: this.#parts, partition: this.partition, log: this.log };
    return {
      append: (group, records) => log.append(group, records),
      barrier: (onDurable) => log.barrier(onDurable),
      answer: (returnAddress: string, ref: RequestId, answer, fields) =>
        this.answer(returnAddress, ref, answer, fields),
      answered: (api, error, waitedMs) => parts.meter.answered(api, error, waitedMs),
      rebalanced: ({ cause, durationMs }) => parts.meter.rebalanced(cause, durationMs),
      notify: (group, notice) => this.#notify(group, notice),
      wake: (actor) => parts.loop.schedule(actor),
      quarantined: (actor, command, error) => this.#quarantined(actor.groupId, command, error),
      mayServe: () => this.#frozenSince === undefined && parts.mayServe(partition),
      idle: (actor) => {
        if (this.#actors.get(actor.groupId) === actor) this.#actors.delete(actor.groupId);
      },
      context: parts.context,
      now: () => parts.context().now,
    };
  }

  #quarantined(group: GroupId, command: GroupCommand, error: unknown): void {
    this.#hasQuarantined = true;
    this.#parts.meter.quarantined();
    this.#parts.onQuarantine(group, command, error);
    // R4: a checkpoint under way cannot leave the group out, so it must not come to its end: the log is loaded anew instead.
    if (this.log.checkpointRunning) this.lost('broken', `a turn of ${group} threw during a checkpoint`);
  }

  #notify(group: GroupId, notice: GroupNotice): void {
    const { bus, subjects, node, logId } = this.#parts;
    const { kind, generation: generationId } = notice;
    const payload = encodeNotice({ kind, generationId, epoch: this.epoch, log: logId, node });
    bus.publish(subjects.groupEvents(this.partition, group), payload);
  }
}
