/**
 * What nodes tell each other on core NATS. Each message names node and incarnation (O1); none of them decides anything about
 * safety: heartbeats and hints only trigger probes, marks and claims.
 */

import type { Epoch, Incarnation, NodeId, Partition } from '@muster/protocol';
import { decode, encode, isEpoch, isIncarnation, isNodeId, isPartition } from '@muster/protocol';
import { z } from 'zod';

const node = z.custom<NodeId>(isNodeId);
const incarnation = z.custom<Incarnation>(isIncarnation);
const partition = z.custom<Partition>(isPartition);
const epoch = z.custom<Epoch>(isEpoch);

const heartbeat = z.object({
  v: z.literal(1),
  node,
  incarnation,
  /** Hash of the live nodes as the sender sees them: a partition is given only to a node of the same view (O8). */
  view: z.string(),
  /** What the sender owns, with the epoch of its claim. */
  owned: z.array(z.tuple([partition, epoch])).max(100_000),
});
/** "I live, and this is mine." */
export type Heartbeat = z.output<typeof heartbeat>;

const offer = z.object({ v: z.literal(1), node, incarnation, partition, epoch });
/** "I have released this partition to you" (O9), or, as a question, "I shall: read its log ahead". */
export type Offer = z.output<typeof offer>;

export function encodeHeartbeat(message: Omit<Heartbeat, 'v'>): Uint8Array {
  return encode({ v: 1, ...message });
}
/** @returns the heartbeat, or undefined for anything else */
export function parseHeartbeat(payload: Uint8Array): Heartbeat | undefined {
  return parse(heartbeat, payload);
}
export function encodeOffer(message: Omit<Offer, 'v'>): Uint8Array {
  return encode({ v: 1, ...message });
}
/** @returns the offer, or undefined for anything else */
export function parseOffer(payload: Uint8Array): Offer | undefined {
  return parse(offer, payload);
}

function parse<T>(schema: z.ZodType<T>, payload: Uint8Array): T | undefined {
  const decoded = decode(payload);
  const parsed = decoded.ok ? schema.safeParse(decoded.value) : undefined;
  return parsed?.success ? parsed.data : undefined;
}
