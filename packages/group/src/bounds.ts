/**
 * Bounds of one group beyond what the wire limits: nothing in a group grows without an end.
 */

/** Rebalances that a group remembers. */
export const REBALANCES_KEPT = 32;
/** Ids handed out and not used yet. Beyond: THROTTLING_QUOTA_EXCEEDED, since such ids lapse by themselves. */
export const PENDING_MEMBERS_MAX = 10_000;
/** Joins of predecessors that a static member remembers, so that a late copy of one is no further restart. */
export const REPLACED_JOINS_KEPT = 4;
/** Offsets of one group. A commit of one more partition is refused with INVALID_COMMIT_OFFSET_SIZE. */
export const OFFSETS_PER_GROUP_MAX = 200_000;
/** Producers with an open stage in one group. Beyond: THROTTLING_QUOTA_EXCEEDED. */
export const STAGES_MAX = 1_000;
/** Ended stages whose producer epoch is remembered, so that a fenced producer stays fenced. The oldest go first. */
export const FENCES_MAX = 1_000;
/** A stage that nobody ended for this long is dropped by the sweep. Kafka aborts after at most 15 minutes. */
export const STAGE_ABANDONED_MS = 14 * 24 * 60 * 60 * 1000;
/**
 * Bytes of all members in a record, assignments apart; and with the assignments of a generation. Group metadata is one record, and the
 * loader takes none above 16 MiB.
 */
export const MEMBERS_BYTES_MAX = 12 * 1024 * 1024;
export const ASSIGNED_BYTES_MAX = 15 * 1024 * 1024;
/** Members above which a round is recorded as what has changed, not as a whole snapshot (rule L4). */
export const SNAPSHOT_MEMBERS_MAX = 1_000;
