/**
 * Moves messages that cannot be handled into another topic: the same bytes and key, with headers that say where from and why.
 *
 * X1 a message counts as handled only after JetStream has stored its dead letter; sent again under the same id it is stored once.
 * X2 while JetStream does not answer it is tried again, at most every `RETRY_MOST_MS`, for as long as the partition is owned and at most
 *    the policy's `timeoutMs`; a refusal ends it. Meanwhile the lane stands still and says why.
 * X3 nobody waits for it: a hand-over or a close ends the trying, and the next owner gets the message.
 */

import { backoffMs, type Environment } from './clock.js';
import type { Delivery } from './delivery.js';
import { asMusterError, type HandlerFailedError, MusterError } from './errors.js';
import { type DeadLetterPolicy, failureText } from './failure-policy.js';
import type { PublishOutcome, Streams } from './streams.js';
import { hasKeyInSubject, KEY_HEADER, type Key, keyOf, keyTokens, messageSubject, partitionOfKey } from './topic.js';
import type { Topics } from './topics.js';
import { pause, withinMs } from './waiting.js';

const TIMEOUT_MS = 5_000;
const RETRY_LEAST_MS = 100;
const RETRY_MOST_MS = 5_000;

export interface DeadLettersOptions {
  readonly group: string;
  readonly topics: Topics;
  readonly streams: Streams;
  readonly environment: Environment;
  /** JetStream does not take a dead letter: the lane stands still. Once for each. */
  onWaiting(delivery: Delivery, problem: string): void;
}

type Letter = Parameters<Streams['publish']>[0];

export class DeadLetters {
  readonly #options: DeadLettersOptions;

  constructor(options: DeadLettersOptions) {
    this.#options = options;
  }

  /**
   * @returns false where the ownership ended, or somebody waited for it, before it was stored; throws MusterError STREAM_REFUSED,
   *   UNKNOWN_TOPIC, TIMEOUT
   */
  async send(to: DeadLetterPolicy, delivery: Delivery, error: HandlerFailedError, attempts: number): Promise<boolean> {
    const { environment, onWaiting } = this.#options;
    const { lane, place } = delivery;
    const { clock } = environment;
    const giveUpAtMs = clock.now() + (to.timeoutMs ?? Number.POSITIVE_INFINITY);
    try {
      for (let failures = 0; !lane.signal.aborted; failures += 1) {
        const outcome = await this.#try(to.topic, delivery, error, attempts);
        if (outcome.kind === 'stored') return true;
        if (outcome.kind === 'refused') throw new MusterError('STREAM_REFUSED', `${to.topic}: ${outcome.reason}`);
        if (lane.handover.aborted) return false;
        const problem = `the dead letter of offset ${place.offset} waits for topic ${to.topic}: ${outcome.reason}`;
        if (clock.now() >= giveUpAtMs) throw new MusterError('TIMEOUT', `${problem}, for ${to.timeoutMs} ms`);
        if (failures === 0) onWaiting(delivery, problem);
        lane.hold(problem);
        const delayMs = backoffMs(failures, RETRY_LEAST_MS, RETRY_MOST_MS, environment.random);
        await pause(clock, Math.min(delayMs, giveUpAtMs - clock.now()), lane.handover);
      }
      return false;
    } finally {
      lane.hold(undefined);
    }
  }

  async #try(topic: string, delivery: Delivery, error: HandlerFailedError, attempts: number): Promise<PublishOutcome> {
    const { streams, environment } = this.#options;
    try {
      const letter = await this.#letter(topic, delivery, error, attempts);
      const { signal } = delivery.lane;
      const outcome = await withinMs(environment.clock, TIMEOUT_MS, streams.publish(letter), signal);
      return outcome.kind === 'done' ? outcome.value : { kind: 'unavailable', reason: 'JetStream did not answer' };
    } catch (thrown) {
      // The registry is in JetStream, too.
      const problem = asMusterError(thrown, 'STREAM_UNAVAILABLE');
      if (!problem.retriable) throw problem;
      return { kind: 'unavailable', reason: problem.message };
    }
  }

  async #letter(name: string, delivery: Delivery, error: HandlerFailedError, attempts: number): Promise<Letter> {
    const { topics, group } = this.#options;
    const { message, lane } = delivery;
    const target = await topics.describe(name);
    const source = `${lane.topic.name}/${lane.partition}/${message.offset}`;
    const key = keyOf(lane.topic, message.subject, message.headers[KEY_HEADER]);
    const partition = key === undefined ? lane.partition % target.partitions : partitionOfKey(target, key);
    return {
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
  }
}

function keyHeader(key: Key | undefined): Record<string, string> {
  return key === undefined ? {} : { [KEY_HEADER]: keyTokens(key).join('.') };
}
