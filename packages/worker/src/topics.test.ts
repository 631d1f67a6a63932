import { Subjects } from '@muster/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeStreams } from '../test/fake-streams.js';
import { virtualEnvironment } from '../test/virtual-clock.js';
import { MusterError } from './errors.js';
import {
  checkTopic,
  covers,
  keyOf,
  keyTokens,
  messageSubject,
  partitionFilter,
  partitionOfKey,
  streamSubjects,
} from './topic.js';
import { Topics } from './topics.js';

function setUp(streams = new FakeStreams()) {
  const { clock } = virtualEnvironment();
  return new Topics({ streams, clock, cluster: 'default', subjects: new Subjects('default') });
}

describe('a topic whose stream computes the partition', () => {
  const topic = checkTopic({
    name: 'orders',
    stream: 'ORDERS',
    subject: '{partition}.foo.{key}',
    partitions: 4,
    keyHash: 'fnv1a',
    publish: 'foo.{key}',
  });
  it('is published to by key, in the partition that the server finds, too', () => {
    expect(messageSubject(topic, partitionOfKey(topic, 'ann'), 'ann')).toBe('foo.ann');
  });
  it('is not published to where the server would choose otherwise', () => {
    const other = (partitionOfKey(topic, 'ann') + 1) % 4;
    expect(() => messageSubject(topic, other, 'ann')).toThrow(/this key belongs to/);
    expect(() => messageSubject(topic, 0, undefined)).toThrow(/a message needs a key/);
    expect(() => messageSubject({ ...topic, publish: null }, 0, 'ann')).toThrow(/without this library/);
  });
  it('cannot be told to publish under a subject with a partition', () => {
    for (const publish of ['foo.{partition}.{key}', 'foo.*', '{key}.foo', '']) {
      expect(() => checkTopic({ ...topic, publish })).toThrow(/publish must end with {key}/);
    }
  });
});

