/**
 * The states of a member and which may follow which. The loop of membership.ts is the only one that moves between them.
 */

import type { MusterError } from './errors.js';

export type MembershipState =
  | { readonly kind: 'unjoined' }
  | { readonly kind: 'preparing' }
  | { readonly kind: 'joining' }
  | { readonly kind: 'syncing' }
  | { readonly kind: 'installing' }
  | { readonly kind: 'stable' }
  /** Joins no more but still heartbeats: its user drains and commits. */
  | { readonly kind: 'held' }
  | { readonly kind: 'left' }
  | { readonly kind: 'failed'; readonly error: MusterError };

export type StateKind = MembershipState['kind'];

/** Any other step is a broken invariant. */
export const transitions = {
  unjoined: ['preparing', 'held', 'failed'],
  preparing: ['joining', 'preparing', 'held', 'failed'],
  joining: ['syncing', 'preparing', 'held', 'failed'],
  syncing: ['installing', 'preparing', 'held', 'failed'],
  installing: ['stable', 'preparing', 'held', 'failed'],
  stable: ['preparing', 'held', 'failed'],
  held: ['left', 'failed'],
  left: [],
  failed: ['left'],
} as const satisfies { readonly [Kind in StateKind]: readonly StateKind[] };
