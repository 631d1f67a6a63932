/**
 * Reads a partition of an old log as a new owner would: the same chain, the same loader, the same groups. Writes nothing.
 */

import {
  checkpointRecords,
  encodeRecord,
  type GroupRecord,
  groupConfigDefaults,
  type TurnContext,
} from '@muster/group';
import { decodeFrame, logLimitsDefaults, Replay } from '@muster/log';
import { logStreamOf, readLogSubject } from '@muster/nats';
import { generation, type LogId, monotonicMs, type Partition, type WallMs, wallMs } from '@muster/protocol';
import type { NatsConnection } from 'nats';
import { type LoadedGroup, PartitionLoader } from '../loader.js';
import { type LogsPlace, type OldGroup, WRITER } from './copied.js';

/** So much above all that the old log had given out begins what the new one gives out, epochs and generations alike (O2). */
export const RESTORED_ABOVE = 65_536;

/** A partition of an old log. */
export type OldPartition =
  | { readonly kind: 'nothing' }
  | {
      readonly kind: 'read';
      readonly frames: number;
      readonly epoch: number;
      /** Highest of its groups'. */
      readonly generation: number;
      /** As they are to be written. */
      readonly groups: readonly OldGroup[];
    }
  | { readonly kind: 'damaged'; readonly frames: number; readonly epoch: number; readonly detail: string };

const nothing: OldPartition = { kind: 'nothing' };

/**
 * @param log undefined: there are no frames of this partition
 * @throws LogStoreUnavailable
 */
export async function readOldPartition(
  nc: NatsConnection,
  place: LogsPlace,
  partition: Partition,
  log: LogId | undefined,
): Promise<OldPartition> {
  if (log === undefined) return nothing;
  const loader = new PartitionLoader();
  const replay = new Replay(loader, logLimitsDefaults.recordBytesMax);
  let frames = 0;
  let epoch = 0;
  let thrown: string | undefined;
  await readLogSubject(nc, logStreamOf(place, partition), place.subjects.log(log, partition), (frame) => {
    frames += 1;
    const decoded = decodeFrame(frame.bytes);
    if (decoded.ok) epoch = Math.max(epoch, decoded.frame.epoch);
    if (thrown !== undefined) return;
    try {
      replay.take(frame);
    } catch (cause) {
      // A record that cannot be read: skipping it could lose a commit.
      thrown = messageOf(cause);
    }
  });
  if (frames === 0) return nothing;
  const damage = thrown ?? damageOf(replay);
  if (damage !== undefined) return { kind: 'damaged', frames, epoch, detail: damage };
  try {
    const now = wallMs(Date.now());
    const groups = loader.finish(contextOf(now), undefined);
    const highest = Math.max(0, ...groups.map(({ slot }) => slot.group?.generation ?? 0));
    return { kind: 'read', frames, epoch, generation: highest, groups: groups.flatMap((each) => oldGroup(each, now)) };
  } catch (cause) {
    return { kind: 'damaged', frames, epoch, detail: messageOf(cause) };
  }
}

function damageOf({ state, last }: Replay): string | undefined {
  switch (state.kind) {
    case 'reading':
      // As in a backup that was taken meanwhile.
      return last?.frame.node === WRITER && last.frame.body.kind !== 'release'
        ? 'it was being written by a restoration that has not ended'
        : undefined;
    case 'hole':
      // Nobody purges while no node runs.
      return `frame ${state.missing} is missing`;
    case 'broken':
      return state.detail;
  }
}

/** The group without its members, in a generation that nobody has seen; offsets and what their retention counts from stay. */
function oldGroup({ slot: { groupId, group } }: LoadedGroup, now: WallMs): OldGroup[] {
  if (group === undefined) return [];
  // What was Empty has been unused since then. What had members is unused from now on: the loss of the log is no fault of theirs.
  if (group.phase.kind !== 'Empty') group.stateChangedAt = now;
  group.phase = { kind: 'Empty' };
  group.leader = null;
  group.members.clear();
  const records = checkpointRecords(group).map((record) => encodeRecord(raised(record)));
  return records.length === 0 ? [] : [{ group: groupId, records, offsets: group.offsets.committed.size }];
}

function raised(record: GroupRecord): GroupRecord {
  if (record.kind !== 'snapshot') return record;
  return { ...record, generation: generation(record.generation + RESTORED_ABOVE) };
}

/** Loading needs a time and limits; nothing that it decides with them is kept. */
function contextOf(wallNow: WallMs): TurnContext {
  return { now: monotonicMs(0), wallNow, newUuid: () => crypto.randomUUID(), config: groupConfigDefaults };
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
