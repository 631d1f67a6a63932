/**
 * What stands in the lease store under a node's key: one JSON document, readable with `nats kv get`.
 */

import type { Incarnation, NodeId } from '@muster/protocol';
import { isIncarnation, isNodeId, utf8Decode, utf8Encode } from '@muster/protocol';
import { z } from 'zod';

/**
 * `alive`: takes partitions. `draining`: gives its own away. `left`: gone in order. `dead`: marked by another node, which is
 * what makes its partitions claimable (O4).
 */
export type LeaseState = 'alive' | 'draining' | 'left' | 'dead';

const schema = z.object({
  v: z.literal(1),
  node: z.custom<NodeId>(isNodeId),
  incarnation: z.custom<Incarnation>(isIncarnation),
  state: z.enum(['alive', 'draining', 'left', 'dead']),
  /** Grows with each renewal, so that each one is a change that observers see. */
  renewal: z.int(),
  /** Who wrote a mark, and why; empty otherwise. */
  markedBy: z.string().default(''),
});
export type LeaseValue = z.output<typeof schema>;

const keyPrefix = 'node.';

/** @returns the key of a node's lease */
export function leaseKey(node: NodeId): string {
  return `${keyPrefix}${node}`;
}
/** @returns the node whose lease has this key; undefined for any other key */
export function nodeOfKey(key: string): NodeId | undefined {
  const node = key.startsWith(keyPrefix) ? key.slice(keyPrefix.length) : undefined;
  return isNodeId(node) ? node : undefined;
}
export function encodeLease(value: Omit<LeaseValue, 'v'>): Uint8Array {
  return utf8Encode(JSON.stringify({ v: 1, ...value }));
}
/** @returns the lease, or undefined where the bytes are none */
export function decodeLease(bytes: Uint8Array): LeaseValue | undefined {
  try {
    const parsed = schema.safeParse(JSON.parse(utf8Decode(bytes)));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}
