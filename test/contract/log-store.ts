/**
 * The contract of the log store port: every sentence of it as a test, run against the double in memory and real servers.
 * At the end the partition log itself, on the store as it is: owners that claim over each other while the store is disturbed.
 */

import type { LogClock, LogStore, StoredFrame } from '@muster/log';
import { LogStoreUnavailable } from '@muster/log';
import { groupId, type Partition, partition } from '@muster/protocol';
import { checkLandedLog, describeState, LogOwner } from '@muster/testkit/internals';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

export interface LogWorld {
  /** The one store of this world, over a connection of its own. */
  open(name: string): Promise<LogStore>;
  /** From now on the store takes about so many bytes more. */
  limit(bytes: number): Promise<void>;
  cut(name: string): Promise<void>;
  heal(name: string): Promise<void>;
  /** The time in which this world lives. */
  readonly clock: LogClock;
  /** Disturbs the store once, as a bad day does; it is whole again when this resolves. */
  disturb(round: number): Promise<void>;
  /** How often to do so. */
  readonly disturbances: number;
  /** Lets time pass until the promise is settled. */
  finish<T>(promise: Promise<T>): Promise<T>;
  close(): Promise<void>;
}

const CONCURRENT_ROUNDS = 200;
const p0 = partition(0);
/** In the same stream as p0 where streams are shared. */
const p1 = partition(2);

const text = (words: string) => new TextEncoder().encode(words);
const words = (frame: StoredFrame | undefined) =>
  frame === undefined ? undefined : new TextDecoder().decode(frame.bytes);

