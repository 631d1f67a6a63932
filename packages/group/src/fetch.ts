/**
 * OffsetFetch: anybody reads committed offsets, in any state of the group. Rules: classic-protocol.md section 3.8.
 *
 * Nothing is refused here: a group or an offset that does not exist reads as -1 (kafka). The reply waits behind the records
 * of the group that are in flight, as all replies do, so that no offset is shown that a failover could take back.
 */

import type { FetchReply, FetchRequest, RequestId } from '@muster/protocol';
import { errorCode } from '@muster/protocol';
import type { Group } from './group.js';
import type { StoredOffset } from './offset-store.js';
import { isStaged } from './offset-store.js';
import type { Turn } from './turn.js';

type FetchedPartition = FetchReply['partitions'][number];
const NONE = errorCode('NONE');
const UNSTABLE = errorCode('UNSTABLE_OFFSET_COMMIT');

export function handleFetch(turn: Turn, ref: RequestId, request: FetchRequest): void {
  const { group } = turn.slot;
  const readable = group?.phase.kind === 'Dead' ? undefined : group;
  const partitions: FetchedPartition[] = [];
  if (request.partitions !== null) {
    for (const [topic, partition] of request.partitions) {
      const stored = readable?.offsets.committed.get(topic, partition);
      partitions.push(fetched(readable, request.requireStable, topic, partition, stored));
    }
  } else if (readable !== undefined) {
    // kafka: a partition that has nothing but staged offsets is not listed.
    for (const stored of readable.offsets.committed.values()) {
      partitions.push(fetched(readable, request.requireStable, stored.topic, stored.partition, stored));
    }
  }
  turn.effects.replies.push({ api: 'fetch', ref, error: 'NONE', fields: { partitions } });
}

function fetched(
  group: Group | undefined,
  requireStable: boolean,
  topic: string,
  partition: number,
  stored: StoredOffset | undefined,
): FetchedPartition {
  if (requireStable && group !== undefined && isStaged(group.offsets, topic, partition)) {
    return { topic, partition, offset: -1, leaderEpoch: -1, metadata: '', error: UNSTABLE };
  }
  if (stored === undefined) return { topic, partition, offset: -1, leaderEpoch: -1, metadata: '', error: NONE };
  const { offset, leaderEpoch, metadata } = stored;
  return { topic, partition, offset, leaderEpoch, metadata, error: NONE };
}
