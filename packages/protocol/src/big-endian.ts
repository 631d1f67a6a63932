// Reading and writing the non-flexible Kafka primitives: big-endian integers, int16-length strings, int32-length bytes.
// Internal to the package. Does not know any message; the caller decides what may be null.
//
// B1: the reader never throws and never reads outside its bytes. The first problem is remembered; from then on every
//     read answers an empty value, so a caller checks `problem` once at the end (and in loops).
// B2: the reader never allocates by a length it has not compared with the bytes that are left.

import { utf8Decode, utf8Encode } from './utf8.js';

const NOTHING = new Uint8Array(0);
const STRING_BYTES_MAX = 0x7fff;
const INT32_MAX = 0x7fffffff;
const INITIAL_CAPACITY_BYTES = 256;

/** A value that the format cannot carry: a mistake of the caller, not of the other side. */
export class ConsumerProtocolEncodeError extends Error {
  readonly code = 'CONSUMER_PROTOCOL_ENCODE';
  override readonly name = 'ConsumerProtocolEncodeError';
}

export class BigEndianReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  #problem: string | undefined;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** What went wrong first, or undefined. */
  get problem(): string | undefined {
    return this.#problem;
  }

  get remainingBytes(): number {
    return this.#bytes.length - this.#at;
  }

  fail(problem: string): void {
    this.#problem ??= `${problem} at byte ${this.#at}`;
  }

  int16(what: string): number {
    const at = this.#take(2, what);
    return at < 0 ? 0 : this.#view.getInt16(at);
  }

  int32(what: string): number {
    const at = this.#take(4, what);
    return at < 0 ? 0 : this.#view.getInt32(at);
  }

  /** A string; null when its length is negative, as Kafka reads it. */
  nullableString(what: string): string | null {
    const lengthBytes = this.int16(what);
    if (lengthBytes < 0) {
      return null;
    }
    return utf8Decode(this.#slice(lengthBytes, what));
  }

  string(what: string): string {
    const text = this.nullableString(what);
    if (text === null) {
      this.fail(`${what} must not be null`);
    }
    return text ?? '';
  }

  /** A copy of the bytes; null when their length is negative. */
  nullableBytes(what: string): Uint8Array | null {
    const lengthBytes = this.int32(what);
    if (lengthBytes < 0) {
      return null;
    }
    return this.#slice(lengthBytes, what).slice();
  }

  /** The count of an array whose entries take at least `entryBytesMin` each; 0 after a problem. */
  count(entryBytesMin: number, what: string): number {
    const count = this.int32(what);
    if (count < 0) {
      this.fail(`${what} must not be null`);
    } else if (count * entryBytesMin > this.remainingBytes) {
      this.fail(`${what} claims ${count} entries in ${this.remainingBytes} bytes`);
    }
    return this.#problem === undefined ? count : 0;
  }

  #slice(lengthBytes: number, what: string): Uint8Array {
    const at = this.#take(lengthBytes, what);
    return at < 0 ? NOTHING : this.#bytes.subarray(at, at + lengthBytes);
  }

  /** Where the next `lengthBytes` start, or -1. */
  #take(lengthBytes: number, what: string): number {
    if (this.#problem !== undefined) {
      return -1;
    }
    if (lengthBytes > this.remainingBytes) {
      this.fail(`${what} needs ${lengthBytes} bytes, ${this.remainingBytes} are left`);
      return -1;
    }
    const at = this.#at;
    this.#at += lengthBytes;
    return at;
  }
}

export class BigEndianWriter {
  #bytes = new Uint8Array(INITIAL_CAPACITY_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #lengthBytes = 0;

  int16(value: number): void {
    const at = this.#reserve(2);
    this.#view.setInt16(at, value);
  }

  int32(value: number, what: string): void {
    if (!Number.isInteger(value) || value > INT32_MAX || value < -INT32_MAX - 1) {
      throw new ConsumerProtocolEncodeError(`${what} is not a 32 bit integer: ${value}`);
    }
    const at = this.#reserve(4);
    this.#view.setInt32(at, value);
  }

  nullableString(text: string | null, what: string): void {
    if (text === null) {
      this.int16(-1);
      return;
    }
    const bytes = utf8Encode(text);
    if (bytes.length > STRING_BYTES_MAX) {
      throw new ConsumerProtocolEncodeError(`${what} takes ${bytes.length} bytes, at most ${STRING_BYTES_MAX} fit`);
    }
    this.int16(bytes.length);
    const at = this.#reserve(bytes.length);
    this.#bytes.set(bytes, at);
  }

  nullableBytes(bytes: Uint8Array | null): void {
    this.int32(bytes === null ? -1 : bytes.length, 'a length of bytes');
    if (bytes !== null) {
      const at = this.#reserve(bytes.length);
      this.#bytes.set(bytes, at);
    }
  }

  /** What was written, as bytes of its own. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#lengthBytes);
  }

  /** Makes room and answers where it starts. Must run before `#bytes` or `#view` is used: it may replace both. */
  #reserve(moreBytes: number): number {
    const at = this.#lengthBytes;
    const neededBytes = at + moreBytes;
    if (neededBytes > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(neededBytes, this.#bytes.length * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    this.#lengthBytes = neededBytes;
    return at;
  }
}
