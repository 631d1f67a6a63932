/**
 * Metrics by OpenTelemetry's messaging conventions: messages sent and consumed, time of operations and of handlers, and the lag, for which
 * the conventions have no name.
 *
 * Measures only: whether anything is measured at all is decided in telemetry.ts.
 */

import type { Attributes, Counter, Histogram, Meter, ObservableGauge, ObservableResult } from '@opentelemetry/api';
import type { Clock } from './clock.js';
import { MusterError } from './errors.js';
import type { LagReading, TimedOperation } from './measured.js';

const MS_PER_SECOND = 1_000;
/** The conventions' buckets, in seconds. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

/** @returns `error.type` of what was thrown: a code where there is one, never a text */
export function errorType(thrown: unknown): string {
  if (thrown instanceof MusterError) return thrown.code;
  return thrown instanceof Error ? thrown.name : '_OTHER';
}

export class MessagingMetrics {
  readonly #clock: Clock;
  readonly #sent: Counter;
  readonly #consumed: Counter;
  readonly #operations: Histogram;
  readonly #processing: Histogram;
  readonly #lag: ObservableGauge;

  constructor(meter: Meter, clock: Clock) {
    const seconds = { unit: 's', advice: { explicitBucketBoundaries: SECONDS } };
    this.#clock = clock;
    this.#sent = meter.createCounter('messaging.client.sent.messages', {
      unit: '{message}',
      description: 'Messages that a producer tried to send',
    });
    this.#consumed = meter.createCounter('messaging.client.consumed.messages', {
      unit: '{message}',
      description: 'Messages handed to the application',
    });
    this.#operations = meter.createHistogram('messaging.client.operation.duration', {
      ...seconds,
      description: 'Time of an operation at NATS or at a coordinator',
    });
    this.#processing = meter.createHistogram('messaging.process.duration', {
      ...seconds,
      description: 'Time of a handler call',
    });
    this.#lag = meter.createObservableGauge('muster.consumer.lag', {
      unit: '{message}',
      description: 'Messages of an owned partition that are not handled yet',
    });
  }

  consumed(group: string, place: { readonly topic: string; readonly partition: number }): void {
    this.#consumed.add(1, attributesOf({ name: 'process', group, ...place }));
  }

  /** Times a handler call for one message or one batch of a partition. */
  async processing(
    group: string,
    { topic, partition }: { readonly topic: string; readonly partition: number },
    run: () => Promise<void> | void,
  ): Promise<void> {
    const what = { name: 'process', type: 'process', group, topic, partition };
    await this.#timed(this.#processing, attributesOf(what), async () => await run());
  }

  async operation<Result>(
    what: TimedOperation,
    run: () => Promise<Result>,
    errorOf?: (result: Result) => string | undefined,
  ): Promise<Result> {
    const attributes = attributesOf(what);
    const count = (error?: string) => {
      if (what.name === 'send') this.#sent.add(1, error === undefined ? attributes : withError(attributes, error));
    };
    return await this.#timed(this.#operations, attributes, run, errorOf, count);
  }

  observeLag(group: string, read: () => Iterable<LagReading>): () => void {
    const observe = (result: ObservableResult) => {
      for (const { topic, partition, messages } of read()) {
        const { 'messaging.operation.name': _, ...attributes } = attributesOf({ name: '', group, topic, partition });
        result.observe(messages, attributes);
      }
    };
    this.#lag.addCallback(observe);
    return () => this.#lag.removeCallback(observe);
  }

  async #timed<Result>(
    histogram: Histogram,
    attributes: Attributes,
    run: () => Promise<Result>,
    errorOf: (result: Result) => string | undefined = () => undefined,
    count: (error?: string) => void = () => {},
  ): Promise<Result> {
    const startedAtMs = this.#clock.now();
    const end = (error: string | undefined) => {
      const seconds = (this.#clock.now() - startedAtMs) / MS_PER_SECOND;
      histogram.record(seconds, error === undefined ? attributes : withError(attributes, error));
      count(error);
    };
    try {
      const result = await run();
      end(errorOf(result));
      return result;
    } catch (thrown) {
      end(errorType(thrown));
      throw thrown;
    }
  }
}

interface Described {
  readonly name: string;
  readonly type?: string;
  readonly group?: string;
  readonly topic?: string;
  readonly partition?: number;
}

function attributesOf({ name, type, group, topic, partition }: Described): Attributes {
  return {
    'messaging.system': 'nats',
    'messaging.operation.name': name,
    ...(type === undefined ? {} : { 'messaging.operation.type': type }),
    ...(group === undefined ? {} : { 'messaging.consumer.group.name': group }),
    ...(topic === undefined ? {} : { 'messaging.destination.name': topic }),
    ...(partition === undefined ? {} : { 'messaging.destination.partition.id': String(partition) }),
  };
}

function withError(attributes: Attributes, error: string): Attributes {
  return { ...attributes, 'error.type': error };
}
