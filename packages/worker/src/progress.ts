/**
 * How a partition gets on, judged by a sliding window of commits: the last few, each with what was left behind it.
 *
 * Pure: time comes with the samples. Any consumer of commits can use it (this worker, a console, a monitor).
 */

/** What one commit said. */
export interface ProgressSample {
  /** Of one clock, whichever. */
  readonly atMs: number;
  /** The committed offset. */
  readonly offset: number;
  /** Messages at or after it. */
  readonly behind: number;
}

/**
 * `ok`: nothing is left, or what is left gets less. `behind`: offsets move, but the rest grows with every commit. `stalled`:
 * commits come, messages wait, the offset does not move. `stopped`: messages wait and no commit comes any more. `rewound`: an
 * offset went back within the window.
 */
export type ProgressVerdict = 'ok' | 'behind' | 'stalled' | 'stopped' | 'rewound';

export const PROGRESS_WINDOW_MAX = 10;
/** Fewer samples say nothing about a trend. */
const TREND_SAMPLES_MIN = 3;
/** From the mildest to the gravest. */
const gravity: readonly ProgressVerdict[] = ['ok', 'behind', 'rewound', 'stopped', 'stalled'];

export class ProgressWindow {
  readonly #samples: ProgressSample[] = [];
  readonly #startedAtMs: number;
  readonly #stoppedAfterMs: number;

  /** @param stoppedAfterMs without a commit for so long, a partition with messages left counts as stopped */
  constructor(startedAtMs: number, stoppedAfterMs: number) {
    this.#startedAtMs = startedAtMs;
    this.#stoppedAfterMs = stoppedAfterMs;
  }

  get samples(): readonly ProgressSample[] {
    return this.#samples;
  }

  add(sample: ProgressSample): void {
    this.#samples.push(sample);
    if (this.#samples.length > PROGRESS_WINDOW_MAX) this.#samples.shift();
  }

  /**
   * @param now the time, the messages left now, and since when the oldest of them has been waiting, where that is known: what has come
   *   after a quiet time is not late yet
   */
  verdict(now: { readonly atMs: number; readonly behind: number; readonly waitingSinceMs?: number }): ProgressVerdict {
    const samples = this.#samples;
    if (pairs(samples).some(([earlier, later]) => later.offset < earlier.offset)) return 'rewound';
    if (now.behind === 0) return 'ok';
    const first = samples[0];
    const last = samples.at(-1);
    const sinceMs = Math.max(last?.atMs ?? this.#startedAtMs, now.waitingSinceMs ?? Number.NEGATIVE_INFINITY);
    if (now.atMs - sinceMs > this.#stoppedAfterMs) return 'stopped';
    if (first === undefined || last === undefined || samples.length < TREND_SAMPLES_MIN) return 'ok';
    // One commit that left nothing behind: it keeps up, in bursts.
    if (samples.some(({ behind }) => behind === 0)) return 'ok';
    if (first.offset === last.offset) return 'stalled';
    const isGrowing = pairs(samples).every(([earlier, later]) => later.behind >= earlier.behind);
    return isGrowing && last.behind > first.behind ? 'behind' : 'ok';
  }
}

/** @returns the gravest of several verdicts; `ok` of none */
export function gravestOf(verdicts: Iterable<ProgressVerdict>): ProgressVerdict {
  let worst = 0;
  for (const verdict of verdicts) worst = Math.max(worst, gravity.indexOf(verdict));
  return gravity[worst] ?? 'ok';
}

function pairs(samples: readonly ProgressSample[]): [ProgressSample, ProgressSample][] {
  const found: [ProgressSample, ProgressSample][] = [];
  let earlier: ProgressSample | undefined;
  for (const sample of samples) {
    if (earlier !== undefined) found.push([earlier, sample]);
    earlier = sample;
  }
  return found;
}
