/**
 * How a group gets on that need not be ours, judged from outside: its commits as the coordinator has them, its lag as the streams have it,
 * the last few looks as a sliding window for each partition (progress.ts).
 *
 * Reads only. What a consumer knows of itself is in health.ts.
 *
 * A1 a commit is seen by its offset or by the note beside it; two looks without either are no second commit.
 * A2 a partition that nobody owns, in a group at rest, has stopped as soon as messages wait: nobody will read them.
 * A3 bounded: a window for each partition of the last look and no other, each of `PROGRESS_WINDOW_MAX` samples; one look at a time.
 */

import type { DescribeReply } from '@muster/protocol';
import { checkArguments } from './check-arguments.js';
import type { Clock } from './clock.js';
import { asMusterError, MusterError } from './errors.js';
import type { PartitionLag } from './lag.js';
import { placeOf } from './lane.js';
import type { CommittedOffset } from './lanes-opening.js';
import { gravestOf, type ProgressVerdict, ProgressWindow } from './progress.js';
import { pause } from './waiting.js';

export interface PartitionProgress extends PartitionLag {
  readonly verdict: ProgressVerdict;
}

/** A group at one look. */
export interface GroupProgress {
  readonly group: string;
  /** Of the clock of `Admin`, monotonic. */
  readonly atMs: number;
  /** `Stable`, `Empty`, `PreparingRebalance`, `CompletingRebalance`, `Dead`. */
  readonly state: string;
  readonly generation: number;
  readonly members: number;
  /** Messages left in all partitions that could be counted. */
  readonly lag: number;
  /** The gravest of the partitions'. */
  readonly verdict: ProgressVerdict;
  readonly partitions: readonly PartitionProgress[];
}

/** What a watch gives: a look, or why there was none. It goes on either way: outages are what one watches for. */
export type GroupLook =
  | ({ readonly kind: 'seen' } & GroupProgress)
  | { readonly kind: 'failed'; readonly group: string; readonly atMs: number; readonly error: MusterError };

export interface LagMonitorOptions {
  /** Topics beside those that the group has offsets for or subscribes to. */
  readonly topics?: readonly string[];
  /** A partition with messages left and no commit for so long has stopped. Default 60,000 ms. */
  readonly stoppedAfterMs?: number;
}

export interface WatchLagOptions extends LagMonitorOptions {
  /** Between two looks. Default 5,000 ms, at least 100. */
  readonly intervalMs?: number;
  /** Ends the watch. */
  readonly signal?: AbortSignal;
}

/** What one look at a group finds. */
export interface GroupFacts {
  readonly described: DescribeReply;
  readonly commits: ReadonlyMap<string, CommittedOffset>;
  readonly lags: readonly PartitionLag[];
}

const STOPPED_AFTER_MS = 60_000;
const INTERVAL_MS = 5_000;
const INTERVAL_LEAST_MS = 100;
/** States in which no round is under way. */
const atRest: ReadonlySet<string> = new Set(['Stable', 'Empty', 'Dead']);

interface Watched {
  readonly window: ProgressWindow;
  lastCommit: string;
}

export class LagMonitor {
  readonly group: string;
  readonly #clock: Clock;
  readonly #look: () => Promise<GroupFacts>;
  readonly #stoppedAfterMs: number;
  #windows = new Map<string, Watched>();
  #sampling: Promise<GroupProgress> | undefined;

  /** Use `Admin.lagMonitor`. */
  constructor(group: string, clock: Clock, look: () => Promise<GroupFacts>, options: LagMonitorOptions) {
    const { stoppedAfterMs = STOPPED_AFTER_MS } = options;
    if (!(stoppedAfterMs > 0)) throw new MusterError('INVALID_ARGUMENT', 'stoppedAfterMs must be above 0');
    this.group = group;
    this.#clock = clock;
    this.#look = look;
    this.#stoppedAfterMs = stoppedAfterMs;
  }

  /**
   * Looks once. A trend needs three looks at least with commits in between. A call while another runs gives what that one finds.
   * @returns the group with a verdict for each partition; throws MusterError as `Admin.lag`
   */
  sample(): Promise<GroupProgress> {
    this.#sampling ??= this.#sample().finally(() => {
      this.#sampling = undefined;
    });
    return this.#sampling;
  }

  /** Looks again and again, until the signal aborts or the loop is left. */
  async *watch(options: Pick<WatchLagOptions, 'intervalMs' | 'signal'> = {}): AsyncGenerator<GroupLook, void, void> {
    checkArguments('watch', { options });
    const { intervalMs = INTERVAL_MS, signal } = options;
    if (!(intervalMs >= INTERVAL_LEAST_MS)) {
      throw new MusterError('INVALID_ARGUMENT', `intervalMs must be at least ${INTERVAL_LEAST_MS}, not ${intervalMs}`);
    }
    const isOver = () => signal?.aborted === true;
    while (!isOver()) {
      const nextAtMs = this.#clock.now() + intervalMs;
      const look = await this.#lookSafely();
      if (isOver()) return;
      yield look;
      await pause(this.#clock, Math.max(0, nextAtMs - this.#clock.now()), signal);
    }
  }

  async #lookSafely(): Promise<GroupLook> {
    try {
      return { kind: 'seen', ...(await this.sample()) };
    } catch (thrown) {
      const error = asMusterError(thrown, 'UNKNOWN_SERVER_ERROR');
      return { kind: 'failed', group: this.group, atMs: this.#clock.now(), error };
    }
  }

  async #sample(): Promise<GroupProgress> {
    const { described, commits, lags } = await this.#look();
    const atMs = this.#clock.now();
    const windows = new Map<string, Watched>();
    const partitions = lags.map((lag): PartitionProgress => {
      const place = placeOf(lag.topic, lag.partition);
      const watched = this.#windows.get(place) ?? this.#begin(atMs);
      windows.set(place, watched);
      return { ...lag, verdict: verdictOf(watched, lag, commits.get(place), described.state, atMs) };
    });
    this.#windows = windows;
    return {
      group: this.group,
      atMs,
      state: described.state,
      generation: described.generationId,
      members: described.members.length,
      lag: partitions.reduce((sum, { lag }) => sum + lag, 0),
      verdict: gravestOf(partitions.map(({ verdict }) => verdict)),
      partitions,
    };
  }

  #begin(atMs: number): Watched {
    return { window: new ProgressWindow(atMs, this.#stoppedAfterMs), lastCommit: '' };
  }
}

function verdictOf(
  watched: Watched,
  { lag, lagMs, memberId, error }: PartitionLag,
  commit: CommittedOffset | undefined,
  state: string,
  atMs: number,
): ProgressVerdict {
  // What could not be counted says nothing, and must not look like a lag of none.
  const isKnown = error === 'NONE';
  const seen = commit === undefined ? '' : `${commit.offset} ${commit.metadata}`;
  if (isKnown && commit !== undefined && seen !== watched.lastCommit) {
    watched.window.add({ atMs, offset: commit.offset, behind: lag });
    watched.lastCommit = seen;
  }
  const verdict = watched.window.verdict({ atMs, behind: lag, waitingSinceMs: atMs - lagMs });
  const isAbandoned = isKnown && lag > 0 && memberId === undefined && atRest.has(state);
  return isAbandoned && verdict !== 'rewound' ? 'stopped' : verdict;
}
