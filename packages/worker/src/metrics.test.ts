import {
  type Attributes,
  type Meter,
  type MetricOptions,
  metrics,
  type ObservableCallback,
  type ObservableResult,
} from '@opentelemetry/api';
import { afterEach, describe, expect, it } from 'vitest';
import { consumerScene } from '../test/consumer-scene.js';
import { virtualEnvironment } from '../test/virtual-clock.js';
import { MusterError } from './errors.js';
import { silentLogger } from './logger.js';
import { openTelemetry } from './telemetry.js';

interface Measured {
  readonly name: string;
  readonly value: number;
  readonly attributes: Attributes;
}

/** A meter that writes down what is measured: the parts of an SDK that count here. */
function record() {
  const measured: Measured[] = [];
  const instruments = new Map<string, MetricOptions>();
  const callbacks = new Map<string, Set<ObservableCallback>>();
  const instrument = (name: string, options: MetricOptions = {}) => {
    instruments.set(name, options);
    const write = (value: number, attributes: Attributes = {}) => void measured.push({ name, value, attributes });
    const observers = new Set<ObservableCallback>();
    callbacks.set(name, observers);
    return {
      add: write,
      record: write,
      addCallback: (callback: ObservableCallback) => void observers.add(callback),
      removeCallback: (callback: ObservableCallback) => void observers.delete(callback),
    };
  };
  const meter: Partial<Meter> = {
    createCounter: instrument,
    createHistogram: instrument,
    createObservableGauge: instrument,
  };
  metrics.setGlobalMeterProvider({ getMeter: () => meter as Meter });
  const of = (name: string) => measured.filter((entry) => entry.name === name);
  const collect = (name: string) => {
    const seen: Measured[] = [];
    const result: ObservableResult = {
      observe: (value, attributes = {}) => void seen.push({ name, value, attributes }),
    };
    for (const callback of callbacks.get(name) ?? []) callback(result);
    return seen;
  };
  const observers = () => [...callbacks.values()].reduce((sum, { size }) => sum + size, 0);
  return { instruments, of, collect, observers };
}

afterEach(() => {
  metrics.disable();
});

const place = {
  'messaging.system': 'nats',
  'messaging.consumer.group.name': 'billing',
  'messaging.destination.name': 'orders',
  'messaging.destination.partition.id': '0',
};

describe('metrics by the messaging conventions', () => {
  it('have their names and units', async () => {
    const { instruments } = record();
    await openTelemetry(silentLogger);
    expect([...instruments].map(([name, { unit }]) => `${name} ${unit}`).sort()).toEqual([
      'messaging.client.consumed.messages {message}',
      'messaging.client.operation.duration s',
      'messaging.client.sent.messages {message}',
      'messaging.process.duration s',
      'muster.consumer.lag {message}',
    ]);
  });

  it('count what a consumer is given, and time its handlers, commits, reads and offsets', async () => {
    const { of } = record();
    const environment = virtualEnvironment();
    const telemetry = await openTelemetry(silentLogger, environment.clock);
    const { consume, store, clock } = consumerScene({ telemetry });
    store(0, 1, 2);
    const consumer = await consume();
    void consumer.run({
      eachMessage: () => {
        // The clock of the telemetry: half a second for each.
        environment.clock.jump(500);
      },
    });
    await clock.advance(200);
    await consumer.commit();
    const consumed = of('messaging.client.consumed.messages');
    expect(consumed).toHaveLength(2);
    expect(consumed[0]).toMatchObject({ value: 1, attributes: place });
    expect(of('messaging.process.duration')).toMatchObject([
      { value: 0.5, attributes: { ...place, 'messaging.operation.type': 'process' } },
      { value: 0.5 },
    ]);
    const operations = of('messaging.client.operation.duration').map(({ attributes }) => attributes);
    const named = (name: string) => operations.filter((one) => one['messaging.operation.name'] === name);
    expect(named('fetch_offsets')).toMatchObject([{ 'messaging.consumer.group.name': 'billing' }]);
    expect(named('subscribe')).toHaveLength(2);
    expect(named('commit')[0]).toEqual({
      'messaging.system': 'nats',
      'messaging.operation.name': 'commit',
      'messaging.operation.type': 'settle',
      'messaging.consumer.group.name': 'billing',
    });
    await consumer.close();
  });

  it('say the code of an error: of a handler, of a commit that was refused, of a send', async () => {
    const { of } = record();
    const telemetry = await openTelemetry(silentLogger);
    const { consume, store, clock, coordinator, muster, streams } = consumerScene({ telemetry });
    store(0, 1);
    const consumer = await consume({ onFailure: { kind: 'skip' } });
    void consumer.run({
      eachMessage: () => {
        throw new MusterError('QUEUE_FULL');
      },
    });
    await clock.advance(200);
    expect(of('messaging.process.duration')).toMatchObject([{ attributes: { 'error.type': 'QUEUE_FULL' } }]);
    coordinator.script.commit = () => 'GROUP_AUTHORIZATION_FAILED';
    await expect(consumer.commit()).rejects.toMatchObject({ code: 'GROUP_AUTHORIZATION_FAILED' });
    const commits = of('messaging.client.operation.duration').filter(
      ({ attributes }) => attributes['messaging.operation.name'] === 'commit',
    );
    expect(commits.at(-1)?.attributes).toMatchObject({ 'error.type': 'GROUP_AUTHORIZATION_FAILED' });
    delete coordinator.script.commit;

    const producer = await muster.producer({ topic: 'orders' });
    await producer.send({ key: 'a', value: 1 });
    streams.onPublish = () => ({ kind: 'refused', reason: 'full' });
    await expect(producer.send({ key: 'a', value: 1 })).rejects.toMatchObject({ code: 'STREAM_REFUSED' });
    const sent = of('messaging.client.sent.messages').map(({ attributes }) => attributes['error.type']);
    expect(sent).toEqual([undefined, 'STREAM_REFUSED']);
    await consumer.close();
  });

  it('give the lag of each owned partition whenever they are collected, until the consumer is closed', async () => {
    const { collect, observers } = record();
    const telemetry = await openTelemetry(silentLogger);
    const { consume, store, clock } = consumerScene({ telemetry });
    store(0, 1, 2, 3);
    const consumer = await consume();
    await clock.advance(100);
    const { 'messaging.system': _, ...where } = place;
    expect(collect('muster.consumer.lag')).toMatchObject([
      { value: 3, attributes: where },
      { value: 0, attributes: { ...where, 'messaging.destination.partition.id': '1' } },
    ]);
    void consumer.run({ eachMessage: () => {} });
    await clock.advance(100);
    expect(collect('muster.consumer.lag').map(({ value }) => value)).toEqual([0, 0]);
    await consumer.close();
    expect(observers()).toBe(0);
  });
});
