/**
 * From a message value to bytes and back. The codec that is passed in types `message.value`.
 */

import { decode, encode, utf8Decode, utf8Encode } from '@muster/protocol';

/** Both are synchronous. Decoding throws where the bytes are no such value: what then happens is a policy of the consumer. */
export interface Codec<Value> {
  readonly name: string;
  encode(value: Value): Uint8Array;
  decode(bytes: Uint8Array): Value;
}

/** JSON. The type is the caller's claim, as with JSON.parse: pass an own codec to have it checked. */
export function jsonCodec<Value = unknown>(): Codec<Value> {
  return {
    name: 'json',
    encode: (value) => {
      const text: string | undefined = JSON.stringify(value);
      if (text === undefined) throw new TypeError(`JSON has no ${typeof value}`);
      return utf8Encode(text);
    },
    decode: (bytes) => JSON.parse(utf8Decode(bytes)),
  };
}

/** UTF-8 text. */
export const stringCodec: Codec<string> = { name: 'string', encode: utf8Encode, decode: utf8Decode };

/** The bytes as they are. */
export const bytesCodec: Codec<Uint8Array> = { name: 'bytes', encode: (value) => value, decode: (bytes) => bytes };

/** MessagePack with plain maps. */
export const msgpackCodec: Codec<unknown> = {
  name: 'msgpack',
  encode,
  decode: (bytes) => {
    const decoded = decode(bytes);
    if (!decoded.ok) throw new TypeError(decoded.reason);
    return decoded.value;
  },
};
