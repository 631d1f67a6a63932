/**
 * Deleting offsets and whole groups on request, and offsets of topic partitions that ceased to exist.
 *
 * Rules: classic-protocol.md sections 3.9 and 3.12. What time deletes is in `expiry.ts`.
 */

import type {
  DeleteGroupRequest,
  DeleteOffsetsReply,
  DeleteOffsetsRequest,
  ErrorName,
  RequestId,
} from '@muster/protocol';
import { assertNever, errorCode } from '@muster/protocol';
import type { TopicPartition } from './commands.js';
import type { Group } from './group.js';
import { hasHadGeneration } from './group.js';
import { forgetPending } from './membership.js';
import { dropOffset, hasOpenStage } from './offset-store.js';
import { CONSUMER_PROTOCOL_TYPE, isSubscribed } from './protocols.js';
import type { Turn } from './turn.js';
import { record } from './turn.js';

/** A sweep may drop all offsets of a large group at once, which must not make a record that no loader takes (L3). */
const TOMBSTONES_PER_RECORD = 5_000;

const NONE = errorCode('NONE');
const SUBSCRIBED = errorCode('GROUP_SUBSCRIBED_TO_TOPIC');

export function handleDeleteOffsets(turn: Turn, ref: RequestId, request: DeleteOffsetsRequest): void {
  const { group } = turn.slot;
  const partitions: DeleteOffsetsReply['partitions'] = [];
  const error = whyOffsetsStay(request.groupId, group);
  if (error === 'NONE' && group !== undefined) {
    const free: TopicPartition[] = [];
    for (const [topic, partition] of request.partitions) {
      const subscribed = isSubscribed(group, topic);
      if (!subscribed) free.push({ topic, partition });
      partitions.push({ topic, partition, error: subscribed ? SUBSCRIBED : NONE });
    }
    dropOffsets(turn, group, free);
    // kafka (Scala): a group that held nothing but these offsets goes with them; the Java side leaves it to the sweep.
    if (free.length > 0) removeIfUnused(turn, group);
  }
  turn.effects.replies.push({ api: 'delete-offsets', ref, error, fields: { partitions } });
}

function whyOffsetsStay(groupId: string, group: Group | undefined): ErrorName {
  if (groupId === '') return 'INVALID_GROUP_ID';
  if (group === undefined || group.phase.kind === 'Dead') return 'GROUP_ID_NOT_FOUND';
  // kafka: only the subscriptions of type consumer can be read; other groups must be empty first.
  const busy = group.phase.kind !== 'Empty' && group.protocolType !== CONSUMER_PROTOCOL_TYPE;
  return busy ? 'NON_EMPTY_GROUP' : 'NONE';
}

/** Topic partitions ceased to exist. kafka (Scala): groups that hold nothing any more go at once, as in the sweep. */
export function handleDeletedPartitions(turn: Turn, group: Group, partitions: readonly TopicPartition[]): void {
  if (group.phase.kind === 'Dead') return;
  dropOffsets(turn, group, partitions);
  removeIfUnused(turn, group);
}

/**
 * Removes a group without members and without offsets. kafka: groups have no retention of their own, and an id that was handed
 * out does not keep one. differs from kafka (Java): open stages keep the group also where it has no committed offset
 * (KAFKA-19163).
 */
export function removeIfUnused(turn: Turn, group: Group): void {
  const isUsed = group.offsets.committed.size > 0 || hasOpenStage(group.offsets);
  if (group.phase.kind === 'Empty' && !isUsed) removeGroup(turn, group);
}

/** Removes offsets, committed and staged, and records it for those that existed. */
export function dropOffsets(turn: Turn, group: Group, candidates: readonly TopicPartition[]): void {
  const dropped = candidates.filter(({ topic, partition }) => dropOffset(group.offsets, topic, partition));
  for (let from = 0; from < dropped.length; from += TOMBSTONES_PER_RECORD) {
    const partitions = dropped.slice(from, from + TOMBSTONES_PER_RECORD);
    record(turn, { kind: 'offset-tombstones', partitions });
  }
}

export function handleDelete(turn: Turn, ref: RequestId, _request: DeleteGroupRequest): void {
  const { group } = turn.slot;
  const error = group === undefined ? 'GROUP_ID_NOT_FOUND' : whyGroupStays(group);
  if (error === 'NONE' && group !== undefined) removeGroup(turn, group);
  turn.effects.replies.push({ api: 'delete', ref, error, fields: {} });
}

function whyGroupStays(group: Group): ErrorName {
  switch (group.phase.kind) {
    case 'Empty':
      return 'NONE';
    case 'Dead':
      return 'GROUP_ID_NOT_FOUND';
    case 'PreparingRebalance':
    case 'CompletingRebalance':
    case 'Stable':
      return 'NON_EMPTY_GROUP';
    default:
      return assertNever(group.phase);
  }
}

/** Removes the group with its offsets. kafka: ids that were handed out lapse with it; their clients start over. */
export function removeGroup(turn: Turn, group: Group): void {
  for (const id of group.pendingMembers.keys()) forgetPending(turn, group, id);
  // A group of refused joins was never recorded: nothing to bury.
  if (hasHadGeneration(group) || group.offsets.order > 0) record(turn, { kind: 'group-tombstone' });
  turn.slot.group = undefined;
}
