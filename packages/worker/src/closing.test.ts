import { describe, expect, it } from 'vitest';
import { consumerScene, orders, partitions } from '../test/consumer-scene.js';
import { recordingLogger } from '../test/recording-logger.js';
import { refuseCommit } from '../test/scripted-coordinator.js';
import { settle } from '../test/virtual-clock.js';
import type { Message } from './message.js';
import { deferred } from './waiting.js';

describe('closing while the topics are still looked up', () => {
  it('leaves no timer and joins no group', async () => {
    const { muster, streams, clock, coordinator } = consumerScene();
    const looked = deferred();
    const subjectsOf = streams.subjectsOf.bind(streams);
    streams.subjectsOf = async (stream) => {
      await looked.promise;
      return await subjectsOf(stream);
    };
    const starting = muster.consumer({ group: 'billing', topics: [orders] }).catch((thrown: unknown) => thrown);
    await settle();
    const closing = muster.close();
    await settle();
    looked.resolve();
    await closing;
    expect(await starting).toMatchObject({ code: 'CLOSED' });
    await clock.advance(10_000);
    expect(clock.timers).toBe(0);
    expect(coordinator.of('join')).toHaveLength(0);
  });
});

describe('closing from within', () => {
  it('a handler that awaits the close ends it within its time; what others handled is committed', async () => {
    const { consume, store, clock, coordinator } = consumerScene();
    store(0, 1);
    store(1, 11);
    const consumer = await consume({ drainTimeoutMs: 2_000 });
    const running = consumer.run({
      eachMessage: async ({ value }) => {
        if (value === 1) await consumer.close();
      },
    });
    await clock.advance(2_500);
    await running;
    expect(consumer.isClosed).toBe(true);
    expect(coordinator.offsets.get('orders/0')).toBe(1);
    expect(coordinator.offsets.get('orders/1')).toBe(3);
    await settle();
    expect(clock.timers).toBe(0);
  });

  it('a loop may await the close after an ack: nothing is waited for', async () => {
    const { consume, store, clock, coordinator } = consumerScene();
    store(0, 1, 2);
    const consumer = await consume();
    const seen: number[] = [];
    const loop = (async () => {
      for await (const message of consumer) {
        seen.push(message.value);
        message.ack();
        await consumer.close();
      }
    })();
    await settle();
    await settle();
    await loop;
    expect(seen).toEqual([1]);
    expect(coordinator.offsets.get('orders/0')).toBe(2);
    expect(clock.timers).toBe(0);
  });

  it('a hook may ask for the close: it happens after the hook', async () => {
    const { muster, clock, coordinator } = consumerScene();
    let closing: Promise<void> | undefined;
    const starting = muster.consumer<number>({
      group: 'billing',
      topics: [orders],
      onAssigned: () => {
        closing = muster.close();
      },
    });
    const outcome = starting.catch((thrown: unknown) => thrown);
    await clock.advance(1_000);
    await closing;
    expect(await outcome).toMatchObject({ code: 'CLOSED' });
    expect(coordinator.of('leave')).toHaveLength(1);
    expect(clock.timers).toBe(0);
  });
});

describe('a close with messages that a loop was given and has not acked', () => {
  const unacked = async (options = {}) => {
    const logger = recordingLogger();
    const scene = consumerScene();
    scene.store(0, 1, 2);
    const consumer = await scene.consume({ logger, ...options });
    const messages: Message<number>[] = [];
    const loop = (async () => {
      for await (const message of consumer) messages.push(message);
    })();
    await settle();
    return { ...scene, consumer, messages, loop, logger };
  };

  it('says at once what it waits for, and ends as soon as they are acked', async () => {
    const { consumer, messages, loop, logger, clock, coordinator } = await unacked();
    const closing = consumer.close();
    await clock.advance(100);
    const said = logger.lines.filter((line) => line.startsWith('info closing waits'));
    expect(said).toHaveLength(1);
    expect(said[0]).toContain('orders/0 from offset 1');
    expect(consumer.isClosed).toBe(false);
    for (const message of messages) message.ack();
    await settle();
    await closing;
    await loop;
    expect(coordinator.offsets.get('orders/0')).toBe(3);
  });

  it('waits drainTimeoutMs for them and no longer', async () => {
    const { consumer, loop, clock } = await unacked({ drainTimeoutMs: 3_000 });
    void consumer.close();
    await clock.advance(2_900);
    expect(consumer.isClosed).toBe(false);
    await clock.advance(200);
    expect(consumer.isClosed).toBe(true);
    await loop;
  });

  it('waits longer where the close is given more time, which is then the word that counts', async () => {
    const { consumer, clock } = await unacked({ drainTimeoutMs: 3_000 });
    void consumer.close({ timeoutMs: 60_000 });
    await clock.advance(40_000);
    expect(consumer.isClosed).toBe(false);
    await clock.advance(10_000);
    expect(consumer.isClosed).toBe(true);
  });
});

