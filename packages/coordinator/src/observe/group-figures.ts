/**
 * What the groups of a node come to at this moment: how many in which state, and what they have left to read, by their own last commits.
 *
 * Workers of our library say with every commit what is left behind it (commit-note.ts); other clients do not, and are left out of the
 * lag.
 */

import type { GroupSlot, PhaseName } from '@muster/group';
import { type GroupId, parseCommitNote } from '@muster/protocol';

/** A group's lag in one topic, over all partitions. */
export type TopicLag = {
  readonly group: GroupId;
  readonly topic: string;
  /** Messages that were left when they were last committed. */
  messages: number;
  /** Age of the oldest of them now, in ms; 0 where none was left. */
  oldestMs: number;
  /** When the group last committed in this topic, in ms since 1970. */
  committedAt: number;
};

export type GroupFigures = {
  /** Groups by state. */
  readonly states: Record<PhaseName, number>;
  members: number;
  /** Committed offsets. */
  offsets: number;
  readonly lags: TopicLag[];
  /** Groups whose lag is not told, because there were more than `lagGroupsMax`. */
  lagsLeftOut: number;
};

/**
 * @param slots the groups in memory
 * @param wallNow ms since 1970
 * @param lagGroupsMax most groups whose lag is told: each is a series or more for whoever stores it
 */
export function figuresOf(slots: Iterable<GroupSlot>, wallNow: number, lagGroupsMax: number): GroupFigures {
  const states = { Empty: 0, PreparingRebalance: 0, CompletingRebalance: 0, Stable: 0, Dead: 0 };
  const figures: GroupFigures = { states, members: 0, offsets: 0, lags: [], lagsLeftOut: 0 };
  let lagGroups = 0;
  for (const { group } of slots) {
    if (group === undefined) continue;
    figures.states[group.phase.kind] += 1;
    figures.members += group.members.size;
    figures.offsets += group.offsets.committed.size;
    if (lagGroups >= lagGroupsMax) {
      if (group.offsets.committed.size > 0) figures.lagsLeftOut += 1;
      continue;
    }
    const lags = lagsOf(group, wallNow);
    if (lags.length > 0) lagGroups += 1;
    figures.lags.push(...lags);
  }
  return figures;
}

function lagsOf({ groupId, offsets }: NonNullable<GroupSlot['group']>, wallNow: number): TopicLag[] {
  const byTopic = new Map<string, TopicLag>();
  for (const { topic, metadata, commitTimestamp } of offsets.committed.values()) {
    const note = parseCommitNote(metadata);
    if (note === undefined) continue;
    const lag = byTopic.get(topic) ?? { group: groupId, topic, messages: 0, oldestMs: 0, committedAt: 0 };
    byTopic.set(topic, lag);
    lag.messages += note.behind;
    lag.committedAt = Math.max(lag.committedAt, commitTimestamp);
    // What was left goes on growing old until the next commit says otherwise.
    const oldestMs = note.behind === 0 ? 0 : note.ageMs + Math.max(0, wallNow - commitTimestamp);
    lag.oldestMs = Math.max(lag.oldestMs, oldestMs);
  }
  return [...byTopic.values()];
}
