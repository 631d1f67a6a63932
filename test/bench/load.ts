/**
 * Closed-loop load: a fixed number of requests in flight, each answered before its place is used again.
 *
 * It measures two subjects in alternating rounds of one run, because on a shared machine only a ratio means something.
 */

export type Round = {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly failed: number;
};

/** Sends one request and waits for its answer. @returns whether it succeeded */
export type Send = (index: number) => Promise<boolean>;

/**
 * Runs one round.
 * @param concurrency requests in flight
 * @param count requests in all
 */
export async function runRound(send: Send, concurrency: number, count: number): Promise<Round> {
  const latencies = new Float64Array(count);
  let next = 0;
  let failed = 0;
  const startedAt = performance.now();
  const place = async () => {
    while (next < count) {
      const index = next;
      next += 1;
      const sentAt = performance.now();
      if (!(await send(index))) failed += 1;
      latencies[index] = performance.now() - sentAt;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, place));
  const elapsedMs = performance.now() - startedAt;
  latencies.sort();
  return {
    perSecond: (count / elapsedMs) * 1_000,
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
    failed,
  };
}

function quantile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** @returns the median of at least one number */
export function median(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort();
  return quantile(sorted, 0.5);
}
