/**
 * A message of a bucket's stream as an entry of the lease store.
 */

import type { LeaseEntry } from '@muster/cluster';
import type { JsonMap } from './jetstream-api.js';
import { isMap } from './jetstream-api.js';

const decoder = new TextDecoder();

/** Where a bucket's keys live: `$KV.<bucket>.<key>`. */
export function keySubject(bucket: string, key: string): string {
  // The letters that `nats kv` allows.
  if (!/^[-/_=.a-zA-Z0-9]+$/.test(key) || key.startsWith('.') || key.endsWith('.') || key.includes('..')) {
    throw new RangeError(`${JSON.stringify(key)} is no key`);
  }
  return `$KV.${bucket}.${key}`;
}

/** @returns whether the headers say that the key was deleted, purged or expired */
export function isRemoval(header: (name: string) => string | undefined): boolean {
  const operation = header('KV-Operation');
  // Markers that the server writes itself (2.11 and later) have a reason instead of an operation.
  return operation === 'DEL' || operation === 'PURGE' || Boolean(header('Nats-Marker-Reason'));
}

/**
 * Reads an answer to STREAM.MSG.GET.
 * @returns undefined where it is none of this bucket
 */
export function readStoredEntry(bucket: string, answer: JsonMap): LeaseEntry | undefined {
  const { message } = answer;
  if (!isMap(message)) return undefined;
  const { subject, seq, data, hdrs } = message;
  const prefix = `$KV.${bucket}.`;
  if (typeof subject !== 'string' || !subject.startsWith(prefix) || typeof seq !== 'number') return undefined;
  const headers = typeof hdrs === 'string' ? readHeaders(Buffer.from(hdrs, 'base64')) : new Map<string, string>();
  const value = typeof data === 'string' ? new Uint8Array(Buffer.from(data, 'base64')) : new Uint8Array(0);
  const removed = isRemoval((name) => headers.get(name.toLowerCase()));
  return { key: subject.slice(prefix.length), value: removed ? undefined : value, revision: seq };
}

function readHeaders(block: Uint8Array): Map<string, string> {
  const headers = new Map<string, string>();
  for (const line of decoder.decode(block).split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  return headers;
}

/** Stream sequence, number within the consumer and what is left, from the reply subject of a delivered message. */
export type Delivery = { readonly streamSeq: number; readonly consumerSeq: number; readonly pending: number };

/** @returns undefined where the subject is none of a delivered message */
export function readDelivery(reply: string): Delivery | undefined {
  // $JS.ACK.<stream>.<consumer>.<tries>.<stream seq>.<consumer seq>.<time>.<pending>; newer servers may put domain and
  // account after `ACK` and a random token at the end.
  const tokens = reply.split('.');
  if (tokens[0] !== '$JS' || tokens[1] !== 'ACK' || tokens.length < 9 || tokens.length === 10) return undefined;
  const at = tokens.length === 9 ? 5 : 7;
  const [streamSeq, consumerSeq, pending] = [Number(tokens[at]), Number(tokens[at + 1]), Number(tokens[at + 3])];
  return Number.isNaN(streamSeq + consumerSeq + pending) ? undefined : { streamSeq, consumerSeq, pending };
}
