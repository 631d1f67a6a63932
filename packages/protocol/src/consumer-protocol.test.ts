import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ConsumerProtocolEncodeError,
  type ConsumerSubscription,
  decodeAssignment,
  decodeCooperativeStickyUserData,
  decodeStickyUserData,
  decodeSubscription,
  encodeAssignment,
  encodeCooperativeStickyUserData,
  encodeStickyUserData,
  encodeSubscription,
  NO_GENERATION,
  parseSubscribedTopics,
  type TopicPartition,
} from './consumer-protocol.js';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));
const at = (topic: string, ...partitions: number[]): TopicPartition[] =>
  partitions.map((partition) => ({ topic, partition }));

const plain: ConsumerSubscription = {
  topics: ['t0', 't1'],
  userData: null,
  ownedPartitions: [],
  generation: NO_GENERATION,
  rackId: null,
};

const subscriptionVectors: [name: string, version: number, value: ConsumerSubscription, bytes: string][] = [
  ['version 0', 0, plain, '0000000000020002743000027431ffffffff'],
  [
    'version 1 with owned partitions',
    1,
    { ...plain, ownedPartitions: at('t0', 0, 2) },
    '0001000000020002743000027431ffffffff0000000100027430000000020000000000000002',
  ],
  [
    'version 2 with a generation',
    2,
    { ...plain, ownedPartitions: at('t0', 0, 2), generation: 5 },
    '0002000000020002743000027431ffffffff000000010002743000000002000000000000000200000005',
  ],
  [
    'version 3 without a rack',
    3,
    { ...plain, ownedPartitions: at('t0', 0, 2), generation: 5 },
    '0003000000020002743000027431ffffffff000000010002743000000002000000000000000200000005ffff',
  ],
  [
    'version 3 with user data and a rack',
    3,
    { topics: ['t0'], userData: unhex('00000005'), ownedPartitions: [], generation: 5, rackId: 'r1' },
    '000300000001000274300000000400000005000000000000000500027231',
  ],
];

describe('a subscription', () => {
  it.each(subscriptionVectors)('is written and read at %s', (_name, version, value, bytes) => {
    expect(hex(encodeSubscription(value, version))).toBe(bytes);
    expect(decodeSubscription(unhex(bytes))).toEqual({ kind: 'decoded', version, value });
  });

  it('is written at version 3 with topics and owned partitions sorted and grouped', () => {
    const owned = [...at('t1', 1), ...at('t0', 2), ...at('t1', 0), ...at('t0', 0)];
    const sorted = [...at('t0', 0, 2), ...at('t1', 0, 1)];
    const bytes = encodeSubscription({ topics: ['t1', 't0'], ownedPartitions: owned });
    expect(hex(bytes)).toBe(hex(encodeSubscription({ topics: ['t0', 't1'], ownedPartitions: sorted }, 3)));
    expect(decodeSubscription(bytes)).toMatchObject({ value: { topics: ['t0', 't1'], ownedPartitions: sorted } });
  });

  it('of a higher version is read as version 3 and what follows is ignored', () => {
    const bytes = unhex(`${subscriptionVectors[3]?.[3].replace(/^0003/, '0063')}cafe`);
    expect(decodeSubscription(bytes)).toEqual({ kind: 'decoded', version: 3, value: subscriptionVectors[3]?.[2] });
  });

  it('counts a negative generation and an empty rack as absent', () => {
    const bytes = unhex(`0003${'00000000'}${'ffffffff'}${'00000000'}${'fffffff9'}${'0000'}`);
    expect(decodeSubscription(bytes)).toMatchObject({ value: { generation: NO_GENERATION, rackId: null } });
  });

  it('is read from the middle of a larger buffer', () => {
    const vector = unhex(subscriptionVectors[3]?.[3] ?? '');
    const padded = new Uint8Array(vector.length + 20).fill(0xff);
    padded.set(vector, 7);
    const decoded = decodeSubscription(padded.subarray(7, 7 + vector.length));
    expect(decoded).toMatchObject({ kind: 'decoded', value: subscriptionVectors[3]?.[2] });
  });

  it.each(subscriptionVectors)('cut anywhere is malformed at %s', (_name, _version, _value, bytes) => {
    const whole = unhex(bytes);
    for (let length = 0; length < whole.length; length++) {
      expect(decodeSubscription(whole.subarray(0, length)).kind).toBe('malformed');
    }
  });

  it.each([
    ['a negative version', 'ffff00000000ffffffff'],
    ['no topic list', '0000ffffffffffffffff'],
    ['a null topic', '000000000001ffffffffffff'],
    ['more topics than bytes', '00007fffffffffffffff'],
    ['user data longer than the rest', '0000000000007fffffff'],
    ['more owned topics than bytes', '000100000000ffffffff7fffffff'],
    ['more owned partitions than bytes', '000100000000ffffffff00000001000274307fffffff'],
  ])('with %s is malformed', (_name, bytes) => {
    expect(decodeSubscription(unhex(bytes))).toEqual({ kind: 'malformed', reason: expect.any(String) });
  });
});

