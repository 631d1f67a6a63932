/**
 * Spans and metrics for messages sent and handled, by OpenTelemetry's messaging conventions. `@opentelemetry/api` is an optional peer:
 * without it, or without asking for it, nothing is traced or measured and nothing is imported.
 *
 * The metrics themselves: metrics.ts.
 */

import type { Attributes, Context, Span, SpanKind } from '@opentelemetry/api';
import { type Clock, systemClock } from './clock.js';
import { messageOf } from './errors.js';
import type { Logger } from './logger.js';
import type { LagReading, TimedOperation } from './measured.js';
import { errorType, MessagingMetrics } from './metrics.js';
import type { Headers } from './streams.js';

/** What a traced message is. */
export interface TracedMessage {
  readonly topic: string;
  readonly partition: number;
  readonly offset?: number;
  readonly headers: Headers;
}

export interface Telemetry {
  /** Runs a handler inside a span whose parent is the sender's. A batch is one span with a link to each sender. */
  handle(group: string, messages: readonly TracedMessage[], run: () => Promise<void> | void): Promise<void> | void;
  /** Runs a send inside a span; `headers` carry it on. */
  send<Result>(message: TracedMessage, run: (headers: Headers) => Promise<Result>): Promise<Result>;
  /** Counts a message that is handed to the application. */
  consumed(group: string, place: { readonly topic: string; readonly partition: number }): void;
  /** Times an operation; `errorOf` says what is wrong with a result that is an error without being thrown. */
  operation<Result>(
    what: TimedOperation,
    run: () => Promise<Result>,
    errorOf?: (result: Result) => string | undefined,
  ): Promise<Result>;
  /** Reads the lag of a consumer's partitions whenever metrics are collected. @returns how to stop */
  observeLag(group: string, read: () => Iterable<LagReading>): () => void;
}

export const noTelemetry: Telemetry = {
  handle: (_group, _messages, run) => run(),
  send: (message, run) => run(message.headers),
  consumed: () => {},
  operation: (_what, run) => run(),
  observeLag: () => () => {},
};

const INSTRUMENTATION = '@muster/worker';

type Api = typeof import('@opentelemetry/api');

/** @returns spans and metrics through the globally registered providers; without the package, none and a warning */
export async function openTelemetry(logger: Logger, clock: Clock = systemClock): Promise<Telemetry> {
  try {
    return new OpenTelemetry(await import('@opentelemetry/api'), clock);
  } catch (thrown) {
    logger.warn('no telemetry: @opentelemetry/api cannot be loaded', { error: messageOf(thrown) });
    return noTelemetry;
  }
}

class OpenTelemetry implements Telemetry {
  readonly #api: Api;
  readonly #metrics: MessagingMetrics;

  constructor(api: Api, clock: Clock) {
    this.#api = api;
    this.#metrics = new MessagingMetrics(api.metrics.getMeter(INSTRUMENTATION), clock);
  }

  consumed(group: string, place: { readonly topic: string; readonly partition: number }): void {
    this.#metrics.consumed(group, place);
  }

  operation<Result>(
    what: TimedOperation,
    run: () => Promise<Result>,
    errorOf?: (result: Result) => string | undefined,
  ): Promise<Result> {
    return this.#metrics.operation(what, run, errorOf);
  }

  observeLag(group: string, read: () => Iterable<LagReading>): () => void {
    return this.#metrics.observeLag(group, read);
  }

  handle(group: string, messages: readonly TracedMessage[], run: () => Promise<void> | void): Promise<void> | void {
    const { context, propagation, trace, SpanKind } = this.#api;
    const [first] = messages;
    if (first === undefined) return run();
    const senders = messages.map(({ headers }) => propagation.extract(context.active(), headers));
    const isBatch = messages.length > 1;
    const attributes = {
      ...attributesOf(first, 'process', 'process'),
      'messaging.consumer.group.name': group,
      ...(isBatch ? { 'messaging.batch.message_count': messages.length } : {}),
    };
    const links = isBatch ? senders.flatMap((sender) => linkTo(trace.getSpanContext(sender))) : [];
    const parent = isBatch ? context.active() : (senders[0] ?? context.active());
    const traced = () =>
      this.#inside(`process ${first.topic}`, { kind: SpanKind.CONSUMER, attributes, links }, parent, run);
    return this.#metrics.processing(group, first, traced);
  }

  send<Result>(message: TracedMessage, run: (headers: Headers) => Promise<Result>): Promise<Result> {
    const { context, propagation, SpanKind } = this.#api;
    const options = { kind: SpanKind.PRODUCER, attributes: attributesOf(message, 'send', 'send') };
    const traced = () =>
      this.#inside(`send ${message.topic}`, options, context.active(), () => {
        const headers: Record<string, string> = { ...message.headers };
        propagation.inject(context.active(), headers);
        return run(headers);
      });
    const { topic, partition } = message;
    return this.#metrics.operation({ name: 'send', type: 'send', topic, partition }, traced);
  }

  async #inside<Result>(
    name: string,
    options: { kind: SpanKind; attributes: Attributes; links?: { context: ReturnType<Span['spanContext']> }[] },
    parent: Context,
    run: () => Promise<Result> | Result,
  ): Promise<Result> {
    const { context, trace, SpanStatusCode } = this.#api;
    const span = trace.getTracer(INSTRUMENTATION).startSpan(name, options, parent);
    try {
      return await context.with(trace.setSpan(parent, span), run);
    } catch (thrown) {
      span.recordException(thrown instanceof Error ? thrown : String(thrown));
      span.setStatus({ code: SpanStatusCode.ERROR, message: messageOf(thrown) });
      span.setAttribute('error.type', errorType(thrown));
      throw thrown;
    } finally {
      span.end();
    }
  }
}

function attributesOf(message: TracedMessage, operation: string, type: string): Attributes {
  return {
    'messaging.system': 'nats',
    'messaging.operation.name': operation,
    'messaging.operation.type': type,
    'messaging.destination.name': message.topic,
    'messaging.destination.partition.id': String(message.partition),
    ...(message.offset === undefined ? {} : { 'messaging.message.id': String(message.offset) }),
  };
}

function linkTo(context: ReturnType<Span['spanContext']> | undefined) {
  return context === undefined ? [] : [{ context }];
}
