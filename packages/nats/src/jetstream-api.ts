/**
 * Calls of the JetStream API as values: done, refused with a code, or not available now.
 *
 * Does not retry. Used where the client's own manager throws one error class for everything (it writes "503" both for "no
 * responders" and for API errors with that HTTP status).
 */

import type { NatsConnection } from 'nats';
import { linkOf } from './link.js';
import { inboxOf } from './request-inbox.js';

/** The JSON object of an answer. */
export type JsonMap = { readonly [key: string]: unknown };

export type ApiAnswer =
  | { readonly kind: 'ok'; readonly body: JsonMap }
  /** The API's own error: `code` is JetStream's, such as 10059 for "stream not found". */
  | { readonly kind: 'error'; readonly code: number; readonly description: string }
  /** No answer, or an answer that says that there is no leader: nothing is known. */
  | { readonly kind: 'unavailable'; readonly cause: string };

/** Error codes used by name. */
export const API_ERROR = {
  /** No quorum or no leader now. */
  unavailable: 10008,
  /** Right after the start of a cluster: its servers do not know each other yet. */
  noSuitablePeers: 10005,
  consumerNotFound: 10014,
  messageNotFound: 10037,
  streamNameInUse: 10058,
  streamNotFound: 10059,
  wrongLastSequence: 10071,
  /** Another conditional write of this subject is in flight at the leader. */
  writeInFlight: 10164,
} as const;

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const NOTHING = new Uint8Array(0);

export class JetStreamApi {
  readonly #nc: NatsConnection;
  /** Of the JetStream that the connection is for. */
  readonly prefix: string;

  constructor(nc: NatsConnection) {
    this.#nc = nc;
    this.prefix = linkOf(nc).apiPrefix;
  }

  /** @param path what follows the prefix, such as `STREAM.INFO.orders` */
  async call(path: string, body: object | undefined, timeoutMs: number): Promise<ApiAnswer> {
    const payload = body === undefined ? NOTHING : encoder.encode(JSON.stringify(body));
    const answer = await inboxOf(this.#nc).ask(`${this.prefix}.${path}`, payload, timeoutMs);
    return answer.kind === 'reply' ? readApiAnswer(answer.payload) : { kind: 'unavailable', cause: answer.kind };
  }
}

/** Reads an answer of the API or the acknowledgement of a publish. */
export function readApiAnswer(payload: Uint8Array): ApiAnswer {
  const body = parseJson(payload);
  if (!isMap(body)) return { kind: 'unavailable', cause: 'the answer is no JSON object' };
  const { error } = body;
  if (!isMap(error)) return { kind: 'ok', body };
  const code = numberIn(error, 'err_code') ?? 0;
  const description = textIn(error, 'description') ?? `error ${code}`;
  return code === API_ERROR.unavailable
    ? { kind: 'unavailable', cause: description }
    : { kind: 'error', code, description };
}

/** @returns the number at the key, or undefined where there is none */
export function numberIn(map: JsonMap, key: string): number | undefined {
  const value = map[key];
  return typeof value === 'number' ? value : undefined;
}

/** @returns the text at the key, or undefined where there is none */
export function textIn(map: JsonMap, key: string): string | undefined {
  const value = map[key];
  return typeof value === 'string' ? value : undefined;
}

export function isMap(value: unknown): value is JsonMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseJson(payload: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(payload));
  } catch {
    return undefined;
  }
}