export function logStoreContract(name: string, open: () => Promise<LogWorld>): void {
  describe(`${name}: the log store`, () => {
    let world: LogWorld;
    let store: LogStore;
    beforeEach(async () => {
      world = await open();
      store = await world.open('n1');
    });
    afterEach(async () => {
      await world.close();
    });

    const appended = async (of: Partition, what: string | Uint8Array, expectedSeq: number): Promise<number> => {
      const outcome = await world.finish(store.append(of, typeof what === 'string' ? text(what) : what, expectedSeq));
      if (outcome.kind !== 'stored') throw new Error(`${outcome.kind} instead of stored`);
      return outcome.seq;
    };
    const readAll = async (of: Partition, from: number, through: number, by = store): Promise<StoredFrame[]> => {
      const frames: StoredFrame[] = [];
      await world.finish(by.read(of, from, through, (frame) => frames.push(frame)));
      return frames;
    };
    const append = (of: Partition, what: string, expectedSeq: number) =>
      world.finish(store.append(of, text(what), expectedSeq));

    test('appends to an empty partition where nothing is expected, then behind the last frame only', async () => {
      const first = await appended(p0, 'one', 0);
      expect(first).toBeGreaterThan(0);
      const second = await appended(p0, 'two', first);
      expect(second).toBeGreaterThan(first);
    });

    test('refuses every other expectation, names the last sequence, and stores nothing', async () => {
      const first = await appended(p0, 'one', 0);
      const second = await appended(p0, 'two', first);
      for (const expected of [0, first, second + 1, second + 1_000]) {
        expect(await append(p0, 'three', expected)).toEqual({ kind: 'refused', lastSeq: second });
      }
      expect((await readAll(p0, 1, second + 1_000)).map(words)).toEqual(['one', 'two']);
    });

    test('refuses the same frame sent again, so that it is never there twice', async () => {
      const seq = await appended(p0, 'one', 0);
      expect(await append(p0, 'one', 0)).toEqual({ kind: 'refused', lastSeq: seq });
      expect(await readAll(p0, 1, seq + 10)).toHaveLength(1);
    });

    test('keeps partitions apart: what one holds is no expectation of another', async () => {
      const inP0 = await appended(p0, 'one', 0);
      const inP1 = await appended(p1, 'uno', 0);
      expect(await append(p1, 'due', inP0)).toEqual({ kind: 'refused', lastSeq: inP1 });
      await appended(p0, 'two', inP0);
      await appended(p1, 'due', inP1);
      expect((await readAll(p1, 1, 1_000)).map(words)).toEqual(['uno', 'due']);
    });

    test('knows the last frame, and that there is none', async () => {
      expect(await world.finish(store.last(p0))).toBe(undefined);
      const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
      const seq = await appended(p0, bytes, 0);
      await appended(p1, 'other', 0);
      const last = await world.finish(store.last(p0));
      expect([last?.seq, [...(last?.bytes ?? [])]]).toEqual([seq, [...bytes]]);
    });

    test('reads frames in order, from and through the sequences given, more than come in one batch', async () => {
      const seqs: number[] = [];
      for (let index = 0; index < 230; index += 1) {
        seqs.push(await appended(p0, `frame ${index}`, seqs.at(-1) ?? 0));
        if (index % 50 === 0) await appended(p1, 'between', (await world.finish(store.last(p1)))?.seq ?? 0);
      }
      const all = await readAll(p0, 1, seqs.at(-1) ?? 0);
      expect(all.map((frame) => frame.seq)).toEqual(seqs);
      expect(words(all[229])).toBe('frame 229');
      const some = await readAll(p0, seqs[100] ?? 0, seqs[199] ?? 0);
      expect(some.map((frame) => frame.seq)).toEqual(seqs.slice(100, 200));
      expect(await readAll(p0, (seqs.at(-1) ?? 0) + 1, 10_000)).toEqual([]);
      expect(await readAll(p0, 1, 10_000)).toHaveLength(230);
      expect(await readAll(partition(1), 1, 10_000)).toEqual([]);
    });

    test('ends a read that finds no frame at its upper end at the frame before', async () => {
      const first = await appended(p0, 'one', 0);
      const between = await appended(p1, 'uno', 0);
      await appended(p0, 'two', first);
      expect((await readAll(p0, 1, between)).map(words)).toEqual(['one']);
    });

    test('serves short reads one after the other, from wherever it is connected to', async () => {
      const seq = await appended(p0, 'one', 0);
      const stores = [store, await world.open('n2'), await world.open('n3')];
      for (let round = 0; round < 40; round += 1) {
        for (const by of stores) expect((await readAll(p0, 1, seq + 1, by)).length).toBeLessThanOrEqual(1);
      }
    });

    test('takes a frame as large as it says, byte for byte', async () => {
      const bytes = new Uint8Array(Math.min(store.frameBytesMax, 1_000_000)).map((_, index) => index * 7);
      const seq = await appended(p0, bytes, 0);
      expect(Buffer.compare((await readAll(p0, 1, seq))[0]?.bytes ?? new Uint8Array(0), bytes)).toBe(0);
      expect(Buffer.compare((await world.finish(store.last(p0)))?.bytes ?? new Uint8Array(0), bytes)).toBe(0);
    });

    test('purges below a sequence: of one partition, and without giving sequences back', async () => {
      const seqs: number[] = [];
      for (let index = 0; index < 5; index += 1) seqs.push(await appended(p0, `${index}`, seqs.at(-1) ?? 0));
      await appended(p1, 'other', 0);
      const keep = seqs[3] ?? 0;
      await Promise.all([world.finish(store.purgeBelow(p0, keep)), world.finish(store.purgeBelow(p1, 1))]);
      await world.finish(store.purgeBelow(p1, 0));
      expect((await readAll(p0, 1, 1_000)).map(words)).toEqual(['3', '4']);
      expect((await readAll(p1, 1, 1_000)).map(words)).toEqual(['other']);
      expect(await append(p0, '5', keep)).toEqual({ kind: 'refused', lastSeq: seqs[4] });
      expect(await appended(p0, '5', seqs[4] ?? 0)).toBeGreaterThan(seqs[4] ?? 0);
      // Late, or again: nothing more goes.
      await world.finish(store.purgeBelow(p0, keep));
      expect(await readAll(p0, 1, 1_000)).toHaveLength(3);
    });

    test('lets exactly one of two writers with the same expectation win, round after round', async () => {
      const other = await world.open('n2');
      let last = 0;
      for (let round = 0; round < CONCURRENT_ROUNDS; round += 1) {
        const outcomes = await Promise.all([
          world.finish(store.append(p0, text(`a${round}`), last)),
          world.finish(other.append(p0, text(`b${round}`), last)),
        ]);
        const stored = outcomes.filter((outcome) => outcome.kind === 'stored');
        const rest = outcomes.filter((outcome) => outcome.kind === 'refused' || outcome.kind === 'busy');
        expect([stored.length, rest.length]).toEqual([1, 1]);
        last = stored[0]?.kind === 'stored' ? stored[0].seq : 0;
      }
      expect(await readAll(p0, 1, last)).toHaveLength(CONCURRENT_ROUNDS);
    });

    test('says that it is full, stores nothing then, and still reads and purges', async () => {
      let last = await appended(p0, 'first', 0);
      await world.limit(20_000);
      const frame = 'x'.repeat(1_000);
      let kind = 'stored';
      for (let tries = 0; kind === 'stored' && tries < 100; tries += 1) {
        const outcome = await append(p0, frame, last);
        if (outcome.kind === 'stored') last = outcome.seq;
        kind = outcome.kind;
      }
      expect(kind).toBe('full');
      expect((await world.finish(store.last(p0)))?.seq).toBe(last);
      await world.finish(store.purgeBelow(p0, last));
      expect((await append(p0, frame, last)).kind).toBe('stored');
    });

    test('knows nothing while it is cut off, and neither rejects an append nor hides a read', async () => {
      const seq = await appended(p0, 'one', 0);
      await world.cut('n1');
      expect((await append(p0, 'two', seq)).kind).toBe('unknown');
      await expect(world.finish(store.last(p0))).rejects.toBeInstanceOf(LogStoreUnavailable);
      await expect(readAll(p0, 1, seq)).rejects.toBeInstanceOf(LogStoreUnavailable);
      await expect(world.finish(store.purgeBelow(p0, seq + 1))).rejects.toBeInstanceOf(LogStoreUnavailable);
      const other = await world.open('n2');
      expect((await readAll(p0, 1, 1_000, other)).map(words)).toEqual(['one']);
      await world.heal('n1');
    });

    test('carries the partition log: owners that claim over each other on a bad day lose and mix nothing', async () => {
      let ids = 0;
      let nonces = 0;
      const owners = await Promise.all(
        ['n11', 'n12'].map(async (node) => {
          const options = { clock: world.clock, partition: p0, name: node, newId: () => ++ids };
          return new LogOwner({ ...options, store: await world.open(node), newNonce: () => `${node}-${++nonces}` });
        }),
      );
      const group = groupId('g');
      let acknowledged = 0;
      const work = async (owner: LogOwner, count: number): Promise<void> => {
        for (let round = 0; round < count && owner.log !== undefined; round += 1) {
          owner.put(group, `k${round % 7}`, (round % 3) * 500);
          owner.log.kick();
          await owner.log.verify();
        }
      };
      for (let round = 0; round < world.disturbances; round += 1) {
        const [claimer, former] = round % 2 === 0 ? owners : [owners[1], owners[0]];
        if (claimer === undefined || former === undefined) throw new Error('there are two owners');
        const outcome = await world.finish(claimer.claim({ deadlineMs: 30_000 }));
        expect(outcome.kind).toBe('claimed');
        // The former owner does not know yet: its frames must not come through.
        const disturbed = world.disturb(round);
        await world.finish(Promise.all([work(claimer, 60), work(former, 5), disturbed]));
        for (const owner of owners) expect(owner.lostReason ?? 'fenced').toBe('fenced');
      }
      const last = (await world.finish(store.last(p0)))?.seq ?? 0;
      const frames = await readAll(p0, 1, last);
      const landed = frames.map((frame) => ({ ...frame, client: '', partition: p0 }));
      const verdict = checkLandedLog(landed, p0);
      expect(verdict.problems).toEqual([]);
      for (const owner of owners) {
        acknowledged += owner.acknowledged.length;
        for (const id of owner.acknowledged) expect(verdict.landed).toContain(id);
      }
      expect(acknowledged).toBeGreaterThanOrEqual(world.disturbances * 60);
      const [first] = owners;
      if (first === undefined) throw new Error('there are two owners');
      await world.finish(first.claim());
      expect(describeState(first.state)).toEqual(describeState(verdict.state));
    });
  });
}
