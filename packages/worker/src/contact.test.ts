import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, describe, expect, it } from 'vitest';
import { consumerScene } from '../test/consumer-scene.js';
import type { MemberEvent } from './events.js';
import type { Logger } from './logger.js';

const listening: [string, (message: unknown) => void][] = [];

function hear(...names: string[]): [string, MemberEvent][] {
  const heard: [string, MemberEvent][] = [];
  for (const name of names) {
    const listener = (message: unknown) => void heard.push([name, message as MemberEvent]);
    subscribe(`muster:${name}`, listener);
    listening.push([`muster:${name}`, listener]);
  }
  return heard;
}

afterEach(() => {
  for (const [name, listener] of listening.splice(0)) unsubscribe(name, listener);
});

/** A consumer that tries to join where nobody coordinates. */
function alone(more: Parameters<ReturnType<typeof consumerScene>['consume']>[0] = {}) {
  const warnings: string[] = [];
  const scene = consumerScene({ warn: (text) => void warnings.push(text) });
  scene.coordinator.stop();
  let failure: unknown;
  const joining = scene.consume(more).catch((thrown: unknown) => {
    failure = thrown;
    return undefined;
  });
  return { ...scene, warnings, joining, failure: () => failure };
}

describe('a consumer whose coordinator is absent', () => {
  it('says so after five seconds: an event, health, and its end', async () => {
    const heard = hear('unreachable', 'reachable');
    const { clock, muster, coordinator, joining, warnings } = alone();
    await clock.advance(4_000);
    expect(heard).toEqual([]);
    await clock.advance(2_500);
    expect(heard).toMatchObject([
      ['unreachable', { group: 'billing', problem: expect.stringMatching(/is a node of this cluster running\?/) }],
    ]);
    expect(muster.health()).toMatchObject({
      isConnected: true,
      problem: expect.stringMatching(/^nobody coordinates the group on muster\.default/),
      consumers: [{ group: 'billing', state: 'joining', verdict: 'stopped', partitions: [] }],
    });
    coordinator.start();
    await clock.advance(3_000);
    const consumer = await joining;
    expect(heard.map(([name]) => name)).toEqual(['unreachable', 'reachable']);
    expect(consumer?.health()).toMatchObject({ state: 'stable', problem: undefined });
    // Somebody has listened: the process is not bothered.
    expect(warnings).toEqual([]);
    await consumer?.close();
  });

  it('warns the process once where there is neither a logger nor a listener', async () => {
    const { clock, muster, warnings } = alone();
    await clock.advance(30_000);
    expect(warnings).toEqual([expect.stringMatching(/^group billing: nobody coordinates the group/)]);
    await muster.close({ timeoutMs: 100 });
  });

  it('tells a logger instead of the process', async () => {
    const lines: string[] = [];
    const ignore = () => {};
    const logger: Logger = { debug: ignore, info: ignore, warn: (line) => void lines.push(line), error: ignore };
    const { clock, muster, warnings } = alone({ logger });
    await clock.advance(20_000);
    expect(lines).toEqual(['no coordinator answers']);
    expect(warnings).toEqual([]);
    await muster.close({ timeoutMs: 100 });
  });

  it('names the reason when it gives up joining', async () => {
    const { clock, failure } = alone({ joinTimeoutMs: 8_000 });
    await clock.advance(12_000);
    expect(failure()).toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringMatching(/not joined within 8000 ms: nobody coordinates the group on muster\.default/),
    });
  });

  it('waits for JetStream as long as for a coordinator, and ends with what it said last', async () => {
    const warnings: string[] = [];
    const { streams, clock, consume, muster } = consumerScene({ warn: (text) => void warnings.push(text) });
    streams.isUp = false;
    const late = consume();
    await clock.advance(20_000);
    expect(muster.health().consumers).toMatchObject([{ problem: expect.stringMatching(/JetStream did not answer/) }]);
    expect(warnings).toEqual([expect.stringMatching(/^group billing: JetStream did not answer/)]);
    streams.isUp = true;
    await clock.advance(1_000);
    expect((await late).health()).toMatchObject({ state: 'stable', problem: undefined });

    streams.isUp = false;
    const never = consume({ group: 'other', joinTimeoutMs: 5_000 });
    never.catch(() => {});
    await clock.advance(6_000);
    await expect(never).rejects.toMatchObject({ code: 'STREAM_UNAVAILABLE' });
    const closed = consume({ group: 'third' });
    closed.catch(() => {});
    await clock.advance(1_000);
    const closing = muster.close();
    await clock.advance(1_000);
    await closing;
    await expect(closed).rejects.toMatchObject({ code: expect.stringMatching(/CLOSED|STREAM_UNAVAILABLE/) });
  });

  it('asks for the connection where that is what is missing', async () => {
    const { clock, muster, transport } = alone();
    transport.event({ kind: 'disconnected' });
    await clock.advance(6_000);
    expect(muster.health()).toMatchObject({
      isConnected: false,
      problem: expect.stringMatching(/no connection to NATS/),
    });
    await muster.close({ timeoutMs: 100 });
  });

  it('has a problem while it owns partitions, too, and none while its join is parked', async () => {
    const { consume, coordinator, clock } = consumerScene();
    const consumer = await consume();
    coordinator.stop();
    await clock.advance(4_000);
    expect(consumer.health()).toMatchObject({ state: 'stable', problem: expect.stringMatching(/nobody coordinates/) });
    coordinator.start();
    await clock.advance(3_500);
    expect(consumer.health().problem).toBeUndefined();
    coordinator.script.join = () => 'park';
    coordinator.notice('billing', { kind: 'rebalance' });
    await clock.advance(8_000);
    expect(consumer.health()).toMatchObject({ state: 'joining', problem: undefined });
    await consumer.close({ timeoutMs: 100 });
  });

  it('hears of the failure of a plain member as well', async () => {
    const { clock, muster, coordinator } = consumerScene();
    coordinator.stop();
    let failure: unknown;
    const protocols = [{ name: 'one', metadata: new Uint8Array(0) }];
    const options = { group: 'cron', protocolType: 'shards', protocols, assign: () => new Map(), joinTimeoutMs: 7_000 };
    muster.member(options).catch((thrown: unknown) => {
      failure = thrown;
    });
    await clock.advance(6_000);
    expect(muster.health().members).toMatchObject([{ group: 'cron', problem: expect.stringMatching(/nobody/) }]);
    await clock.advance(3_000);
    expect(failure).toMatchObject({ code: 'TIMEOUT', message: expect.stringMatching(/nobody coordinates/) });
  });
});

