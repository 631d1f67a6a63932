/**
 * No rebalance without a cause: a light group has none once it has formed; each of a worker group's is explained by something that
 * was done to one of its workers.
 */

import type { HistoryEvent } from '../history.js';
import type { Verdict, Violation } from './verdict.js';

type Rebalance = Extract<HistoryEvent, { kind: 'rebalance' }>;
type WorkerEvent = Extract<HistoryEvent, { kind: 'worker' }>;

export type RebalanceVerdict = Verdict & {
  /** When each rebalance began that something explains. */
  readonly explained: readonly number[];
};

export type RebalanceOptions = {
  readonly lightGroups: ReadonlySet<string>;
  /** Rebalances that began before are those of forming. */
  readonly steadyAt: number;
  readonly workerSessionMs: number;
};

/** From what is done to a worker until the coordinator hears of it: its start, a failover that runs meanwhile. */
const SLACK_MS = 15_000;

export function checkRebalances(events: readonly HistoryEvent[], options: RebalanceOptions): RebalanceVerdict {
  const { lightGroups, steadyAt } = options;
  const light = lightRebalances(events, lightGroups);
  const workers = events.filter((event) => event.kind === 'worker');
  const seen = new Map<string, Rebalance>();
  for (const event of events) {
    if (event.kind !== 'rebalance' || lightGroups.has(event.group) || event.startedAt < steadyAt) continue;
    seen.set(`${event.group} ${event.generation}`, event);
  }
  const violations = [...light.violations];
  const explained: number[] = [];
  for (const rebalance of [...seen.values()].sort((a, b) => a.startedAt - b.startedAt)) {
    const { group, generation, cause, member, startedAt } = rebalance;
    if (isExplained(rebalance, workers, options)) explained.push(startedAt);
    else
      violations.push({ at: startedAt, what: `${group}: generation ${generation} because of ${cause} of ${member}` });
  }
  const name = 'no-rebalance-without-cause';
  return { name, checked: light.groups + seen.size, violations, explained };
}

function lightRebalances(
  events: readonly HistoryEvent[],
  lightGroups: ReadonlySet<string>,
): { readonly groups: number; readonly violations: Violation[] } {
  const formed = new Map<string, { readonly at: number; readonly generation: number }>();
  for (const event of events) if (event.kind === 'formed') formed.set(event.group, event);
  const later = new Map<string, Violation>();
  for (const event of events) {
    if (event.kind !== 'request' || event.joined === undefined || !lightGroups.has(event.group)) continue;
    const { generation } = event.joined;
    const before = formed.get(event.group);
    if (before === undefined || generation <= before.generation) continue;
    const what = `${event.group}: generation ${generation}, although nobody joined or left`;
    if (!later.has(what)) later.set(what, { at: event.done, what });
  }
  return { groups: formed.size, violations: [...later.values()] };
}

function isExplained(rebalance: Rebalance, workers: readonly WorkerEvent[], options: RebalanceOptions): boolean {
  const { cause, member, startedAt } = rebalance;
  const wanted = doneToCause[cause];
  if (wanted === undefined) return false;
  const withinMs = SLACK_MS + (wanted.takesASession ? 2 * options.workerSessionMs : 0);
  return workers.some(
    ({ at, worker, event }) =>
      (wanted.isOfOthers || member.startsWith(`${worker}-`)) &&
      wanted.by.includes(event) &&
      at <= startedAt + 1 &&
      startedAt - at < withinMs,
  );
}

type Reason = {
  readonly by: readonly WorkerEvent['event'][];
  readonly takesASession: boolean;
  /** Done to any worker of the group, not to the member that is named. */
  readonly isOfOthers: boolean;
};

/**
 * A member joins once more when it has given partitions up that others are to have; and a round that a failover interrupts begins
 * again with whoever asks first. Behind both stands something that was done to some worker.
 */
const another = {
  by: ['started', 'resumed', 'killed', 'paused', 'stopping', 'stopped', 'failed'],
  takesASession: true,
  isOfOthers: true,
} as const satisfies Reason;

/** What must have been done for a rebalance of this cause. */
const doneToCause: Readonly<Record<string, Reason>> = {
  'member-joined': { by: ['started', 'resumed'], takesASession: true, isOfOthers: false },
  'member-left': { by: ['stopping', 'stopped'], takesASession: false, isOfOthers: false },
  'session-expired': { by: ['killed', 'paused', 'failed'], takesASession: true, isOfOthers: false },
  'sync-timed-out': { by: ['killed', 'paused', 'failed'], takesASession: true, isOfOthers: false },
  'subscription-changed': another,
  'leader-rejoined': another,
  // The owner before had removed a member and was gone before the round ended.
  'removed-before-load': another,
};
