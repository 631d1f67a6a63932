/**
 * The contract of the lease store port: every sentence of it as a test, run against the double in memory and real servers.
 */

import type { LeaseEntry, LeaseStore } from '@muster/cluster';
import { LeaseStoreUnavailable } from '@muster/cluster';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

export interface LeaseWorld {
  /** The one store of this world, over a connection of its own. */
  open(name: string): Promise<LeaseStore>;
  /** Deletes a key as an operator would. */
  remove(key: string): Promise<void>;
  cut(name: string): Promise<void>;
  heal(name: string): Promise<void>;
  /** Lets time pass until the promise is settled. */
  finish<T>(promise: Promise<T>): Promise<T>;
  until(condition: () => boolean): Promise<void>;
  close(): Promise<void>;
}

const text = (words: string) => new TextEncoder().encode(words);
const words = (value: Uint8Array | undefined) => (value === undefined ? undefined : new TextDecoder().decode(value));

export const CONCURRENT_ROUNDS = 200;

/** A watch that writes down what it is told. */
export async function follow(store: LeaseStore) {
  const entries: LeaseEntry[] = [];
  const told: string[] = [];
  let readyCount = 0;
  const watch = await store.watch(
    (entry) => {
      entries.push(entry);
      told.push(`${entry.key}=${words(entry.value) ?? '(deleted)'}`);
    },
    () => {
      readyCount += 1;
      told.push('ready');
    },
  );
  return { entries, told, readyCount: () => readyCount, stop: () => watch.stop() };
}

/** Revisions only grow: one order for all keys. */
export function expectGrowing(entries: readonly LeaseEntry[]): void {
  for (let i = 1; i < entries.length; i += 1) {
    expect(entries[i]?.revision).toBeGreaterThan(entries[i - 1]?.revision ?? Number.POSITIVE_INFINITY);
  }
}

