import { describe, expect, it } from 'vitest';
import { consumerScene, partitions } from '../test/consumer-scene.js';
import { refuseCommit } from '../test/scripted-coordinator.js';
import { settle } from '../test/virtual-clock.js';
import type { Message } from './message.js';
import { deferred } from './waiting.js';

describe('running handlers', () => {
  it('handles each partition in order and partitions side by side', async () => {
    const { consume, store, muster } = consumerScene();
    store(0, 1, 2, 3);
    store(1, 11, 12);
    const consumer = await consume();
    const first = deferred();
    const handled: number[] = [];
    const running = consumer.run({
      eachMessage: async ({ value }) => {
        if (value === 1) await first.promise;
        handled.push(value);
      },
    });
    await settle();
    // Partition 0 hangs on its first message; partition 1 goes on, and 2 does not overtake 1.
    expect(handled).toEqual([11, 12]);
    first.resolve();
    await settle();
    expect(handled).toEqual([11, 12, 1, 2, 3]);
    await muster.close({ timeoutMs: 1 });
    await running;
  });

  it('runs no more handlers at a time than allowed', async () => {
    const { consume, store, coordinator } = consumerScene();
    coordinator.assigned = partitions(0, 1, 2, 3);
    for (const partition of [0, 1, 2, 3]) store(partition, 1);
    const consumer = await consume();
    const open = deferred();
    let running = 0;
    let most = 0;
    void consumer.run({
      concurrency: 2,
      eachMessage: async () => {
        running += 1;
        most = Math.max(most, running);
        await open.promise;
        running -= 1;
      },
    });
    await settle();
    expect(most).toBe(2);
    open.resolve();
    await settle();
    expect(consumer.health().partitions.map(({ position }) => position)).toEqual([2, 3, 4, 5]);
  });

  it('gives every message its place, its key, its generation and a signal', async () => {
    const { consume, store } = consumerScene();
    store(1, 7);
    const consumer = await consume();
    const seen: Message<number>[] = [];
    void consumer.run({ eachMessage: (message) => void seen.push(message) });
    await settle();
    expect(seen[0]).toMatchObject({ topic: 'orders', partition: 1, offset: 1, key: 'k1', value: 7, generation: 1 });
    expect(seen[0]?.signal.aborted).toBe(false);
  });

  it('stops by default when a handler fails: the error surfaces and the message is not committed', async () => {
    const { consume, store, coordinator, clock } = consumerScene();
    store(0, 1, 2, 3);
    const consumer = await consume();
    const running = consumer.run({
      eachMessage: ({ value }) => {
        if (value === 2) throw new Error('no such customer');
      },
    });
    const outcome = running.catch((error: unknown) => error);
    await clock.advance(1_000);
    expect(await outcome).toMatchObject({ code: 'HANDLER_FAILED', topic: 'orders', partition: 0, offset: 2 });
    expect(coordinator.offsets.get('orders/0')).toBe(2);
    expect(coordinator.of('leave')).toHaveLength(1);
  });

  it('retries with pauses and skips at the end, when told so', async () => {
    const { consume, store, clock, coordinator, muster } = consumerScene();
    store(0, 1, 2);
    const consumer = await consume({ onFailure: { kind: 'retry', attempts: 3, lastly: 'skip' } });
    const tried: number[] = [];
    void consumer.run({
      eachMessage: ({ value }) => {
        tried.push(value);
        if (value === 1) throw new Error('not now');
      },
    });
    await clock.advance(5_000);
    expect(tried).toEqual([1, 1, 1, 2]);
    await muster.close();
    expect(coordinator.offsets.get('orders/0')).toBe(3);
  });

  it('stops with a typed error at a value that cannot be decoded, or skips it', async () => {
    for (const policy of ['stop', 'skip'] as const) {
      const { consume, streams, store, clock } = consumerScene();
      streams.store('orders', 'orders.0.k', new Uint8Array([0x7b]));
      store(0, 2);
      const consumer = await consume({ onDecodeFailure: policy });
      const handled: number[] = [];
      const running = consumer.run({ eachMessage: ({ value }) => void handled.push(value) });
      const outcome = running.catch((error: unknown) => error);
      await clock.advance(100);
      if (policy === 'skip') expect(handled).toEqual([2]);
      else expect(await outcome).toMatchObject({ code: 'DECODE_FAILED', offset: 1 });
    }
  });
});