describe('waiting for partitions', () => {
  it('resolves at once where there are some, and later where they come with a later round', async () => {
    const { consume, coordinator, reassign } = consumerScene();
    coordinator.assigned = [];
    const consumer = await consume();
    expect(consumer.assignment()).toEqual([]);
    const waiting = consumer.assigned();
    await reassign([{ topic: 'orders', partition: 2 }]);
    expect(await waiting).toEqual([{ topic: 'orders', partition: 2 }]);
    expect(await consumer.assigned()).toHaveLength(1);
    await consumer.close();
    await expect(consumer.assigned()).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it('ends with its time, its signal or the consumer', async () => {
    const { consume, coordinator, clock } = consumerScene();
    coordinator.assigned = [];
    const consumer = await consume();
    const outcomes: unknown[] = [];
    const note = (thrown: { code?: string; message?: string }) => void outcomes.push(thrown.code);
    const stop = new AbortController();
    consumer.assigned({ timeoutMs: 1_000 }).catch(note);
    consumer.assigned({ signal: stop.signal }).catch(note);
    consumer.assigned().catch(note);
    await clock.advance(1_100);
    stop.abort();
    await clock.advance(1);
    await consumer.close();
    await clock.advance(1);
    expect(outcomes).toEqual(['TIMEOUT', 'CANCELLED', 'CLOSED']);
  });
});
