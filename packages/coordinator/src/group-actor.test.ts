import { TimerWheel } from '@muster/actor';
import { groupConfigDefaults } from '@muster/group';
import { generation, groupId, memberId, monotonicMs, requestId, wallMs } from '@muster/protocol';
import { describe, expect, test } from 'vitest';
import { type ActorOutlet, GroupActor, type GroupTimerOf } from './group-actor.js';

const group = groupId('billing');

/** An actor whose records become durable, and whose ownership is proven, when the test says so. */
function scene() {
  const answers: string[] = [];
  let woken = 0;
  let pending = 0;
  const state = { isServing: true };
  const context = () => ({
    now: monotonicMs(0),
    wallNow: wallMs(0),
    newUuid: () => 'uuid',
    config: groupConfigDefaults,
  });
  const outlet: ActorOutlet = {
    append: (_group, records) => {
      pending += records.length;
    },
    barrier: (onDurable) => onDurable(),
    answer: (_to, ref, { error }) => answers.push(`${ref} ${error}`),
    notify: () => {},
    wake: () => {
      woken += 1;
    },
    quarantined: (_actor, _command, error) => {
      throw error;
    },
    mayServe: () => state.isServing,
    idle: () => {},
    context,
    now: () => context().now,
  };
  const wheel = new TimerWheel<GroupTimerOf>({ tickMs: 10 });
  const actor = new GroupActor({ groupId: group, group: undefined }, wheel, outlet);
  const commit = () => {
    const body = {
      groupId: group,
      memberId: memberId(''),
      groupInstanceId: null,
      generationId: generation(-1),
      commitSeq: null,
      retentionTimeMs: null,
      offsets: [{ topic: 't', partition: 0, offset: 5, leaderEpoch: -1, metadata: '', commitTimestamp: null }],
    };
    actor.offer({ kind: 'request', api: 'commit', ref: requestId('r1'), body }, 'inbox', 1_000, 100);
  };
  const durable = () => {
    const count = pending;
    pending = 0;
    actor.durable(count);
  };
  return { actor, answers, state, commit, durable, woken: () => woken };
}

describe('a request that is sent again', () => {
  test('waits on where it waits already, and is answered once', () => {
    const { actor, answers, commit, durable } = scene();
    commit();
    actor.runTurns(16);
    commit();
    actor.runTurns(16);
    expect(answers).toEqual([]);
    durable();
    expect(answers).toEqual(['r1 NONE']);
  });

  test('is handled again where its answer could not leave: ownership was not proven at that moment', () => {
    const { actor, answers, state, commit, durable } = scene();
    commit();
    actor.runTurns(16);
    state.isServing = false;
    durable();
    expect(answers).toEqual([]);
    state.isServing = true;
    commit();
    actor.runTurns(16);
    durable();
    expect(answers).toEqual(['r1 NONE']);
  });

  test('wakes the actor where its turn was refused: ownership was not proven at that moment', () => {
    const { actor, answers, state, commit, durable, woken } = scene();
    state.isServing = false;
    commit();
    actor.runTurns(16);
    const before = woken();
    state.isServing = true;
    commit();
    expect(woken()).toBe(before + 1);
    actor.runTurns(16);
    durable();
    expect(answers).toEqual(['r1 NONE']);
  });
});