describe('adopting a stream', () => {
  const events = { name: 'events', stream: 'EVENTS', subject: 'ev.{partition}.{key}', partitions: 3 };
  function existing(...subjects: string[]) {
    const streams = new FakeStreams();
    streams.subjects.set('EVENTS', ['ev.>']);
    for (const subject of subjects) streams.store('EVENTS', subject, new Uint8Array(0));
    return { streams, topics: setUp(streams) };
  }

  it('registers it, without a change to the stream', async () => {
    const { topics } = existing('ev.0.a', 'ev.2.b', 'ev.2.b.c');
    await topics.adopt(events);
    expect(await topics.describe('events')).toEqual({ ...events, keyHash: 'fnv1a' });
    await topics.adopt(events);
    await expect(topics.adopt({ ...events, partitions: 4 })).rejects.toMatchObject({ code: 'TOPIC_EXISTS' });
  });

  it('refuses a partition count that the messages contradict', async () => {
    const { topics } = existing('ev.0.a', 'ev.3.b');
    await expect(topics.adopt(events)).rejects.toMatchObject({
      code: 'PARTITION_COUNT_MISMATCH',
      message: expect.stringContaining('1 messages of ev.*.>'),
    });
    await expect(topics.describe('events')).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC' });
  });

  describe('that computes the partition itself', () => {
    const orders = { name: 'orders', stream: 'ORDERS', subject: '{partition}.foo.{key}', partitions: 4 };
    const computing = (dest: string) => {
      const streams = new FakeStreams();
      streams.subjects.set('ORDERS', ['foo.*']);
      streams.transforms.set('ORDERS', { src: 'foo.*', dest });
      return { streams, topics: setUp(streams) };
    };

    it('registers it, with where to publish; the same is found when it is read again', async () => {
      const { topics, streams } = computing('{{partition(4,1)}}.foo.{{wildcard(1)}}');
      const adopted = await topics.adopt(orders);
      expect(adopted).toEqual({ ...orders, keyHash: 'fnv1a', publish: 'foo.{key}' });
      expect(await setUp(streams).describe('orders')).toEqual(adopted);
      await topics.require([adopted]);
    });
    it('says what the stream stores where it is told something else', async () => {
      const { topics } = computing('{{partition(8,1)}}.foo.{{wildcard(1)}}');
      await expect(topics.adopt(orders)).rejects.toMatchObject({
        code: 'PARTITION_COUNT_MISMATCH',
        message: expect.stringContaining('which is {partition}.foo.{key} in 8 partitions by fnv1a'),
      });
      await expect(topics.adopt({ ...orders, partitions: 8, keyHash: 'murmur2' })).rejects.toMatchObject({
        code: 'PARTITION_COUNT_MISMATCH',
      });
    });
    it('refuses what computes no partition', async () => {
      const { topics } = computing('bar.{{wildcard(1)}}');
      await expect(topics.adopt(orders)).rejects.toThrow('which no subject template says');
    });
  });

  it('says what the subjects look like where they count and the template does not fit', async () => {
    const { topics, streams } = existing();
    streams.subjects.set('EVENTS', ['0.bar.>', '1.bar.>', '2.bar.>']);
    await expect(topics.adopt({ ...events, subject: '{partition}.{key}' })).rejects.toThrow(
      'it looks like {partition}.bar.{key} in 3 partitions',
    );
  });

  it('refuses a stream that does not take in every partition, or does not exist', async () => {
    const { topics, streams } = existing();
    streams.subjects.set('EVENTS', ['ev.0.>', 'ev.1.*']);
    await expect(topics.adopt(events)).rejects.toMatchObject({ code: 'PARTITION_COUNT_MISMATCH' });
    await expect(topics.adopt({ ...events, stream: 'NONE' })).rejects.toMatchObject({ code: 'UNKNOWN_STREAM' });
  });

  it('holds a topic that is given inline against the registry and the stream', async () => {
    const { topics, streams } = existing();
    const inline = { ...events, keyHash: 'fnv1a' } as const;
    await topics.require([inline]);
    await topics.adopt(events);
    await topics.require([inline, 'events']);
    const codes = async (spec: Partial<typeof events>) => {
      return await topics.require([{ ...inline, ...spec }]).catch((error: { code: string }) => error.code);
    };
    expect(await codes({ partitions: 4 })).toBe('PARTITION_COUNT_MISMATCH');
    expect((await topics.describe('events')).partitions).toBe(3);
    expect(await codes({ subject: 'ev.{partition}' })).toBe('TOPIC_EXISTS');
    expect(await codes({ name: 'other', stream: 'NONE' })).toBe('UNKNOWN_STREAM');
    streams.subjects.set('EVENTS', ['ev.0.>']);
    expect(await codes({ name: 'other' })).toBe('PARTITION_COUNT_MISMATCH');
    await expect(topics.require(['nowhere'])).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC' });
  });

  it.each([
    ['a.>', 'a.b.>', true],
    ['a.*.c', 'a.b.c', true],
    ['a.*', 'a.b.>', false],
    ['a.>', 'a', false],
    ['>', 'x.y', true],
    ['a.b', 'a.*', false],
  ])('knows that %s takes in %s: %s', (wide, narrow, expected) => {
    expect(covers(wide, narrow)).toBe(expected);
  });
});

