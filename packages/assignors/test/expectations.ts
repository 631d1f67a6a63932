// What must hold of an assignment, as functions that throw. Numbered as in the design (assignors.md 8).

import { expect } from 'vitest';
import type { GroupModel, ModelMember, Round } from './group-model.js';
import { nameOf } from './notation.js';

export type Owned = ReadonlyMap<string, ReadonlySet<string>>;

const topicOf = (name: string): string => name.slice(0, name.lastIndexOf('-'));

export function sizesOf(owned: Owned): number[] {
  return [...owned.values()].map((names) => names.size);
}

function assignable(counts: ReadonlyMap<string, number>, members: Iterable<Pick<ModelMember, 'topics'>>): string[] {
  const subscribed = new Set([...members].flatMap(({ topics }) => topics));
  return [...counts]
    .filter(([topic]) => subscribed.has(topic))
    .flatMap(([topic, count]) => Array.from({ length: count }, (_, partition) => nameOf({ topic, partition })))
    .sort();
}

/** P1: every partition of every known, subscribed topic exactly once. P2: to subscribers only. P12: everybody listed. */
export function expectComplete(group: Pick<GroupModel, 'counts' | 'members'>, owned: Owned): void {
  expect([...owned.values()].flatMap((names) => [...names]).sort()).toEqual(
    assignable(group.counts, group.members.values()),
  );
  expectOnlySubscribed(group, owned);
  expect([...owned.keys()].sort()).toEqual([...group.members.keys()].sort());
}

/** P2 */
export function expectOnlySubscribed(group: Pick<GroupModel, 'members'>, owned: Owned): void {
  for (const [id, names] of owned) {
    for (const name of names) expect(group.members.get(id)?.topics).toContain(topicOf(name));
  }
}

/** P3, P10 */
export function expectEven(owned: Owned): void {
  expect(Math.max(...sizesOf(owned)) - Math.min(...sizesOf(owned))).toBeLessThanOrEqual(1);
}

/** P5: nobody could take a partition from a member that has more than one more. */
export function expectNoBetterMove(group: Pick<GroupModel, 'members'>, owned: Owned): void {
  for (const [richer, names] of owned) {
    for (const name of names) {
      for (const [poorer, { topics }] of group.members) {
        if (topics.includes(topicOf(name)) && names.size - (owned.get(poorer)?.size ?? 0) > 1) {
          expect.fail(`${name} could go from ${richer} to ${poorer}`);
        }
      }
    }
  }
}

/** P4: with identical subscriptions as many partitions stay as any balanced assignment allows. */
export function expectBestRetention(before: Owned, after: Owned): void {
  const owners = [...after.keys()].map((id) => before.get(id)?.size ?? 0);
  const partitionCount = sizesOf(after).reduce((sum, size) => sum + size, 0);
  const least = Math.floor(partitionCount / owners.length);
  const extras = partitionCount % owners.length;
  const above = owners.filter((size) => size > least).length;
  const best = owners.reduce((sum, size) => sum + Math.min(size, least), 0) + Math.min(extras, above);
  const stayed = [...after].flatMap(([id, names]) => [...names].filter((name) => before.get(id)?.has(name)));
  expect(stayed.length).toBe(best);
}

/** P7: what a member is newly given, no other member listed as owned. */
export function expectSafe({ before, after }: Round): void {
  for (const [id, names] of after) {
    for (const name of names) {
      if (before.get(id)?.has(name)) continue;
      for (const [other, owned] of before) {
        if (other !== id && owned.has(name)) expect.fail(`${name} given to ${id} while ${other} owns it`);
      }
    }
  }
}