describe('a list of a stranger', () => {
  it.each([
    ['topics', '0000000f4240ffffffff'],
    ['owned topics', '000100000000ffffffff000f424000000000'],
    ['owned partitions', '000100000000ffffffff0000000100027430000f424000000000'],
  ])('is refused by its length before any entry is read: %s', (_name, bytes) => {
    expect(decodeSubscription(unhex(bytes))).toMatchObject({
      reason: expect.stringContaining('claims 1000000 entries'),
    });
  });
});

describe('decoded user data', () => {
  it('does not change with the buffer it was read from', () => {
    const bytes = encodeSubscription({ topics: [], userData: unhex('0102') });
    const decoded = decodeSubscription(bytes);
    bytes.fill(0xff);
    expect(decoded).toMatchObject({ value: { userData: unhex('0102') } });
  });
});

describe('an assignment', () => {
  it.each([
    ['version 0', 0, at('t0', 0, 2), '00000000000100027430000000020000000000000002ffffffff'],
    [
      'version 3 with two topics',
      3,
      [...at('t0', 0, 2), ...at('t1', 1)],
      '00030000000200027430000000020000000000000002000274310000000100000001ffffffff',
    ],
    ['version 3 with nothing', 3, [], '000300000000ffffffff'],
  ])('is written and read at %s', (_name, version, partitions, bytes) => {
    expect(hex(encodeAssignment({ partitions }, version))).toBe(bytes);
    expect(decodeAssignment(unhex(bytes))).toEqual({ kind: 'decoded', version, value: { partitions, userData: null } });
  });

  it('keeps the order in which topics appear first', () => {
    const bytes = encodeAssignment({ partitions: [...at('t1', 3), ...at('t0', 1), ...at('t1', 2)] });
    expect(decodeAssignment(bytes)).toMatchObject({ value: { partitions: [...at('t1', 3, 2), ...at('t0', 1)] } });
  });

  it('cut anywhere is malformed', () => {
    const whole = encodeAssignment({ partitions: at('t0', 0, 2), userData: unhex('0102') });
    for (let length = 0; length < whole.length; length++) {
      expect(decodeAssignment(whole.subarray(0, length)).kind).toBe('malformed');
    }
  });

  it('with a negative version is malformed', () => {
    expect(decodeAssignment(unhex('ffff00000000ffffffff')).kind).toBe('malformed');
  });
});

describe('encoding', () => {
  it.each([
    ['an unknown version', () => encodeSubscription({ topics: [] }, 4)],
    ['a negative version', () => encodeAssignment({ partitions: [] }, -1)],
    ['a topic name above 32,767 bytes', () => encodeSubscription({ topics: ['é'.repeat(16384)] })],
    ['a partition number beyond 32 bits', () => encodeAssignment({ partitions: at('t0', 2 ** 31) })],
    ['a partition number that is not whole', () => encodeStickyUserData({ partitions: at('t0', 0.5), generation: 1 })],
  ])('refuses %s with its own error class', (_name, encode) => {
    expect(encode).toThrow(ConsumerProtocolEncodeError);
  });

  it('carries the longest topic name', () => {
    const topics = ['x'.repeat(32767)];
    expect(decodeSubscription(encodeSubscription({ topics }))).toMatchObject({ value: { topics } });
  });
});

describe('the subscribed topics as the coordinator reads them', () => {
  it.each(subscriptionVectors)('are found at %s', (_name, _version, value, bytes) => {
    expect(parseSubscribedTopics(unhex(bytes))).toEqual(value.topics);
  });

  it.each([
    ['a negative version', 'ffff0000000100027430ffffffff'],
    ['an unknown version', '7fff0000000100027430ffffffff'],
    ['anything after the version 0 prefix', '00030000000100027430ffffffffdeadbeef'],
  ])('are found behind %s', (_name, bytes) => {
    expect(parseSubscribedTopics(unhex(bytes))).toEqual(['t0']);
  });

  it.each([
    ['nothing', ''],
    ['half a version', '00'],
    ['a version alone', '0000'],
    ['no user data field', '00000000000100027430'],
    ['a null list', '0000ffffffffffffffff'],
    ['a null topic', '000000000001ffffffffffff'],
    ['two thousand million topics', '00007fffffffffffffff'],
    ['user data longer than the rest', '00000000000100027430000000050102'],
    ['a topic longer than the rest', '0000000000017fff7430ffffffff'],
  ])('are unknown for %s', (_name, bytes) => {
    expect(parseSubscribedTopics(unhex(bytes))).toBeUndefined();
  });
});

