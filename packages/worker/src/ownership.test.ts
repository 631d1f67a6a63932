import { errorCode } from '@muster/protocol';
import { describe, expect, it } from 'vitest';
import { consumerScene, partitions } from '../test/consumer-scene.js';
import { refuseCommit } from '../test/scripted-coordinator.js';
import { settle } from '../test/virtual-clock.js';
import type { Message } from './message.js';
import { deferred } from './waiting.js';

describe('handing over', () => {
  it('drains, calls onRevoked, commits, and only then joins again (cooperative: only what moves)', async () => {
    const scene = consumerScene();
    const { consume, store, coordinator, reassign } = scene;
    store(0, 1, 2);
    store(1, 11);
    const story: string[] = [];
    const consumer = await consume({
      onAssigned: (given) => void story.push(`assigned ${given.map(({ partition }) => partition)}`),
      onRevoked: async (taken) => {
        story.push(`revoked ${taken.map(({ partition }) => partition)}`);
      },
    });
    coordinator.script.commit = ({ body }) => {
      story.push(
        `commit ${body.offsets.map(({ partition, offset }) => `${partition}@${offset}`)} g${body.generationId}`,
      );
      return undefined;
    };
    coordinator.script.join = () => {
      story.push('join');
      return undefined;
    };
    const hang = deferred();
    void consumer.run({
      eachMessage: async ({ value }) => {
        if (value === 11) await hang.promise;
        story.push(`handled ${value}`);
      },
    });
    await settle();
    await reassign(partitions(0));
    expect(story).toEqual([
      'assigned 0,1',
      'handled 1',
      'handled 2',
      // Before the round: what is handled so far, under the old generation.
      'commit 0@3,1@1 g1',
      'join',
    ]);
    hang.resolve();
    await settle();
    await settle();
    expect(story.slice(5)).toEqual(['handled 11', 'revoked 1', 'commit 1@4 g2', 'assigned ', 'join', 'assigned ']);
    expect(consumer.assignment()).toEqual(partitions(0));
  });

  it('never stops what stays', async () => {
    const { consume, store, reassign, streams } = consumerScene();
    const consumer = await consume();
    const handled: number[] = [];
    const signals = new Set<AbortSignal>();
    void consumer.run({
      eachMessage: ({ value, signal }) => {
        handled.push(value);
        signals.add(signal);
      },
    });
    store(0, 1);
    await settle();
    const readers = streams.readers.length;
    await reassign(partitions(0));
    store(0, 2);
    await settle();
    expect(handled).toEqual([1, 2]);
    expect([...signals].some(({ aborted }) => aborted)).toBe(false);
    expect(streams.readers).toHaveLength(readers);
  });

  it('sends what it still owns, with the generation it comes from', async () => {
    const { consume, coordinator, reassign } = consumerScene();
    await consume();
    await reassign(partitions(0));
    const { decodeSubscription } = await import('@muster/protocol');
    const owned = coordinator.of('join').map(({ body }) => decodeSubscription(body.protocols[0]!.metadata));
    expect(owned.map((decoded) => decoded.kind === 'decoded' && decoded.value)).toMatchObject([
      { ownedPartitions: [], generation: -1 },
      { ownedPartitions: [], generation: -1 },
      { ownedPartitions: partitions(0, 1), generation: 1 },
      { ownedPartitions: partitions(0), generation: 2 },
    ]);
  });

  it('gives everything up before an eager round, with a commit under the old generation', async () => {
    const { rangeAssignor } = await import('@muster/assignors');
    const { consume, store, coordinator, reassign } = consumerScene();
    store(0, 1);
    const revoked: number[][] = [];
    const consumer = await consume({
      assignors: [rangeAssignor],
      onRevoked: (taken) => void revoked.push(taken.map(({ partition }) => partition)),
    });
    void consumer.run({ eachMessage: () => {} });
    await settle();
    await reassign(partitions(0, 1));
    expect(revoked).toEqual([[0, 1]]);
    expect(coordinator.of('commit')[0]?.body).toMatchObject({ generationId: 1, commitSeq: 1 });
    expect(coordinator.generation).toBe(2);
    expect(consumer.assignment()).toEqual(partitions(0, 1));
  });

  it('does not join again before onRevoked has ended', async () => {
    const { rangeAssignor } = await import('@muster/assignors');
    const { consume, coordinator, reassign } = consumerScene();
    const flushed = deferred();
    await consume({ assignors: [rangeAssignor], onRevoked: () => flushed.promise });
    const joins = coordinator.of('join').length;
    await reassign(partitions(0));
    expect(coordinator.of('join')).toHaveLength(joins);
    flushed.resolve();
    await settle();
    await settle();
    expect(coordinator.of('join')).toHaveLength(joins + 1);
  });

  it('joins again at once although its commit has to wait for the round, and commits after it', async () => {
    const { consume, store, coordinator, reassign, clock } = consumerScene();
    store(0, 1);
    const consumer = await consume();
    void consumer.run({ eachMessage: () => {} });
    await settle();
    coordinator.script.commit = ({ body }) =>
      body.generationId === 1 ? refuseCommit(body, 'REBALANCE_IN_PROGRESS') : undefined;
    await reassign(partitions(0, 1));
    await clock.advance(200);
    expect(consumer.health()).toMatchObject({ state: 'stable', generation: 2 });
    await clock.advance(5_000);
    expect(coordinator.offsets.get('orders/0')).toBe(2);
  });

  it('tells diagnostics_channel what happens', async () => {
    const { subscribe, unsubscribe } = await import('node:diagnostics_channel');
    const { consume, reassign, muster } = consumerScene();
    const told: string[] = [];
    const listen = (event: unknown, name: string | symbol) => {
      const { partitions = [] } = event as { partitions?: { partition: number }[] };
      told.push(`${String(name)} ${partitions.map(({ partition }) => partition)}`);
    };
    const names = ['muster:assigned', 'muster:revoked', 'muster:lost'];
    for (const name of names) subscribe(name, listen);
    await consume();
    await reassign(partitions(0));
    await muster.close();
    for (const name of names) unsubscribe(name, listen);
    expect(told).toEqual([
      'muster:assigned 0,1',
      'muster:revoked 1',
      'muster:assigned ',
      'muster:assigned ',
      'muster:revoked 0',
    ]);
  });

  it('gives a hanging handler up at the drain deadline: its signal aborts, its message is not committed', async () => {
    const { consume, store, coordinator, reassign, clock } = consumerScene();
    store(1, 11, 12);
    const consumer = await consume({ drainTimeoutMs: 2_000 });
    let signal: AbortSignal | undefined;
    void consumer.run({
      eachMessage: async (message) => {
        if (message.value === 12) {
          ({ signal } = message);
          await new Promise(() => {});
        }
      },
    });
    await settle();
    await reassign(partitions(0));
    expect(signal?.aborted).toBe(false);
    await clock.advance(2_000);
    expect(signal?.aborted).toBe(true);
    expect(coordinator.offsets.get('orders/1')).toBe(2);
    expect(consumer.assignment()).toEqual(partitions(0));
  });
});

