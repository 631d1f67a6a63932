/**
 * What a run comes to: one row per fault, one line per checker, the plain NATS round trip of the same run beside it.
 */

import Table from 'cli-table3';
import type { Judgement } from './checkers/index.js';
import type { HistoryEvent, RequestEvent } from './history.js';

export type FaultRow = {
  /** `partition (routes)` are those of `partition` that part the servers from one another, once more. */
  readonly fault: string;
  readonly count: number;
  /** Groups that waited at all for an answer because of it: longest wait of each, in ms. */
  readonly groupsThatWaited: number;
  readonly recoverMsP50: number;
  readonly recoverMsP99: number;
  readonly recoverMsMax: number;
  readonly commitsAcknowledged: number;
  readonly commitsLost: number;
  readonly rebalancesWithCause: number;
  readonly rebalancesWithoutCause: number;
  readonly duplicates: number;
  readonly failedCommits: number;
};

export type ChaosResult = {
  readonly ok: boolean;
  readonly seed: string;
  readonly durationMs: number;
  readonly faults: readonly FaultRow[];
  readonly total: FaultRow;
  readonly verdicts: readonly {
    readonly name: string;
    readonly verdict: 'ok' | 'violated' | 'not exercised';
    readonly checked: number;
    readonly violations: readonly string[];
  }[];
  readonly roundTripMs: { readonly p50: number; readonly p99: number };
  /** An undisturbed heartbeat in the same run, and how many plain round trips it takes. */
  readonly heartbeatMs: { readonly p50: number; readonly p99: number; readonly ratioP50: number };
  readonly skippedReplies: number;
  readonly troubles: readonly string[];
  /** What came later than it should; no promise is broken by it. */
  readonly slow: readonly string[];
  readonly loadAverage: number;
};

/** A wait below this is an ordinary answer. */
const WAIT_MS_LEAST = 100;
const VIOLATIONS_TOLD = 20;
const ROWS_BETWEEN = 'between faults';

type FaultEvent = Extract<HistoryEvent, { kind: 'fault' }>;

export function summarize(
  events: readonly HistoryEvent[],
  judgement: Judgement,
  about: Pick<ChaosResult, 'seed' | 'durationMs' | 'loadAverage'> & { readonly steadyAt: number },
): ChaosResult {
  const windows = windowsOf(events, about.steadyAt);
  const requests = events.filter((event) => event.kind === 'request');
  const rows = [...new Set(windows.map(({ fault }) => fault))].map((fault) => {
    const ofKind = windows.filter((window) => window.fault === fault);
    return rowOf(fault, ofKind, events, requests, judgement);
  });
  const all = { fault: 'all', target: '', from: 0, to: Number.POSITIVE_INFINITY, count: windows.length };
  const ofRoutes = windows.filter(({ target }) => target === 'routes');
  if (ofRoutes.length > 0) rows.push(rowOf('partition (routes)', ofRoutes, events, requests, judgement));
  const total = rowOf('all', [{ ...all }], events, requests, judgement);
  const verdicts = judgement.verdicts.map(({ name, checked, violations }) => ({
    name,
    verdict: violations.length > 0 ? ('violated' as const) : checked > 0 ? ('ok' as const) : ('not exercised' as const),
    checked,
    violations: violations.slice(0, VIOLATIONS_TOLD).map(({ what }) => what),
  }));
  const trips = events.flatMap((event) => (event.kind === 'round-trip' ? [event.ms] : []));
  const firstFaultAt = windows.find(({ fault }) => fault !== ROWS_BETWEEN)?.from ?? Number.POSITIVE_INFINITY;
  const beats = requests
    .filter(({ api, at, done }) => api === 'heartbeat' && at > about.steadyAt && done < firstFaultAt)
    .map(({ at, done }) => done - at);
  const [tripP50, beatP50] = [quantile(trips, 0.5), quantile(beats, 0.5)];
  return {
    ok: verdicts.every(({ verdict }) => verdict !== 'violated'),
    seed: about.seed,
    durationMs: about.durationMs,
    faults: rows.filter(({ fault }) => fault !== ROWS_BETWEEN),
    total: { ...total, count: windows.filter(({ fault }) => fault !== ROWS_BETWEEN).length },
    verdicts,
    roundTripMs: { p50: tripP50, p99: quantile(trips, 0.99) },
    heartbeatMs: { p50: beatP50, p99: quantile(beats, 0.99), ratioP50: round(beatP50 / tripP50) },
    skippedReplies: events.filter(({ kind }) => kind === 'skipped').length,
    troubles: events.flatMap((event) => (event.kind === 'trouble' ? [`${event.who}: ${event.detail}`] : [])),
    slow: events.flatMap((event) => (event.kind === 'slow' ? [`${event.what}: after ${Math.round(event.ms)} ms`] : [])),
    loadAverage: about.loadAverage,
  };
}

type Window = { readonly fault: string; readonly target: string; readonly from: number; readonly to: number };

