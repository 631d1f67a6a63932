/**
 * No rebalance without a cause.
 *
 * B1: a light group has none once it has formed. B2: whoever is missing from a generation of a worker group had been killed, paused
 * or told to stop before, and had not been heard of since. B3: whoever is new in it has an id that was never there before, and
 * belongs to a process that is not in it already. B4: a generation of the same members has somebody who gave partitions up in the one
 * before, or a process that was just joining. B5: the cause that the coordinator tells is one of these, too.
 *
 * Who is in a generation is read from the log, not asked.
 */

import type { HistoryEvent } from '../history.js';
import { belongsTo, CLOCK_MS, type Life, livesOf } from './lives.js';
import type { Verdict, Violation } from './verdict.js';

type Rebalance = Extract<HistoryEvent, { kind: 'rebalance' }>;

export type RebalanceVerdict = Verdict & {
  /** When each rebalance began that something explains. */
  readonly explained: readonly number[];
};

export type RebalanceOptions = {
  readonly lightGroups: ReadonlySet<string>;
  /** Rebalances that began before are those of forming. */
  readonly steadyAt: number;
  readonly workerSessionMs: number;
  readonly lightSessionMs: number;
};

/** A generation of a worker group, by the log, the coordinator's list, or both. */
type Round = {
  readonly generation: number;
  /** When it had its members. */
  at: number;
  members: ReadonlySet<string> | undefined;
  told: Rebalance | undefined;
};

/** After a fault that ended: elections, take-overs, sessions that begin anew. */
const RECOVERY_MS = 20_000;

export function checkRebalances(events: readonly HistoryEvent[], options: RebalanceOptions): RebalanceVerdict {
  const light = lightRebalances(events, options);
  const violations = [...light.violations];
  const explained: number[] = [];
  let checked = light.groups;
  const lives = livesOf(events, {
    isBlameless: (at) => wasDisturbed(events, at, options.workerSessionMs),
    stallMsLeast: options.workerSessionMs / 3,
  });
  for (const [group, rounds] of roundsOf(events, options.lightGroups)) {
    const seen = new Set<string>();
    rounds.forEach((round, index) => {
      const { at, told, generation, members = [] } = round;
      const before = rounds[index - 1];
      if (at >= options.steadyAt && before !== undefined) {
        checked += 1;
        const problems = judge(before, round, lives, seen);
        const began = told?.startedAt ?? at;
        const why = told === undefined ? '' : ` (${told.cause} of ${told.member || 'nobody'})`;
        if (problems.length === 0) explained.push(began);
        for (const problem of problems) {
          violations.push({ at: began, what: `${group}: generation ${generation}${why}: ${problem}` });
        }
      }
      for (const member of members) seen.add(member);
    });
  }
  return { name: 'no-rebalance-without-cause', checked, violations, explained };
}

/** B1 */
function lightRebalances(
  events: readonly HistoryEvent[],
  { lightGroups, lightSessionMs }: RebalanceOptions,
): { readonly groups: number; readonly violations: Violation[] } {
  const formed = new Map<string, { readonly at: number; readonly generation: number }>();
  for (const event of events) if (event.kind === 'formed') formed.set(event.group, event);
  const stalls = events.filter((event) => event.kind === 'stall' && event.who === 'light');
  const later = new Map<string, Violation>();
  for (const event of events) {
    if (event.kind !== 'request' || event.joined === undefined || !lightGroups.has(event.group)) continue;
    const { generation } = event.joined;
    const before = formed.get(event.group);
    if (before === undefined || generation <= before.generation) continue;
    // Members that were late themselves are no proof of anything.
    if (stalls.some((stall) => stall.kind === 'stall' && stall.ms > lightSessionMs / 3 && stall.at < event.done))
      continue;
    const what = `${event.group}: generation ${generation}, although nobody joined or left`;
    if (!later.has(what)) later.set(what, { at: event.done, what });
  }
  return { groups: formed.size, violations: [...later.values()] };
}

/** The generations of each worker group, in order. */
function roundsOf(events: readonly HistoryEvent[], lightGroups: ReadonlySet<string>): Map<string, Round[]> {
  const groups = new Map<string, Map<number, Round>>();
  const of = (group: string, generation: number): Round => {
    const rounds = groups.get(group) ?? new Map<number, Round>();
    groups.set(group, rounds);
    const round = rounds.get(generation) ?? { generation, at: Number.NaN, members: undefined, told: undefined };
    rounds.set(generation, round);
    return round;
  };
  for (const event of events) {
    if (event.kind === 'generation' && !lightGroups.has(event.group)) {
      const round = of(event.group, event.generation);
      // The first record of it is the one that began it.
      if (round.members !== undefined) continue;
      round.members = new Set(event.members);
      round.at = event.at;
    } else if (event.kind === 'rebalance' && !lightGroups.has(event.group)) {
      of(event.group, event.generation).told = event;
    }
  }
  const inOrder = new Map<string, Round[]>();
  for (const [group, rounds] of groups) {
    const sorted = [...rounds.values()].sort((a, b) => a.generation - b.generation);
    // One that the log has forgotten (a checkpoint, a purge) ended when the coordinator says.
    for (const round of sorted) {
      if (round.members === undefined && round.told !== undefined)
        round.at = round.told.startedAt + round.told.durationMs;
    }
    inOrder.set(group, sorted);
  }
  return inOrder;
}

