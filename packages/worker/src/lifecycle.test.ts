/**
 * How things end and what is left of them: nothing, however and whenever the end came.
 */

import { describe, expect, it } from 'vitest';
import { consumerScene, orders, partitions } from '../test/consumer-scene.js';
import { memberScene } from '../test/member-scene.js';
import { refuseCommit } from '../test/scripted-coordinator.js';
import { settle } from '../test/virtual-clock.js';
import { MusterError } from './errors.js';
import type { Logger } from './logger.js';
import type { Message } from './message.js';
import { deferred } from './waiting.js';

function recording(): Logger & { readonly lines: string[] } {
  const lines: string[] = [];
  const write = (level: string) => (text: string, fields?: object) => {
    lines.push(`${level} ${text} ${JSON.stringify(fields)}`);
  };
  return { lines, debug: () => {}, info: write('info'), warn: write('warn'), error: write('error') };
}

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
    const logger = recording();
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

describe('a consumer that owns nothing', () => {
  it('keeps nothing of those who have waited for a partition', async () => {
    const { consume, clock, coordinator } = consumerScene();
    coordinator.assigned = [];
    const consumer = await consume();
    const before = clock.timers;
    const waits: Promise<unknown>[] = [];
    for (let round = 0; round < 20; round += 1) {
      waits.push(consumer.assigned({ timeoutMs: 10 }).catch((thrown: unknown) => thrown));
      await clock.advance(10);
    }
    for (const outcome of await Promise.all(waits)) expect(outcome).toMatchObject({ code: 'TIMEOUT' });
    expect(clock.timers).toBe(before);
  });
});

describe('hooks in pairs', () => {
  it('what onAssigned was told, onLost is told, where it was lost meanwhile', async () => {
    const { consume, coordinator, clock } = consumerScene();
    const story: string[] = [];
    const hang = deferred();
    const numbers = (given: readonly { partition: number }[]) => given.map(({ partition }) => partition).join();
    const starting = consume({
      onAssigned: async (given) => {
        story.push(`assigned ${numbers(given)}`);
        if (story.length === 1) await hang.promise;
      },
      onRevoked: (revoked) => void story.push(`revoked ${numbers(revoked)}`),
      onLost: (lost) => void story.push(`lost ${numbers(lost)}`),
    });
    await clock.advance(500);
    coordinator.script.heartbeat = () => 'UNKNOWN_MEMBER_ID';
    await clock.advance(4_000);
    delete coordinator.script.heartbeat;
    expect(story).toEqual(['assigned 0,1']);
    hang.resolve();
    await clock.advance(1_000);
    const consumer = await starting;
    expect(story).toEqual(['assigned 0,1', 'lost 0,1', 'assigned 0,1']);
    expect(consumer.assignment()).toEqual(partitions(0, 1));
  });

  it('what was handled is committed although onRevoked fails', async () => {
    const { consume, store, coordinator, reassign } = consumerScene();
    store(0, 1);
    store(1, 11, 12);
    const consumer = await consume({
      onRevoked: () => {
        throw new Error('the database is away');
      },
    });
    const second = deferred();
    const outcome = consumer
      .run({
        eachMessage: async ({ value }) => {
          if (value === 12) await second.promise;
        },
      })
      .catch((thrown: unknown) => thrown);
    await settle();
    void reassign(partitions(0));
    for (let turn = 0; turn < 10; turn += 1) await settle();
    second.resolve();
    for (let turn = 0; turn < 10; turn += 1) await settle();
    expect(await outcome).toMatchObject({ code: 'HOOK_FAILED' });
    expect(coordinator.offsets.get('orders/1')).toBe(4);
  });
});

describe('a member that the coordinator does not take', () => {
  it('asks less and less often', async () => {
    const { membership, coordinator, clock } = memberScene();
    coordinator.script.join = () => 'UNKNOWN_MEMBER_ID';
    membership.start();
    await clock.advance(10_000);
    const asked = coordinator.of('join').length;
    expect(asked).toBeGreaterThan(3);
    expect(asked).toBeLessThan(20);
    delete coordinator.script.join;
    await clock.until('it is taken', () => membership.state.kind === 'stable', 2_000);
    await membership.hold();
    await membership.end({ leave: false, timeoutMs: 0 });
    expect(clock.timers).toBe(0);
  });
});