/** A fault answers for everything from its beginning until the next one begins. */
function windowsOf(events: readonly HistoryEvent[], steadyAt: number): Window[] {
  const faults = events.filter((event): event is FaultEvent => event.kind === 'fault').sort((a, b) => a.at - b.at);
  const windows: Window[] = [
    { fault: ROWS_BETWEEN, target: '', from: steadyAt, to: faults[0]?.at ?? Number.POSITIVE_INFINITY },
  ];
  faults.forEach(({ fault, target, at }, index) => {
    windows.push({ fault, target, from: at, to: faults[index + 1]?.at ?? Number.POSITIVE_INFINITY });
  });
  return windows;
}

function rowOf(
  fault: string,
  windows: readonly Window[],
  events: readonly HistoryEvent[],
  requests: readonly RequestEvent[],
  judgement: Judgement,
): FaultRow {
  const isIn = (at: number) => windows.some(({ from, to }) => at >= from && at < to);
  const count = (moments: readonly number[]) => moments.filter(isIn).length;
  const waits = windows.flatMap((window) => longestWaits(requests, window));
  const apiCommits = events.filter((event) => event.kind === 'api-commit' && isIn(event.done));
  const failed = apiCommits.filter((event) => event.kind === 'api-commit' && event.error !== '').length;
  const acknowledged = requests.filter(({ committed, done }) => committed !== undefined && isIn(done)).length;
  return {
    fault,
    count: windows.length,
    groupsThatWaited: waits.length,
    recoverMsP50: round(quantile(waits, 0.5)),
    recoverMsP99: round(quantile(waits, 0.99)),
    recoverMsMax: round(quantile(waits, 1)),
    commitsAcknowledged: acknowledged + apiCommits.length - failed,
    commitsLost: count(judgement.commits.violations.map(({ at }) => at)),
    rebalancesWithCause: count(judgement.rebalances.explained),
    rebalancesWithoutCause: count(judgement.rebalances.violations.map(({ at }) => at)),
    duplicates: count(judgement.messages.duplicates),
    failedCommits: failed,
  };
}

/** For each group the longest wait for an answer within the window, where it was longer than an ordinary one. */
function longestWaits(requests: readonly RequestEvent[], { from, to }: Window): number[] {
  const longest = new Map<string, number>();
  for (const { group, at, done, api } of requests) {
    // A join waits for others by design.
    if (api === 'join' || api === 'sync' || done < from || at >= to || (at < from && from === 0)) continue;
    // What is still waited for when the next fault begins counts there from then on.
    const waitMs = Math.min(done, to) - Math.max(at, from);
    if (waitMs >= WAIT_MS_LEAST && waitMs > (longest.get(group) ?? 0)) longest.set(group, waitMs);
  }
  return [...longest.values()];
}

/** @returns the value below which `share` of the values lie; 0 where there are none */
export function quantile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

export function round(value: number): number {
  return Number.isFinite(value) ? Math.round(value * 10) / 10 : 0;
}

export function printResult(result: ChaosResult, print: (line: string) => void): void {
  const head = ['fault', 'count', 'groups that waited', 'recover p50 ms', 'p99 ms', 'max ms', 'commits', 'lost'];
  const table = new Table({
    head: [...head, 'rebalances', 'without cause', 'duplicates', 'failed commits'],
    style: { head: [], border: [] },
    wordWrap: true,
  });
  for (const row of [...result.faults, result.total]) {
    const recovery = [row.groupsThatWaited, row.recoverMsP50, row.recoverMsP99, row.recoverMsMax];
    const outcome = [row.commitsAcknowledged, row.commitsLost, row.rebalancesWithCause, row.rebalancesWithoutCause];
    table.push([row.fault, row.count, ...recovery, ...outcome, row.duplicates, row.failedCommits]);
  }
  print(table.toString());
  for (const { name, verdict, checked, violations } of result.verdicts) {
    print(`${verdict.padEnd(13)} ${name} (${checked})`);
    for (const what of violations) print(`              - ${what}`);
  }
  for (const trouble of result.troubles.slice(0, VIOLATIONS_TOLD)) print(`trouble: ${trouble}`);
  for (const what of result.slow.slice(0, VIOLATIONS_TOLD)) print(`slow: ${what}`);
  const { roundTripMs: trip, heartbeatMs: beat } = result;
  print(
    `plain NATS round trip: p50 ${trip.p50.toFixed(2)} ms, p99 ${trip.p99.toFixed(2)} ms; an undisturbed heartbeat: ` +
      `p50 ${beat.p50.toFixed(2)} ms = ${beat.ratioP50} round trips, p99 ${beat.p99.toFixed(2)} ms`,
  );
  print(`replies of earlier reigns skipped: ${result.skippedReplies}; load average ${result.loadAverage.toFixed(1)}`);
  print(result.ok ? 'everything as promised' : `NOT as promised: run again with --seed ${result.seed}`);
}
