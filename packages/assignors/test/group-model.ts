// A consumer group as the assignors see it over several rebalances: ownership is fed forward, members join, leave and
// change subscriptions, topics grow. Everything goes through the bytes that travel in JoinGroup and SyncGroup.

import { decodeAssignment, type TopicPartition } from '@muster/protocol';
import fc from 'fast-check';
import type { Assignor, PreviousAssignment, RebalanceProtocol } from '../src/assignor.js';
import { encodeSubscriptionFor, runAssignor } from '../src/leader.js';
import { nameOf } from './notation.js';

export interface ModelMember {
  topics: readonly string[];
  owned: readonly TopicPartition[];
  previous: PreviousAssignment | undefined;
}

/** What one rebalance did. `before` and `after` are partition names by member. */
export interface Round {
  readonly before: ReadonlyMap<string, ReadonlySet<string>>;
  readonly after: ReadonlyMap<string, ReadonlySet<string>>;
}

export type Event =
  | { readonly kind: 'join'; readonly topics: readonly string[] }
  | { readonly kind: 'leave'; readonly pick: number }
  | { readonly kind: 'grow'; readonly pick: number; readonly by: number }
  | { readonly kind: 'resubscribe'; readonly pick: number; readonly topics: readonly string[] };

export interface Scenario {
  readonly counts: readonly (readonly [topic: string, count: number])[];
  readonly subscriptions: readonly (readonly string[])[];
  readonly events: readonly Event[];
}

/** More rounds than any scenario may need; reaching it is a failure to converge. */
const ROUNDS_MAX = 12;

export class GroupModel {
  readonly counts: Map<string, number>;
  readonly members = new Map<string, ModelMember>();
  readonly #assignor: Assignor;
  readonly #protocol: RebalanceProtocol;
  #generation = 0;
  #joined = 0;

  constructor(assignor: Assignor, scenario: Scenario) {
    this.#assignor = assignor;
    this.#protocol = assignor.rebalanceProtocols.includes('cooperative') ? 'cooperative' : 'eager';
    this.counts = new Map(scenario.counts);
    for (const topics of scenario.subscriptions) this.#join(topics);
  }

  apply(event: Event): void {
    const ids = [...this.members.keys()];
    switch (event.kind) {
      case 'join':
        return this.#join(event.topics);
      case 'leave':
        // The last member stays: an empty group has nothing to check.
        if (ids.length > 1) this.members.delete(ids[event.pick % ids.length] ?? '');
        return;
      case 'grow': {
        const topics = [...this.counts.keys()];
        const topic = topics[event.pick % topics.length] ?? '';
        this.counts.set(topic, (this.counts.get(topic) ?? 0) + event.by);
        return;
      }
      case 'resubscribe': {
        const member = this.members.get(ids[event.pick % ids.length] ?? '');
        if (member === undefined) return;
        member.topics = event.topics;
        // A cooperative member gives up what it no longer subscribes to before it joins.
        member.owned = member.owned.filter(({ topic }) => event.topics.includes(topic));
        return;
      }
    }
  }

  /** Rebalances until nobody has to give anything up, once at least. */
  settle(): Round[] {
    const rounds: Round[] = [];
    for (;;) {
      const round = this.rebalance();
      rounds.push(round);
      const revoking = [...round.before].some(([id, owned]) =>
        [...owned].some((name) => !round.after.get(id)?.has(name)),
      );
      if (this.#protocol === 'eager' || !revoking) return rounds;
      if (rounds.length === ROUNDS_MAX) throw new Error(`no end after ${ROUNDS_MAX} rebalances`);
    }
  }

  rebalance(): Round {
    const before = this.owned();
    const joining = [...this.members].map(([memberId, { topics, owned, previous }]) => ({
      memberId,
      groupInstanceId: null,
      metadata: encodeSubscriptionFor(this.#assignor, {
        topics,
        owned: this.#protocol === 'eager' ? [] : owned,
        generation: previous?.generation ?? -1,
        ...(previous === undefined ? {} : { previous }),
      }),
    }));
    const answer = runAssignor(this.#assignor, joining, this.counts, this.#protocol);
    if (answer.kind === 'refused') throw new Error(JSON.stringify(answer.refusal));
    this.#generation++;
    for (const [memberId, member] of this.members) {
      const decoded = decodeAssignment(answer.assignments.get(memberId) ?? new Uint8Array(0));
      if (decoded.kind === 'malformed') throw new Error(decoded.reason);
      member.owned = decoded.value.partitions;
      member.previous = { partitions: member.owned, generation: this.#generation };
    }
    return { before, after: this.owned() };
  }

  owned(): Map<string, Set<string>> {
    return new Map([...this.members].map(([id, { owned }]) => [id, new Set(owned.map(nameOf))]));
  }

  #join(topics: readonly string[]): void {
    // Ids that do not ascend with time, so that a newcomer is not always the last.
    const id = `m${(this.#joined * 37) % 101}`;
    this.#joined++;
    this.members.set(id, { topics, owned: [], previous: undefined });
  }
}

const topicNames = ['t0', 't1', 't2', 't3'];

/** Groups of 1 to 7 members on 1 to 4 topics of 1 to 8 partitions, and up to 5 events of the kinds asked for. */
export function scenarios(
  subscriptions: 'identical' | 'different',
  kinds: readonly Event['kind'][] = ['join', 'leave', 'grow'],
): fc.Arbitrary<Scenario> {
  return fc.integer({ min: 1, max: 4 }).chain((topicCount) => {
    const known = topicNames.slice(0, topicCount);
    const all = [...known, 'unknown'];
    const topics = subscriptions === 'identical' ? fc.constant(all) : fc.subarray(all, { minLength: 1 });
    const pick = fc.nat({ max: 100 });
    const event: Record<Event['kind'], fc.Arbitrary<Event>> = {
      join: fc.record({ kind: fc.constant('join' as const), topics }),
      leave: fc.record({ kind: fc.constant('leave' as const), pick }),
      grow: fc.record({ kind: fc.constant('grow' as const), pick, by: fc.integer({ min: 1, max: 4 }) }),
      resubscribe: fc.record({ kind: fc.constant('resubscribe' as const), pick, topics }),
    };
    return fc.record({
      counts: fc.tuple(...known.map((topic) => fc.tuple(fc.constant(topic), fc.integer({ min: 1, max: 8 })))),
      subscriptions: fc.array(topics, { minLength: 1, maxLength: 7 }),
      events: fc.array(fc.oneof(...kinds.map((kind) => event[kind])), { minLength: 1, maxLength: 5 }),
    });
  });
}