export function leaseStoreContract(name: string, openWorld: () => Promise<LeaseWorld>): void {
  describe(`${name}: the lease store`, () => {
    let world: LeaseWorld;
    beforeEach(async () => {
      world = await openWorld();
    });
    afterEach(async () => {
      await world.close();
    });

    /** @returns the revision; throws where it was not written */
    const write = async (store: LeaseStore, key: string, value: string, expected: number): Promise<number> => {
      const outcome = await world.finish(store.write(key, text(value), expected));
      if (outcome.kind !== 'written') throw new Error(`${key}: ${JSON.stringify(outcome)}`);
      return outcome.revision;
    };

    test('creates a key that does not exist, once', async () => {
      const store = await world.open('a');
      expect(await world.finish(store.read('cluster'))).toBeUndefined();
      const revision = await write(store, 'cluster', 'one', 0);
      expect(revision).toBeGreaterThan(0);
      expect(await world.finish(store.write('cluster', text('two'), 0))).toEqual({ kind: 'refused' });
      const entry = await world.finish(store.read('cluster'));
      expect([entry?.key, words(entry?.value), entry?.revision]).toEqual(['cluster', 'one', revision]);
    });

    test('writes only on the last revision of that key', async () => {
      const store = await world.open('a');
      const first = await write(store, 'node.a', '1', 0);
      const other = await write(store, 'node.b', '1', 0);
      expect(other).toBeGreaterThan(first);
      const second = await write(store, 'node.a', '2', first);
      expect(second).toBeGreaterThan(other);
      for (const wrong of [0, first, other, second + 1, second + 1_000]) {
        expect(await world.finish(store.write('node.a', text('x'), wrong))).toEqual({ kind: 'refused' });
      }
      expect(await world.finish(store.write('node.c', text('x'), second))).toEqual({ kind: 'refused' });
      expect(words((await world.finish(store.read('node.a')))?.value)).toBe('2');
      expect(words((await world.finish(store.read('node.b')))?.value)).toBe('1');
      expect(await world.finish(store.read('node.c'))).toBeUndefined();
    });

    test('keeps every byte, also of an empty value', async () => {
      const store = await world.open('a');
      const all = Uint8Array.from({ length: 256 }, (_, i) => i);
      const outcome = await world.finish(store.write('bytes', all, 0));
      expect(outcome.kind).toBe('written');
      expect(Array.from((await world.finish(store.read('bytes')))?.value ?? [])).toEqual(Array.from(all));
      await world.finish(store.write('empty', new Uint8Array(0), 0));
      const empty = await world.finish(store.read('empty'));
      expect(empty?.value?.byteLength).toBe(0);
    });

    test('reads its own acknowledged writes, and those of others', async () => {
      const [a, b] = [await world.open('a'), await world.open('b')];
      let revision = 0;
      for (let i = 0; i < 50; i += 1) {
        revision = await write(i % 2 === 0 ? a : b, 'turns', String(i), revision);
        expect((await world.finish(a.read('turns')))?.revision).toBe(revision);
        expect((await world.finish(b.read('turns')))?.revision).toBe(revision);
      }
    });

    test('shows a deleted key without value, which comes back only by a write on its revision', async () => {
      const store = await world.open('a');
      const made = await write(store, 'gone', '1', 0);
      await world.finish(world.remove('gone'));
      const entry = await world.finish(store.read('gone'));
      expect(entry?.key).toBe('gone');
      expect(entry?.value).toBeUndefined();
      expect(entry?.revision).toBeGreaterThan(made);
      expect(await world.finish(store.write('gone', text('2'), 0))).toEqual({ kind: 'refused' });
      expect(await world.finish(store.write('gone', text('2'), made))).toEqual({ kind: 'refused' });
      await write(store, 'gone', '3', entry?.revision ?? 0);
      expect(words((await world.finish(store.read('gone')))?.value)).toBe('3');
    });

    test(`lets exactly one of two concurrent writers win, ${CONCURRENT_ROUNDS} rounds`, async () => {
      const [a, b] = [await world.open('a'), await world.open('b')];
      let revision = 0;
      const wins = { a: 0, b: 0 };
      for (let round = 0; round < CONCURRENT_ROUNDS; round += 1) {
        const tries = [
          () => a.write('race', text(`a${round}`), revision),
          () => b.write('race', text(`b${round}`), revision),
        ];
        // Who asks first takes turns.
        if (round % 2 === 1) tries.reverse();
        const outcomes = await world.finish(Promise.all(tries.map((run) => run())));
        if (round % 2 === 1) outcomes.reverse();
        const written = outcomes.flatMap((outcome) => (outcome.kind === 'written' ? [outcome.revision] : []));
        expect(outcomes.map((outcome) => outcome.kind).sort(), `round ${round}`).toEqual(['refused', 'written']);
        revision = written[0] ?? revision;
        const winner = outcomes[0]?.kind === 'written' ? 'a' : 'b';
        wins[winner] += 1;
        const entry = await world.finish(a.read('race'));
        expect([entry?.revision, words(entry?.value)]).toEqual([revision, `${winner}${round}`]);
      }
      expect(wins.a + wins.b).toBe(CONCURRENT_ROUNDS);
    });

    test('watches an empty store: ready, then every change', async () => {
      const store = await world.open('a');
      const seen = await follow(store);
      await world.until(() => seen.readyCount() === 1);
      await write(store, 'one', '1', 0);
      await world.until(() => seen.entries.length === 1);
      expect(seen.told).toEqual(['ready', 'one=1']);
      seen.stop();
    });

    test('watches the current entry of every key first, says ready once, then tells changes in order', async () => {
      const [a, b] = [await world.open('a'), await world.open('b')];
      const one = await write(a, 'one', '1', 0);
      const two = await write(a, 'two', '1', 0);
      const three = await write(a, 'three', '1', 0);
      await write(a, 'one', '2', one);
      await world.finish(world.remove('three'));
      const seen = await follow(b);
      await world.until(() => seen.readyCount() === 1);
      expect(seen.told).toEqual(['two=1', 'one=2', 'three=(deleted)', 'ready']);
      await write(a, 'two', '2', two);
      await write(a, 'four', '1', 0);
      await world.until(() => seen.entries.length === 5);
      expect(seen.told.slice(4)).toEqual(['two=2', 'four=1']);
      expect(seen.entries[2]?.revision).toBeGreaterThan(three);
      expectGrowing(seen.entries);
      seen.stop();
    });

    // Weaker than the port's words "every change": a stream that keeps one message for each key drops a revision that is
    // replaced before the consumer has read it. Measured on three servers, three writers of 50 quick renewals each, all 150
    // acknowledged: 79 to 150 entries told on 2.10.27, 148 to 150 on 2.15.1. The newest of each key always came.
    test('shows all watches one growing order over all keys, which ends with the newest of each', async () => {
      const [a, b, c] = [await world.open('a'), await world.open('b'), await world.open('c')];
      const seen = [await follow(a), await follow(c)];
      await world.until(() => seen.every((watch) => watch.readyCount() === 1));
      const written = new Map<number, string>();
      const newest = new Map<string, number>();
      const renew = async (store: LeaseStore, key: string) => {
        let revision = 0;
        for (let i = 0; i < 50; i += 1) {
          const outcome = await store.write(key, text(String(i)), revision);
          if (outcome.kind !== 'written') throw new Error(`${key} ${i}: ${JSON.stringify(outcome)}`);
          revision = outcome.revision;
          written.set(revision, `${key}=${i}`);
          newest.set(key, revision);
        }
      };
      await world.finish(Promise.all([renew(a, 'a'), renew(b, 'b'), renew(c, 'c')]));
      const last = Math.max(...newest.values());
      await world.until(() => seen.every((watch) => watch.entries.at(-1)?.revision === last));
      for (const { entries } of seen) {
        expectGrowing(entries);
        for (const entry of entries) expect(`${entry.key}=${words(entry.value)}`).toBe(written.get(entry.revision));
        for (const [key, revision] of newest) {
          expect(entries.filter((entry) => entry.key === key).at(-1)?.revision).toBe(revision);
        }
      }
      for (const watch of seen) watch.stop();
    });

    test('tells nothing any more after stop', async () => {
      const store = await world.open('a');
      const [stopped, other] = [await follow(store), await follow(store)];
      await world.until(() => stopped.readyCount() + other.readyCount() === 2);
      stopped.stop();
      await write(store, 'one', '1', 0);
      await world.until(() => other.entries.length === 1);
      expect(stopped.entries).toEqual([]);
      other.stop();
    });

    test('says unknown and unavailable while disconnected, and neither rejects nor throws anything else', async () => {
      const store = await world.open('a');
      const revision = await write(store, 'one', '1', 0);
      await world.cut('a');
      let outcome = await world.finish(store.write('one', text('2'), revision));
      expect(outcome.kind).toBe('unknown');
      await expect(world.finish(store.read('one'))).rejects.toBeInstanceOf(LeaseStoreUnavailable);
      await world.heal('a');
      let entry: LeaseEntry | undefined;
      const recover = async () => {
        while (entry === undefined) {
          entry = await store.read('one').catch(() => undefined);
          // Refused at once while disconnected: others must have their turn in between.
          await new Promise((resolve) => setImmediate(resolve));
        }
      };
      await world.finish(recover());
      expect(words(entry?.value)).toBe('1');
      outcome = await world.finish(store.write('one', text('3'), entry?.revision ?? 0));
      expect(outcome.kind).toBe('written');
    });

    test('goes on watching after a lost connection, without going back and without a second ready', async () => {
      const [a, b] = [await world.open('a'), await world.open('b')];
      let revision = await write(b, 'one', '1', 0);
      const seen = await follow(a);
      await world.until(() => seen.readyCount() === 1);
      await world.cut('a');
      for (let i = 2; i <= 20; i += 1) revision = await write(b, 'one', String(i), revision);
      await write(b, 'two', '1', 0);
      await world.heal('a');
      await world.until(() => seen.told.includes('two=1'));
      await write(b, 'three', '1', 0);
      await world.until(() => seen.told.includes('three=1'));
      expect(seen.told.slice(-3)).toEqual(['one=20', 'two=1', 'three=1']);
      expectGrowing(seen.entries);
      expect(seen.readyCount()).toBe(1);
      seen.stop();
    });
  });
}
