/**
 * What `consumer.run` may be told.
 */

import type { Batch } from './batch.js';
import { MusterError } from './errors.js';
import type { Message } from './message.js';
import type { Handling } from './runner.js';

const BATCH_MESSAGES = 100;

interface ConcurrencyOptions {
  /** Handlers side by side, each of another partition. Default 16. */
  readonly concurrency?: number;
}

export interface MessageRunOptions<Value> extends ConcurrencyOptions {
  /** Resolves: handled. Throws: the failure policy decides. */
  readonly eachMessage: (message: Message<Value>) => Promise<void> | void;
}

export interface BatchRunOptions<Value> extends ConcurrencyOptions {
  /** Resolves: all of it is handled. Throws: the failure policy decides about what was not acked before. */
  readonly eachBatch: (batch: Batch<Value>) => Promise<void> | void;
  /** Messages of a batch at most; it never waits for more. Default 100. */
  readonly batchMessages?: number;
}

/** How messages are handled: one by one, or several of one partition together. */
export type RunOptions<Value> = MessageRunOptions<Value> | BatchRunOptions<Value>;

/** @returns the handler as the runner calls it; throws MusterError INVALID_ARGUMENT where there is none */
export function handlingOf<Value>(options: RunOptions<Value>): Handling<Value> {
  // A program without types may name both and give one.
  if ('eachBatch' in options && options.eachBatch !== undefined) {
    return { kind: 'batch', size: options.batchMessages ?? BATCH_MESSAGES, run: options.eachBatch };
  }
  if ('eachMessage' in options) return { kind: 'message', run: options.eachMessage };
  throw new MusterError('INVALID_ARGUMENT', 'run: either eachMessage or eachBatch');
}