describe('sticky user data', () => {
  const vector = '000000020002743000000002000000000000000200027431000000010000000100000005';
  const partitions = [...at('t0', 0, 2), ...at('t1', 1)];

  it('is written and read at version 1', () => {
    expect(hex(encodeStickyUserData({ partitions, generation: 5 }))).toBe(vector);
    expect(decodeStickyUserData(unhex(vector))).toEqual({ partitions, generation: 5 });
  });

  it('at version 0 has no generation', () => {
    expect(hex(encodeStickyUserData({ partitions, generation: 5 }, 0))).toBe(vector.slice(0, -8));
    expect(decodeStickyUserData(unhex(vector.slice(0, -8)))).toEqual({ partitions, generation: NO_GENERATION });
  });

  it.each([
    ['null', null],
    ['empty', unhex('')],
    ['cut', unhex(vector.slice(0, 30))],
    ['absurd', unhex('7fffffff00')],
  ])('that is %s means nothing owned', (_name, bytes) => {
    expect(decodeStickyUserData(bytes)).toEqual({ partitions: [], generation: NO_GENERATION });
  });
});

describe('cooperative-sticky user data', () => {
  it.each([
    [NO_GENERATION, 'ffffffff'],
    [5, '00000005'],
  ])('of generation %d is %s', (generation, bytes) => {
    expect(hex(encodeCooperativeStickyUserData(generation))).toBe(bytes);
    expect(decodeCooperativeStickyUserData(unhex(bytes))).toBe(generation);
  });

  it.each([
    ['null', null],
    ['cut', unhex('0000')],
    ['negative', unhex('fffffff0')],
  ])('that is %s has no generation', (_name, bytes) => {
    expect(decodeCooperativeStickyUserData(bytes)).toBe(NO_GENERATION);
  });
});

describe('P13: every version', () => {
  const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 6 });
  const partition = fc.record({ topic: name, partition: fc.integer({ min: 0, max: 2 ** 31 - 1 }) });
  const userData = fc.option(fc.uint8Array({ maxLength: 9 }), { nil: null });
  const key = ({ topic, partition: number }: TopicPartition): string => JSON.stringify([topic, number]);
  const sortedKeys = (list: readonly TopicPartition[]): string[] => list.map(key).sort();

  it('of a subscription reads back what was written, without the fields it lacks', () => {
    const subscription = fc.record({
      topics: fc.array(name, { maxLength: 5 }),
      userData,
      ownedPartitions: fc.uniqueArray(partition, { selector: key, maxLength: 8 }),
      generation: fc.integer({ min: -1, max: 2 ** 31 - 1 }),
      rackId: fc.option(name, { nil: null }),
    });
    fc.assert(
      fc.property(subscription, fc.integer({ min: 0, max: 3 }), (value, version) => {
        const decoded = decodeSubscription(encodeSubscription(value, version));
        if (decoded.kind !== 'decoded') throw new Error(decoded.reason);
        expect(decoded.version).toBe(version);
        expect(decoded.value.topics).toEqual([...value.topics].sort());
        expect(decoded.value.userData).toEqual(value.userData);
        expect(sortedKeys(decoded.value.ownedPartitions)).toEqual(
          version >= 1 ? sortedKeys(value.ownedPartitions) : [],
        );
        expect(decoded.value.generation).toBe(version >= 2 ? value.generation : NO_GENERATION);
        expect(decoded.value.rackId).toBe(version >= 3 ? value.rackId : null);
      }),
    );
  });

  it('of an assignment and of user data reads back what was written', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(partition, { selector: key, maxLength: 8 }),
        userData,
        fc.integer({ min: 0, max: 3 }),
        (partitions, data, version) => {
          const decoded = decodeAssignment(encodeAssignment({ partitions, userData: data }, version));
          if (decoded.kind !== 'decoded') throw new Error(decoded.reason);
          expect(sortedKeys(decoded.value.partitions)).toEqual(sortedKeys(partitions));
          expect(decoded.value.userData).toEqual(data);
          const sticky = decodeStickyUserData(encodeStickyUserData({ partitions, generation: version }));
          expect(sortedKeys(sticky.partitions)).toEqual(sortedKeys(partitions));
          expect(sticky.generation).toBe(version);
        },
      ),
    );
  });

  it('never throws on bytes of a stranger', () => {
    const length = fc.constantFrom(0, 1, 2, 4, 0x7f, 0xff);
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc.array(length, { maxLength: 60 }).map((bytes) => new Uint8Array(bytes)),
    );
    fc.assert(
      fc.property(noise, (bytes) => {
        expect(['decoded', 'malformed']).toContain(decodeSubscription(bytes).kind);
        expect(['decoded', 'malformed']).toContain(decodeAssignment(bytes).kind);
        expect(decodeStickyUserData(bytes).generation).toBeGreaterThanOrEqual(NO_GENERATION);
        expect(decodeCooperativeStickyUserData(bytes)).toBeGreaterThanOrEqual(NO_GENERATION);
        const topics = parseSubscribedTopics(bytes);
        expect(topics === undefined || Array.isArray(topics)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});
