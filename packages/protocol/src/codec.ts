/**
 * The one msgpack codec: plain maps, arrays, numbers, strings and binary, readable by any msgpack implementation.
 *
 * msgpackr's record extension is off. 64 bit integers arrive as numbers; whoever needs exactness validates them as safe
 * integers. Decoding never throws: damage is a value.
 */

import { Packr, Unpackr } from 'msgpackr';

const packr = new Packr({ useRecords: false, variableMapSize: true, encodeUndefinedAsNil: true });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number', copyBuffers: true });

/** @returns the msgpack bytes of a plain value */
export function encode(value: unknown): Uint8Array {
  // Packr hands out a view into a buffer that it does not use again.
  return packr.pack(value);
}

/** A decoded value, or why there is none. */
export type Decoded = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly reason: string };

/** @returns the value of msgpack bytes; binary parts are copies that do not keep the input alive */
export function decode(bytes: Uint8Array): Decoded {
  try {
    return { ok: true, value: unpackr.unpack(bytes) };
  } catch (cause) {
    return { ok: false, reason: cause instanceof Error ? cause.message : String(cause) };
  }
}
