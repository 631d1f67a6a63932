/**
 * Rebuilds the groups of a partition from its log, between the claim and the first request.
 */

import type { Effects, GroupSlot, TurnContext } from '@muster/group';
import { decodeRecord, GroupReplay } from '@muster/group';
import type { LogRecord, LogReplaySink } from '@muster/log';
import type { GroupId, MonotonicMs } from '@muster/protocol';

export type LoadedGroup = { readonly slot: GroupSlot; readonly effects: Effects };

/** Records of kinds that this version does not know; `last` = what to say of the last one. */
export type Skipped = { readonly count: number; readonly last: string };

export class PartitionLoader implements LogReplaySink {
  readonly #replays = new Map<GroupId, GroupReplay>();
  #skipped: Skipped | undefined;

  record(seq: number, group: GroupId, record: LogRecord): void {
    let replay = this.#replays.get(group);
    if (replay === undefined) {
      replay = new GroupReplay(group);
      this.#replays.set(group, replay);
    }
    const decoded = decodeRecord(record);
    if (decoded.kind === 'unknown') this.#skipped = { count: (this.#skipped?.count ?? 0) + 1, last: decoded.warning };
    else replay.apply(seq, decoded);
  }

  /** What was skipped because a newer version wrote it, undefined where nothing was. A checkpoint of ours does not keep it. */
  get skipped(): Skipped | undefined {
    return this.#skipped;
  }

  /** K2: a checkpoint is complete; what it did not write again does not exist any more. */
  forgetBelow(seq: number): void {
    for (const replay of this.#replays.values()) replay.forgetBelow(seq);
  }

  /** @param graceUntil until then no loaded member is dropped (O5); undefined after an orderly hand-over */
  finish(context: TurnContext, graceUntil: MonotonicMs | undefined): LoadedGroup[] {
    const loaded: LoadedGroup[] = [];
    for (const replay of this.#replays.values()) {
      const group = replay.finish(context, graceUntil === undefined ? {} : { graceUntil });
      if (group.slot.group !== undefined) loaded.push(group);
    }
    return loaded;
  }
}
