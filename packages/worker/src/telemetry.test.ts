import {
  type Context,
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  type SpanOptions,
  trace,
} from '@opentelemetry/api';
import { afterEach, describe, expect, it } from 'vitest';
import { consumerScene } from '../test/consumer-scene.js';
import { silentLogger } from './logger.js';
import { openTelemetry } from './telemetry.js';

/** A tracer that writes spans down, and a propagation of one header: the parts of an SDK that count here. */
function record() {
  const spans: { name: string; options: SpanOptions; parent: string | undefined; isEnded: boolean; error?: string }[] =
    [];
  trace.setGlobalTracerProvider({
    getTracer: () => ({
      startSpan(name: string, options: SpanOptions = {}, parent?: Context): Span {
        const entry = { name, options, parent: parent && trace.getSpanContext(parent)?.spanId, isEnded: false };
        const at = spans.push(entry);
        const span: Partial<Span> = {
          spanContext: () => ({ traceId: 't'.repeat(32), spanId: `span${at}`, traceFlags: 1 }),
          recordException: (thrown) => Object.assign(entry, { error: String(thrown) }),
          setStatus: () => span as Span,
          setAttribute: () => span as Span,
          end: () => void Object.assign(entry, { isEnded: true }),
        };
        return span as Span;
      },
      startActiveSpan: () => {
        throw new Error('not used');
      },
    }),
  });
  let active: Context = ROOT_CONTEXT;
  context.setGlobalContextManager({
    active: () => active,
    with: (inner, run, self, ...args) => {
      const outer = active;
      active = inner;
      try {
        return run.call(self as never, ...args);
      } finally {
        active = outer;
      }
    },
    bind: (_, target) => target,
    enable() {
      return this;
    },
    disable() {
      return this;
    },
  });
  propagation.setGlobalPropagator({
    inject: (from, carrier) => Object.assign(carrier as object, { traceparent: trace.getSpanContext(from)?.spanId }),
    extract: (into, carrier) => {
      const spanId = (carrier as Record<string, string>)['traceparent'];
      return spanId === undefined
        ? into
        : trace.setSpanContext(into, { traceId: 't'.repeat(32), spanId, traceFlags: 1 });
    },
    fields: () => ['traceparent'],
  });
  return spans;
}

afterEach(() => {
  trace.disable();
  context.disable();
  propagation.disable();
});

describe('OpenTelemetry', () => {
  it('makes a span for each send and each handler, the second a child of the first over the message', async () => {
    const spans = record();
    const telemetry = await openTelemetry(silentLogger);
    const { consume, muster, clock } = consumerScene({ telemetry });
    const consumer = await consume();
    const producer = await muster.producer({ topic: 'orders' });
    await producer.send({ key: 'a', partition: 0, value: 1 });
    void consumer.run({ eachMessage: () => {} });
    await clock.advance(100);
    expect(spans).toMatchObject([
      { name: 'send orders', isEnded: true, options: { kind: 3 } },
      {
        name: 'process orders',
        parent: 'span1',
        isEnded: true,
        options: {
          kind: 4,
          attributes: {
            'messaging.system': 'nats',
            'messaging.operation.type': 'process',
            'messaging.destination.name': 'orders',
            'messaging.destination.partition.id': '0',
            'messaging.consumer.group.name': 'billing',
          },
        },
      },
    ]);
  });

  it('writes down what a handler threw, and links a batch to every sender', async () => {
    const spans = record();
    const telemetry = await openTelemetry(silentLogger);
    const message = { topic: 'orders', partition: 1, headers: { traceparent: 'sender' } };
    const handled = telemetry.handle('g', [message, message], () => Promise.reject(new Error('no')));
    await expect(handled).rejects.toThrow('no');
    expect(spans[0]).toMatchObject({ error: 'Error: no', isEnded: true });
    expect(spans[0]?.options.links).toHaveLength(2);
  });
});
