import { describe, expect, it } from 'vitest';
import { FakeStreams } from '../test/fake-streams.js';
import { settle, virtualEnvironment } from '../test/virtual-clock.js';
import { MusterError } from './errors.js';
import { silentLogger } from './logger.js';
import { PartitionReader } from './reader.js';
import type { ReaderConfig, ReaderEvents, StreamReader, Streams } from './streams.js';
import { type Deferred, deferred } from './waiting.js';

interface Opening {
  readonly config: ReaderConfig;
  readonly events: ReaderEvents;
  readonly open: Deferred<void>;
  isClosed: boolean;
}

/** Streams whose readers open when the test says so. */
function slowStreams(): { readonly streams: Streams; readonly openings: Opening[] } {
  const openings: Opening[] = [];
  const streams: Streams = new FakeStreams();
  streams.openReader = async (config, events): Promise<StreamReader> => {
    const opening: Opening = { config, events, open: deferred(), isClosed: false };
    openings.push(opening);
    await opening.open.promise;
    return {
      behind: 0,
      pull: () => {},
      close: () => {
        opening.isClosed = true;
      },
    };
  };
  return { streams, openings };
}

function setUp() {
  const { streams, openings } = slowStreams();
  const environment = virtualEnvironment();
  const denied: MusterError[] = [];
  const reader = new PartitionReader({
    streams,
    environment,
    logger: silentLogger,
    stream: 'orders',
    subject: 'orders.0.>',
    startOffset: 1,
    created: '0',
    bufferMessagesMax: 8,
    onReadable: () => {},
    onDenied: (error) => void denied.push(error),
    onMissing: () => {},
    onReplaced: () => {},
  });
  return { openings, reader, denied, clock: environment.clock };
}

const message = (offset: number) => {
  return { offset, subject: 'orders.0.k', payload: new Uint8Array(0), headers: {}, timestampMs: 0, behind: 0 };
};

describe('a reader that goes elsewhere', () => {
  it('ignores the stream reader that it had before, even where that opens, delivers or fails later', async () => {
    const { openings, reader, clock } = setUp();
    await settle();
    reader.restart(5);
    await settle();
    const [before, after] = openings;
    after?.open.resolve();
    before?.open.resolve();
    await settle();
    expect([before?.isClosed, after?.isClosed]).toEqual([true, false]);
    before?.events.onMessage(message(7));
    before?.events.onFailed(new MusterError('STREAM_UNAVAILABLE'));
    after?.events.onMessage(message(5));
    await clock.advance(10_000);
    expect(reader.take()?.offset).toBe(5);
    expect(reader.take()).toBeUndefined();
    expect(openings.map(({ config }) => config.startOffset)).toEqual([1, 5]);
  });
});

describe('a reader without permission', () => {
  it('says so and does not try again', async () => {
    const { openings, reader, denied, clock } = setUp();
    openings[0]?.open.resolve();
    await settle();
    openings[0]?.events.onFailed(new MusterError('TOPIC_AUTHORIZATION_FAILED', 'no'));
    await clock.advance(60_000);
    expect(denied.map(({ code }) => code)).toEqual(['TOPIC_AUTHORIZATION_FAILED']);
    expect(openings).toHaveLength(1);
    expect(reader.problem).toContain('not allowed');
  });
});

describe('what is read ahead', () => {
  const reading = async (messages: number, bytes: number) => {
    const streams = new FakeStreams();
    const payload = new Uint8Array(bytes);
    for (let count = 0; count < messages; count += 1) streams.store('orders', 'orders.0.k', payload);
    const told = { onReadable: () => {}, onDenied: () => {}, onMissing: () => {}, onReplaced: () => {} };
    const reader = new PartitionReader({
      streams,
      environment: virtualEnvironment(),
      logger: silentLogger,
      stream: 'orders',
      subject: 'orders.0.>',
      startOffset: 1,
      created: '0',
      bufferMessagesMax: 256,
      ...told,
    });
    await settle();
    /** How many messages have come and are not taken. */
    const buffered = (taken: number) => reader.nextOffset - 1 - taken;
    return { reader, streams, buffered };
  };

  it('is bounded in bytes where messages are large', async () => {
    const { reader, buffered } = await reading(400, 2 ** 20);
    let most = buffered(0);
    for (let taken = 1; taken <= 400; taken += 1) {
      expect(reader.take()?.offset).toBe(taken);
      await settle();
      most = Math.max(most, buffered(taken));
    }
    expect(most).toBe(8);
  });

  it('is as many messages as allowed where they are small', async () => {
    const { reader, buffered } = await reading(1_000, 100);
    reader.take();
    await settle();
    expect(buffered(1)).toBe(256);
  });

  it('is one message at a time where one alone is larger than the bound', async () => {
    const { reader, buffered } = await reading(30, 10 * 2 ** 20);
    for (let taken = 1; taken <= 20; taken += 1) {
      expect(reader.take()?.offset).toBe(taken);
      await settle();
    }
    expect(buffered(20)).toBe(1);
  });
});
