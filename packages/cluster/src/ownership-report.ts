/**
 * What a node tells about its partitions, for logs and metrics: nothing depends on it.
 */

import type { Epoch, NodeId, Partition } from '@muster/protocol';

export type OwnershipReport =
  | {
      readonly kind: 'claimed' | 'resumed';
      readonly partition: Partition;
      readonly epoch: Epoch;
      readonly tookMs: number;
    }
  | { readonly kind: 'not-claimed'; readonly partition: Partition; readonly detail: string }
  | { readonly kind: 'quarantined' | 'suspended' | 'lost'; readonly partition: Partition; readonly detail: string }
  | {
      readonly kind: 'handed-over';
      readonly partition: Partition;
      readonly target: NodeId | undefined;
      tookMs: number;
    };
