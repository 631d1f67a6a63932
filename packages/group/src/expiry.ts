/**
 * The sweep: offsets that nobody used for the retention time go, and then groups that hold nothing any more.
 *
 * Rules: classic-protocol.md section 4.2.
 */

import type { WallMs } from '@muster/protocol';
import { STAGE_ABANDONED_MS } from './bounds.js';
import type { TopicPartition } from './commands.js';
import { dropOffsets, removeIfUnused } from './deletion.js';
import type { Group } from './group.js';
import type { StoredOffset } from './offset-store.js';
import { endStage, isStaged } from './offset-store.js';
import { CONSUMER_PROTOCOL_TYPE } from './protocols.js';
import type { Turn } from './turn.js';
import { record } from './turn.js';

export function handleSweep(turn: Turn, group: Group): void {
  if (group.phase.kind === 'Dead') return;
  const { wallNow } = turn.context;
  dropAbandonedStages(turn, group, wallNow);
  const { offsetsRetentionMs } = turn.context.config;
  const expired: TopicPartition[] = [];
  for (const stored of group.offsets.committed.values()) {
    if (!isExpired(group, stored, wallNow, offsetsRetentionMs)) continue;
    // kafka: an offset with a staged successor is in use.
    if (!isStaged(group.offsets, stored.topic, stored.partition)) expired.push(stored);
  }
  dropOffsets(turn, group, expired);
  removeIfUnused(turn, group);
}

function isExpired(group: Group, stored: StoredOffset, now: WallMs, retentionMs: number): boolean {
  const since = unusedSince(group, stored);
  if (since === undefined) return false;
  return stored.expireTimestamp === null ? now - since >= retentionMs : now >= stored.expireTimestamp;
}

/** From when the retention counts; undefined while the offset is in use. */
function unusedSince(group: Group, stored: StoredOffset): WallMs | undefined {
  if (group.protocolType === null) return stored.commitTimestamp;
  if (group.phase.kind === 'Empty') return group.stateChangedAt;
  // kafka: nothing expires while members are gathered (KAFKA-13636) or where subscriptions cannot be read.
  if (group.phase.kind !== 'Stable' || group.protocolType !== CONSUMER_PROTOCOL_TYPE) return undefined;
  const { subscribedTopics } = group;
  if (subscribedTopics === null || subscribedTopics.has(stored.topic)) return undefined;
  return stored.commitTimestamp;
}

function dropAbandonedStages(turn: Turn, group: Group, now: WallMs): void {
  const { stages, order } = group.offsets;
  for (const [producerId, { producerEpoch, touchedAt }] of stages) {
    if (now - touchedAt < STAGE_ABANDONED_MS) continue;
    endStage(group.offsets, producerId, { producerEpoch, order, endedAt: now }, 'ABORT');
    record(turn, { kind: 'stage-end', producerId, producerEpoch, at: now, order, result: 'ABORT' });
  }
}
