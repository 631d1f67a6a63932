/**
 * What a turn may know of the world: the time, fresh ids and the limits in force. Nothing else reaches the state machine.
 */

import type { MonotonicMs, WallMs } from '@muster/protocol';

/** Settings of every group of a node. Names and defaults: classic-protocol.md section 7. */
export type GroupConfig = {
  readonly minSessionTimeoutMs: number;
  readonly maxSessionTimeoutMs: number;
  readonly initialRebalanceDelayMs: number;
  readonly maxSize: number;
  readonly offsetsRetentionMs: number;
  /** In UTF-16 units, as Kafka counts in spite of the setting's name. */
  readonly offsetMetadataMaxLength: number;
  /**
   * A new group starts at this generation. Above 0 after the log was restored or made anew: generations are fencing tokens and
   * must not come again (rule O2).
   */
  readonly generationFloor: number;
};

export const groupConfigDefaults = {
  minSessionTimeoutMs: 6_000,
  maxSessionTimeoutMs: 1_800_000,
  initialRebalanceDelayMs: 3_000,
  maxSize: 2_147_483_647,
  offsetsRetentionMs: 7 * 24 * 60 * 60 * 1000,
  offsetMetadataMaxLength: 4_096,
  generationFloor: 0,
} as const satisfies GroupConfig;

/** kafka: how long the parked JoinGroup of a member that has never been in a generation keeps it alive. */
export const NEW_MEMBER_JOIN_TIMEOUT_MS = 300_000;

export type TurnContext = {
  /** Orders and measures; all deadlines are in it. */
  readonly now: MonotonicMs;
  /** What people and other processes read: commit times, state change times. */
  readonly wallNow: WallMs;
  /** @returns a fresh random UUID */
  readonly newUuid: () => string;
  readonly config: GroupConfig;
};
