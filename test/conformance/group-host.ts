/**
 * A small host of one group for the conformance cases: timers in the order of their deadlines, a durable list of encoded
 * records, replies that wait for their records. It stands for the node's runtime and the partition log.
 */

import type { GroupCommand, GroupRecord, GroupReply, GroupSlot, GroupTimer, TurnContext } from '@muster/group';
import { decodeRecord, describeGroup, encodeRecord, GroupReplay, handle } from '@muster/group';
import type { GroupId } from '@muster/protocol';
import { decode, encode } from '@muster/protocol';
import type { GroupView } from './driver.js';
import { isStoredByKafka, SeedOrders } from './seeds.js';

/** A turn whose records are not durable yet, and the replies that wait for them. */
export type HeldTurn = { readonly isStore: boolean; readonly records: GroupRecord[]; readonly replies: GroupReply[] };

export type Status = 'serving' | 'loading' | 'elsewhere';

export class GroupHost {
  readonly groupId: GroupId;
  status: Status = 'serving';
  /** Highest epoch seen in a resignation or an election. */
  epoch = Number.NEGATIVE_INFINITY;
  slot: GroupSlot;
  readonly held: HeldTurn[] = [];
  readonly #log: Uint8Array[] = [];
  readonly #timers = new Map<string, { readonly timer: GroupTimer; readonly deadline: number }>();
  #viewBeforeHeld: GroupView | undefined;

  constructor(groupId: GroupId) {
    this.groupId = groupId;
    this.slot = { groupId, group: undefined };
  }

  /**
   * Runs one turn.
   * @returns the replies that may leave at once
   */
  run(command: GroupCommand, context: TurnContext, holding: boolean): readonly GroupReply[] {
    const before = holding && this.held.length === 0 ? this.#view() : undefined;
    const effects = handle(this.slot, command, context);
    for (const effect of effects.timers) {
      if (effect.kind === 'set') this.#setTimer(effect.timer, effect.deadline);
      else this.#timers.delete(keyOf(effect.timer));
    }
    const newest = this.held.at(-1);
    const isStore = effects.records.some(isStoredByKafka);
    if (effects.records.length > 0 && (newest !== undefined || (holding && isStore))) {
      this.#viewBeforeHeld ??= before;
      this.held.push({ isStore, records: effects.records, replies: effects.replies });
      return [];
    }
    if (newest !== undefined) {
      // The release rule: nothing leaves before what was decided earlier in this group is durable.
      newest.replies.push(...effects.replies);
      return [];
    }
    this.append(effects.records);
    return effects.replies;
  }

  /** Makes the oldest held turn durable. @returns its replies */
  releaseOldest(): readonly GroupReply[] {
    const turn = this.held.shift();
    if (this.held.length === 0) this.#viewBeforeHeld = undefined;
    if (turn === undefined) return [];
    this.append(turn.records);
    return turn.replies;
  }

  /** Writes records into the log, as bytes, as the log of a node has them. */
  append(records: readonly GroupRecord[]): void {
    for (const record of records) this.#log.push(encode(encodeRecord(record)));
  }

  /** Forgets the memory; held turns never became durable. @returns the replies that waited for them */
  drop(): readonly GroupReply[] {
    this.slot = { groupId: this.groupId, group: undefined };
    this.#timers.clear();
    this.#viewBeforeHeld = undefined;
    return this.held.splice(0).flatMap(({ replies }) => replies);
  }

  /** Rebuilds the group from the log. */
  load(context: TurnContext): void {
    const replay = new GroupReplay(this.groupId);
    for (const [index, record] of this.#records().entries()) replay.apply(index + 1, record);
    const { slot, effects } = replay.finish(context);
    this.slot = slot;
    for (const effect of effects.timers) if (effect.kind === 'set') this.#setTimer(effect.timer, effect.deadline);
    this.append(effects.records);
  }

  /** @returns what a record that is seeded next must come after */
  orders(): SeedOrders {
    const orders = new SeedOrders();
    for (const record of this.#records()) orders.note(record);
    return orders;
  }

  /** @returns the timer that falls due first, undefined without timers */
  nextTimer(): { readonly timer: GroupTimer; readonly deadline: number } | undefined {
    let next: { readonly timer: GroupTimer; readonly deadline: number } | undefined;
    for (const each of this.#timers.values()) if (next === undefined || each.deadline < next.deadline) next = each;
    return next;
  }

  forgetTimer(timer: GroupTimer): void {
    this.#timers.delete(keyOf(timer));
  }

  clearTimers(): void {
    this.#timers.clear();
  }

  /** @returns the group as an observer sees it: while records are held, as it was before them */
  visible(): GroupView {
    return this.#viewBeforeHeld ?? this.#view();
  }

  #records() {
    return this.#log.map((bytes, index) => {
      const decoded = decode(bytes);
      if (!decoded.ok) throw new Error(`record ${index} is not msgpack: ${decoded.reason}`);
      return decodeRecord(decoded.value);
    });
  }

  #view(): GroupView {
    const { state, members, protocolType, protocol, generationId, leader } = describeGroup(this.slot);
    return {
      state,
      members: members.length,
      memberIds: members.map(({ memberId }) => memberId),
      groupInstanceIds: members.map(({ groupInstanceId }) => groupInstanceId),
      protocolType,
      protocol,
      generationId,
      leader,
      pendingMembers: this.slot.group?.pendingMembers.size ?? 0,
    };
  }

  #setTimer(timer: GroupTimer, deadline: number): void {
    this.#timers.set(keyOf(timer), { timer, deadline });
  }
}

function keyOf(timer: GroupTimer): string {
  return 'member' in timer ? `${timer.kind} ${timer.member}` : timer.kind;
}