describe('closing in the middle of a round', () => {
  /** A consumer whose handler of the first message runs, in a round that waits for other members. */
  const inRound = async (api: 'join' | 'sync') => {
    const scene = consumerScene();
    const { consume, store, coordinator, clock } = scene;
    store(0, 1, 2);
    const consumer = await consume();
    const hang = deferred();
    const running = consumer.run({ eachMessage: () => hang.promise });
    await settle();
    let isParked = false;
    let mayGoOn = false;
    coordinator.script[api] = () => {
      if (!mayGoOn) isParked = true;
      else if (api === 'sync') isParked = false;
      return mayGoOn ? undefined : 'park';
    };
    coordinator.script.commit = ({ body }) => {
      if (body.generationId !== coordinator.generation) return refuseCommit(body, 'ILLEGAL_GENERATION');
      // After its last JoinGroup the group waits for the SyncGroup of its leader.
      return api === 'sync' && isParked ? refuseCommit(body, 'REBALANCE_IN_PROGRESS') : undefined;
    };
    coordinator.notice('billing', { kind: 'rebalance' });
    await clock.until('the round has begun', () => isParked);
    const goOn = () => {
      mayGoOn = true;
    };
    return { ...scene, consumer, hang, running, goOn };
  };

  it('commits what is drained after the others have joined: under the new generation', async () => {
    const { consumer, hang, running, goOn, clock, coordinator } = await inRound('join');
    const closing = consumer.close();
    await clock.advance(1_000);
    goOn();
    await clock.advance(4_000);
    expect(coordinator.generation).toBe(2);
    hang.resolve();
    await clock.advance(1_000);
    await closing;
    await running;
    expect(coordinator.offsets.get('orders/0')).toBe(2);
  });

  it('does not wait for the others where it has drained before them', async () => {
    const { consumer, hang, running, clock, coordinator } = await inRound('join');
    hang.resolve();
    await settle();
    const closing = consumer.close();
    await clock.advance(100);
    await closing;
    await running;
    expect(coordinator.generation).toBe(1);
    expect(coordinator.offsets.get('orders/0')).toBe(3);
  });

  it('waits for the SyncGroup that its commit needs', async () => {
    const { consumer, hang, running, goOn, clock, coordinator } = await inRound('sync');
    hang.resolve();
    await settle();
    const closing = consumer.close();
    await clock.advance(1_000);
    expect(consumer.isClosed).toBe(false);
    goOn();
    await clock.advance(4_000);
    await closing;
    await running;
    expect(coordinator.offsets.get('orders/0')).toBe(3);
  });

  it('tells onLost of what is lost while it drains', async () => {
    const { consume, store, coordinator, clock } = consumerScene();
    store(0, 1);
    const story: string[] = [];
    const consumer = await consume({
      onRevoked: () => void story.push('revoked'),
      onLost: (lost) => void story.push(`lost ${lost.map(({ partition }) => partition)}`),
    });
    const running = consumer.run({ eachMessage: () => new Promise(() => {}) });
    await settle();
    const closing = consumer.close();
    coordinator.script.heartbeat = () => 'UNKNOWN_MEMBER_ID';
    await clock.advance(25_000);
    await closing;
    await running;
    expect(story).toEqual(['lost 0,1']);
  });
});

describe('a hook that hangs', () => {
  it('is called once for its partitions, also by a close that does not wait for it', async () => {
    const { rangeAssignor } = await import('@muster/assignors');
    const { consume, reassign, clock } = consumerScene();
    let calls = 0;
    const consumer = await consume({
      assignors: [rangeAssignor],
      onRevoked: () => {
        calls += 1;
        return new Promise(() => {});
      },
    });
    await reassign(partitions(0));
    const closing = consumer.close({ timeoutMs: 8_000 });
    await clock.advance(8_001);
    await closing;
    expect(calls).toBe(1);
  });
});
