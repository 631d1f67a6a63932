import { encodeStickyUserData, encodeSubscription, type TopicPartition } from '@muster/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  expectBestRetention,
  expectComplete,
  expectEven,
  expectNoBetterMove,
  expectOnlySubscribed,
  expectSafe,
} from '../test/expectations.js';
import { GroupModel, type Scenario, scenarios } from '../test/group-model.js';
import { nameOf, run } from '../test/notation.js';
import { cooperativeStickyAssignor } from './cooperative-sticky.js';
import type { JoinMember } from './leader.js';
import { rangeAssignor } from './range.js';
import { roundRobinAssignor } from './roundrobin.js';
import { stickyAssignor } from './sticky.js';

const RUNS = { numRuns: 250 };
const everyKind = ['join', 'leave', 'grow', 'resubscribe'] as const;
const all = [rangeAssignor, roundRobinAssignor, stickyAssignor, cooperativeStickyAssignor];
const stickyOnes = [stickyAssignor, cooperativeStickyAssignor];

/** Plays a scenario; `check` is called with the group after each settled step, and with what the step did. */
function play(
  assignor: (typeof all)[number],
  scenario: Scenario,
  check: (group: GroupModel, rounds: ReturnType<GroupModel['settle']>, step: number) => void,
): void {
  const group = new GroupModel(assignor, scenario);
  check(group, group.settle(), 0);
  for (const [step, event] of scenario.events.entries()) {
    group.apply(event);
    check(group, group.settle(), step + 1);
  }
}

describe.each(all)('$name', (assignor) => {
  it.each(['identical', 'different'] as const)(
    'gives each partition once, to subscribers, with an entry for everybody (P1, P2, P12), subscriptions %s',
    (subscriptions) => {
      fc.assert(
        fc.property(scenarios(subscriptions, everyKind), (scenario) => {
          play(assignor, scenario, (group, rounds) => {
            expectComplete(group, group.owned());
            for (const { after } of rounds) expect([...after.keys()].sort()).toEqual([...group.members.keys()].sort());
            for (const { after } of rounds) expectOnlySubscribed(group, after);
          });
        }),
        RUNS,
      );
    },
  );
});

describe.each(stickyOnes)('$name', (assignor) => {
  it('spreads evenly with identical subscriptions (P3)', () => {
    fc.assert(
      fc.property(scenarios('identical'), (scenario) => {
        play(assignor, scenario, (group) => expectEven(group.owned()));
      }),
      RUNS,
    );
  });

  it('keeps as much in place as balance allows with identical subscriptions (P4)', () => {
    fc.assert(
      fc.property(scenarios('identical'), (scenario) => {
        play(assignor, scenario, (group, rounds) => {
          expectBestRetention(rounds[0]?.before ?? new Map(), group.owned());
        });
      }),
      RUNS,
    );
  });

  it('leaves no helpful move with different subscriptions (P5)', () => {
    fc.assert(
      fc.property(scenarios('different', everyKind), (scenario) => {
        play(assignor, scenario, (group) => expectNoBetterMove(group, group.owned()));
      }),
      RUNS,
    );
  });

  it.each(['identical', 'different'] as const)(
    'changes nothing when nothing changed (P6), subscriptions %s',
    (kind) => {
      fc.assert(
        fc.property(scenarios(kind, everyKind), (scenario) => {
          play(assignor, scenario, (group) => {
            const settled = group.owned();
            expect(group.rebalance().after).toEqual(settled);
          });
        }),
        RUNS,
      );
    },
  );
});

