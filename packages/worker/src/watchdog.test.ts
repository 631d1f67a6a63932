import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, describe, expect, it } from 'vitest';
import { consumerScene } from '../test/consumer-scene.js';
import { settle } from '../test/virtual-clock.js';

const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

function told(...names: string[]): string[] {
  const heard: string[] = [];
  for (const name of names) {
    const listen = () => void heard.push(name);
    subscribe(name, listen);
    stops.push(() => unsubscribe(name, listen));
  }
  return heard;
}

describe('the stall watchdog', () => {
  it('says so when a partition has messages and does not move, reads it anew, and says when it moves again', async () => {
    const { consume, store, streams, clock } = consumerScene();
    const heard = told('muster:stalled', 'muster:recovered');
    const errors: string[] = [];
    const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: (what: string) => void errors.push(what) };
    const consumer = await consume({ stallTimeoutMs: 10_000, logger });
    const handled: number[] = [];
    void consumer.run({ eachMessage: ({ value }) => void handled.push(value) });
    await settle();
    for (const reader of streams.readers) reader.isMute = true;
    store(0, 1, 2);
    await clock.advance(9_000);
    expect(heard).toEqual([]);
    await clock.advance(4_000);
    expect(heard).toEqual(['muster:stalled', 'muster:recovered']);
    expect(errors).toEqual(['a partition does not move: reading it anew']);
    expect(handled).toEqual([1, 2]);
    expect(consumer.health().verdict).toBe('ok');
  });

  it('calls a partition stalled that nobody asks for messages, and names the cause', async () => {
    const { consume, store, clock } = consumerScene();
    const reasons: unknown[] = [];
    const logger = {
      debug: () => {},
      info: () => {},
      warn: () => {},
      error: (_: string, fields: { reason?: unknown } = {}) => void reasons.push(fields.reason),
    };
    const consumer = await consume({ stallTimeoutMs: 5_000, logger });
    store(0, 1);
    await clock.advance(12_000);
    expect(consumer.health()).toMatchObject({ verdict: 'stalled', state: 'stable' });
    expect(reasons[0]).toContain('the application asks for no messages');
  });

  it('leaves alone what is idle, paused or being handled', async () => {
    const { consume, store, clock } = consumerScene();
    const heard = told('muster:stalled');
    const consumer = await consume({ stallTimeoutMs: 5_000 });
    void consumer.run({ eachMessage: () => new Promise(() => {}) });
    store(0, 1, 2);
    consumer.pause([{ topic: 'orders', partition: 1 }]);
    store(1, 11);
    await clock.advance(60_000);
    expect(heard).toEqual([]);
  });
});

describe('a blocked event loop', () => {
  it('is reported with its length', async () => {
    const { consume, clock } = consumerScene();
    const heard = told('muster:blocked');
    const consumer = await consume({ blockedWarningMs: 2_000 });
    await clock.advance(2_000);
    clock.jump(4_000);
    await clock.advance(1_000);
    expect(heard).toEqual(['muster:blocked']);
    expect(consumer.health().lastBlocked?.blockedMs).toBeGreaterThan(2_000);
  });
});
