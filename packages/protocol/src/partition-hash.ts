/**
 * Which coordinator partition a group belongs to. kafka: `abs(groupId.hashCode()) % partitions` (classic-protocol.md 8).
 */

import type { GroupId, Partition } from './ids.js';
import { partition } from './ids.js';

/**
 * Java's String.hashCode: over UTF-16 code units, h = 31 h + c in wrapping signed 32 bit.
 * @returns a signed 32 bit integer
 */
export function javaStringHash(text: string): number {
  let hash = 0;
  for (let index = 0; index < text.length; index += 1) hash = (Math.imul(hash, 31) + text.charCodeAt(index)) | 0;
  return hash;
}

/**
 * @param partitionCount how many partitions the cluster was created with, at least 1
 * @returns the partition of the group; fixed for the life of the cluster
 */
export function partitionOf(group: GroupId, partitionCount: number): Partition {
  const hash = javaStringHash(group);
  // kafka: abs(-2^31) has no positive counterpart in 32 bit and counts as 0.
  const positive = hash === -0x80000000 ? 0 : Math.abs(hash);
  return partition(positive % partitionCount);
}
