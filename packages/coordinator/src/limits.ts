/** Every bound of a node in one place. A request beyond a bound is answered with a typed error; nothing grows without end. */
export const nodeLimits = {
  /** Requests that wait for one group's turn. */
  mailboxCountMax: 4_096,
  mailboxBytesMax: 16 * 1024 * 1024,
  /** Replies of one group that wait for its records to be durable. */
  heldRepliesMax: 65_536,
  /** Requests of one group that have been accepted and not answered: parked joins and syncs most of all. */
  openRequestsMax: 65_536,
  /** Largest request: what it asks to record is one record, and the loader takes none above 16 MiB (L3). */
  requestBytesMax: 8 * 1024 * 1024,
  /** When the client may try again after a full mailbox. */
  overloadRetryAfterMs: 100,
  /** Messages of one group before the next group has its visit. */
  messagesPerVisit: 16,
  /** Work before the event loop has its turn. */
  sliceMs: 4,
  /** Resolution of the timer wheel. */
  tickMs: 10,
  /** How often the process looks whether it has stood still. */
  watchMs: 100,
  /** A longer gap between two looks is a stall (O11). */
  stallMs: 1_000,
  /** How long a claim may take, load included. */
  claimDeadlineMs: 15_000,
  /** Partitions that are read ahead of a hand-over at once, and how long what was read is kept. */
  readAheadMax: 8,
  readAheadKeptMs: 5_000,
  /** How often the room of the log streams is looked at, and the shares from which on something is done about it (L7). */
  roomIntervalMs: 10_000,
  roomShortShare: 0.6,
  roomScarceShare: 0.8,
  /** Expired offsets are looked for this often (kafka: offsets.retention.check.interval.ms). */
  sweepIntervalMs: 600_000,
} as const;
