// Troubles reported against other implementations of these algorithms (assignors.md 8), one test each.

import { describe, expect, it } from 'vitest';
import { GroupModel, type Round, type Scenario } from '../test/group-model.js';
import { cooperativeStickyAssignor } from './cooperative-sticky.js';
import { stickyAssignor } from './sticky.js';

const stickyOnes = [stickyAssignor, cooperativeStickyAssignor];
const group = (topics: readonly string[], memberCount: number, partitionCount: number): Scenario => ({
  counts: topics.map((topic) => [topic, partitionCount]),
  subscriptions: Array.from({ length: memberCount }, () => topics),
  events: [],
});

/** Names of partitions that were with a member before the first round and are with another after the last. */
function movedIn(rounds: readonly Round[]): string[] {
  const before = rounds[0]?.before ?? new Map<string, ReadonlySet<string>>();
  const after = rounds.at(-1)?.after ?? new Map<string, ReadonlySet<string>>();
  return [...before].flatMap(([id, names]) => [...names].filter((name) => !after.get(id)?.has(name)));
}

describe.each(stickyOnes)('$name', (assignor) => {
  it('moves 4 of 20 partitions when a fifth member joins', () => {
    const model = new GroupModel(assignor, group(['t0'], 4, 20));
    model.settle();
    model.apply({ kind: 'join', topics: ['t0'] });
    expect(movedIn(model.settle())).toHaveLength(4);
  });

  // https://github.com/confluentinc/confluent-kafka-go/issues/622, https://github.com/confluentinc/librdkafka/issues/3891
  it.each([
    ['identical', ['t0', 't1', 't2']],
    ['different', ['t0', 't1']],
  ])('does not shuffle those who stay when a member leaves, subscriptions %s', (_name, topicsOfFirst) => {
    const all = ['t0', 't1', 't2'];
    const scenario = group(all, 5, 7);
    const model = new GroupModel(assignor, { ...scenario, subscriptions: [topicsOfFirst, ...scenario.subscriptions] });
    model.settle();
    model.apply({ kind: 'leave', pick: 3 });
    const rounds = model.settle();
    const stayed = [...(rounds.at(-1)?.after.keys() ?? [])];
    const lost = stayed.flatMap((id) =>
      [...(rounds[0]?.before.get(id) ?? [])].filter((name) => !rounds.at(-1)?.after.get(id)?.has(name)),
    );
    expect(lost).toEqual([]);
    expect(rounds).toHaveLength(1);
  });

  it('gives the members that were there nothing new when another joins', () => {
    const model = new GroupModel(assignor, group(['t0', 't1'], 5, 9));
    model.settle();
    model.apply({ kind: 'join', topics: ['t0', 't1'] });
    const rounds = model.settle();
    for (const [id, names] of rounds[0]?.before ?? []) {
      if (names.size === 0) continue;
      expect([...(rounds.at(-1)?.after.get(id) ?? [])].filter((name) => !names.has(name))).toEqual([]);
    }
  });

  // https://github.com/confluentinc/librdkafka/issues/4783, https://github.com/confluentinc/librdkafka/issues/4629
  it('comes to an end when everything has to travel along a chain of overlapping subscriptions', () => {
    const topics = Array.from({ length: 40 }, (_, number) => `t${number}`);
    const model = new GroupModel(assignor, {
      counts: topics.map((topic, number) => [topic, number === 0 ? 200 : 1]),
      subscriptions: topics.map((topic, number) => (number === 39 ? [topic] : [topic, `t${number + 1}`])),
      events: [],
    });
    model.settle();
    model.apply({ kind: 'grow', pick: 39, by: 150 });
    model.apply({ kind: 'grow', pick: 20, by: 90 });
    model.apply({ kind: 'leave', pick: 10 });
    model.settle();
    expect([...model.owned().values()].reduce((sum, names) => sum + names.size, 0)).toBe(200 + 39 + 150 + 90);
  });
});
