import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { utf8Decode, utf8Encode, utf8Length } from './utf8.js';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));
/** Any sequence of UTF-16 code units, lone surrogates included. */
const anyString = fc
  .array(fc.oneof(fc.integer({ min: 0, max: 0xffff }), fc.integer({ min: 0xd7f0, max: 0xe010 }), fc.constant(0x41)))
  .map((units) => String.fromCharCode(...units));

describe('utf8', () => {
  it.each([
    ['nothing', '', ''],
    ['ASCII', 'orders', '6f7264657273'],
    ['two bytes', 'é', 'c3a9'],
    ['three bytes', '日本', 'e697a5e69cac'],
    ['a surrogate pair as four bytes', '\u{1f600}', 'f09f9880'],
    ['the last code point', '\u{10ffff}', 'f48fbfbf'],
    ['the edges of each length', '\u007f\u0080\u07ff\u0800\uffff\u{10000}', '7fc280dfbfe0a080efbfbff0908080'],
    ['a byte order mark, kept', '\ufeffa', 'efbbbf61'],
  ])('encodes and decodes %s', (_name, text, bytes) => {
    expect(hex(utf8Encode(text))).toBe(bytes);
    expect(utf8Length(text)).toBe(bytes.length / 2);
    expect(utf8Decode(unhex(bytes))).toBe(text);
  });

  it.each([
    ['a lone high surrogate', 'a\ud83db', '61efbfbd62'],
    ['a lone low surrogate', 'a\ude00b', '61efbfbd62'],
    ['a high surrogate at the end', 'a\ud83d', '61efbfbd'],
    ['a pair in the wrong order', '\ude00\ud83d', 'efbfbdefbfbd'],
    ['a high surrogate before a pair', '\ud83d\ud83d\ude00', 'efbfbdf09f9880'],
  ])('encodes %s as U+FFFD', (_name, text, bytes) => {
    expect(hex(utf8Encode(text))).toBe(bytes);
    expect(utf8Length(text)).toBe(bytes.length / 2);
  });

  it.each([
    ['a stray continuation byte', '8061', '\ufffda'],
    ['a truncated sequence', 'e697', '\ufffd'],
    ['a truncated sequence before ASCII', 'f09f9861', '\ufffda'],
    ['an overlong slash', 'c0af', '\ufffd\ufffd'],
    ['an overlong three-byte form', 'e080af', '\ufffd\ufffd\ufffd'],
    ['an encoded surrogate', 'eda080', '\ufffd\ufffd\ufffd'],
    ['a point above U+10FFFF', 'f4908080', '\ufffd\ufffd\ufffd\ufffd'],
    ['a byte that never occurs', 'ff61', '\ufffda'],
  ])('decodes %s to U+FFFD', (_name, bytes, text) => {
    expect(utf8Decode(unhex(bytes))).toBe(text);
  });

  it('encodes every string as TextEncoder does', () => {
    fc.assert(
      fc.property(anyString, (text) => {
        expect(hex(utf8Encode(text))).toBe(hex(new TextEncoder().encode(text)));
        expect(utf8Length(text)).toBe(utf8Encode(text).length);
      }),
      { numRuns: 500 },
    );
  });

  it('decodes every byte sequence as TextDecoder does', () => {
    const biased = fc.oneof(
      fc.integer({ min: 0, max: 255 }),
      fc.constantFrom(0xe0, 0xed, 0xf0, 0xf4, 0x80, 0xbf, 0x9f),
    );
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    fc.assert(
      fc.property(fc.array(biased, { maxLength: 12 }), (bytes) => {
        expect(utf8Decode(new Uint8Array(bytes))).toBe(decoder.decode(new Uint8Array(bytes)));
      }),
      { numRuns: 3000 },
    );
  });

  it('decodes a text longer than one chunk', () => {
    const text = 'aé日\u{1f600}'.repeat(5000);
    expect(utf8Decode(utf8Encode(text))).toBe(text);
  });
});
