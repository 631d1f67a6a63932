/**
 * Which phase may follow which, and the one function that changes it.
 *
 * It keeps no other field consistent: the callers in `rebalance.ts`, `sync.ts` and `unload.ts` do. Rule: classic-protocol.md
 * section 2. A transition that the table lacks is a broken invariant and throws.
 */

import type { WallMs } from '@muster/protocol';
import type { Group, Phase, PhaseName } from './group.js';

/** For each phase those that may follow. Group deletion is no transition: it empties the slot. */
export const transitions = {
  Empty: ['PreparingRebalance', 'Dead'],
  PreparingRebalance: ['CompletingRebalance', 'Empty', 'Dead'],
  CompletingRebalance: ['Stable', 'PreparingRebalance', 'Dead'],
  Stable: ['PreparingRebalance', 'Dead'],
  Dead: ['Dead'],
} as const satisfies Record<PhaseName, readonly PhaseName[]>;

/** Moves the group to the phase and notes the time, from which the retention of an emptied group counts. */
export function enter(group: Group, phase: Phase, now: WallMs): void {
  const allowed: readonly PhaseName[] = transitions[group.phase.kind];
  if (!allowed.includes(phase.kind)) throw new Error(`a group cannot go from ${group.phase.kind} to ${phase.kind}`);
  group.phase = phase;
  group.stateChangedAt = now;
}
