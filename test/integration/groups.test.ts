/**
 * Groups as applications use them: the worker library on real coordinators and a real server. Partitions belong to one worker at a
 * time, in order; they move when workers come, go or die; administration sees all of it over all nodes.
 */

import { fileURLToPath } from 'node:url';
import { type Consumer, connect, type Member, type Message, type Muster, type Stored } from '@muster/worker';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { newestVersion } from '../contract/versions.js';
import { Process, until } from '../world/processes.js';
import { RealCluster } from '../world/real-cluster.js';
import type { Committed } from '../world/worker-process.js';

const WORKER = fileURLToPath(new URL('../dist/world/worker-process.js', import.meta.url));
const PARTITIONS = 8;
const KEYS = 40;
/** Orders of each key that may wait for the workers. */
const BEHIND_MAX = 5;

type Order = { readonly key: string; readonly number: number };
type Handled = Order & { readonly by: string; readonly partition: number; readonly offset: number };

let cluster: RealCluster;
const closing: (() => unknown)[] = [];
let topics = 0;
/** Warnings and errors of workers, for a test that has failed. */
const complaints: string[] = [];

beforeAll(async () => {
  cluster = await RealCluster.start({ nats: { version: newestVersion }, partitions: 12 });
  await cluster.startInside('n1', 'n2', 'n3');
});
afterEach(async ({ task }) => {
  for (const close of closing.splice(0).reverse()) await close();
  if (task.result?.state === 'fail') console.log(complaints.join('\n'), cluster.logs());
  complaints.length = 0;
});
afterAll(() => cluster?.close());

async function newMuster(): Promise<Muster> {
  const muster = await connect({ cluster: cluster.name, servers: [...cluster.nats.urls] });
  closing.push(() => muster.close({ timeoutMs: 5_000 }));
  return muster;
}

async function newTopic(muster: Muster): Promise<string> {
  topics += 1;
  const name = `orders${topics}`;
  await muster.topics.create({ name, partitions: PARTITIONS });
  return name;
}

/** Sends the orders `from` to `from + count - 1` of each key. @returns where they were stored */
async function produce(muster: Muster, topic: string, from: number, count: number): Promise<Stored[]> {
  const producer = await muster.producer<Order>({ topic });
  const stored: Stored[] = [];
  for (let number = from; number < from + count; number += 1) {
    const keys = Array.from({ length: KEYS }, (_, at) => `key ${at}`);
    stored.push(...(await Promise.all(keys.map((key) => producer.send({ key, value: { key, number } })))));
  }
  return stored;
}

/** @returns the offsets of each partition, ascending */
function offsetsByPartition(places: readonly { partition: number; offset: number }[]): Map<number, number[]> {
  const offsets = new Map<number, number[]>();
  for (const { partition, offset } of places) offsets.set(partition, [...(offsets.get(partition) ?? []), offset]);
  for (const list of offsets.values()) list.sort((a, b) => a - b);
  return offsets;
}

/** Workers of one group, each with a connection of its own, and everything that they have handled. */
class Workers {
  readonly handled: Handled[] = [];
  readonly consumers = new Map<string, Consumer<Order>>();
  readonly group: string;
  readonly #topic: string;

  constructor(group: string, topic: string) {
    this.group = group;
    this.#topic = topic;
  }