describe('cooperative-sticky', () => {
  it.each(['identical', 'different'] as const)(
    'never gives away what another still owns (P7), subscriptions %s',
    (kind) => {
      fc.assert(
        fc.property(scenarios(kind, everyKind), (scenario) => {
          play(cooperativeStickyAssignor, scenario, (_group, rounds) => {
            for (const round of rounds) expectSafe(round);
          });
        }),
        RUNS,
      );
    },
  );

  it('settles in two rebalances after a join, a leave or new partitions with identical subscriptions (P8)', () => {
    fc.assert(
      fc.property(scenarios('identical'), (scenario) => {
        play(cooperativeStickyAssignor, scenario, (_group, rounds, step) => {
          expect(rounds.length).toBeLessThanOrEqual(step === 0 ? 1 : 2);
        });
      }),
      RUNS,
    );
  });

  // kafka: with different subscriptions a third one is rare but possible (https://github.com/apache/kafka/pull/7130):
  // the second rebalance knows what is free, not what the first had planned for it. About 1 in 13,000 events here.
  it('settles in three rebalances at most with different subscriptions (P8)', () => {
    fc.assert(
      fc.property(scenarios('different'), (scenario) => {
        play(cooperativeStickyAssignor, scenario, (_group, rounds, step) => {
          expect(rounds.length).toBeLessThanOrEqual(step === 0 ? 1 : 3);
        });
      }),
      RUNS,
    );
  });

  it('needs the third rebalance in less than one event of a thousand (P8)', () => {
    let events = 0;
    let thirds = 0;
    // A fixed seed: a count over random draws would fail now and then by chance.
    for (const scenario of fc.sample(scenarios('different'), { numRuns: 1000, seed: 8 })) {
      play(cooperativeStickyAssignor, scenario, (_group, rounds) => {
        events++;
        if (rounds.length > 2) thirds++;
      });
    }
    expect(thirds / events).toBeLessThan(0.001);
  });
});

describe('range (P9)', () => {
  it('gives contiguous runs that differ by at most one, alike for topics that are alike', () => {
    fc.assert(
      fc.property(scenarios('different'), (scenario) => {
        play(rangeAssignor, scenario, (group) => {
          const runs = runsOf(group);
          for (const [topic, ofMembers] of runs) {
            const sizes = [...ofMembers.values()].map((partitions) => partitions.length);
            expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
            for (const partitions of ofMembers.values()) {
              expect(partitions).toEqual(partitions.map((_, place) => (partitions[0] ?? 0) + place));
            }
            for (const [other, ofOthers] of runs) {
              const sameCount = group.counts.get(topic) === group.counts.get(other);
              if (sameCount && [...ofMembers.keys()].join() === [...ofOthers.keys()].join()) {
                expect(ofOthers).toEqual(ofMembers);
              }
            }
          }
        });
      }),
      RUNS,
    );
  });

  /** By topic and subscriber the partition numbers, ascending. */
  function runsOf(group: GroupModel): Map<string, Map<string, number[]>> {
    const runs = new Map<string, Map<string, number[]>>();
    for (const topic of group.counts.keys()) {
      const subscribers = [...group.members].filter(([, { topics }]) => topics.includes(topic));
      if (subscribers.length === 0) continue;
      const numbers = (owned: readonly TopicPartition[]): number[] =>
        owned
          .filter((owning) => owning.topic === topic)
          .map(({ partition }) => partition)
          .sort((left, right) => left - right);
      runs.set(topic, new Map(subscribers.map(([id, { owned }]) => [id, numbers(owned)])));
    }
    return runs;
  }
});

describe('roundrobin (P10)', () => {
  it('spreads evenly with identical subscriptions', () => {
    fc.assert(
      fc.property(scenarios('identical'), (scenario) => {
        play(roundRobinAssignor, scenario, (group) => expectEven(group.owned()));
      }),
      RUNS,
    );
  });
});

