import { describe, expect, test } from 'vitest';
import { consumerScene } from '../test/consumer-scene.js';
import { checkOptions } from './check-options.js';
import { messageSubject, partitionOfKey, SUBJECT_BYTES_MAX, type TopicSpec } from './topic.js';

const good = { group: 'billing', topics: ['orders'] };

describe('the options of a consumer, as they come from programs without types', () => {
  test.each([
    [{}],
    [{ start: { timeMs: 5 } }],
    [{ commit: { kind: 'auto', intervalMs: 100 } }],
    [{ onFailure: { kind: 'retry', attempts: 3, lastly: { kind: 'dead-letter', topic: 'dead' } } }],
    [{ onAssigned: () => {} }],
  ])('are accepted with %j', (fields) => {
    expect(() => checkOptions('consumer', { ...good, ...fields })).not.toThrow();
  });

  test.each([
    [undefined, /object/],
    [{ topics: ['orders'] }, /group: /],
    [{ ...good, topics: 'orders' }, /topics: a list of topic names/],
    [{ ...good, topics: [] }, /topics: at least one topic/],
    [{ ...good, start: 'bogus' }, /start: 'earliest', 'latest', 'committed' or \{ timeMs \}/],
    [{ ...good, startFallback: 'latests' }, /startFallback: 'earliest', 'latest' or 'fail'/],
    [{ ...good, commit: 'manual' }, /commit: \{ kind: 'auto' \| 'each' \| 'manual' \}/],
    [{ ...good, onFailure: 'skip' }, /onFailure: \{ kind: /],
    [{ ...good, unackedMessages: 0 }, /unackedMessages: /],
    [{ ...good, bufferMessages: -1 }, /bufferMessages: /],
    [{ ...good, codec: {} }, /codec: an object with encode, decode/],
    [{ ...good, onLost: 'x' }, /onLost: a function/],
    [{ ...good, onTopicMissing: 'ignore' }, /onTopicMissing: 'wait' or 'stop'/],
    [{ ...good, sesionTimeoutMs: 1 }, /no such option: sesionTimeoutMs; options are group, /],
  ])('are refused as %j, with what is allowed', (options, message) => {
    expect(() => checkOptions('consumer', options)).toThrow(message);
  });
});

describe('other options', () => {
  test.each([
    ['connect', { servers: ['127.0.0.1:4222'], cluster: 'default', user: 'ann' }],
    ['connect', {}],
    ['producer', { topic: 'orders', maxInFlight: 10 }],
    ['run', { eachMessage: () => {}, concurrency: 4 }],
    ['close', { leave: true, timeoutMs: 0 }],
    ['topics.create', { name: 'orders', partitions: 4, storage: 'memory' }],
  ] as const)('of %s are accepted as %j', (what, options) => {
    expect(() => checkOptions(what, options)).not.toThrow();
  });

  test.each([
    ['connect', { server: '127.0.0.1' }, /connect: no such option: server; options are cluster, .*servers/],
    ['connect', { cluster: 'a b' }, /cluster: a cluster name has 1 to 64/],
    ['connect', { servers: [] }, /servers: at least one server/],
    ['connect', { logger: {} }, /logger: an object with debug, info, warn, error/],
    ['member', { group: 'cron', protocolType: 'shards', protocols: [] }, /protocols: at least one.*assign: a function/],
    ['producer', {}, /topic: a topic name/],
    ['producer', { topic: 'orders', maxInFlight: 0 }, /maxInFlight: /],
    ['producer', { topic: 'orders', keyHash: 'md5' }, /keyHash: 'fnv1a' or 'murmur2'/],
    ['run', {}, /run: either eachMessage or eachBatch/],
    ['run', { eachMessage: () => {}, eachBatch: () => {} }, /either eachMessage or eachBatch/],
    ['run', { eachMesage: () => {} }, /no such option: eachMesage/],
    ['close', { timeout: 5 }, /no such option: timeout; options are leave, timeoutMs/],
    ['closeOnSignals', { signals: 'SIGTERM' }, /signals: /],
    ['topics.create', { name: 'orders', partitions: 4, replication: 3 }, /no such option: replication/],
    ['topics.adopt', { name: 'orders', stream: 'S', partitions: 4 }, /subject: /],
  ] as const)('of %s are refused as %j', (what, options, message) => {
    expect(() => checkOptions(what, options)).toThrow(message);
  });
});

describe('a key', () => {
  const topic: TopicSpec = { name: 't', stream: 'T', subject: 't.{partition}.{key}', partitions: 4, keyHash: 'fnv1a' };

  test('too long for a subject is refused before the server would drop the connection', () => {
    expect(() => messageSubject(topic, 0, 'x'.repeat(SUBJECT_BYTES_MAX))).toThrow(/key of 2048 bytes .* at most 2048/);
    expect(() => messageSubject(topic, 0, 'x'.repeat(1_000))).not.toThrow();
  });

  test.each([5, null, [1], []])('that is %j is refused', (key) => {
    expect(() => partitionOfKey(topic, key as never)).toThrow(/a key is a text or a list of texts/);
  });
});

describe('a consumer', () => {
  test('whose loop was left without an ack closes without waiting for one', async () => {
    const { consume, store, muster, clock } = consumerScene();
    store(0, 1, 2);
    const consumer = await consume({});
    for await (const message of consumer) {
      expect(message.offset).toBe(1);
      break;
    }
    let isClosed = false;
    void consumer.close().then(() => {
      isClosed = true;
    });
    await clock.advance(500);
    expect(isClosed).toBe(true);
    await muster.close();
  });

  test('gives up joining after its time where its join is never answered, and says so', async () => {
    const { consume, muster, coordinator, clock } = consumerScene();
    coordinator.script.join = () => 'park';
    let failure: unknown;
    consume({ joinTimeoutMs: 5_000 }).catch((thrown: unknown) => {
      failure = thrown;
    });
    await clock.advance(4_000);
    expect(failure).toBeUndefined();
    await clock.advance(10_000);
    expect(failure).toMatchObject({ code: 'TIMEOUT' });
    expect(String(failure)).toMatch(/not joined within 5000 ms: .*do its members rejoin\?/);
    delete coordinator.script.join;
    await muster.close();
  });
});
