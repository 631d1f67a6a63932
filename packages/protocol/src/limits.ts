/**
 * Every bound of the wire, in one place. A request beyond a bound gets a typed error and changes nothing.
 */

/** Protocols one member may offer. */
export const PROTOCOLS_MAX = 64;
/** Subscription bytes of one protocol of one member. */
export const METADATA_BYTES_MAX = 256 * 1024;
/** Assignment bytes of one member. */
export const ASSIGNMENT_BYTES_MAX = 256 * 1024;
/** Members one LeaveGroup may name. */
export const LEAVE_MEMBERS_MAX = 10_000;
/** Members one SyncGroup may assign. */
export const ASSIGNMENTS_MAX = 10_000;
/** Partitions one OffsetCommit, OffsetFetch or OffsetDelete may name. */
export const OFFSETS_MAX = 20_000;
/** Filters of one ListGroups. */
export const FILTERS_MAX = 64;
/** Longest topic name, in UTF-16 units. */
export const TOPIC_LENGTH_MAX = 249;
/** Longest text given as a reason, in UTF-16 units. */
export const REASON_LENGTH_MAX = 255;
/** Longest metadata text that the wire carries; `offset.metadata.max.bytes` is checked by the group. */
export const OFFSET_METADATA_LENGTH_MAX = 64 * 1024;
/** Longest time a client may give a request, in milliseconds: the largest rebalance timeout and a little. */
export const DEADLINE_MS_MAX = 2 * 60 * 60 * 1000;
/** Time a request has when it names none, in milliseconds. */
export const DEADLINE_MS_DEFAULT = 30_000;