describe('claims that contradict each other', () => {
  const partition = fc.record({
    topic: fc.constantFrom('t0', 't1', 'unknown'),
    partition: fc.integer({ min: -1, max: 9 }),
  });
  interface Claimant {
    readonly owned: readonly TopicPartition[];
    readonly generation: number;
    readonly topics: readonly string[];
    readonly userData: 'v1' | 'v0' | 'none' | 'noise';
    readonly version: number;
  }
  const member: fc.Arbitrary<Claimant> = fc.record({
    owned: fc.array(partition, { maxLength: 12 }),
    generation: fc.integer({ min: -1, max: 3 }),
    topics: fc.constantFrom(['t0', 't1'], ['t0'], ['t1'], ['t1', 'unknown']),
    userData: fc.constantFrom<Claimant['userData']>('v1', 'v0', 'none', 'noise'),
    version: fc.integer({ min: 1, max: 3 }),
  });
  const counts = new Map([
    ['t0', 6],
    ['t1', 4],
  ]);

  function joining(claimants: readonly Claimant[]): JoinMember[] {
    return claimants.map(({ owned, generation, topics, userData, version }, place) => {
      const previous = { partitions: owned, generation };
      const bytes = {
        v1: encodeStickyUserData(previous, 1),
        v0: encodeStickyUserData(previous, 0),
        none: null,
        noise: new Uint8Array([1, 2, 3]),
      };
      const subscription = { topics, userData: bytes[userData], ownedPartitions: owned, generation };
      return { memberId: `m${place}`, groupInstanceId: null, metadata: encodeSubscription(subscription, version) };
    });
  }

  it.each(stickyOnes)('still give a complete, balanced $name assignment in any order of members', (assignor) => {
    fc.assert(
      fc.property(fc.array(member, { minLength: 1, maxLength: 6 }), (claimants) => {
        const members = joining(claimants);
        const lists = run(assignor, counts, members);
        expect(run(assignor, counts, [...members].reverse())).toEqual(lists);
        const group = {
          counts,
          members: new Map(
            claimants.map(({ topics }, place) => [`m${place}`, { topics, owned: [], previous: undefined }]),
          ),
        };
        const owned = new Map(Object.entries(lists).map(([id, names]) => [id, new Set(names)]));
        expect(Object.values(lists).flat().length).toBe(new Set(Object.values(lists).flat()).size);
        expectOnlySubscribed(group, owned);
        if (assignor === cooperativeStickyAssignor) return; // what it withholds is not there yet
        expectComplete(group, owned);
        expectNoBetterMove(group, owned);
      }),
      { numRuns: 800 },
    );
  });

  const alike = member.map((claimant): Claimant => ({ ...claimant, topics: ['t0', 't1'], userData: 'v1', version: 3 }));
  const group = fc.array(alike, { minLength: 2, maxLength: 5 });
  const latestClaimants = (claimants: readonly Claimant[], name: string): number[] => {
    const claiming = [...claimants.keys()].filter((place) =>
      claimants[place]?.owned.some((owned) => nameOf(owned) === name),
    );
    const latest = Math.max(...claiming.map((place) => claimants[place]?.generation ?? -1));
    return claiming.filter((place) => claimants[place]?.generation === latest);
  };
  const partitionNames = [...counts].flatMap(([topic, count]) =>
    Array.from({ length: count }, (_, number) => nameOf({ topic, partition: number })),
  );

  it('leave a partition with the highest generation unless balance forbids (P11)', () => {
    fc.assert(
      fc.property(group, (claimants) => {
        const least = Math.floor(partitionNames.length / claimants.length);
        const lists = run(stickyAssignor, counts, joining(claimants));
        const rightful = partitionNames.map((name) => ({ name, latest: latestClaimants(claimants, name) }));
        for (const { name, latest } of rightful) {
          const [owner] = latest;
          if (latest.length !== 1 || owner === undefined) continue;
          const owns = rightful.filter((other) => other.latest.length === 1 && other.latest[0] === owner).length;
          if (owns <= least) expect(lists[`m${owner}`]).toContain(name);
          else expect(lists[`m${owner}`]?.length).toBeGreaterThanOrEqual(least);
        }
      }),
      { numRuns: 800 },
    );
  });

  it('never let cooperative-sticky give a partition away that its rightful owner lists (P7)', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(alike, member), { minLength: 2, maxLength: 5 }), (claimants) => {
        const withGeneration = claimants.map((claimant) => ({ ...claimant, userData: 'none' as const, version: 3 }));
        const lists = run(cooperativeStickyAssignor, counts, joining(withGeneration), 'cooperative');
        for (const name of partitionNames) {
          const latest = latestClaimants(withGeneration, name);
          const given = Object.keys(lists).filter((id) => lists[id]?.includes(name));
          if (latest.length > 1) expect(given).toEqual([]);
          if (latest.length === 1 && given.length > 0) expect(given).toEqual([`m${latest[0]}`]);
        }
      }),
      { numRuns: 800 },
    );
  });
});