describe('a member that cannot begin with what it was assigned', () => {
  it('does not drive the whole group through rounds without a pause', async () => {
    const { consume, coordinator, streams, clock } = consumerScene();
    coordinator.assigned = [];
    const consumer = await consume();
    const joins = coordinator.of('join').length;
    const bounds = streams.bounds.bind(streams);
    streams.bounds = async () => {
      throw new MusterError('STREAM_UNAVAILABLE', 'the stream has no leader');
    };
    coordinator.assigned = partitions(0);
    coordinator.notice('billing', { kind: 'rebalance' });
    await clock.advance(10_000);
    const rounds = coordinator.of('join').length - joins;
    expect(rounds).toBeGreaterThan(3);
    expect(rounds).toBeLessThan(20);
    streams.bounds = bounds;
    await clock.advance(2_000);
    expect(consumer.assignment()).toEqual(partitions(0));
  });
});

describe('the signals of a message', () => {
  it('live no longer than the message: what listens to them does not pile up', async () => {
    const { consume, store, reassign } = consumerScene();
    store(1, ...Array.from({ length: 50 }, (_, at) => at));
    const warned: string[] = [];
    const onWarning = (warning: Error) => void warned.push(warning.name);
    process.on('warning', onWarning);
    const consumer = await consume();
    const told: number[] = [];
    const last = deferred();
    void consumer.run({
      eachMessage: async ({ value, signal, handover }) => {
        handover.addEventListener('abort', () => told.push(value));
        signal.addEventListener('abort', () => told.push(value));
        if (value === 49) await last.promise;
      },
    });
    for (let turn = 0; turn < 20; turn += 1) await settle();
    await reassign(partitions(0));
    // Only the one that still runs hears that somebody waits for it.
    expect(told).toEqual([49]);
    last.resolve();
    for (let turn = 0; turn < 10; turn += 1) await settle();
    expect(consumer.assignment()).toEqual(partitions(0));
    expect(told).toEqual([49]);
    process.off('warning', onWarning);
    expect(warned).toEqual([]);
  });

  it('a message that is handed out again tells who still works on it', async () => {
    const { consume, store } = consumerScene();
    store(0, 1, 2);
    const consumer = await consume();
    const first: Message<number>[] = [];
    for await (const message of consumer) {
      first.push(message);
      if (first.length === 2) break;
    }
    const [acked, left] = first;
    expect([acked?.signal.aborted, left?.signal.aborted]).toEqual([false, false]);
    acked?.ack();
    for await (const message of consumer) {
      expect(message.value).toBe(2);
      expect([acked?.signal.aborted, left?.signal.aborted, message.signal.aborted]).toEqual([false, true, false]);
      message.ack();
      break;
    }
    await consumer.close();
  });
});

describe('commits that are refused', () => {
  it('are said once, and again after one has gone through', async () => {
    const logger = recording();
    const { consume, store, coordinator, clock } = consumerScene();
    const consumer = await consume({ logger });
    void consumer.run({ eachMessage: () => {} });
    const refused = () => logger.lines.filter((line) => line.startsWith('error the coordinator refuses to commit'));
    for (const round of [1, 2]) {
      coordinator.script.commit = ({ body }) => refuseCommit(body, 'GROUP_AUTHORIZATION_FAILED');
      store(0, round);
      await clock.advance(20_000);
      expect(refused()).toHaveLength(round);
      expect(refused().at(-1)).toContain('GROUP_AUTHORIZATION_FAILED');
      delete coordinator.script.commit;
      await clock.advance(6_000);
    }
    expect(coordinator.offsets.get('orders/0')).toBe(3);
    await consumer.close();
  });

  it('many callers may wait for the end of a round without a warning of the process', async () => {
    const warned: string[] = [];
    const onWarning = (warning: Error) => void warned.push(warning.name);
    process.on('warning', onWarning);
    const { consume, store, coordinator, clock } = consumerScene();
    store(0, ...Array.from({ length: 20 }, (_, at) => at));
    const consumer = await consume({ commit: { kind: 'manual' } });
    const messages: Message<number>[] = [];
    void (async () => {
      for await (const message of consumer) messages.push(message);
    })();
    await settle();
    coordinator.script.join = () => 'park';
    coordinator.notice('billing', { kind: 'rebalance' });
    await settle();
    const commits = messages.map(async (message) => await message.commit());
    await clock.advance(1_000);
    delete coordinator.script.join;
    await clock.advance(4_000);
    await Promise.all(commits);
    process.off('warning', onWarning);
    expect(commits).toHaveLength(20);
    expect(warned).toEqual([]);
    expect(coordinator.offsets.get('orders/0')).toBe(21);
    await consumer.close();
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
