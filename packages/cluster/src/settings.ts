/**
 * Every time and bound of membership and ownership, in one place. Rule numbers: docs/guarantees.md.
 *
 * S1: `observerWaitMs` exceeds `proofMaxAgeMs` by more than a renewal may be late, so that whoever serves on old proof has
 * stopped before anybody counts it dead.
 */

export type ClusterSettings = {
  /** Heartbeats on core NATS; they carry what a node owns. */
  readonly heartbeatIntervalMs: number;
  /** A change of what a node owns is told in a heartbeat of its own, which waits this long for further changes. */
  readonly announceDelayMs: number;
  /** First silence that starts probes (O10). */
  readonly silenceMs: number;
  /** How long one probe waits for its answer. */
  readonly probeTimeoutMs: number;
  /** "No responders" this many times in a row before the mark is tried. */
  readonly probesBeforeMark: number;
  readonly probeSpacingMs: number;
  /** Renewal of the node's lease (O3). */
  readonly renewIntervalMs: number;
  /** Proof of ownership older than this does not serve (O3), counted from the send time. */
  readonly proofMaxAgeMs: number;
  /** Observers count a lease as expired when its revision has not changed for this long (O3). */
  readonly observerWaitMs: number;
  /** A view must have been unchanged for this long before an owner gives a partition away (O8). */
  readonly viewStableMs: number;
  /** A partition stays at least this long where it is (O8). */
  readonly partitionStaysMs: number;
  /** Rank r in the placement order claims after r times this (O8). */
  readonly claimRankDelayMs: number;
  /** A new node listens this long before it counts a partition as nobody's. */
  readonly listenBeforeClaimMs: number;
  /** After being fenced: no new claim of the partition for this long, doubling up to the maximum (O8). */
  readonly fencedBackoffMs: number;
  readonly fencedBackoffMaxMs: number;
  /** A client's word of a later reign that was refuted is not looked into again for this long (C2). */
  readonly doubtIntervalMs: number;
  /** Hand-overs in flight at once: a drain is paced (O9). */
  readonly handOversMax: number;
  /** Suspended partitions resume up to this much apart, in their order (O6), and all within the second figure. */
  readonly resumeSpacingMs: number;
  readonly resumeSpreadMaxMs: number;
  /** How long the next owner may take to read a log ahead before it is released to it all the same. */
  readonly prepareTimeoutMs: number;
  /** Claims in flight at once. */
  readonly claimsMax: number;
  /** How often every partition is looked at. Events look at once. */
  readonly tickMs: number;
  /** How much the most loaded node may exceed the average (O8). */
  readonly loadBound: number;
};

export const clusterSettingsDefaults = {
  heartbeatIntervalMs: 300,
  announceDelayMs: 5,
  silenceMs: 450,
  probeTimeoutMs: 250,
  probesBeforeMark: 2,
  probeSpacingMs: 20,
  renewIntervalMs: 1_000,
  proofMaxAgeMs: 4_000,
  observerWaitMs: 5_000,
  viewStableMs: 2_000,
  partitionStaysMs: 10_000,
  claimRankDelayMs: 500,
  listenBeforeClaimMs: 1_000,
  fencedBackoffMs: 1_000,
  fencedBackoffMaxMs: 30_000,
  doubtIntervalMs: 1_000,
  handOversMax: 2,
  resumeSpacingMs: 4,
  resumeSpreadMaxMs: 200,
  prepareTimeoutMs: 2_000,
  claimsMax: 16,
  tickMs: 50,
  loadBound: 1.25,
} as const satisfies ClusterSettings;

/**
 * @returns for how long a node that lives may be taken for silent by others, at the most, with a second to spare. No session is shorter,
 * and after a claim without release no member is dropped before (O5): whoever spoke to the former owner just then is heard again by then.
 */
export function silenceMsMax({ observerWaitMs }: Pick<ClusterSettings, 'observerWaitMs'>): number {
  return observerWaitMs + 1_000;
}
