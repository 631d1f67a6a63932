import { describe, expect, it } from 'vitest';
import { consumerScene } from '../test/consumer-scene.js';
import { recordingLogger } from '../test/recording-logger.js';
import { refuseCommit } from '../test/scripted-coordinator.js';
import { settle } from '../test/virtual-clock.js';
import type { Message } from './message.js';
import { deferred } from './waiting.js';

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

  it('does not wait for what is handled while it commits', async () => {
    const { consume, store, coordinator, muster, clock } = consumerScene();
    store(0, 1);
    const consumer = await consume({ commit: { kind: 'manual' } });
    void consumer.run({ eachMessage: () => {} });
    await clock.advance(100);
    coordinator.script.commit = () => 'park';
    let isCommitted = false;
    void consumer.commit().then(() => {
      isCommitted = true;
    });
    await settle();
    store(0, 2);
    await clock.advance(100);
    coordinator.script.commit = (request) => {
      if ((request.body.commitSeq ?? 0) > 1) throw new Error('a second commit was sent');
      return undefined;
    };
    await clock.advance(3_000);
    expect(isCommitted).toBe(true);
    expect(coordinator.offsets.get('orders/0')).toBe(2);
    delete coordinator.script.commit;
    await muster.close();
  });

  it('overtakes a commit without an answer before it reads the offsets again in the same generation', async () => {
    const { consume, store, coordinator, muster, clock } = consumerScene();
    store(0, 1, 2);
    const consumer = await consume({ commit: { kind: 'each' } });
    coordinator.script.commit = () => 'park';
    void consumer.run({ eachMessage: () => {} });
    await clock.advance(100);
    coordinator.stop();
    await clock.advance(15_000);
    expect(consumer.assignment()).toEqual([]);
    delete coordinator.script.commit;
    // The group has not moved meanwhile: the member comes back into its generation.
    coordinator.generation -= 1;
    const before = coordinator.seen.length;
    coordinator.start();
    await clock.advance(2_000);
    expect(consumer.assignment()).toHaveLength(2);
    const after = coordinator.seen.slice(before).filter(({ api }) => api === 'commit' || api === 'fetch');
    expect(after[0]).toMatchObject({ api: 'commit', body: { generationId: 1, commitSeq: 2, offsets: [] } });
    expect(after[1]).toMatchObject({ api: 'fetch' });
    await muster.close();
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

  it('commits by itself after so many messages, whatever the interval', async () => {
    const { consume, store, coordinator, clock } = consumerScene();
    const consumer = await consume({ commit: { kind: 'auto', intervalMs: 600_000, count: 3 } });
    void consumer.run({ eachMessage: () => {} });
    store(0, 1, 2);
    await clock.advance(100);
    expect(coordinator.of('commit')).toHaveLength(0);
    store(0, 3);
    await clock.advance(100);
    expect(coordinator.offsets.get('orders/0')).toBe(4);
    store(0, 4, 5);
    await clock.advance(100);
    expect(coordinator.of('commit')).toHaveLength(1);
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

describe('commits that are refused', () => {
  it('are said once, and again after one has gone through', async () => {
    const logger = recordingLogger();
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
