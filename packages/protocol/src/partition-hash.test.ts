import { describe, expect, test } from 'vitest';
import { groupId } from './ids.js';
import { javaStringHash, partitionOf } from './partition-hash.js';

describe('the partition of a group', () => {
  // classic-protocol.md section 8.
  test.each([
    ['', 0, 0],
    ['a', 97, 47],
    ['group', 98_629_247, 47],
    ['my-group', -1_906_497_762, 12],
    ['test-group', 627_841_412, 12],
    ['console-consumer-1', 35_782_224, 24],
    ['connect-cluster', 1_440_343_063, 13],
    ['polygenelubricants', -2_147_483_648, 0],
    ['groupe-é', 506_365_602, 2],
    ['g-😀', 4_884_617, 17],
  ])('%j hashes to %i and lies in partition %i of 50, as in Kafka', (group, hash, partition) => {
    expect(javaStringHash(group)).toBe(hash);
    expect(partitionOf(groupId(group), 50)).toBe(partition);
  });
});
