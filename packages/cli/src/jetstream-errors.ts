/**
 * JetStream's own error codes, as far as a command acts on them.
 */

import { type JetStreamManager, NatsError, type StoredMsg } from 'nats';

const NO_MESSAGE = 10_037;
/** JetStream's error code for a stream that does not exist. */
export const NO_STREAM = 10_059;

/** @returns the last message of the subject; undefined where there is none, or no such stream */
export async function messageOrNothing(
  jetstream: JetStreamManager,
  stream: string,
  subject: string,
): Promise<StoredMsg | undefined> {
  try {
    return await jetstream.streams.getMessage(stream, { last_by_subj: subject });
  } catch (thrown) {
    const code = apiErrorOf(thrown);
    if (code === NO_MESSAGE || code === NO_STREAM) return undefined;
    throw thrown;
  }
}

/** @returns JetStream's own error code; undefined where something else failed */
export function apiErrorOf(thrown: unknown): number | undefined {
  return thrown instanceof NatsError ? thrown.api_error?.err_code : undefined;
}
