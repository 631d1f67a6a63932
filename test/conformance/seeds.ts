/**
 * What both depths share about the store of the cases: which records count as a store, why some hooks have no meaning, and the
 * records that a case seeds.
 */

import type { GroupRecord, SnapshotRecord, UnknownRecord } from '@muster/group';
import { generation, instanceId, memberId, requestId, wallMs } from '@muster/protocol';
import type { Hook } from './cases.js';
import { toBytes } from './translation.js';

export const NO_ROLLBACK = 'no rollback: a failed append drops and reloads the partition';
export const NO_TRANSACTION_COORDINATOR = 'staged commits have no transaction coordinator that could refuse them';

export type SeedHook = Extract<Hook, { op: 'seedGroup' | 'seedOffset' | 'seedTombstone' | 'seedTxnMarker' }>;

/**
 * A "store" of the cases is one durable write of Kafka. What Kafka does not record at all (the generation at join completion, a
 * removed member) is none.
 */
export function isStoredByKafka(record: GroupRecord | UnknownRecord): boolean {
  switch (record.kind) {
    case 'snapshot':
      return record.state !== 'CompletingRebalance';
    case 'member-removed':
    case 'unknown':
      return false;
    default:
      return true;
  }
}

/** Highest order of an offset in a log, and the epochs of its open stages: a seeded record comes after them. */
export class SeedOrders {
  #order = 0;
  readonly #stageEpochs = new Map<number, number>();

  note(record: GroupRecord | UnknownRecord): void {
    if (record.kind === 'staged-offsets') this.#stageEpochs.set(record.producerId, record.producerEpoch);
    if (record.kind !== 'offsets' && record.kind !== 'staged-offsets') return;
    for (const { order } of record.offsets) this.#order = Math.max(this.#order, order);
  }

  /** Highest order in use. */
  get latest(): number {
    return this.#order;
  }
  stageEpoch(producerId: number): number {
    return this.#stageEpochs.get(producerId) ?? 0;
  }
}

/** @returns the record that a seed hook stands for */
export function toRecord(hook: SeedHook, nowMs: number, orders: SeedOrders): GroupRecord {
  switch (hook.op) {
    case 'seedGroup':
      return seededSnapshot(hook, nowMs);
    case 'seedOffset': {
      const { topic, partition, offset, leaderEpoch, metadata, expireTimestamp = null } = hook;
      const commitTimestamp = wallMs(hook.commitTimestamp ?? nowMs);
      const order = orders.latest + 1;
      const seeded = { topic, partition, offset, leaderEpoch, metadata, commitTimestamp, expireTimestamp, order };
      return { kind: 'offsets', memberId: null, commitSeq: -1, offsets: [seeded] };
    }
    case 'seedTombstone': {
      const { topic, partition } = hook;
      if (topic === undefined || partition === undefined) return { kind: 'group-tombstone' };
      return { kind: 'offset-tombstones', partitions: [{ topic, partition }] };
    }
    case 'seedTxnMarker': {
      const { producerId, result } = hook;
      const producerEpoch = orders.stageEpoch(producerId);
      return { kind: 'stage-end', producerId, producerEpoch, at: wallMs(nowMs), order: orders.latest, result };
    }
  }
}

function seededSnapshot(hook: Extract<SeedHook, { op: 'seedGroup' }>, nowMs: number): SnapshotRecord {
  const { protocol } = hook;
  return {
    kind: 'snapshot',
    generation: generation(hook.generationId),
    state: hook.members.length === 0 ? 'Empty' : 'Stable',
    protocolType: hook.protocolType,
    protocol,
    leader: hook.leader === null ? null : memberId(hook.leader),
    members: hook.members.map((member) => ({
      memberId: memberId(member.memberId),
      groupInstanceId: member.groupInstanceId === null ? null : instanceId(member.groupInstanceId),
      clientId: member.clientId,
      clientHost: member.clientHost,
      createdBy: requestId(`seed of ${member.memberId}`),
      replacedJoins: [],
      sessionTimeoutMs: member.sessionTimeoutMs,
      rebalanceTimeoutMs: member.rebalanceTimeoutMs,
      protocols: [{ name: protocol ?? '', metadata: toBytes(member.subscription) }],
      assignment: toBytes(member.assignment),
      commitSeq: -1,
    })),
    stateChangedAt: wallMs(nowMs),
    round: null,
    rebalanceDue: false,
    rebalances: [],
  };
}
