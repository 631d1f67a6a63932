/**
 * Randomness from a seed: the same seed gives the same ids and numbers on every machine.
 *
 * Not for anything that must be hard to guess.
 */

import type { Random } from '@muster/cluster';

export class SeededRandom implements Random {
  readonly seed: string;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;
  #ids = 0;

  constructor(seed: number | string) {
    this.seed = String(seed);
    this.#a = hash32(`${this.seed}/a`);
    this.#b = hash32(`${this.seed}/b`);
    this.#c = hash32(`${this.seed}/c`);
    // The first numbers still look like the seed.
    for (let i = 0; i < 12; i += 1) this.#next32();
  }

  /** @returns a number in [0, 1) with 53 random bits */
  next(): number {
    const high = this.#next32() >>> 5;
    const low = this.#next32() >>> 6;
    return (high * 67_108_864 + low) / 9_007_199_254_740_992;
  }

  /** @returns a fresh id: random, and numbered so that two of one source never meet */
  id(): string {
    this.#ids += 1;
    return `${this.#next32().toString(36)}-${this.#ids.toString(36)}`;
  }

  /** @returns a UUID of version 4 by its form */
  uuid(): string {
    const hex = Array.from({ length: 4 }, () => this.#next32().toString(16).padStart(8, '0')).join('');
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
  }

  /** @returns a whole number from 0 to `limit - 1` */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** @returns one of the items; throws a RangeError where there is none */
  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new RangeError('nothing to pick from');
    return item;
  }

  /** @returns a source of its own: what one part draws does not shift what another draws */
  fork(label: string): SeededRandom {
    return new SeededRandom(`${this.seed}/${label}`);
  }

  /** sfc32, a small fast counting generator (public domain, Chris Doty-Humphrey). */
  #next32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (this.#c << 21) | (this.#c >>> 11);
    this.#c = (this.#c + sum) | 0;
    return sum >>> 0;
  }
}

/** FNV-1a with a final mix. */
function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
