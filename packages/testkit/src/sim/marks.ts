/**
 * Paths that a batch of seeds must have reached at least once: a batch that misses one has not looked where it matters.
 */

/** Seeds from which on a batch is expected to reach every mark. */
export const MARKS_SEEDS_LEAST = 500;

export const requiredMarks = [
  'a checkpoint was completed',
  'a checkpoint waited for live records',
  'a checkpoint was cut in the middle',
  'a claim was refused',
  'a claim without release',
  'a commit was refused',
  'a consumer gave partitions up',
  'a consumer lost partitions',
  'a frame landed after its timeout',
  'a group was deleted',
  'a join parked across a failover',
  'a leader went with an append in flight',
  'a lease write was refused',
  'a member was expelled',
  'a message was handled again',
  'a node drained',
  'a node lost its lease',
  'a living node was marked',
  'a node was restarted under its id',
  'a new group was refused for want of room',
  'a partition was resumed',
  'a pause longer than the lease',
  'a process was replaced while it stood still',
  'a purge made room',
  'a record in parts',
  'a static member was replaced',
  'a release',
  'a resent frame found itself in the log',
  'a stale owner wrote after a claim',
  'a stale read',
  'a superseded owner had not noticed yet',
  'an instance was fenced',
  'an answer of an earlier reign arrived',
  'an append of unknown outcome had landed',
  'busy (10164)',
  'full (10077)',
  'offsets expired',
] as const;
