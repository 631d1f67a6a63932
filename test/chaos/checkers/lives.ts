/**
 * What is known of each worker process from its start to its end: who it was in the group, when it stood still, what it gave up.
 *
 * The causes of rebalances are looked up here. Does not judge.
 */

import type { HistoryEvent } from '../history.js';

/** From when to when it did nothing: paused, or without processor time. */
export type Gap = { readonly from: number; to: number };

export type Life = {
  readonly worker: string;
  readonly startedAt: number;
  /** When it began to close; Infinity where it never did. So `endedAt`. */
  stoppingAt: number;
  endedAt: number;
  readonly gaps: Gap[];
  /** Ids that it had in the group, as far as it lived to write them down. */
  readonly members: Set<string>;
  /** When it gave up partitions that it has to tell the others of, or lost them, or could not begin with them. */
  readonly gaveUpAt: number[];
  /** Commits that the coordinator took: it was a member then. */
  readonly commits: { readonly at: number; readonly done: number }[];
};

/** Two clocks of one machine: those of the node that wrote a record, and of the history. */
export const CLOCK_MS = 20;

/** What is known beside the history of a worker itself. */
export type Surroundings = {
  /** Whether a fault explains that a member had heard nothing for a session at this time. */
  isBlameless(lostAt: number): boolean;
  /** Shorter ones make no member late. */
  readonly stallMsLeast: number;
};

/** @returns the lives of all workers of a history, those of one worker in order */
export function livesOf(events: readonly HistoryEvent[], surroundings: Surroundings): readonly Life[] {
  const lives: Life[] = [];
  const current = new Map<string, Life>();
  const offsetsBefore = new Map<string, string>();
  for (const { at, worker, event } of inOrder(events)) {
    if (event.kind === 'worker' && event.event === 'started') {
      const before = current.get(worker);
      // One that vanished without a word is gone at the latest when its successor starts.
      if (before !== undefined) end(before, Math.min(before.endedAt, at));
      const life = newLife(worker, at);
      lives.push(life);
      current.set(worker, life);
      continue;
    }
    const life = current.get(worker);
    if (life !== undefined) note(life, at, event, offsetsBefore, surroundings);
  }
  return lives;
}

type Placed = { readonly at: number; readonly worker: string; readonly event: HistoryEvent };

function inOrder(events: readonly HistoryEvent[]): Placed[] {
  const names = new Set(events.flatMap((event) => (event.kind === 'worker' ? [event.worker] : [])));
  const placed = events.flatMap((event): Placed[] => {
    const worker = workerOf(event, names);
    if (worker === undefined || !('at' in event)) return [];
    return [{ at: event.kind === 'stall' ? event.at - event.ms : event.at, worker, event }];
  });
  return placed.sort((a, b) => a.at - b.at);
}

function workerOf(event: HistoryEvent, names: ReadonlySet<string>): string | undefined {
  switch (event.kind) {
    case 'worker':
    case 'gave-up':
    case 'api-commit':
      return event.worker;
    case 'stall':
      return names.has(event.who) ? event.who : undefined;
    case 'assignment':
    case 'handled':
      return [...names].find((name) => belongsTo(event.member, name));
    default:
      return undefined;
  }
}

/** @returns whether the member id is one of this worker: ids begin with the name of the client */
export function belongsTo(member: string, worker: string): boolean {
  return member.startsWith(`${worker}-`);
}

function note(
  life: Life,
  at: number,
  event: HistoryEvent,
  offsetsBefore: Map<string, string>,
  { isBlameless, stallMsLeast }: Surroundings,
): void {
  const open = life.gaps.at(-1);
  switch (event.kind) {
    case 'worker':
      if (event.event === 'paused') life.gaps.push({ from: at, to: Number.POSITIVE_INFINITY });
      else if (event.event === 'resumed' && open !== undefined) open.to = Math.min(open.to, at);
      else if (event.event === 'stopping') life.stoppingAt = Math.min(life.stoppingAt, at);
      else if (event.event !== 'started' && event.event !== 'resumed') end(life, Math.min(life.endedAt, at));
      return;
    case 'stall':
      if (event.ms >= stallMsLeast) life.gaps.push({ from: at, to: at + event.ms });
      return;
    case 'gave-up':
      // Partitions that are lost by silence are a cause only where something was done that explains the silence.
      if (event.why !== 'lost' || isBlameless(at)) life.gaveUpAt.push(at);
      return;
    case 'assignment':
    case 'handled':
      life.members.add(event.member);
      return;
    case 'api-commit': {
      const offsets = JSON.stringify(event.offsets);
      // A commit of nothing new asks nobody.
      if (event.error === '' && offsets !== offsetsBefore.get(life.worker)) {
        life.commits.push({ at: event.at, done: event.done });
      }
      offsetsBefore.set(life.worker, offsets);
      return;
    }
    default:
      return;
  }
}

function newLife(worker: string, startedAt: number): Life {
  const [stoppingAt, endedAt] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  return { worker, startedAt, stoppingAt, endedAt, gaps: [], members: new Set(), gaveUpAt: [], commits: [] };
}

function end(life: Life, at: number): void {
  life.endedAt = at;
  for (const gap of life.gaps) gap.to = Math.min(gap.to, at);
}