describe('for await', () => {
  it('gives one message after the other and commits what was acked, never past what was not', async () => {
    const { consume, store, coordinator, clock, muster } = consumerScene();
    store(0, 1, 2, 3, 4);
    const consumer = await consume();
    const messages: Message<number>[] = [];
    const loop = (async () => {
      for await (const message of consumer) messages.push(message);
    })();
    await settle();
    expect(messages.map(({ value }) => value)).toEqual([1, 2, 3, 4]);
    messages[0]?.ack();
    messages[2]?.ack();
    await clock.advance(5_000);
    expect(coordinator.offsets.get('orders/0')).toBe(2);
    messages[1]?.ack();
    await clock.advance(5_000);
    expect(coordinator.offsets.get('orders/0')).toBe(4);
    const closing = muster.close({ timeoutMs: 1_000 });
    await clock.advance(1_000);
    await closing;
    await loop;
  });

  it('throws out of the loop when the membership fails', async () => {
    const { consume, coordinator, clock } = consumerScene();
    const consumer = await consume();
    const loop = (async () => {
      for await (const _ of consumer);
    })();
    const outcome = loop.catch((error: unknown) => error);
    coordinator.script.heartbeat = () => 'FENCED_INSTANCE_ID';
    await clock.advance(4_000);
    expect(await outcome).toMatchObject({ code: 'FENCED_INSTANCE_ID' });
  });
});

describe('where a lane starts', () => {
  it('continues at the committed offset', async () => {
    const { consume, store, coordinator } = consumerScene();
    store(0, 1, 2, 3);
    coordinator.offsets.set('orders/0', 3);
    const consumer = await consume();
    const handled: number[] = [];
    void consumer.run({ eachMessage: ({ value }) => void handled.push(value) });
    await settle();
    expect(handled).toEqual([3]);
  });

  it('commits the decision to begin at the latest, so that a rebalance before the first message skips nothing', async () => {
    const { consume, store, coordinator, muster } = consumerScene();
    store(0, 1, 2);
    await consume({ start: 'latest' });
    await muster.close();
    expect(coordinator.offsets.get('orders/0')).toBe(3);
  });

  it('refuses to guess when only a committed offset will do', async () => {
    const { consume } = consumerScene();
    await expect(consume({ start: 'committed' })).rejects.toMatchObject({ code: 'NO_COMMITTED_OFFSET' });
  });

  it('reads on at the next offset when its reader fails', async () => {
    const { consume, store, streams, clock } = consumerScene();
    store(0, 1, 2);
    const consumer = await consume();
    const handled: number[] = [];
    void consumer.run({ eachMessage: ({ value }) => void handled.push(value) });
    await settle();
    streams.isReadable = false;
    for (const reader of streams.readers) reader.fail();
    store(0, 3);
    await clock.advance(2_000);
    expect(handled).toEqual([1, 2]);
    streams.isReadable = true;
    await clock.advance(6_000);
    expect(handled).toEqual([1, 2, 3]);
    const offsets = streams.readers.map(({ config }) => config.startOffset);
    expect(offsets).toEqual([1, 1, 3, 1]);
  });
});

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
    expect(signals.size).toBe(1);
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

describe('committing', () => {
  it('numbers its commits and has one in flight', async () => {
    const { consume, store, coordinator, muster, clock } = consumerScene();
    store(0, 1, 2, 3);
    const consumer = await consume({ commit: { kind: 'each' } });
    coordinator.script.commit = () => 'park';
    void consumer.run({ eachMessage: () => {} });
    await clock.advance(100);
    expect(coordinator.of('commit')).toHaveLength(1);
    delete coordinator.script.commit;
    await clock.advance(3_000);
    expect(new Set(coordinator.of('commit').map(({ body }) => body.commitSeq))).toEqual(new Set([1, 2]));
    expect(coordinator.offsets.get('orders/0')).toBe(4);
    await muster.close();
  });

  it('never has two commits in flight, however many callers commit at once', async () => {
    const { consume, store, coordinator, clock } = consumerScene();
    store(0, 1);
    store(1, 11);
    const consumer = await consume({ commit: { kind: 'manual' } });
    const iterator = consumer[Symbol.asyncIterator]();
    const first = await iterator.next();
    const second = await iterator.next();
    coordinator.script.commit = () => 'park';
    const commits = [first.value?.commit(), second.value?.commit()];
    await settle();
    expect(coordinator.of('commit')).toHaveLength(1);
    delete coordinator.script.commit;
    await clock.advance(3_000);
    await Promise.all(commits);
    expect([...coordinator.offsets]).toEqual([
      ['orders/0', 2],
      ['orders/1', 3],
    ]);
  });

  it('holds a commit back while a round is under way and makes it afterwards', async () => {
    const { consume, store, coordinator, clock } = consumerScene();
    store(0, 1);
    const consumer = await consume({ commit: { kind: 'manual' } });
    const { value: message } = await consumer[Symbol.asyncIterator]().next();
    coordinator.script.join = () => 'park';
    coordinator.notice('billing', { kind: 'rebalance' });
    await settle();
    const before = coordinator.of('commit').length;
    const committing = message?.commit();
    await clock.advance(1_000);
    expect(coordinator.of('commit')).toHaveLength(before);
    delete coordinator.script.join;
    await clock.advance(3_100);
    await committing;
    expect(coordinator.of('commit').at(-1)?.body.generationId).toBe(2);
    expect(coordinator.offsets.get('orders/0')).toBe(2);
  });

  it('tells the caller what the coordinator refuses for good', async () => {
    const { consume, store, coordinator } = consumerScene();
    store(0, 1);
    const consumer = await consume({ commit: { kind: 'manual' } });
    const { value: message } = await consumer[Symbol.asyncIterator]().next();
    coordinator.script.commit = ({ body }) => refuseCommit(body, 'OFFSET_METADATA_TOO_LARGE');
    await expect(message?.commit()).rejects.toMatchObject({ code: 'OFFSET_METADATA_TOO_LARGE' });
  });

  it('commits by itself every interval and only what was handled', async () => {
    const { consume, store, coordinator, clock } = consumerScene();
    store(0, 1, 2);
    const consumer = await consume({ commit: { kind: 'auto', intervalMs: 1_000 } });
    const hang = deferred();
    void consumer.run({ eachMessage: ({ value }) => (value === 2 ? hang.promise : undefined) });
    await clock.advance(1_500);
    expect(coordinator.offsets.get('orders/0')).toBe(2);
    hang.resolve();
    await clock.advance(1_000);
    expect(coordinator.offsets.get('orders/0')).toBe(3);
  });
});

