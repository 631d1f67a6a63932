/**
 * Moves messages that cannot be handled into another topic: the same bytes and key, with headers that say where from and why.
 *
 * X1 a message counts as handled only after JetStream has stored its dead letter; sent again under the same id it is stored once.
 * X2 while JetStream does not answer it is tried again for as long as the partition is owned; a refusal ends it.
 */

import { backoffMs, type Environment } from './clock.js';
import type { Delivery } from './delivery.js';
import { type HandlerFailedError, MusterError } from './errors.js';
import { failureText } from './failure-policy.js';
import type { Streams } from './streams.js';
import { hasKeyInSubject, KEY_HEADER, type Key, keyOf, keyTokens, messageSubject, partitionOfKey } from './topic.js';
import type { Topics } from './topics.js';
import { pause } from './waiting.js';

const TIMEOUT_MS = 5_000;
const RETRY_LEAST_MS = 100;
const RETRY_MOST_MS = 5_000;

export interface DeadLettersOptions {
  readonly group: string;
  readonly topics: Topics;
  readonly streams: Streams;
  readonly environment: Environment;
}

export class DeadLetters {
  readonly #options: DeadLettersOptions;

  constructor(options: DeadLettersOptions) {
    this.#options = options;
  }

  /**
   * @returns false where the ownership ended before it was stored; throws MusterError STREAM_REFUSED, UNKNOWN_TOPIC
   */
  async send(topicName: string, delivery: Delivery, error: HandlerFailedError, attempts: number): Promise<boolean> {
    const { topics, streams, environment, group } = this.#options;
    const { message, lane } = delivery;
    const target = await topics.describe(topicName);
    const source = `${lane.topic.name}/${lane.partition}/${message.offset}`;
    const key = keyOf(lane.topic, message.subject, message.headers[KEY_HEADER]);
    const partition = key === undefined ? lane.partition % target.partitions : partitionOfKey(target, key);
    const letter = {
      subject: messageSubject(target, partition, key),
      payload: message.payload,
      messageId: `dead:${group}:${source}`,
      timeoutMs: TIMEOUT_MS,
      headers: {
        ...message.headers,
        ...keyHeader(hasKeyInSubject(target) ? undefined : key),
        'Muster-Dead-Group': group,
        'Muster-Dead-Source': source,
        'Muster-Dead-Code': error.code,
        'Muster-Dead-Error': failureText(error),
        'Muster-Dead-Attempts': String(attempts),
      },
    };
    for (let failures = 0; !lane.signal.aborted; failures += 1) {
      const outcome = await streams.publish(letter);
      if (outcome.kind === 'stored') return true;
      if (outcome.kind === 'refused') throw new MusterError('STREAM_REFUSED', `${topicName}: ${outcome.reason}`);
      const delayMs = backoffMs(failures, RETRY_LEAST_MS, RETRY_MOST_MS, environment.random);
      await pause(environment.clock, delayMs, lane.signal);
    }
    return false;
  }
}

function keyHeader(key: Key | undefined): Record<string, string> {
  return key === undefined ? {} : { [KEY_HEADER]: keyTokens(key).join('.') };
}
