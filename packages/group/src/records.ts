/**
 * What a group makes durable. All records are absolute: applying one twice is harmless (rule L6).
 *
 * Shapes only; their bytes are in `record-codec.ts`, what they do in `replay.ts`.
 */

import type { Generation, InstanceId, MemberId, RebalanceEntry, RequestId, WallMs } from '@muster/protocol';
import type { TopicPartition } from './commands.js';
import type { StoredOffset } from './offset-store.js';

/** One protocol (assignor) that a member offers, with its subscription bytes. */
export type Protocol = { readonly name: string; readonly metadata: Uint8Array };

/** A member as it is recorded: with all its protocols, so that a failover changes nobody's choice. */
export type MemberRecord = {
  readonly memberId: MemberId;
  readonly groupInstanceId: InstanceId | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly createdBy: RequestId;
  readonly replacedJoins: readonly RequestId[];
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly protocols: readonly Protocol[];
  readonly assignment: Uint8Array;
  readonly commitSeq: number;
};

/** States that are recorded. PreparingRebalance never is: the log keeps what was before it (rule K1). */
export type RecordedState = 'Empty' | 'CompletingRebalance' | 'Stable';

/**
 * A rebalance under way. Wall time, because it may end on another node than it began on. `reason`: the first that somebody gave for
 * a removal, at most REASON_LENGTH_MAX long as the wire has it.
 */
export type Round = {
  readonly cause: string;
  readonly memberId: MemberId;
  readonly startedAt: WallMs;
  readonly reason: string | null;
};

/** The group metadata apart from its members. */
type MetadataFields = {
  readonly generation: Generation;
  readonly state: RecordedState;
  readonly protocolType: string | null;
  /** Null only in state Empty. */
  readonly protocol: string | null;
  readonly leader: MemberId | null;
  readonly stateChangedAt: WallMs;
  /** The rebalance under way in state CompletingRebalance, else null. */
  readonly round: Round | null;
  /** A member was taken out since the generation began, so whoever loads this must begin a rebalance. */
  readonly rebalanceDue: boolean;
  readonly rebalances: readonly RebalanceEntry[];
};

/** The whole group metadata. */
export type SnapshotRecord = MetadataFields & { readonly kind: 'snapshot'; readonly members: readonly MemberRecord[] };

/**
 * The metadata of a large group, of its members only those that are new or have changed (rule L4). Without a snapshot before it, as
 * when the rest was purged, it says nothing: a checkpoint that purges has written the whole group again.
 */
export type SnapshotDeltaRecord = MetadataFields & {
  readonly kind: 'snapshot-delta';
  readonly changed: readonly MemberRecord[];
};

export type GroupRecord =
  | SnapshotRecord
  | SnapshotDeltaRecord
  /** A recorded member left, was dropped or was replaced: it never comes back as a ghost (rule L6). */
  | { readonly kind: 'member-removed'; readonly memberId: MemberId }
  /** Commits. `memberId` and `commitSeq` carry the number of the member's last commit (rule C3). */
  | {
      readonly kind: 'offsets';
      readonly memberId: MemberId | null;
      readonly commitSeq: number;
      readonly offsets: readonly StoredOffset[];
    }
  /** These offsets are gone, committed and staged ones. */
  | { readonly kind: 'offset-tombstones'; readonly partitions: readonly TopicPartition[] }
  /** The group is gone with everything it had. */
  | { readonly kind: 'group-tombstone' }
  | {
      readonly kind: 'staged-offsets';
      readonly producerId: number;
      readonly producerEpoch: number;
      readonly at: WallMs;
      readonly offsets: readonly StoredOffset[];
    }
  | {
      readonly kind: 'stage-end';
      readonly producerId: number;
      readonly producerEpoch: number;
      readonly at: WallMs;
      /** Highest order in use when the stage ended: staged offsets up to it are over. */
      readonly order: number;
      readonly result: 'COMMIT' | 'ABORT';
    };

/** A record of a kind that this version does not know: skipped, with a line for the log. */
export type UnknownRecord = { readonly kind: 'unknown'; readonly warning: string };

/** A record that cannot be read. The host quarantines the partition: skipping it could lose an acknowledged commit. */
export class RecordError extends Error {
  override readonly name = 'RecordError';
  readonly code: 'RECORD_DAMAGED' | 'RECORD_VERSION_UNSUPPORTED';

  constructor(code: RecordError['code'], message: string) {
    super(message);
    this.code = code;
  }
}
