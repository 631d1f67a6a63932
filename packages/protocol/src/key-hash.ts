// From a key to a partition: the hash of nats-server's subject mapping and the hash of Kafka's default partitioner.
// Does not decide which of them a topic uses, does not know topics.
//
// H1: the same key and the same partition count give the same partition in every process, for ever; changing the count
//     moves nearly every key, so a topic's count is fixed.

import { utf8Encode } from './utf8.js';

const FNV1A_OFFSET_BASIS = 0x811c9dc5;
const FNV1A_PRIME = 0x01000193;
const MURMUR2_SEED = 0x9747b28c;
const MURMUR2_MULTIPLIER = 0x5bd1e995;

function fnv1aContinue(hash: number, bytes: Uint8Array): number {
  let result = hash;
  for (const byte of bytes) {
    result = Math.imul(result ^ byte, FNV1A_PRIME);
  }
  return result;
}

function requirePartitionCount(partitionCount: number): void {
  if (!Number.isSafeInteger(partitionCount) || partitionCount < 1) {
    throw new TypeError(`a partition count is a whole number of at least 1, not ${partitionCount}`);
  }
}

/** FNV-1a, 32 bit, as an unsigned number. */
export function fnv1a32(bytes: Uint8Array): number {
  return fnv1aContinue(FNV1A_OFFSET_BASIS, bytes) >>> 0;
}

/**
 * The partition that nats-server's `{{partition(n, ...)}}` gives: FNV-1a over the UTF-8 bytes of the subject tokens,
 * joined in the listed order without a separator, modulo `partitionCount`. So ("ab","c") and ("a","bc") share one.
 * Throws TypeError when `partitionCount` is not a whole number of at least 1.
 */
export function natsPartition(tokens: readonly string[], partitionCount: number): number {
  requirePartitionCount(partitionCount);
  let hash = FNV1A_OFFSET_BASIS;
  for (const token of tokens) {
    hash = fnv1aContinue(hash, utf8Encode(token));
  }
  return (hash >>> 0) % partitionCount;
}

/** Kafka's MurmurHash2 of a key (seed 0x9747b28c, little-endian words), as the signed 32 bit number Java prints. */
export function murmur2(key: Uint8Array): number {
  const byteAt = (index: number): number => key[index] ?? 0;
  const tailAt = key.length - (key.length % 4);
  let hash = MURMUR2_SEED ^ key.length;
  for (let at = 0; at < tailAt; at += 4) {
    let word = byteAt(at) | (byteAt(at + 1) << 8) | (byteAt(at + 2) << 16) | (byteAt(at + 3) << 24);
    word = Math.imul(word, MURMUR2_MULTIPLIER);
    word ^= word >>> 24;
    hash = Math.imul(hash, MURMUR2_MULTIPLIER) ^ Math.imul(word, MURMUR2_MULTIPLIER);
  }
  if (tailAt < key.length) {
    // Bytes beyond the end read as 0, which the exclusive or leaves alone.
    hash ^= byteAt(tailAt) | (byteAt(tailAt + 1) << 8) | (byteAt(tailAt + 2) << 16);
    hash = Math.imul(hash, MURMUR2_MULTIPLIER);
  }
  hash = Math.imul(hash ^ (hash >>> 13), MURMUR2_MULTIPLIER);
  return hash ^ (hash >>> 15);
}

/**
 * The partition of Kafka's default partitioner for a message with a key.
 * Throws TypeError when `partitionCount` is not a whole number of at least 1.
 */
export function murmur2Partition(key: Uint8Array, partitionCount: number): number {
  requirePartitionCount(partitionCount);
  // kafka: the sign bit is masked off, it is not an absolute value.
  return (murmur2(key) & 0x7fffffff) % partitionCount;
}