describe('closing', () => {
  it('waits for running handlers, commits, leaves, and ends the run', async () => {
    const { consume, store, coordinator, clock } = consumerScene();
    store(0, 1, 2);
    const consumer = await consume();
    const hang = deferred();
    const handled: number[] = [];
    const running = consumer.run({
      eachMessage: async ({ value }) => {
        await hang.promise;
        handled.push(value);
      },
    });
    await settle();
    const closing = consumer.close();
    await clock.advance(1_000);
    expect(coordinator.of('leave')).toHaveLength(0);
    hang.resolve();
    await closing;
    await running;
    expect(handled).toEqual([1]);
    expect(coordinator.offsets.get('orders/0')).toBe(2);
    expect(coordinator.of('leave')).toHaveLength(1);
    await expect(consumer.run({ eachMessage: () => {} })).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it('ends within its time although handler, hook and coordinator all hang, and leaves no timer behind', async () => {
    const { consume, store, coordinator, clock, muster } = consumerScene();
    store(0, 1);
    const consumer = await consume({ onRevoked: () => new Promise(() => {}) });
    let hasRunEnded = false;
    void consumer.run({ eachMessage: () => new Promise(() => {}) }).then(() => {
      hasRunEnded = true;
    });
    await settle();
    coordinator.stop();
    let isClosed = false;
    void muster.close({ timeoutMs: 8_000 }).then(() => {
      isClosed = true;
    });
    await clock.advance(8_001);
    expect([isClosed, hasRunEnded]).toEqual([true, true]);
    await clock.advance(120_000);
    expect(clock.timers).toBe(0);
  });

  it('ends within its time in the middle of a rebalance whose hook hangs', async () => {
    const { consume, reassign, clock, muster } = consumerScene();
    const { rangeAssignor } = await import('@muster/assignors');
    await consume({ assignors: [rangeAssignor], onRevoked: () => new Promise(() => {}) });
    await reassign(partitions(0));
    let isClosed = false;
    void muster.close({ timeoutMs: 8_000 }).then(() => {
      isClosed = true;
    });
    await clock.advance(8_001);
    expect(isClosed).toBe(true);
  });

  it('closes a consumer that still tries to join', async () => {
    const { muster, clock, coordinator } = consumerScene();
    coordinator.stop();
    const { orders } = await import('../test/consumer-scene.js');
    const starting = muster.consumer({ group: 'billing', topics: [orders] }).catch((error: unknown) => error);
    await clock.advance(3_000);
    const closing = muster.close({ timeoutMs: 2_000 });
    await clock.advance(2_000);
    await closing;
    expect(await starting).toMatchObject({ code: 'CLOSED' });
    expect(clock.timers).toBe(0);
  });

  it('stays in the group when it is static', async () => {
    const { consume, coordinator } = consumerScene();
    const consumer = await consume({ instanceId: 'worker-1' });
    await consumer.close();
    expect(coordinator.of('leave')).toHaveLength(0);
    expect(coordinator.of('join')[0]?.body.groupInstanceId).toBe('worker-1');
  });
});
