/**
 * The one msgpack codec: plain maps, arrays, numbers, strings and binary, readable by any msgpack implementation.
 *
 * msgpackr's record extension is off. 64 bit integers arrive as numbers; whoever needs exactness validates them as safe
 * integers. Decoding never throws: damage is a value.
 *
 * M1: what was decoded does not keep the message in memory, whatever part of it lives on: neither bytes nor texts. M2: texts come
 * back as they were, with two exceptions: half a surrogate pair is no text, and a byte order mark in front of a text of more than 64
 * bytes is lost.
 */

// Not the main entrance: that one brings a native decoder, whose texts are slices of the message (M1). An id of a JoinGroup that lives
// as long as its member would keep all text of the request for as long.
import { Packr } from 'msgpackr/pack';
import { Unpackr } from 'msgpackr/unpack';

const packr = new Packr({ useRecords: false, variableMapSize: true, encodeUndefinedAsNil: true });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number', copyBuffers: true });

/** @returns the msgpack bytes of a plain value */
export function encode(value: unknown): Uint8Array {
  // Packr hands out a view into a buffer that it does not use again.
  return packr.pack(value);
}

/** A decoded value, or why there is none. */
export type Decoded = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly reason: string };

/** @returns the value of msgpack bytes; it shares nothing with them (M1) */
export function decode(bytes: Uint8Array): Decoded {
  try {
    return { ok: true, value: unpackr.unpack(bytes) };
  } catch (cause) {
    return { ok: false, reason: cause instanceof Error ? cause.message : String(cause) };
  }
}
