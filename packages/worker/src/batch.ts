/**
 * Several messages of one partition, handled together.
 */

import type { Generation, MemberId } from '@muster/protocol';
import type { Message } from './message.js';

export interface Batch<Value> {
  readonly topic: string;
  readonly partition: number;
  /** In offset order, at least one. */
  readonly messages: readonly Message<Value>[];
  readonly generation: Generation;
  readonly memberId: MemberId;
  /** Aborts when the partition is no longer owned, or the time of the handler is over. */
  readonly signal: AbortSignal;
  /** Aborts when the group waits for this handler. */
  readonly handover: AbortSignal;
  /** Marks everything up to and including this message as handled; without one, the whole batch. */
  ack(upTo?: Message<Value>): void;
}

/** @returns the batch of these messages, of which there is at least one; undefined for none */
export function batchOf<Value>(messages: readonly Message<Value>[]): Batch<Value> | undefined {
  const last = messages.at(-1);
  if (last === undefined) return undefined;
  const { topic, partition, generation, memberId } = last;
  return {
    topic,
    partition,
    messages,
    generation,
    memberId,
    // Asked for only where they are used: the signals of a message are made then.
    get signal() {
      return last.signal;
    },
    get handover() {
      return last.handover;
    },
    ack: (upTo = last) => {
      for (const message of messages) if (message.offset <= upTo.offset) message.ack();
    },
  };
}
