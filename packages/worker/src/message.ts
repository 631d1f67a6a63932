/**
 * A message as the application sees it: value, where it comes from, and under which ownership.
 */

import type { Generation, MemberId } from '@muster/protocol';
import type { Codec } from './codecs.js';
import type { Delivery } from './delivery.js';
import { HandlerFailedError } from './errors.js';
import type { Headers } from './streams.js';
import { KEY_HEADER, type Key, keyOf } from './topic.js';

export interface Message<Value> {
  readonly value: Value;
  /** Several subject tokens as a list; undefined where the producer gave none. */
  readonly key: Key | undefined;
  readonly headers: Headers;
  readonly topic: string;
  readonly partition: number;
  /** The stream sequence. Commits name the next one; that is done here, never by the application. */
  readonly offset: number;
  /** When it was stored, wall clock. */
  readonly timestampMs: number;
  /** The generation under which it was delivered: a fencing token that never repeats within a group. */
  readonly generation: Generation;
  readonly memberId: MemberId;
  /** Aborts when the partition is no longer owned, or the handler's time is over: what it does then, another may do too. */
  readonly signal: AbortSignal;
  /** Aborts when somebody waits for this handler: a rebalance takes the partition away. Finish soon; commits still work. */
  readonly handover: AbortSignal;
  /** Marks the message as handled; the commit follows by policy. */
  ack(): void;
  /** Marks it and commits now. Throws MusterError COMMIT_REFUSED when ownership was lost, COMMIT_POSTPONED, or a refusal. */
  commit(): Promise<void>;
}

/** What a delivery needs to become a message. */
export interface MessageContext<Value> {
  readonly codec: Codec<Value>;
  readonly generation: Generation;
  readonly memberId: MemberId;
  commit(delivery: Delivery): Promise<void>;
}

/** @returns the message; throws HandlerFailedError DECODE_FAILED */
export function toMessage<Value>(delivery: Delivery, context: MessageContext<Value>): Message<Value> {
  const { lane, message } = delivery;
  const { topic, partition } = lane;
  return {
    value: decoded(delivery, context.codec),
    key: keyOf(topic, message.subject, message.headers[KEY_HEADER]),
    headers: message.headers,
    topic: topic.name,
    partition,
    offset: message.offset,
    timestampMs: message.timestampMs,
    generation: context.generation,
    memberId: context.memberId,
    get signal() {
      return delivery.signal;
    },
    get handover() {
      return delivery.handover;
    },
    ack: () => delivery.ack(),
    commit: () => {
      delivery.ack();
      return context.commit(delivery);
    },
  };
}

function decoded<Value>({ lane, message }: Delivery, codec: Codec<Value>): Value {
  try {
    return synchronous(codec.decode(message.payload));
  } catch (cause) {
    const place = { topic: lane.topic.name, partition: lane.partition, offset: message.offset };
    throw new HandlerFailedError('DECODE_FAILED', place, cause);
  }
}

/** A codec of a program without types may be asynchronous, as those of schema registries are: its promise is no value. */
function synchronous<Value>(value: Value): Value {
  const then: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, 'then') : undefined;
  if (typeof then !== 'function') return value;
  if (value instanceof Promise) value.catch(() => {});
  throw new TypeError('the codec gave a promise: codecs are synchronous, await in the handler what takes time');
}
