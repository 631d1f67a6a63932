/**
 * Envelopes: what every request and every reply carries besides the fields of its API.
 *
 * Request `{ v, id, deadlineMs, epoch, log, ...fields }`, reply `{ v, id, error, detail, retryAfterMs, epoch, log, node,
 * ...fields }`: flat msgpack maps. Parsing never throws: bad input is a refusal that says what was wrong and what is allowed.
 */

import { z } from 'zod';
import type { Decoded } from './codec.js';
import { decode, encode } from './codec.js';
import type { ErrorName } from './errors.js';
import { errorCode, errorName } from './errors.js';
import type { Epoch, LogId, NodeId, RequestId } from './ids.js';
import { isEpoch, isLogId, isRequestId } from './ids.js';
import { DEADLINE_MS_DEFAULT, DEADLINE_MS_MAX } from './limits.js';

/** The version that this code writes. */
export const ENVELOPE_VERSION = 1;

const requestHead = z.object({
  v: z.int(),
  id: z.custom<RequestId>(isRequestId, { error: 'text of 1 to 512 characters' }),
  deadlineMs: z.int().min(1).max(DEADLINE_MS_MAX).default(DEADLINE_MS_DEFAULT),
  /** Highest epoch of the partition that the client has seen, in the log `log` (rule C2). */
  epoch: z.custom<Epoch>(isEpoch, { error: 'an integer from 0' }).optional(),
  log: z.custom<LogId>(isLogId, { error: 'a log id' }).optional(),
});
export type RequestHead = z.output<typeof requestHead>;

const replyHead = z.object({
  v: z.int(),
  id: z.string(),
  error: z.int32(),
  detail: z.string().optional(),
  retryAfterMs: z.int().min(0).optional(),
  epoch: z.custom<Epoch>(isEpoch).optional(),
  log: z.custom<LogId>(isLogId).optional(),
  node: z.string().optional(),
});
export type ReplyHead = z.output<typeof replyHead>;

/** Why a request was not understood. `id` where at least that was readable, so that the refusal can name it. */
export type Refusal = {
  readonly kind: 'refused';
  readonly error: ErrorName;
  readonly detail: string;
  readonly id: string;
};
/** A request that was understood. */
export type ParsedRequest<Body> = { readonly kind: 'request'; readonly head: RequestHead; readonly body: Body };

/** Inclusive range of versions that an API speaks. */
export type VersionRange = { readonly min: number; readonly max: number };
/** What reading a request needs of an API. */
export type RequestApi<Body> = { readonly versions: VersionRange; readonly request: z.ZodType<Body> };
/** What reading a reply needs of an API. */
export type ReplyApi<Body> = { readonly reply: z.ZodType<Body> };

/**
 * Reads a request of a known API.
 * @param payload msgpack bytes as they came
 * @returns the request, or a refusal with `CORRUPT_MESSAGE`, `UNSUPPORTED_VERSION` or `INVALID_REQUEST`
 */
export function parseRequest<Body>(api: RequestApi<Body>, payload: Uint8Array): ParsedRequest<Body> | Refusal {
  const map = toMap(decode(payload));
  if (map.kind === 'refused') return map;
  const head = requestHead.safeParse(map.value);
  const id = readableId(map.value);
  if (!head.success) return { kind: 'refused', error: 'INVALID_REQUEST', detail: whatIsWrong(head.error), id };
  const { min, max } = api.versions;
  if (head.data.v < min || head.data.v > max) {
    const detail = `version ${head.data.v} is not supported, versions ${min} to ${max} are`;
    return { kind: 'refused', error: 'UNSUPPORTED_VERSION', detail, id };
  }
  const body = api.request.safeParse(map.value);
  if (!body.success) return { kind: 'refused', error: 'INVALID_REQUEST', detail: whatIsWrong(body.error), id };
  return { kind: 'request', head: head.data, body: body.data };
}

/** @returns the bytes of a request */
export function encodeRequest(head: Omit<RequestHead, 'v'>, body: object): Uint8Array {
  return encode({ v: ENVELOPE_VERSION, ...head, ...body });
}

/** Who answers: stamped on every reply and notice, so that clients can skip what an older reign says (rule C2). */
export type Stamp = { readonly node: NodeId; readonly log?: LogId; readonly epoch?: Epoch };

/** What an answer says besides the fields of its API. */
export type Answer = { readonly error: ErrorName; readonly detail?: string; readonly retryAfterMs?: number };

/** @returns the bytes of a reply */
export function encodeReply(id: string, stamp: Stamp, answer: Answer, fields: object): Uint8Array {
  return encode({ v: ENVELOPE_VERSION, id, ...stamp, ...fields, ...answer, error: errorCode(answer.error) });
}

/** A reply as a client sees it. `fields` is undefined where the reply's own fields were not readable. */
export type ParsedReply<Body> =
  | { readonly kind: 'reply'; readonly head: ReplyHead; readonly error: ErrorName; readonly fields: Body | undefined }
  | { readonly kind: 'garbled'; readonly detail: string };

/**
 * Reads a reply. The fields of an API may be missing where the reply is an error that never reached the group.
 * @returns the reply, or what was wrong with it
 */
export function parseReply<Body>(api: ReplyApi<Body>, payload: Uint8Array): ParsedReply<Body> {
  const map = toMap(decode(payload));
  if (map.kind === 'refused') return { kind: 'garbled', detail: map.detail };
  const head = replyHead.safeParse(map.value);
  if (!head.success) return { kind: 'garbled', detail: whatIsWrong(head.error) };
  const fields = api.reply.safeParse(map.value);
  const error = errorName(head.data.error);
  if (!fields.success && error === 'NONE') return { kind: 'garbled', detail: whatIsWrong(fields.error) };
  return { kind: 'reply', head: head.data, error, fields: fields.success ? fields.data : undefined };
}

function toMap(decoded: Decoded): { readonly kind: 'map'; readonly value: object } | Refusal {
  if (!decoded.ok) return corrupt(`not msgpack: ${decoded.reason}`);
  const { value } = decoded;
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) {
    return corrupt('the body must be a msgpack map');
  }
  return { kind: 'map', value };
}

function corrupt(detail: string): Refusal {
  return { kind: 'refused', error: 'CORRUPT_MESSAGE', detail, id: '' };
}

function readableId(value: object): string {
  return 'id' in value && isRequestId(value.id) ? value.id : '';
}

/** @returns one line naming each wrong field and what it must be, at most five of them */
export function whatIsWrong(error: z.core.$ZodError): string {
  const parts = error.issues.slice(0, 5).map((issue) => {
    const where = issue.path.map(String).join('.');
    return where === '' ? issue.message : `${where}: ${issue.message}`;
  });
  const more = error.issues.length > 5 ? ` (and ${error.issues.length - 5} more)` : '';
  return parts.join('; ') + more;
}