  /** @param others members of the group that are not of these workers */
  async start(names: readonly string[], others = 0): Promise<void> {
    await Promise.all(names.map((name) => this.#startOne(name)));
    await this.untilShared(others);
  }

  async #startOne(by: string): Promise<void> {
    const ignore = () => {};
    const note = (message: string, fields: object = {}) =>
      complaints.push(`${by}: ${message} ${JSON.stringify(fields)}`);
    const muster = await newMuster();
    const consumer = await muster.consumer<Order>({
      group: this.group,
      topics: [this.#topic],
      sessionTimeoutMs: 6_000,
      heartbeatIntervalMs: 500,
      logger: { debug: ignore, info: ignore, warn: note, error: note },
    });
    this.consumers.set(by, consumer);
    void consumer.run({
      eachMessage: ({ value, partition, offset }: Message<Order>) => {
        this.handled.push({ ...value, by, partition, offset });
      },
    });
  }

  async stop(name: string): Promise<void> {
    await this.consumers.get(name)?.close();
    this.consumers.delete(name);
  }

  /** Waits until each partition belongs to one worker, and each worker has its share. */
  async untilShared(others = 0): Promise<void> {
    const explain = () =>
      JSON.stringify([...this.consumers].map(([by, of]) => [by, of.health().state, of.assignment()]));
    const isShared = () => {
      const owned = [...this.consumers.values()].map((consumer) =>
        consumer.assignment().map(({ partition }) => partition),
      );
      const least = Math.floor(PARTITIONS / (owned.length + others));
      const all = owned.flat();
      const isExclusive = new Set(all).size === all.length;
      const isComplete = others > 0 || all.length === PARTITIONS;
      return (
        isExclusive &&
        isComplete &&
        owned.every((partitions) => partitions.length >= least && partitions.length <= least + 1)
      );
    };
    await until('the partitions are shared', isShared, 30_000, explain);
  }

  async untilHandled(count: number): Promise<void> {
    await until(
      `${count} are handled`,
      () => this.handled.length >= count,
      30_000,
      () => `${this.handled.length}`,
    );
  }
}

/** Each key's orders came in order, from 0 to `count - 1`, each once. */
function expectOnceInOrder(handled: readonly Order[], count: number): void {
  const byKey = new Map<string, number[]>();
  for (const { key, number } of handled) byKey.set(key, [...(byKey.get(key) ?? []), number]);
  expect(byKey.size).toBe(KEYS);
  const wanted = Array.from({ length: count }, (_, at) => at);
  for (const numbers of byKey.values()) expect(numbers).toEqual(wanted);
}

describe('workers of a group', () => {
  it('share the partitions, handle each message once and in order, and commit what they handled', async () => {
    const muster = await newMuster();
    const topic = await newTopic(muster);
    const group = cluster.newGroup();
    const workers = new Workers(group, topic);
    await workers.start(['a', 'b', 'c']);
    const stored = offsetsByPartition(await produce(muster, topic, 0, 20));
    await workers.untilHandled(KEYS * 20);
    expectOnceInOrder(workers.handled, 20);
    expect(new Set(workers.handled.map(({ by }) => by)).size).toBe(3);
    for (const partition of stored.keys()) {
      const owners = new Set(workers.handled.filter((of) => of.partition === partition).map(({ by }) => by));
      expect(owners.size).toBe(1);
    }
    expect(offsetsByPartition(workers.handled)).toEqual(stored);
    await Promise.all([...workers.consumers.values()].map((consumer) => consumer.commit()));
    const offsets = await muster.admin().fetchOffsets(group);
    const ends = [...stored].map(([partition, list]) => [partition, list.at(-1)! + 1] as const);
    expect(new Map(offsets.map(({ partition, offset }) => [partition, offset]))).toEqual(new Map(ends));
    expect((await muster.admin().lag(group)).reduce((sum, { lag }) => sum + lag, 0)).toBe(0);
  });

  it('lose and repeat nothing while some come and others leave', async () => {
    const muster = await newMuster();
    const topic = await newTopic(muster);
    const workers = new Workers(cluster.newGroup(), topic);
    await workers.start(['a']);
    let isChanging = true;
    const producing = (async () => {
      let number = 0;
      for (; isChanging; number += 1) {
        await produce(muster, topic, number, 1);
        // Everything runs in this process: what is sent follows what is handled.
        await until('the workers follow', () => workers.handled.length >= (number - BEHIND_MAX) * KEYS, 60_000);
      }
      return number;
    })();
    await workers.start(['b', 'c']);
    await workers.stop('a');
    await workers.untilShared();
    await workers.start(['d']);
    await workers.stop('b');
    await workers.untilShared();
    isChanging = false;
    const count = await producing;
    await workers.untilHandled(KEYS * count);
    expectOnceInOrder(workers.handled, count);
    expect(new Set(workers.handled.map(({ by }) => by))).toEqual(new Set(['a', 'b', 'c', 'd']));
  });

  it('go on with what an earlier member has committed, after all have left', async () => {
    const muster = await newMuster();
    const topic = await newTopic(muster);
    const group = cluster.newGroup();
    const first = new Workers(group, topic);
    await first.start(['a', 'b']);
    await produce(muster, topic, 0, 5);
    await first.untilHandled(KEYS * 5);
    await Promise.all([first.stop('a'), first.stop('b')]);
    expect(await muster.admin().describeGroup(group)).toMatchObject({ state: 'Empty', members: [] });
    await produce(muster, topic, 5, 5);
    const second = new Workers(group, topic);
    await second.start(['c']);
    await second.untilHandled(KEYS * 5);
    expectOnceInOrder([...first.handled, ...second.handled], 10);
  });

  it('take over from one that was killed, once its session is over, from the offset that it had committed', async () => {
    const muster = await newMuster();
    const topic = await newTopic(muster);
    const group = cluster.newGroup();
    const args = [cluster.nats.urls.join(','), cluster.name, group, topic];
    const doomed = new Process('doomed', WORKER, args);
    closing.push(() => doomed.kill());
    const isIn = async () => (await muster.admin().describeGroup(group)).members.length === 1;
    await until('the worker is a member', isIn, 30_000, () => doomed.log.text);
    const workers = new Workers(group, topic);
    await workers.start(['a'], 1);
    const stored = offsetsByPartition(await produce(muster, topic, 0, 30));
    await until(
      'it has committed some',
      () => doomed.messages.length > 20,
      30_000,
      () => doomed.log.text,
    );
    const mine = new Set(
      workers.consumers
        .get('a')
        ?.assignment()
        .map(({ partition }) => partition),
    );
    await doomed.kill();
    const committed = new Map(
      (await muster.admin().fetchOffsets(group)).map(({ partition, offset }) => [partition, offset]),
    );
    for (const { partition, offset } of doomed.messages as Committed[]) {
      expect(committed.get(partition)).toBeGreaterThan(offset);
    }
    await workers.untilShared();
    const left = [...stored].map(([partition, offsets]): [number, number[]] => {
      const from = mine.has(partition) ? 0 : (committed.get(partition) ?? 0);
      return [partition, offsets.filter((offset) => offset >= from)];
    });
    await workers.untilHandled(left.reduce((sum, [, offsets]) => sum + offsets.length, 0));
    expect(offsetsByPartition(workers.handled)).toEqual(new Map(left.filter(([, offsets]) => offsets.length > 0)));
  });
});

describe('plain members', () => {
  const nextHolding = (member: Member, generation: number) =>
    until(`a holding after generation ${generation}`, () => (member.holding?.generation ?? 0) > generation, 30_000);

  async function startMember(group: string): Promise<Member> {
    const muster = await newMuster();
    return muster.member({
      group,
      sessionTimeoutMs: 6_000,
      heartbeatIntervalMs: 300,
      protocolType: 'shards',
      protocols: [{ name: 'by-order', metadata: new Uint8Array([1]) }],
      assign: (_protocol, members) =>
        new Map(members.map(({ memberId }, at) => [memberId, new Uint8Array([at, members.length])])),
    });
  }

  it('join, get what their leader gives them, and share anew when one leaves', async () => {
    const group = cluster.newGroup();
    const members = await Promise.all([startMember(group), startMember(group), startMember(group)]);
    const isOneRound = () => {
      const holdings = members.map((member) => member.holding);
      const [first] = holdings;
      return (
        first !== undefined &&
        holdings.every((held) => held?.generation === first.generation && held.assignment[1] === 3)
      );
    };
    await until('all three are in one generation', isOneRound, 30_000);
    expect(members.map((member) => member.holding?.assignment[0]).sort()).toEqual([0, 1, 2]);
    expect(members.filter((member) => member.holding?.isLeader)).toHaveLength(1);

    const [leaving, ...staying] = members;
    const { generation, signal } = leaving!.holding!;
    await leaving!.close();
    expect(signal.aborted).toBe(true);
    await Promise.all(staying.map((member) => nextHolding(member, generation)));
    expect(staying.map((member) => [...(member.holding?.assignment ?? [])])).toEqual(
      expect.arrayContaining([
        [0, 2],
        [1, 2],
      ]),
    );
  });

  it('are told that what they hold is lost when somebody removes them', async () => {
    const group = cluster.newGroup();
    const member = await startMember(group);
    const { memberId, signal } = member.holding!;
    const removed = await (await newMuster()).admin().removeMembers(group, [{ memberId }, { memberId: 'nobody' }]);
    expect(removed.map(({ error }) => error)).toEqual(['NONE', 'UNKNOWN_MEMBER_ID']);
    await until('it has heard of it', () => signal.aborted, 30_000);
  });
});

describe('administration', () => {
  it('lists, describes, and deletes the groups of all nodes', async () => {
    const muster = await newMuster();
    const admin = muster.admin();
    const topic = await newTopic(muster);
    const workers = new Workers(cluster.newGroup(), topic);
    await workers.start(['a', 'b']);
    const resting = Array.from({ length: 20 }, () => cluster.newGroup());
    await cluster.untilOwned();
    expect(new Set(resting.map((group) => cluster.ownerOf(group))).size).toBe(3);
    for (const group of resting) {
      // Nothing was sent to the topic: no offset of it would pass the check.
      const results = await admin.commitOffsets(group, [{ topic, partition: 1, offset: 7 }], { isUnchecked: true });
      expect(results).toMatchObject([{ error: 'NONE' }]);
    }
    const listed = async (states?: string[]) =>
      new Map((await admin.listGroups(states === undefined ? {} : { states })).map((of) => [of.groupId, of.state]));
    const all = await listed();
    expect(resting.map((group) => all.get(group))).toEqual(resting.map(() => 'Empty'));
    expect([...(await listed(['Stable'])).values()]).toEqual(['Stable']);

    const described = await admin.describeGroup(workers.group);
    expect(described).toMatchObject({ state: 'Stable', protocolType: 'consumer', protocol: 'cooperative-sticky' });
    expect(described.members).toHaveLength(2);
    expect(described.rebalances.length).toBeGreaterThan(0);

    const [gone, ...rest] = resting;
    expect((await admin.deleteGroups([gone!, workers.group])).map(({ error }) => error)).toEqual([
      'NONE',
      'NON_EMPTY_GROUP',
    ]);
    expect((await listed()).has(gone!)).toBe(false);
    expect(await admin.describeGroup(gone!)).toMatchObject({ state: 'Dead' });
    expect(await admin.fetchOffsets(gone!)).toEqual([]);
    expect(await admin.fetchOffsets(rest[0]!)).toEqual([{ topic, partition: 1, offset: 7 }]);
    expect(await admin.deleteOffsets(rest[0]!, [{ topic, partition: 1 }])).toMatchObject([{ error: 'NONE' }]);
    expect(await admin.fetchOffsets(rest[0]!)).toEqual([]);
  });
});
