/**
 * From the live group to the records that describe it: the snapshot of a turn, and the records of a checkpoint.
 */

import { utf8Length } from '@muster/protocol';
import { SNAPSHOT_MEMBERS_MAX } from './bounds.js';
import type { Group, Member } from './group.js';
import { hasHadGeneration } from './group.js';
import type { StoredOffset } from './offset-store.js';
import type { GroupRecord, MemberRecord, SnapshotDeltaRecord, SnapshotRecord } from './records.js';

/** A record of offsets in a checkpoint is closed when it has so many bytes: with long metadata a few hundred exceed any limit (L3). */
const OFFSETS_BYTES_PER_RECORD = 64 * 1024;
/** Numbers and heads of one offset in a record, at most. */
const OFFSET_FIXED_BYTES = 64;

/** @returns the group metadata as it is to be recorded. Only for phases that are recorded. */
export function snapshotOf(group: Group): SnapshotRecord {
  const members: MemberRecord[] = [];
  for (const member of group.members.values()) members.push(memberRecord(member));
  return { kind: 'snapshot', members, ...metadataOf(group) };
}

/**
 * @returns what the log needs to know after a change of the metadata: all of it, or of a large group what has changed since the
 *   last record (rule L4). Only for phases that are recorded; the members count as recorded from here on.
 */
export function changeRecord(group: Group): SnapshotRecord | SnapshotDeltaRecord {
  const changed: Member[] = [];
  for (const member of group.members.values()) if (member.unrecorded) changed.push(member);
  for (const member of changed) member.unrecorded = false;
  // A delta that names most members is a snapshot that costs more to read.
  const isWorthIt = group.members.size > SNAPSHOT_MEMBERS_MAX && 2 * changed.length <= group.members.size;
  if (!isWorthIt) return snapshotOf(group);
  return { kind: 'snapshot-delta', changed: changed.map(memberRecord), ...metadataOf(group) };
}

function metadataOf(group: Group) {
  const { phase } = group;
  if (phase.kind === 'PreparingRebalance' || phase.kind === 'Dead') throw new Error(`${phase.kind} is never recorded`);
  return {
    generation: group.generation,
    state: phase.kind,
    protocolType: group.protocolType,
    protocol: phase.kind === 'Empty' ? null : phase.protocol,
    leader: group.leader,
    stateChangedAt: group.stateChangedAt,
    round: phase.kind === 'CompletingRebalance' ? phase.round : null,
    rebalanceDue: false,
    rebalances: group.rebalances,
  };
}

/**
 * Everything that a checkpoint must write for a group, and nothing that the log does not say already (rule K1): a group
 * in PreparingRebalance is written as it was recorded last.
 * @returns records to append in this order; none for a group of which nothing is durable
 */
export function checkpointRecords(group: Group): readonly GroupRecord[] {
  const records: GroupRecord[] = [];
  const { committed, stages, fences } = group.offsets;
  for (const offsets of batches(committed.values())) {
    records.push({ kind: 'offsets', memberId: null, commitSeq: -1, offsets });
  }
  for (const [producerId, { producerEpoch, touchedAt: at, offsets: staged }] of stages) {
    for (const offsets of batches(staged.values())) {
      records.push({ kind: 'staged-offsets', producerId, producerEpoch, at, offsets });
    }
  }
  for (const [producerId, { producerEpoch, order, endedAt: at }] of fences) {
    records.push({ kind: 'stage-end', producerId, producerEpoch, at, order, result: 'ABORT' });
  }
  // Last: a checkpoint may be cut at any frame, and the numbers of commits in the snapshot must not outlive their offsets. Otherwise
  // the next owner takes a commit that was never recorded for a copy of one that was, and says yes to it (rule C3).
  const snapshot = recordedSnapshot(group);
  if (snapshot !== null) records.push(snapshot);
  return records;
}

function recordedSnapshot(group: Group): SnapshotRecord | null {
  const { phase } = group;
  if (phase.kind === 'Dead') return null;
  if (phase.kind !== 'PreparingRebalance') return hasHadGeneration(group) ? snapshotOf(group) : null;
  if (phase.durable === null) return null;
  const { snapshot: kept, without } = phase.durable;
  const members: MemberRecord[] = [];
  for (const member of kept.members) {
    if (without.has(member.memberId)) continue;
    // Commits go on while the group prepares: their numbers are durable with their records, the kept snapshot is older.
    const commitSeq = group.members.get(member.memberId)?.commitSeq ?? member.commitSeq;
    members.push(commitSeq === member.commitSeq ? member : { ...member, commitSeq });
  }
  const rebalanceDue = kept.rebalanceDue || members.length < kept.members.length;
  return { ...kept, members, rebalanceDue };
}

function memberRecord(member: Member): MemberRecord {
  return {
    memberId: member.memberId,
    groupInstanceId: member.groupInstanceId,
    clientId: member.clientId,
    clientHost: member.clientHost,
    createdBy: member.createdBy,
    replacedJoins: member.replacedJoins,
    sessionTimeoutMs: member.sessionTimeoutMs,
    rebalanceTimeoutMs: member.rebalanceTimeoutMs,
    protocols: member.protocols,
    assignment: member.assignment,
    commitSeq: member.commitSeq,
  };
}

function* batches(offsets: Iterable<StoredOffset>): IterableIterator<readonly StoredOffset[]> {
  let batch: StoredOffset[] = [];
  let bytes = 0;
  for (const stored of offsets) {
    batch.push(stored);
    bytes += OFFSET_FIXED_BYTES + utf8Length(stored.topic) + utf8Length(stored.metadata);
    if (bytes < OFFSETS_BYTES_PER_RECORD) continue;
    yield batch;
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) yield batch;
}
