import type { MemberId } from '@muster/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { WrittenCheckpoint } from '../test/world.js';
import { joinDefaults, text, World } from '../test/world.js';
import type { Group, GroupSlot } from './index.js';
import { describeGroup } from './index.js';

const RUNS = 120;

const protocolSets = [
  [{ name: 'range', metadata: text('m') }],
  [
    { name: 'range', metadata: text('m') },
    { name: 'sticky', metadata: text('s') },
  ],
  [
    { name: 'sticky', metadata: text('s2') },
    { name: 'range', metadata: text('m') },
  ],
  [{ name: 'sticky', metadata: text('s') }],
  [],
  [
    { name: 'range', metadata: text('m') },
    { name: 'range', metadata: text('m') },
  ],
];

const who = fc.nat({ max: 9 });
const instance = fc.constantFrom(null, null, null, 'i0', 'i1');
const off = fc.constantFrom(0, 0, 0, 0, -1, 1);
const action = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('round' as const),
      newcomers: fc.nat({ max: 2 }),
      instance,
      syncs: fc.constantFrom('all', 'all', 'leader', 'followers', 'none'),
      ms: fc.constantFrom(1, 7_000),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('join' as const),
      who: fc.option(who, { freq: 2 }),
      instance,
      known: fc.boolean(),
      protocols: fc.constantFrom(0, 0, 0, 1, 1, 2, 2, 3, 4, 5),
      type: fc.constantFrom('consumer', 'consumer', 'consumer', 'connect'),
      sessionTimeoutMs: fc.constantFrom(6_000, 10_000, 10_000, 30_000, 30_000, 30_000, 30_000, 1),
      rebalanceTimeoutMs: fc.constantFrom(0, 10_000, 30_000),
      skip: fc.boolean(),
      resend: fc.option(fc.nat({ max: 5 }), { freq: 4 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('sync' as const), who, off, leader: fc.boolean(), resend: fc.boolean() }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('heartbeat' as const), who, off, instance }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('leave' as const), who: fc.array(who, { maxLength: 3 }), instance }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('commit' as const),
      who: fc.option(who),
      off,
      seq: fc.option(fc.nat({ max: 6 })),
      partition: fc.nat({ max: 3 }),
      offset: fc.nat(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('stage' as const),
      producer: fc.nat({ max: 2 }),
      epoch: fc.nat({ max: 2 }),
      partition: fc.nat({ max: 3 }),
      offset: fc.nat(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('end' as const),
      producer: fc.nat({ max: 2 }),
      epoch: fc.nat({ max: 2 }),
      result: fc.constantFrom('COMMIT' as const, 'ABORT' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete-offsets' as const), partition: fc.nat({ max: 3 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom('delete' as const, 'sweep' as const, 'topic-gone' as const) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('advance' as const),
      ms: fc.constantFrom(1, 500, 500, 3_000, 3_000, 9_000, 31_000, 300_001, 8 * 24 * 3_600_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reload' as const), graceMs: fc.constantFrom(0, 6_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('shift' as const), ms: fc.constantFrom(1, 5_000) }) },
);
type Action = typeof action extends fc.Arbitrary<infer T> ? T : never;

/** Clients of which some are honest about who they are and some are not. */
class Clients {
  readonly world: World;
  readonly #ids: MemberId[] = [];
  readonly #joins: Parameters<World['send']>[1][] = [];
  readonly #refs: ReturnType<World['newRef']>[] = [];
  readonly #assignments = new Map<number, string>();

  constructor(world: World) {
    this.world = world;
  }

  #id(index: number | null): string {
    if (index === null) return '';
    return index < 8 ? (this.#ids.at(-1 - index) ?? '') : `stranger-${index}`;
  }

  #generation(shift: number): number {
    return Math.max((this.world.slot.group?.generation ?? 0) + shift, -1);
  }

  do(step: Action): void {
    const { world } = this;
    switch (step.do) {
      case 'join':
        return this.#join(step);
      case 'sync': {
        const leader = world.slot.group?.leader ?? '';
        const assignments = this.#ids.map((memberId) => ({ memberId, assignment: text(`to ${memberId}`) }));
        const memberId = step.leader ? leader : this.#id(step.who);
        const ref = world.newRef();
        const body = { memberId, generationId: this.#generation(step.off), assignments };
        world.send('sync', body, ref);
        if (step.resend) world.send('sync', body, ref);
        return;
      }
      case 'round':
        return this.#round(step);
      case 'heartbeat':
        world.send('heartbeat', {
          memberId: this.#id(step.who),
          generationId: this.#generation(step.off),
          groupInstanceId: step.instance,
        });
        return;
      case 'leave':
        world.send('leave', {
          members: step.who.map((each) => ({ memberId: this.#id(each), groupInstanceId: step.instance })),
        });
        return;
      case 'commit':
        world.send('commit', {
          memberId: this.#id(step.who),
          generationId: step.who === null ? -1 : this.#generation(step.off),
          commitSeq: step.seq,
          offsets: [{ topic: 't', partition: step.partition, offset: step.offset }],
        });
        return;
      case 'stage':
        world.send('stage-offsets', {
          memberId: '',
          generationId: -1,
          transactionalId: 'x',
          producerId: step.producer,
          producerEpoch: step.epoch,
          offsets: [{ topic: 't', partition: step.partition, offset: step.offset }],
        });
        return;
      case 'end':
        world.send('end-stage', { producerId: step.producer, producerEpoch: step.epoch, result: step.result });
        return;
      case 'delete-offsets':
        world.send('delete-offsets', { partitions: [['t', step.partition]] });
        return;
      case 'delete':
        world.send('delete', {});
        return;
      case 'sweep':
        world.run({ kind: 'sweep' });
        return;
      case 'topic-gone':
        world.run({ kind: 'topic-partitions-deleted', partitions: [{ topic: 't', partition: 1 }] });
        return;
      case 'advance':
        return world.advance(step.ms);
      case 'reload':
        return world.reload(step.graceMs === 0 ? undefined : world.nowMs + step.graceMs);
      case 'shift':
        world.run({ kind: 'shift-deadlines', byMs: step.ms });
        return;
    }
  }

  /** What well-behaved clients do: everybody joins again, newcomers too, then they sync. */
  #round({ newcomers, instance: groupInstanceId, syncs, ms }: Extract<Action, { do: 'round' }>): void {
    const { world } = this;
    const common = { ...joinDefaults, sessionTimeoutMs: 30_000, protocols: protocolSets[1] };
    for (const { memberId, groupInstanceId: own } of [...(world.slot.group?.members.values() ?? [])]) {
      world.send('join', { ...common, memberId, groupInstanceId: own });
    }
    for (let count = 0; count < newcomers; count += 1) {
      world.send('join', { ...common, groupInstanceId: count === 0 ? groupInstanceId : null });
    }
    world.advance(ms);
    const leader = world.slot.group?.leader;
    const members = [...(world.slot.group?.members.keys() ?? [])];
    this.#meet(members);
    const assignments = members.map((memberId) => ({ memberId, assignment: text(`to ${memberId}`) }));
    for (const memberId of members) {
      const leads = memberId === leader;
      if (syncs === 'none' || (syncs === 'leader' && !leads) || (syncs === 'followers' && leads)) continue;
      world.send('sync', { memberId, generationId: this.#generation(0), assignments });
    }
  }

  #meet(ids: Iterable<MemberId>): void {
    for (const id of ids) if (!this.#ids.includes(id)) this.#ids.push(id);
  }

  #join(step: Extract<Action, { do: 'join' }>): void {
    const { world } = this;
    const before = step.resend === null ? undefined : this.#joins.at(-1 - step.resend);
    const sameRef = step.resend === null ? undefined : this.#refs.at(-1 - step.resend);
    const body = before ?? {
      ...joinDefaults,
      memberId: this.#id(step.who),
      groupInstanceId: step.instance,
      requireKnownMemberId: step.known,
      protocols: protocolSets[step.protocols] ?? [],
      protocolType: step.type,
      sessionTimeoutMs: step.sessionTimeoutMs,
      rebalanceTimeoutMs: step.rebalanceTimeoutMs,
      supportSkippingAssignment: step.skip,
    };
    const ref = sameRef ?? world.newRef();
    this.#joins.push(body);
    this.#refs.push(ref);
    world.send('join', body, ref);
    this.#meet(world.slot.group?.members.keys() ?? []);
    this.#meet(world.slot.group?.pendingMembers.keys() ?? []);
  }

  /** A generation has one assignment, whatever happens to it (static members may take it over under a new id). */
  checkOneAssignmentPerGeneration(): void {
    for (const record of this.world.effects.records) {
      if (record.kind === 'group-tombstone') this.#assignments.clear();
      if (record.kind !== 'snapshot' || record.state !== 'Stable') continue;
      const shares = record.members.map(({ assignment }) => Buffer.from(assignment).toString()).sort();
      const said = shares.join();
      expect(said).toBe(this.#assignments.get(record.generation) ?? said);
      this.#assignments.set(record.generation, said);
    }
  }
}

/** All of a group that must survive a failover. */
function durableState(slot: GroupSlot) {
  const { group } = slot;
  if (group === undefined || isBare(group)) return undefined;
  const { offsets } = group;
  return {
    described: describeGroup(slot),
    changedAt: group.protocolType === null ? undefined : group.stateChangedAt,
    members: [...group.members.values()].map(({ sessionDeadline: _, joinedBy: __, ...member }) => member),
    subscribedTopics: group.phase.kind === 'Empty' && group.protocolType === null ? null : group.subscribedTopics,
    offsets: sorted([...offsets.committed.values()]),
    stages: [...offsets.stages]
      .map(([producer, stage]) => ({ producer, ...stage, offsets: sorted([...stage.offsets.values()]) }))
      .sort((left, right) => left.producer - right.producer),
    fences: [...offsets.fences].sort(([left], [right]) => left - right),
  };
}

/** Holds nothing that is recorded. */
function isBare({ generation, offsets }: Group): boolean {
  return generation === 0 && offsets.committed.size + offsets.stages.size + offsets.fences.size === 0;
}

function sorted<T extends { readonly topic: string; readonly partition: number }>(offsets: readonly T[]): T[] {
  return [...offsets].sort((left, right) => left.partition - right.partition);
}

describe('whatever clients send and whenever timers fire', () => {
  it('nothing throws, every request is answered once, and the log says what the memory says', () => {
    const settings = fc.record({
      maxSize: fc.constantFrom(2, 3, 100),
      initialRebalanceDelayMs: fc.constantFrom(0, 3_000),
    });
    const steps = fc.array(action, { minLength: 1, maxLength: 40, size: 'max' });
    fc.assert(
      fc.property(settings, steps, fc.nat({ max: 20 }), (config, actions, writtenAt) => {
        const world = new World(config);
        const clients = new Clients(world);
        let written: WrittenCheckpoint | undefined;
        for (const [index, step] of actions.entries()) {
          clients.do(step);
          if (index === writtenAt) written = world.beginCheckpoint();
          clients.checkOneAssignmentPerGeneration();
          const loaded = world.replay();
          const checkpointed = world.replayCheckpoint();
          expect(durableState(checkpointed.slot)).toEqual(durableState(loaded.slot));
          expect(durableState(world.replayTwice().slot)).toEqual(durableState(loaded.slot));
          if (written !== undefined) {
            expect(durableState(world.replayAround(written, true).slot)).toEqual(durableState(loaded.slot));
            expect(durableState(world.replayAround(written, false).slot)).toEqual(durableState(loaded.slot));
          }
          if (world.state === 'PreparingRebalance') continue;
          // Static members that are away keep their seats: such a group may be above its size, and loading it rebalances it.
          if ((world.slot.group?.members.size ?? 0) > config.maxSize) continue;
          expect(loaded.effects.records).toEqual([]);
          expect(durableState(loaded.slot)).toEqual(durableState(world.slot));
        }
      }),
      { numRuns: RUNS },
    );
  });
});
