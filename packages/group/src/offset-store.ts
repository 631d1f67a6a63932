/**
 * The offsets of one group: committed ones, and those staged by producers until their stage ends.
 *
 * Used by live turns and by replay alike, so that both follow one rule. It knows no members, no replies, no retention.
 *
 * Invariants:
 * - F1 `order` is at least the order of everything stored; each commit, plain or staged, takes the next one.
 * - F2 A staged offset that is committed replaces only what has a lower order: whichever was recorded later wins, also
 *   after a replay (kafka: section 10 no. 15).
 * - F3 A producer has either an open stage or a fence, never both; its epoch never falls while it is remembered.
 */

import type { WallMs } from '@muster/protocol';
import { FENCES_MAX } from './bounds.js';
import { PartitionMap } from './partition-map.js';
import { SparseMap } from './sparse-map.js';

/** An offset as it is kept and recorded. Never changed: a newer commit replaces it. */
export type StoredOffset = {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly metadata: string;
  readonly commitTimestamp: WallMs;
  /** Own expiry that an old client asked for; null = the retention of the configuration. */
  readonly expireTimestamp: number | null;
  /** Place among all commits of the group (F1). */
  readonly order: number;
};

/** Open stage of one producer. */
export type Stage = {
  readonly producerEpoch: number;
  readonly offsets: PartitionMap<StoredOffset>;
  /** Time of the last staged commit. */
  touchedAt: WallMs;
};

/** What is left of an ended stage: its epoch fences older producers, its order ignores repeated records. */
export type Fence = { readonly producerEpoch: number; readonly order: number; readonly endedAt: WallMs };

export type OffsetStore = {
  readonly committed: PartitionMap<StoredOffset>;
  readonly stages: SparseMap<number, Stage>;
  /** In the order in which the stages ended. */
  readonly fences: SparseMap<number, Fence>;
  order: number;
};

/** @returns a store without offsets */
export function createOffsetStore(): OffsetStore {
  return { committed: new PartitionMap(), stages: new SparseMap(), fences: new SparseMap(), order: 0 };
}

/** @returns the next place in the order of commits */
export function nextOrder(store: OffsetStore): number {
  store.order += 1;
  return store.order;
}

export function putCommitted(store: OffsetStore, stored: StoredOffset): void {
  store.committed.set(stored.topic, stored.partition, stored);
  if (stored.order > store.order) store.order = stored.order;
}

/** Whether any producer holds an uncommitted offset of the partition. */
export function isStaged(store: OffsetStore, topic: string, partition: number): boolean {
  for (const stage of store.stages.values()) if (stage.offsets.has(topic, partition)) return true;
  return false;
}

/** @returns how many offsets the group holds, committed and staged ones */
export function storedCount(store: OffsetStore): number {
  let count = store.committed.size;
  for (const stage of store.stages.values()) count += stage.offsets.size;
  return count;
}

/** Whether any stage holds offsets. */
export function hasOpenStage(store: OffsetStore): boolean {
  return store.stages.size > 0;
}

/** @returns the highest epoch known of the producer, undefined where none is */
export function epochOfProducer(store: OffsetStore, producerId: number): number | undefined {
  return store.stages.get(producerId)?.producerEpoch ?? store.fences.get(producerId)?.producerEpoch;
}

/**
 * Adds offsets to the stage of a producer. A higher epoch than that of the open stage means that the producer was replaced:
 * what its predecessor staged is dropped. Repeated records of an ended stage are ignored.
 */
export function stageOffsets(
  store: OffsetStore,
  producerId: number,
  producerEpoch: number,
  offsets: readonly StoredOffset[],
  now: WallMs,
): void {
  const fence = store.fences.get(producerId);
  const fresh = fence === undefined ? offsets : offsets.filter((staged) => staged.order > fence.order);
  if (fresh.length === 0) return;
  let stage = store.stages.get(producerId);
  if (stage === undefined || stage.producerEpoch < producerEpoch) {
    stage = { producerEpoch, offsets: new PartitionMap(), touchedAt: now };
    store.stages.set(producerId, stage);
  }
  store.fences.delete(producerId);
  stage.touchedAt = now;
  for (const staged of fresh) {
    stage.offsets.set(staged.topic, staged.partition, staged);
    if (staged.order > store.order) store.order = staged.order;
  }
}

/**
 * Ends the stage of a producer: all that was staged up to the order of the fence. Only a stage of the very epoch is
 * committed; one of a lower epoch was fenced. @returns the offsets that became the committed ones
 */
export function endStage(
  store: OffsetStore,
  producerId: number,
  fence: Fence,
  result: 'COMMIT' | 'ABORT',
): readonly StoredOffset[] {
  const applied: StoredOffset[] = [];
  const stage = store.stages.get(producerId);
  if (stage !== undefined) {
    const commits = result === 'COMMIT' && stage.producerEpoch === fence.producerEpoch;
    for (const staged of stage.offsets.values()) {
      if (staged.order > fence.order) continue;
      stage.offsets.delete(staged.topic, staged.partition);
      const current = store.committed.get(staged.topic, staged.partition);
      if (!commits || (current !== undefined && current.order > staged.order)) continue;
      putCommitted(store, staged);
      applied.push(staged);
    }
    if (stage.offsets.size > 0) return applied;
    store.stages.delete(producerId);
  }
  putFence(store, producerId, fence);
  return applied;
}

/** Remembers the epoch of a producer whose stage ended. */
export function putFence(store: OffsetStore, producerId: number, fence: Fence): void {
  store.fences.delete(producerId);
  store.fences.set(producerId, fence);
  if (fence.order > store.order) store.order = fence.order;
  if (store.fences.size <= FENCES_MAX) return;
  for (const oldest of store.fences.keys()) {
    store.fences.delete(oldest);
    return;
  }
}

/** Removes what is committed and what is staged for a partition. @returns whether there was anything */
export function dropOffset(store: OffsetStore, topic: string, partition: number): boolean {
  let dropped = store.committed.delete(topic, partition);
  for (const [producerId, stage] of store.stages) {
    if (!stage.offsets.delete(topic, partition)) continue;
    dropped = true;
    if (stage.offsets.size > 0) continue;
    store.stages.delete(producerId);
    const { producerEpoch, touchedAt: endedAt } = stage;
    putFence(store, producerId, { producerEpoch, order: store.order, endedAt });
  }
  return dropped;
}
