/**
 * The one class of errors that reaches users. `code` is for programs, the message for people, `cause` for both.
 *
 * Codes are the coordinator's (Kafka's names) and the worker's own. A normal rebalance is never an error.
 */

import { type ErrorName, errorCatalogue } from '@muster/protocol';

/** What only the worker can find wrong. */
export const workerErrors = {
  TIMEOUT: { retriable: true, message: 'there was no answer before the deadline' },
  CLOSED: { retriable: false, message: 'it is closed' },
  CANCELLED: { retriable: false, message: 'it was cancelled' },
  CONNECTION_FAILED: { retriable: true, message: 'there is no connection to NATS' },
  INVALID_ARGUMENT: { retriable: false, message: 'an argument is not allowed' },
  UNKNOWN_TOPIC: { retriable: false, message: 'the topic is not in the registry' },
  UNKNOWN_STREAM: { retriable: false, message: 'JetStream has no such stream' },
  PARTITION_COUNT_MISMATCH: { retriable: false, message: 'the partition count does not match the stream' },
  TOPIC_EXISTS: { retriable: false, message: 'the topic exists' },
  STREAM_REFUSED: { retriable: false, message: 'JetStream refused' },
  STREAM_UNAVAILABLE: { retriable: true, message: 'JetStream did not answer' },
  COMMIT_REFUSED: { retriable: false, message: 'the partition is no longer owned: the offset was not committed' },
  COMMIT_POSTPONED: { retriable: true, message: 'the group is rebalancing: the offset is not committed yet' },
  OWNERSHIP_LOST: { retriable: false, message: 'the partition is no longer owned' },
  NOT_ASSIGNED: { retriable: false, message: 'the partition is not assigned to this consumer' },
  HANDLER_FAILED: { retriable: false, message: 'the message handler failed' },
  HANDLER_TIMEOUT: { retriable: false, message: 'the message handler takes longer than maxPollIntervalMs' },
  DEAD_LETTER_FAILED: { retriable: false, message: 'the message could not be moved to the dead-letter topic' },
  DECODE_FAILED: { retriable: false, message: 'the message value could not be decoded' },
  HOOK_FAILED: { retriable: false, message: 'a hook of the application failed' },
  ASSIGNOR_FAILED: { retriable: false, message: 'the assignor gave no valid assignment' },
  NO_COMMITTED_OFFSET: { retriable: false, message: 'the partition has no committed offset' },
  OFFSET_OUT_OF_RANGE: { retriable: false, message: 'the offset is outside of what the stream has' },
  QUEUE_FULL: { retriable: true, message: 'too much is waiting already' },
  INCOMPLETE_ANSWER: { retriable: true, message: 'not every partition of the cluster answered' },
} as const satisfies Record<string, { readonly retriable: boolean; readonly message: string }>;

/** A code of the worker's own. */
export type WorkerErrorCode = keyof typeof workerErrors;
/** Any code of a MusterError. */
export type MusterErrorCode = ErrorName | WorkerErrorCode;

function entryOf(code: MusterErrorCode): { readonly retriable: boolean; readonly message: string } {
  return isWorkerErrorCode(code) ? workerErrors[code] : errorCatalogue[code];
}

function isWorkerErrorCode(code: MusterErrorCode): code is WorkerErrorCode {
  return Object.hasOwn(workerErrors, code);
}

/** Every failure of the library. */
export class MusterError extends Error {
  override readonly name: string = 'MusterError';
  readonly code: MusterErrorCode;
  /** Whether the same call may succeed later without any change. */
  readonly retriable: boolean;

  /**
   * @param code what failed
   * @param detail what it was about; follows the general message of the code
   */
  constructor(code: MusterErrorCode, detail?: string, options?: { readonly cause?: unknown }) {
    const { message, retriable } = entryOf(code);
    super(detail === undefined ? message : `${message}: ${detail}`, options);
    this.code = code;
    this.retriable = retriable;
  }
}

/** A message's place. */
export interface FailedPlace {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** A handler failed for good; says on which message. `cause` is what the handler threw. */
export class HandlerFailedError extends MusterError {
  override readonly name = 'HandlerFailedError';
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;

  constructor(
    code: 'HANDLER_FAILED' | 'HANDLER_TIMEOUT' | 'DECODE_FAILED' | 'DEAD_LETTER_FAILED',
    place: FailedPlace,
    cause: unknown,
  ) {
    super(code, `${place.topic}/${place.partition} at offset ${place.offset}: ${messageOf(cause)}`, { cause });
    this.topic = place.topic;
    this.partition = place.partition;
    this.offset = place.offset;
  }
}

/** @returns the message of anything that was thrown */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** @returns the thrown value itself if it is a MusterError, else one that carries it as cause */
export function asMusterError(thrown: unknown, code: MusterErrorCode): MusterError {
  return thrown instanceof MusterError ? thrown : new MusterError(code, messageOf(thrown), { cause: thrown });
}
