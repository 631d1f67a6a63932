/**
 * The contract of the bus port: every sentence of it as a test, run against the memory bus and against real servers.
 *
 * Does not know how a world makes time pass or breaks connections; each world says that itself.
 */

import type { Bus, BusMessage } from '@muster/cluster';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

export interface BusWorld {
  connect(name: string): Promise<Bus>;
  /** Takes the connection from it; both sides notice. */
  cut(name: string): Promise<void>;
  heal(name: string): Promise<void>;
  /** Waits until every subscription and its end is known to everybody. */
  settled(): Promise<void>;
  /** Lets time pass until the promise is settled. */
  finish<T>(promise: Promise<T>): Promise<T>;
  /** Lets time pass until the condition holds; throws where it does not within a deadline. */
  until(condition: () => boolean): Promise<void>;
  close(): Promise<void>;
}

const text = (words: string) => new TextEncoder().encode(words);
const words = (payload: Uint8Array) => new TextDecoder().decode(payload);
const LONG_MS = 10_000;

export function busContract(name: string, open: () => Promise<BusWorld>): void {
  describe(`${name}: the bus`, () => {
    let world: BusWorld;
    beforeEach(async () => {
      world = await open();
    });
    afterEach(async () => {
      await world.close();
    });

    /** Subscribes and collects. */
    const collect = (bus: Bus, subject: string, queue?: string): BusMessage[] => {
      const got: BusMessage[] = [];
      bus.subscribe(subject, (message) => got.push(message), queue === undefined ? {} : { queue });
      return got;
    };
    const answerWith = (bus: Bus, subject: string, answer: string) =>
      bus.subscribe(subject, (message) => bus.publish(message.reply, text(answer)));

    test('delivers subject, reply and every byte of the payload to every subscription that matches', async () => {
      const [a, b] = [await world.connect('a'), await world.connect('b')];
      const exact = collect(b, 'x.one.two');
      const star = collect(b, 'x.*.two');
      const rest = collect(b, 'x.>');
      const others = [collect(b, 'x.*'), collect(b, 'x.one'), collect(b, 'x.one.two.>'), collect(b, 'y.>')];
      await world.settled();
      const payload = Uint8Array.from({ length: 256 }, (_, i) => i);
      a.publish('x.one.two', payload, 'answers.here');
      a.publish('end', new Uint8Array(0));
      await world.until(() => exact.length + star.length + rest.length === 3);
      for (const got of [exact, star, rest]) {
        expect(got).toHaveLength(1);
        expect(got[0]?.subject).toBe('x.one.two');
        expect(got[0]?.reply).toBe('answers.here');
        expect(Array.from(got[0]?.payload ?? [])).toEqual(Array.from(payload));
      }
      for (const got of others) expect(got).toEqual([]);
    });

    test('leaves reply empty where nobody waits, and delivers to its own subscriptions too', async () => {
      const a = await world.connect('a');
      const got = collect(a, 'self');
      a.publish('self', text('hello'));
      await world.until(() => got.length === 1);
      expect(got[0]?.reply).toBe('');
      expect(words(got[0]?.payload ?? new Uint8Array())).toBe('hello');
    });

    test('never calls back inside the call that publishes', async () => {
      const a = await world.connect('a');
      const got = collect(a, 'self');
      await world.finish(a.roundTrip(LONG_MS));
      a.publish('self', text('hello'));
      expect(got).toEqual([]);
      await world.until(() => got.length === 1);
    });

    test('keeps the order of one publisher', async () => {
      const [a, b] = [await world.connect('a'), await world.connect('b')];
      const got = collect(b, 'n.*');
      await world.settled();
      for (let i = 0; i < 1_000; i += 1) a.publish(`n.${i}`, text(String(i)));
      await world.until(() => got.length === 1_000);
      expect(got.map((message) => words(message.payload))).toEqual(Array.from({ length: 1_000 }, (_, i) => String(i)));
    });

    test('gives a message to one member of a queue group and to everybody outside of it', async () => {
      const a = await world.connect('a');
      const members = [await world.connect('b'), await world.connect('c')].map((bus) => collect(bus, 'job', 'workers'));
      const onlooker = collect(await world.connect('d'), 'job');
      await world.settled();
      for (let i = 0; i < 200; i += 1) a.publish('job', text(String(i)));
      await world.until(() => onlooker.length === 200 && members.flat().length === 200);
      expect(new Set(members.flat().map((message) => words(message.payload))).size).toBe(200);
    });

    test('spreads the messages of one server over the members of a queue group', async () => {
      const a = await world.connect('a');
      const members = [collect(a, 'job', 'workers'), collect(a, 'job', 'workers')];
      await world.settled();
      for (let i = 0; i < 200; i += 1) a.publish('job', text(String(i)));
      await world.until(() => members.flat().length === 200);
      for (const got of members) expect(got.length).toBeGreaterThan(20);
    });

    test('stops delivery at once on unsubscribe, also of messages that have already come', async () => {
      const a = await world.connect('a');
      let count = 0;
      const subscription = a.subscribe('self', () => {
        count += 1;
        if (count === 3) subscription.unsubscribe();
      });
      for (let i = 0; i < 100; i += 1) a.publish('self', text(String(i)));
      await world.until(() => count === 3);
      expect(await world.finish(a.roundTrip(LONG_MS))).toBe(true);
      expect(count).toBe(3);
      subscription.unsubscribe();
    });

    test('answers a request with the reply, an empty one included', async () => {
      const [a, b] = [await world.connect('a'), await world.connect('b')];
      b.subscribe('echo', (message) => b.publish(message.reply, message.payload));
      await world.settled();
      const reply = await world.finish(a.request('echo', text('hello'), LONG_MS));
      expect(reply.kind === 'reply' ? words(reply.payload) : reply).toBe('hello');
      const empty = await world.finish(a.request('echo', new Uint8Array(0), LONG_MS));
      expect(empty.kind === 'reply' ? empty.payload.byteLength : empty).toBe(0);
    });

    test('keeps many requests at once apart', async () => {
      const [a, b] = [await world.connect('a'), await world.connect('b')];
      b.subscribe('double', (message) => b.publish(message.reply, text(String(2 * Number(words(message.payload))))));
      await world.settled();
      const asked = Array.from({ length: 300 }, (_, i) => a.request('double', text(String(i)), LONG_MS));
      const replies = await world.finish(Promise.all(asked));
      const got = replies.map((reply) => (reply.kind === 'reply' ? Number(words(reply.payload)) : Number.NaN));
      expect(got).toEqual(Array.from({ length: 300 }, (_, i) => 2 * i));
    });

    test('says no responders where nobody subscribes, and again when the last one is gone', async () => {
      const [a, b] = [await world.connect('a'), await world.connect('b')];
      expect(await world.finish(a.request('nobody', text('?'), LONG_MS))).toEqual({ kind: 'no-responders' });
      const responder = answerWith(b, 'somebody', 'yes');
      await world.settled();
      expect((await world.finish(a.request('somebody', text('?'), LONG_MS))).kind).toBe('reply');
      responder.unsubscribe();
      await world.settled();
      expect(await world.finish(a.request('somebody', text('?'), LONG_MS))).toEqual({ kind: 'no-responders' });
    });

    test('says timeout where somebody subscribes and does not answer', async () => {
      const [a, b] = [await world.connect('a'), await world.connect('b')];
      const got = collect(b, 'mute');
      await world.settled();
      expect(await world.finish(a.request('mute', text('?'), 100))).toEqual({ kind: 'timeout' });
      expect(got).toHaveLength(1);
      // An answer that comes too late finds nobody and harms nobody.
      b.publish(got[0]?.reply ?? '', text('late'));
      expect(await world.finish(a.roundTrip(LONG_MS))).toBe(true);
    });

    test('collects the replies of everybody until they are complete', async () => {
      const a = await world.connect('a');
      for (const name of ['b', 'c', 'd']) answerWith(await world.connect(name), 'who', name);
      await world.settled();
      const replies = await world.finish(a.requestMany('who', text('?'), LONG_MS, (so) => so.length === 3));
      expect(replies.map(words).sort()).toEqual(['b', 'c', 'd']);
    });

    test('comes back with the replies so far when the time is over, and with none where nobody is there', async () => {
      const [a, b] = [await world.connect('a'), await world.connect('b')];
      answerWith(b, 'who', 'b');
      await world.settled();
      const some = await world.finish(a.requestMany('who', text('?'), 200, (so) => so.length === 2));
      expect(some.map(words)).toEqual(['b']);
      expect(await world.finish(a.requestMany('nobody', text('?'), LONG_MS, () => true))).toEqual([]);
    });

    test('has delivered everything that the server sent before a round trip ends', async () => {
      const a = await world.connect('a');
      const got = collect(a, 'self');
      for (let i = 0; i < 500; i += 1) a.publish('self', text(String(i)));
      expect(await world.finish(a.roundTrip(LONG_MS))).toBe(true);
      expect(got).toHaveLength(500);
    });

    test('refuses a payload above its limit and a subject that is none, and goes on', async () => {
      const a = await world.connect('a');
      const got = collect(a, 'big');
      const limit = a.payloadBytesMax;
      expect(() => a.publish('big', new Uint8Array(limit + 1))).toThrow(RangeError);
      expect(() => a.publish('a b', text('x'))).toThrow(RangeError);
      expect(() => a.publish('a\r\nPUB b 0', text('x'))).toThrow(RangeError);
      expect(() => a.publish('big', text('x'), 're ply')).toThrow(RangeError);
      a.publish('big', new Uint8Array(limit));
      await world.until(() => got.length === 1);
      expect(got[0]?.payload.byteLength).toBe(limit);
    });

    test('tells of every loss and return of the connection, and where it stands now', async () => {
      const a = await world.connect('a');
      const heard: boolean[] = [];
      const seen: boolean[] = [];
      const stop = a.onConnection((connected) => {
        heard.push(connected);
        seen.push(a.connected);
      });
      expect(a.connected).toBe(true);
      await world.cut('a');
      await world.until(() => heard.length === 1);
      expect(a.connected).toBe(false);
      await world.heal('a');
      await world.until(() => heard.length === 2);
      expect(a.connected).toBe(true);
      stop();
      await world.cut('a');
      await world.until(() => !a.connected);
      expect(heard).toEqual([false, true]);
      expect(seen).toEqual(heard);
    });

    test('says disconnected to requests under way and to new ones, at once', async () => {
      const [a, b] = [await world.connect('a'), await world.connect('b')];
      const got = collect(b, 'mute');
      await world.settled();
      const one = a.request('mute', text('?'), 60_000);
      const many = a.requestMany('mute', text('?'), 60_000, () => false);
      const trip = Promise.all([one, many]);
      await world.until(() => got.length === 2);
      await world.cut('a');
      await world.until(() => !a.connected);
      expect(await world.finish(trip)).toEqual([{ kind: 'disconnected' }, []]);
      expect(await world.finish(a.request('mute', text('?'), 60_000))).toEqual({ kind: 'disconnected' });
      expect(await world.finish(a.requestMany('mute', text('?'), 60_000, () => false))).toEqual([]);
      expect(await world.finish(a.roundTrip(60_000))).toBe(false);
    });

    test('loses what is published while disconnected, and has its subscriptions again afterwards', async () => {
      const [a, b] = [await world.connect('a'), await world.connect('b')];
      const atB = collect(b, 'to.b');
      const atA = collect(a, 'to.a');
      await world.settled();
      await world.cut('a');
      await world.until(() => !a.connected);
      a.publish('to.b', text('lost'));
      b.publish('to.a', text('lost'));
      await world.finish(b.roundTrip(LONG_MS));
      await world.heal('a');
      await world.until(() => a.connected);
      await world.settled();
      a.publish('to.b', text('after'));
      b.publish('to.a', text('after'));
      await world.until(() => atB.length > 0 && atA.length > 0);
      await world.finish(Promise.all([a.roundTrip(LONG_MS), b.roundTrip(LONG_MS)]));
      expect(atB.map((message) => words(message.payload))).toEqual(['after']);
      expect(atA.map((message) => words(message.payload))).toEqual(['after']);
    });

    test('takes the interest of a lost connection away', async () => {
      const [a, b] = [await world.connect('a'), await world.connect('b')];
      answerWith(b, 'somebody', 'yes');
      await world.settled();
      expect((await world.finish(a.request('somebody', text('?'), LONG_MS))).kind).toBe('reply');
      await world.cut('b');
      await world.until(() => !b.connected);
      let last = '';
      const ask = async () => {
        while (last !== 'no-responders') last = (await a.request('somebody', text('?'), 200)).kind;
      };
      await world.finish(ask());
      expect(last).toBe('no-responders');
    });
  });
}