/** @returns what is wrong with a round: nothing where it has its causes */
function judge(before: Round, round: Round, lives: readonly Life[], seen: ReadonlySet<string>): string[] {
  const had = before.members ?? new Set<string>();
  const has = round.members ?? new Set<string>();
  const isKnown = before.members !== undefined && round.members !== undefined;
  const removed = isKnown ? [...had].filter((member) => !has.has(member)) : [];
  const added = isKnown ? [...has].filter((member) => !had.has(member)) : [];
  const problems: string[] = [];
  const began = round.told?.startedAt ?? round.at;
  for (const member of removed) {
    if (!wasGone(member, began, round.at, lives)) problems.push(`${member} is gone, to whom nothing had been done`);
  }
  for (const member of added) {
    if (seen.has(member)) problems.push(`${member} is back after its removal`);
    else if (!isOfNewLife(member, round, has, lives)) problems.push(`${member} belongs to no process that had to join`);
  }
  const moved = removed.length + added.length > 0;
  const unrest = lives.some(
    (life) =>
      life.gaveUpAt.some((at) => at > before.at - CLOCK_MS && at <= round.at + CLOCK_MS) ||
      isJoining(life, before, round),
  );
  if (isKnown && !moved && !unrest) problems.push('the same members, none of whom gave anything up');
  const wrong =
    round.told === undefined ? undefined : wrongCause(round.told, round, { has, isKnown, unrest, lives, seen });
  if (wrong !== undefined && !problems.some((problem) => problem.startsWith(round.told?.member || ' ')))
    problems.push(wrong);
  return problems;
}

/** B5 @returns what is wrong with the cause that the coordinator tells */
function wrongCause(
  { cause, member, startedAt }: Rebalance,
  round: Round,
  about: {
    readonly has: ReadonlySet<string>;
    readonly isKnown: boolean;
    readonly unrest: boolean;
    readonly lives: readonly Life[];
    readonly seen: ReadonlySet<string>;
  },
): string | undefined {
  const { has, isKnown, unrest, lives, seen } = about;
  switch (cause) {
    case 'member-joined': {
      const isNew =
        !seen.has(member) && lives.some((l) => belongsTo(member, l.worker) && l.startedAt <= startedAt + CLOCK_MS);
      return isNew ? undefined : `${member} had joined long before`;
    }
    case 'member-left': {
      const left = lives.some((life) => mayBe(life, member, lives) && life.stoppingAt <= startedAt + CLOCK_MS);
      return left ? undefined : `${member} was not told to leave`;
    }
    case 'session-expired':
    case 'sync-timed-out':
      if (has.has(member)) return `${member} is still in it`;
      return wasGone(member, startedAt, round.at, lives) ? undefined : `${member} was heard of in time`;
    // Begun by whoever asks first: after partitions were given up, or when a failover had interrupted another round.
    case 'subscription-changed':
    case 'leader-rejoined':
    case 'removed-before-load':
      // Who came or went has been looked at already.
      return isKnown || unrest ? undefined : 'nobody gave anything up, joined or left';
    default:
      return `nothing in these runs causes "${cause}"`;
  }
}

/** B2 */
function wasGone(member: string, began: number, at: number, lives: readonly Life[]): boolean {
  return lives.some((life) => {
    if (!mayBe(life, member, lives) || life.startedAt > at) return false;
    if (Math.min(life.endedAt, life.stoppingAt) <= at + CLOCK_MS) return true;
    const isLate = ({ from, to }: { from: number; to: number }) =>
      from <= at + CLOCK_MS && !life.commits.some((commit) => commit.at > to && commit.done < began - CLOCK_MS);
    return life.gaps.some(isLate);
  });
}

/** B3: an id of a process that is not in the generation under another one. */
function isOfNewLife(member: string, { at }: Round, has: ReadonlySet<string>, lives: readonly Life[]): boolean {
  return lives.some(
    (life) =>
      mayBe(life, member, lives) &&
      life.startedAt <= at + CLOCK_MS &&
      ![...life.members].some((other) => other !== member && has.has(other)),
  );
}

/** Whether the process was about to join in the time between two generations. */
function isJoining(life: Life, before: Round, round: Round): boolean {
  const isThere = life.startedAt <= round.at + CLOCK_MS && life.endedAt >= before.at;
  return isThere && ![...life.members].some((member) => before.members?.has(member) ?? false);
}

/** Whether it was this process's id, as far as is known: one that died before its assignment has not written it down. */
function mayBe(life: Life, member: string, lives: readonly Life[]): boolean {
  if (lives.some(({ members }) => members.has(member))) return life.members.has(member);
  return belongsTo(member, life.worker);
}

/** Whether a member that heard nothing for a session had a fault to blame. */
function wasDisturbed(events: readonly HistoryEvent[], at: number, sessionMs: number): boolean {
  const healedAt = new Map(events.flatMap((event) => (event.kind === 'healed' ? [[event.id, event.at] as const] : [])));
  return events.some((event) => {
    if (event.kind === 'stall') return event.at <= at && event.at > at - sessionMs - RECOVERY_MS;
    if (event.kind !== 'fault' || event.at > at) return false;
    return (healedAt.get(event.id) ?? Number.POSITIVE_INFINITY) > at - sessionMs - RECOVERY_MS;
  });
}