describe('being assigned', () => {
  it('what it has not subscribed to, by a leader with another view, is not taken: it joins again', async () => {
    const { consume, coordinator, clock } = consumerScene();
    const foreign = { topic: 'bills', partition: 0 };
    coordinator.assigned = [...partitions(0), foreign];
    const assigned: string[] = [];
    const starting = consume({ onAssigned: (given) => void assigned.push(given.map(({ topic }) => topic).join()) });
    await clock.advance(500);
    const joins = coordinator.of('join').length;
    expect(joins).toBeGreaterThan(2);
    expect(assigned).toEqual([]);
    coordinator.assigned = partitions(0, 1);
    await clock.advance(2_000);
    const consumer = await starting;
    expect(assigned).toEqual(['orders,orders']);
    expect(consumer.assignment()).toEqual(partitions(0, 1));
  });

  it('a partition with a commit under way is begun only when that has settled', async () => {
    const { consume, coordinator, clock, store } = consumerScene();
    store(0, 1, 2, 3);
    coordinator.offsets.set('orders/0', 3);
    let asked = 0;
    coordinator.script.fetch = ({ body }) => {
      asked += 1;
      if (asked > 2) return undefined;
      const error = errorCode('UNSTABLE_OFFSET_COMMIT');
      const partitions = (body.partitions ?? []).map(([topic, partition]) => {
        return { topic, partition, offset: -1, leaderEpoch: -1, metadata: '', error };
      });
      return { fields: { partitions } };
    };
    const consumer = await consume();
    await clock.advance(1_000);
    expect(asked).toBe(3);
    // Asked again, not joined again: that would be a round for the whole group.
    expect(coordinator.generation).toBe(1);
    expect(consumer.health().partitions[0]).toMatchObject({ position: 3, committed: 3 });
  });
});

describe('losing', () => {
  it('begins nothing after a suspension before the coordinator has said that all is as it was', async () => {
    const { consume, store, clock } = consumerScene();
    const consumer = await consume();
    const generations: number[] = [];
    void consumer.run({ eachMessage: ({ generation }) => void generations.push(generation) });
    await settle();
    clock.jump(11_000);
    store(0, 1);
    await settle();
    expect(generations).toEqual([]);
    await clock.advance(1_000);
    expect(generations).toEqual([1]);
  });

  it('aborts handlers at once, commits nothing, calls onLost, and takes part again', async () => {
    const { consume, store, coordinator, clock } = consumerScene();
    store(0, 1);
    const story: string[] = [];
    const consumer = await consume({
      onRevoked: () => void story.push('revoked'),
      onLost: (lost, reason) => void story.push(`lost ${lost.map(({ partition }) => partition)} ${reason.code}`),
    });
    const messages: Message<number>[] = [];
    void consumer.run({
      eachMessage: async (message) => {
        messages.push(message);
        if (messages.length > 1) return;
        await new Promise<void>((_, reject) => {
          message.signal.addEventListener('abort', () => {
            story.push('aborted');
            reject(message.signal.reason);
          });
        });
      },
    });
    await settle();
    coordinator.script.heartbeat = ({ body }) => (body.generationId === 1 ? 'ILLEGAL_GENERATION' : undefined);
    await clock.advance(3_000);
    expect(story).toEqual(['aborted', 'lost 0,1 OWNERSHIP_LOST']);
    expect(coordinator.of('commit')).toHaveLength(0);
    expect(consumer.assignment()).toEqual(partitions(0, 1));
    // The message was not committed, so it comes again, under the new generation.
    expect(messages.map(({ generation }) => generation)).toEqual([1, 2]);
  });

  it('refuses a commit after the loss and says so', async () => {
    const { consume, store, coordinator, clock } = consumerScene();
    store(0, 1);
    const consumer = await consume({ commit: { kind: 'manual' } });
    const iterator = consumer[Symbol.asyncIterator]();
    const { value: message } = await iterator.next();
    coordinator.script.heartbeat = ({ body }) => (body.generationId === 1 ? 'UNKNOWN_MEMBER_ID' : undefined);
    await clock.advance(3_000);
    await expect(message?.commit()).rejects.toMatchObject({ code: 'COMMIT_REFUSED' });
  });
});
