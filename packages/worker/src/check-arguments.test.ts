import { describe, expect, test } from 'vitest';
import { consumerScene } from '../test/consumer-scene.js';
import type { Admin } from './admin.js';
import { adminArguments } from './check-arguments.js';

/** Calls as they come from programs without types, each with what the refusal says. */
const refused: readonly (readonly [call: keyof Admin, given: readonly unknown[], message: RegExp])[] = [
  [
    'listGroups',
    [{ state: ['Stable'] }],
    /listGroups: filter: no such option: state; options are states, types, stable/,
  ],
  ['listGroups', [{ states: 'Stable' }], /filter\.states: a list of states, not "Stable"/],
  ['listGroups', [{ states: ['Foo'] }], /filter\.states\.0: Empty, .* or Dead, not "Foo"/],
  ['lag', ['x'.repeat(256)], /lag: group: the name of a group, of at most 255 bytes, not "x+\.\.\./],
  ['commitOffsets', ['billing', [{ topic: 'a', partition: 0, offset: 1, metadata: 5 }]], /metadata: a text, not 5/],
  ['findCoordinator', [undefined], /findCoordinator: group: the name of a group, not undefined/],
  ['describeGroup', [['billing']], /describeGroup: group: the name of a group, not \["billing"\]/],
  ['describeGroup', ['billing', true], /options: \{ stable \}, not true/],
  ['describeGroups', ['ab'], /describeGroups: groups: a list of group names, not "ab"/],
  ['deleteGroups', ['nope'], /deleteGroups: groups: a list of group names, not "nope"/],
  ['deleteGroups', [['']], /groups\.0: the name of a group, not ""/],
  ['fetchOffsets', [undefined], /fetchOffsets: group: the name of a group, not undefined/],
  ['fetchOffsets', ['billing', ['orders']], /partitions\.0: \{ topic, partition \}, not "orders"/],
  ['commitOffsets', ['billing', {}], /offsets: a list of \{ topic, partition, offset \}, not \{\}/],
  ['commitOffsets', ['billing', [{ topic: 'a', partition: 0, offset: '4' }]], /offsets\.0\.offset: .*number, not "4"/],
  ['commitOffsets', ['billing', [], { unchecked: true }], /no such option: unchecked; options are isUnchecked/],
  ['resetOffsets', ['billing', 'earliest'], /target: \{ to: 'earliest' \| .*, not "earliest"/],
  ['resetOffsets', ['billing', { to: 'beginning' }], /target.*'earliest' \| 'latest' \| 'current'/],
  ['resetOffsets', ['billing', { kind: 'earliest' }], /target.*'earliest' \| 'latest' \| 'current'/],
  ['resetOffsets', ['billing', { to: 'time', time: 5 }], /target\.timeMs: a time in milliseconds, not undefined/],
  [
    'resetOffsets',
    ['billing', { to: 'earliest' }, { dry: false }],
    /no such option: dry; options are topics, .*dryRun/,
  ],
  ['resetOffsets', ['billing', { to: 'earliest' }, { topics: 'a' }], /options\.topics: a list of topic names, not "a"/],
  ['deleteOffsets', ['billing', [{ topic: 'a', partitions: [0] }]], /partitions\.0\.partition: a whole number/],
  ['removeMembers', ['billing', ['m1']], /members\.0: \{ memberId \} or \{ instanceId \}, not "m1"/],
  ['removeMembers', ['billing', [{ groupInstanceId: 'i1' }]], /members\.0: \{ memberId \} or \{ instanceId \}/],
  ['lag', ['billing', { topic: 'orders' }], /lag: options: no such option: topic; options are topics/],
  ['lagMonitor', ['billing', { stoppedAfter: 5 }], /no such option: stoppedAfter; options are topics, stoppedAfterMs/],
  ['watchLag', ['billing', { interval: 5 }], /no such option: interval; options are topics, .*intervalMs/],
  ['watchLag', ['billing', { signal: 5 }], /options\.signal: an AbortSignal, not 5/],
  ['endOffsets', [{ topic: 'a', partition: 0 }], /partitions: a list of \{ topic, partition \}/],
  ['countMessages', ['orders'], /partitions: a list of \{ topic, partition, fromOffset \}, not "orders"/],
  ['createTopics', [{ topics: [] }], /createTopics: topics: a list of \{ name, partitions \}, not \{"topics":\[\]\}/],
  ['deleteTopics', ['abc'], /deleteTopics: names: a list of topic names, not "abc"/],
  ['deleteTopics', [{ topics: ['abc'] }], /deleteTopics: names: a list of topic names/],
];

describe('a call of administration', () => {
  test.each(refused)('%s%j is refused, says what is allowed, and asks nobody', async (call, given, message) => {
    const { muster, coordinator, streams } = consumerScene();
    streams.isUp = false;
    const admin = muster.admin();
    const method = admin[call] as (...values: readonly unknown[]) => unknown;
    const failure = await new Promise<unknown>((resolve) => {
      resolve(Promise.resolve(method.apply(admin, [...given])).catch((thrown: unknown) => thrown));
    }).catch((thrown: unknown) => thrown);
    expect(failure).toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringMatching(message) });
    expect(coordinator.seen).toEqual([]);
    await muster.close();
  });

  test('is refused in every one that takes anything', () => {
    const { muster } = consumerScene();
    expect(() => muster.admin({ timeout: 5 } as never)).toThrow(/admin: options: no such option: timeout/);
    const tested = new Set<string>(refused.map(([call]) => call));
    const others = ['admin', 'watch'];
    expect(Object.keys(adminArguments).filter((call) => !tested.has(call) && !others.includes(call))).toEqual([]);
  });

  test('is refused where a lag monitor is told to watch in another way than there is', async () => {
    const { muster } = consumerScene();
    const watching = muster
      .admin()
      .lagMonitor('billing')
      .watch({ interval: 5 } as never);
    await expect(watching.next()).rejects.toThrow(/watch: options: no such option: interval/);
  });

  test.each([
    ['describe', undefined, /topics\.describe: name: the name of a topic, not undefined/],
    ['describeAll', 'ab', /topics\.describeAll: names: a list of topic names, not "ab"/],
    ['delete', { name: 'a' }, /topics\.delete: name: the name of a topic, not \{"name":"a"\}/],
  ] as const)('of the registry, %s, is refused with %j', async (call, given, message) => {
    const { muster } = consumerScene();
    await expect(muster.topics[call](given as never)).rejects.toThrow(message);
  });

  test.each([
    ['subscribe', 'orders', /topics: a list of topic names, not "orders"/],
    ['subscribe', [{ topic: 'orders' }], /topics\.0: a topic name, or a topic \{ name, stream, /],
    ['subscribe', [], /topics: at least one topic/],
    ['pause', { topic: 'orders', partition: 0 }, /partitions: a list of \{ topic, partition \}/],
    ['resume', [{ topic: 'orders', partitions: [0] }], /partitions\.0\.partition: a whole number/],
    ['commit', { topic: 'orders' }, /offsets: a list of \{ topic, partition, offset \}/],
    ['assigned', { timeout: 5 }, /no such option: timeout; options are timeoutMs, signal/],
  ] as const)('of a consumer, %s, is refused with %j', async (call, given, message) => {
    const { consume, muster } = consumerScene();
    const consumer = await consume();
    const calling = (async () => await consumer[call](given as never))();
    await expect(calling).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringMatching(message) });
    await muster.close();
  });
});
