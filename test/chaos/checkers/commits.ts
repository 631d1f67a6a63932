/**
 * No acknowledged commit lost: what a fetch or the end of the run says is never below what was acknowledged before it was asked.
 *
 * Offsets of a partition only grow in these histories, so "not below" is "not lost".
 */

import type { HistoryEvent } from '../history.js';
import type { Verdict, Violation } from './verdict.js';

type Acknowledged = { readonly done: number; readonly offset: number };
type Look = { readonly at: number; readonly what: string; readonly offsets: ReadonlyMap<number, number> };
type GroupCommits = { readonly acknowledged: Map<number, Acknowledged[]>; readonly looks: Look[] };

export function checkCommits(events: readonly HistoryEvent[]): Verdict {
  const groups = collect(events);
  const violations: Violation[] = [];
  let checked = 0;
  for (const [group, { acknowledged, looks }] of groups) {
    looks.sort((a, b) => a.at - b.at);
    for (const [partition, acks] of acknowledged) {
      checked += acks.length;
      if (!looks.some(({ at }) => at === Number.POSITIVE_INFINITY)) {
        violations.push({ at: acks[0]?.done ?? 0, what: `${group}: nobody could read its offsets at the end` });
        break;
      }
      violations.push(...judge(`${group}/${partition}`, partition, acks, looks));
    }
  }
  return { name: 'no-acknowledged-commit-lost', checked, violations };
}

function judge(place: string, partition: number, acks: Acknowledged[], looks: readonly Look[]): Violation[] {
  const violations: Violation[] = [];
  acks.sort((a, b) => a.done - b.done);
  let next = 0;
  let highest: Acknowledged | undefined;
  for (const { at, what, offsets } of looks) {
    for (let ack = acks[next]; ack !== undefined && ack.done < at; ack = acks[next]) {
      if (highest === undefined || ack.offset > highest.offset) highest = ack;
      next += 1;
    }
    const stored = offsets.get(partition) ?? -1;
    if (highest === undefined || stored >= highest.offset) continue;
    const lost = `${place}: offset ${highest.offset} was acknowledged, ${what} says ${stored}`;
    violations.push({ at: highest.done, what: lost });
    // One loss is told once, not with every look that follows.
    break;
  }
  return violations;
}

function collect(events: readonly HistoryEvent[]): Map<string, GroupCommits> {
  const groups = new Map<string, GroupCommits>();
  const of = (group: string): GroupCommits => {
    const known = groups.get(group) ?? { acknowledged: new Map(), looks: [] };
    groups.set(group, known);
    return known;
  };
  const acknowledge = (group: string, done: number, offsets: readonly (readonly [number, number])[]) => {
    const { acknowledged } = of(group);
    for (const [partition, offset] of offsets) {
      const acks = acknowledged.get(partition) ?? [];
      acks.push({ done, offset });
      acknowledged.set(partition, acks);
    }
  };
  for (const event of events) {
    if (event.kind === 'api-commit' && event.error === '') acknowledge(event.group, event.done, event.offsets);
    else if (event.kind === 'final-offsets') {
      of(event.group).looks.push({ at: Number.POSITIVE_INFINITY, what: 'the end', offsets: new Map(event.offsets) });
    } else if (event.kind === 'request') {
      if (event.committed !== undefined) acknowledge(event.group, event.done, event.committed);
      if (event.fetched === undefined || event.error !== 'NONE') continue;
      of(event.group).looks.push({ at: event.at, what: 'a later fetch', offsets: new Map(event.fetched) });
    }
  }
  return groups;
}