describe('the topic registry', () => {
  it('creates, describes, lists and deletes topics', async () => {
    const topics = setUp();
    await topics.create({ name: 'orders', partitions: 8 });
    await topics.create({ name: 'a b', partitions: 1 });
    expect(await topics.describe('orders')).toEqual({
      name: 'orders',
      stream: 'MUSTER_default_T_orders',
      subject: 'muster.default.t.orders.{partition}.{key}',
      partitions: 8,
      keyHash: 'fnv1a',
    });
    expect((await topics.list()).map(({ name }) => name)).toEqual(['a b', 'orders']);
    await topics.delete('orders');
    await expect(topics.describe('orders')).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC' });
  });

  it('accepts the same topic again and refuses another shape, naming the difference', async () => {
    const topics = setUp();
    await topics.create({ name: 'orders', partitions: 8 });
    await topics.create({ name: 'orders', partitions: 8 });
    const again = topics.create({ name: 'orders', partitions: 9 });
    await expect(again).rejects.toMatchObject({
      code: 'TOPIC_EXISTS',
      message: expect.stringContaining('partitions 8'),
    });
  });

  it('deletes a topic in two steps that can be tried again, and makes one anew whose stream is gone', async () => {
    const streams = new FakeStreams();
    const topics = setUp(streams);
    await topics.create({ name: 'orders', partitions: 8 });
    const deleteStream = streams.deleteStream.bind(streams);
    streams.deleteStream = async () => {
      throw new MusterError('STREAM_UNAVAILABLE');
    };
    await expect(topics.delete('orders')).rejects.toMatchObject({ code: 'STREAM_UNAVAILABLE', retriable: true });
    streams.deleteStream = deleteStream;
    // As if the process had been killed after the first step.
    await streams.deleteStream('MUSTER_default_T_orders');
    streams.missing.add('MUSTER_default_T_orders');
    const made: string[] = [];
    streams.createStream = async ({ name }) => void made.push(name);
    await topics.create({ name: 'orders', partitions: 8 });
    expect(made).toEqual(['MUSTER_default_T_orders']);
    await topics.delete('orders');
    await expect(topics.delete('orders')).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC' });
  });

  it('keeps what was declared where another declaration of the name is refused', async () => {
    const streams = new FakeStreams();
    streams.subjects.set('S', ['s.>']);
    const topics = setUp(streams);
    const good = { name: 'orders', stream: 'S', subject: 's.{partition}', partitions: 2, keyHash: 'fnv1a' } as const;
    await topics.require([good]);
    await expect(topics.require([{ ...good, stream: 'NONE' }])).rejects.toMatchObject({ code: 'UNKNOWN_STREAM' });
    await expect(topics.require([{ ...good, partitions: 0 }])).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(await topics.describe('orders')).toEqual(good);
  });

  it('leaves unknown topics out of the partition counts', async () => {
    const topics = setUp();
    await topics.create({ name: 'orders', partitions: 8 });
    expect(await topics.partitionCounts(['orders', 'nothing'])).toEqual(new Map([['orders', 8]]));
  });
});

describe('a topic', () => {
  const topic = { name: 't', stream: 's', subject: 'a.{partition}.{key}', partitions: 4, keyHash: 'fnv1a' } as const;

  it('has a filter per partition and one subject for its stream', () => {
    expect(partitionFilter(topic, 3)).toBe('a.3.>');
    expect(streamSubjects(topic)).toEqual(['a.*.>']);
    const keyless = { ...topic, subject: 'a.{partition}' };
    expect(partitionFilter(keyless, 3)).toBe('a.3');
    expect(streamSubjects(keyless)).toEqual(['a.*']);
  });

  it.each([
    ['no partition token', { subject: 'a.{key}' }],
    ['two partition tokens', { subject: 'a.{partition}.{partition}' }],
    ['a key that is not last', { subject: 'a.{key}.{partition}' }],
    ['a wildcard', { subject: 'a.*.{partition}' }],
    ['an empty token', { subject: 'a..{partition}' }],
    ['a stream with a dot', { stream: 'a.b' }],
    ['no partitions', { partitions: 0 }],
    ['half a partition', { partitions: 1.5 }],
    ['no name', { name: '' }],
  ])('is refused with %s', (_name, change) => {
    expect(() => checkTopic({ ...topic, ...change })).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });

  it('gives every key back from its subject, whatever its characters', () => {
    const anyKey = fc.oneof(fc.string({ unit: 'grapheme' }), fc.array(fc.string({ unit: 'binary' }), { minLength: 2 }));
    fc.assert(
      fc.property(anyKey, (key) => {
        const wellFormed = (text: string) => Buffer.from(text).toString();
        const subject = messageSubject(topic, 1, key);
        const expected = typeof key === 'string' ? wellFormed(key) : key.map(wellFormed);
        expect(subject).toMatch(/^a\.1(\.[A-Za-z0-9_=-]+)+$/);
        expect(keyOf(topic, subject, undefined)).toEqual(expected);
      }),
    );
  });

  it('tells no key from an empty key, and keeps the tokens of foreign publishers', () => {
    expect(keyOf(topic, messageSubject(topic, 1, undefined), undefined)).toBeUndefined();
    expect(keyOf(topic, messageSubject(topic, 1, ''), undefined)).toBe('');
    expect(keyOf(topic, 'a.1.é', undefined)).toBe('é');
    const keyless = { ...topic, subject: 'a.{partition}' };
    expect(keyOf(keyless, 'a.1', keyTokens(['x', 'y.z']).join('.'))).toEqual(['x', 'y.z']);
    expect(keyOf(keyless, 'a.1', undefined)).toBeUndefined();
  });
});
