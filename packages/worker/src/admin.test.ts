import { clusterApis, encodeAssignment, encodeReply, groupId, nodeId, parseRequest, Subjects } from '@muster/protocol';
import { describe, expect, it } from 'vitest';
import { consumerScene, orders, partitions } from '../test/consumer-scene.js';
import type { FakeNats } from '../test/fake-transport.js';
import { emptyGroup, refuseCommit } from '../test/scripted-coordinator.js';
import type { ResetOptions } from './admin.js';
import type { ResetTarget } from './offset-reset.js';

function setUp() {
  const scene = consumerScene();
  const admin = scene.muster.admin({ timeoutMs: 5_000 });
  return { ...scene, admin };
}

/** A node that answers ListGroups for some partitions from its `from`th question on. */
function lister(nats: FakeNats, group: string, covers: number[], from = 1): void {
  let questions = 0;
  nats.subscribe(new Subjects('default').all, ({ payload, replyTo }) => {
    questions += 1;
    const request = parseRequest(clusterApis.list, payload);
    if (questions < from || replyTo === undefined || request.kind === 'refused') return;
    const groups = [{ groupId: groupId(group), protocolType: 'consumer', state: 'Stable', groupType: 'classic' }];
    const stamp = { node: nodeId('n') };
    nats.publish(replyTo, encodeReply(request.head.id, stamp, { error: 'NONE' }, { groups, partitions: covers }));
  });
}

const all = Array.from({ length: 50 }, (_, partition) => partition);

describe('listing groups', () => {
  it('asks again until the answers of the nodes cover every partition', async () => {
    const { admin, transport, clock } = setUp();
    lister(transport.nats, 'b', all.slice(0, 20));
    lister(transport.nats, 'a', all.slice(20), 3);
    const listing = admin.listGroups();
    await clock.advance(4_000);
    expect((await listing).map((group) => group.groupId)).toEqual(['a', 'b']);
  });

  it('asks for states, types, and for what no failover takes back, where that is wanted', async () => {
    const { admin, transport, clock } = setUp();
    const asked: unknown[] = [];
    transport.nats.subscribe(new Subjects('default').all, ({ payload }) => {
      const request = parseRequest(clusterApis.list, payload);
      if (request.kind === 'request') asked.push(request.body);
    });
    lister(transport.nats, 'a', all);
    for (const filter of [{}, { states: ['Stable'], types: ['consumer'], stable: true }]) {
      const listing = admin.listGroups(filter);
      await clock.advance(1_000);
      await listing;
    }
    expect(asked.at(0)).toEqual({ statesFilter: [], typesFilter: [], stable: false });
    expect(asked.at(-1)).toEqual({ statesFilter: ['Stable'], typesFilter: ['consumer'], stable: true });
  });

  it('says so when a partition has no owner until the deadline', async () => {
    const { admin, transport, clock } = setUp();
    lister(transport.nats, 'b', all.slice(1));
    const listing = admin.listGroups().catch((error: unknown) => error);
    await clock.advance(6_000);
    expect(await listing).toMatchObject({ code: 'INCOMPLETE_ANSWER', message: expect.stringContaining('49 of 50') });
  });

  it.each(['listGroups', 'describeCluster'] as const)(
    '%s ends at its deadline while nobody answers at all',
    async (call) => {
      const { admin, transport, clock } = setUp();
      transport.event({ kind: 'disconnected' });
      const asking = admin[call]().catch((error: unknown) => error);
      let isOver = false;
      void asking.then(() => {
        isOver = true;
      });
      await clock.advance(4_900);
      expect(isOver).toBe(false);
      await clock.advance(200);
      expect(isOver).toBe(true);
      expect(await asking).toMatchObject({ code: 'TIMEOUT', message: expect.stringContaining('no coordinator node') });
    },
  );
});

describe('offsets', () => {
  it('commits and fetches them, and counts what is left', async () => {
    const { admin, clock, store, muster } = setUp();
    store(0, 1, 2, 3);
    muster.topics.declare([orders]);
    const committing = admin.commitOffsets('billing', [{ ...partitions(0)[0]!, offset: 2 }]);
    await clock.advance(500);
    expect(await committing).toEqual([{ item: { topic: 'orders', partition: 0, offset: 2 }, error: 'NONE' }]);
    expect(await admin.fetchOffsets('billing')).toEqual([{ topic: 'orders', partition: 0, offset: 2 }]);
  });

  it('commits what is noted beside them', async () => {
    const { admin, clock, store, muster, coordinator } = setUp();
    store(0, 1, 2, 3);
    muster.topics.declare([orders]);
    const committing = admin.commitOffsets('billing', [{ ...partitions(0)[0]!, offset: 2, metadata: 'by hand' }]);
    await clock.advance(500);
    expect(await committing).toMatchObject([{ error: 'NONE' }]);
    expect(coordinator.of('commit').at(-1)?.body.offsets).toMatchObject([{ offset: 2, metadata: 'by hand' }]);
    coordinator.script.fetch = () => {
      const committed = { topic: 'orders', partition: 0, offset: 2, leaderEpoch: -1, metadata: 'by hand', error: 0 };
      return { fields: { partitions: [committed] } };
    };
    const fetching = admin.fetchOffsets('billing');
    await clock.advance(500);
    expect(await fetching).toEqual([{ topic: 'orders', partition: 0, offset: 2, metadata: 'by hand' }]);
  });

  it('ends with a typed error when nobody answers', async () => {
    const { admin, clock, coordinator } = setUp();
    coordinator.stop();
    const fetching = admin.fetchOffsets('billing').catch((error: unknown) => error);
    await clock.advance(5_001);
    expect(await fetching).toMatchObject({ code: 'TIMEOUT', retriable: true });
  });
});

describe('groups and members', () => {
  it('tells for each group whether it was deleted', async () => {
    const { admin, clock, coordinator } = setUp();
    coordinator.script.delete = ({ body }) => (body.groupId === 'busy' ? 'NON_EMPTY_GROUP' : { fields: {} });
    const deleting = admin.deleteGroups(['busy', 'idle']);
    await clock.advance(500);
    expect(await deleting).toMatchObject([
      { item: 'busy', error: 'NON_EMPTY_GROUP' },
      { item: 'idle', error: 'NONE' },
    ]);
  });

  it('removes members by member id and by instance id', async () => {
    const { admin, clock, coordinator } = setUp();
    const removing = admin.removeMembers('billing', [{ memberId: 'm1' }, { instanceId: 'i1' }]);
    await clock.advance(500);
    expect((await removing).map(({ error }) => error)).toEqual(['NONE', 'NONE']);
    expect(coordinator.of('leave')[0]?.body.members).toMatchObject([
      { memberId: 'm1', groupInstanceId: null },
      { memberId: '', groupInstanceId: 'i1' },
    ]);
  });
});

const place = (partition: number) => ({ topic: 'orders', partition });

describe('checking offsets before they are committed', () => {
  it('refuses, each for itself, what is outside of the stream and what does not exist', async () => {
    const { admin, clock, store, muster } = setUp();
    muster.topics.declare([orders]);
    store(0, 1, 2, 3);
    const committing = admin.commitOffsets('billing', [
      { ...place(0), offset: 4 },
      { ...place(1), offset: 5 },
      { ...place(2), offset: 0 },
      { ...place(4), offset: 1 },
      { topic: 'nowhere', partition: 0, offset: 1 },
    ]);
    await clock.advance(500);
    expect((await committing).map(({ error }) => error)).toEqual([
      'NONE',
      'OFFSET_OUT_OF_RANGE',
      'OFFSET_OUT_OF_RANGE',
      'UNKNOWN_TOPIC_OR_PARTITION',
      'UNKNOWN_TOPIC',
    ]);
    expect((await admin.fetchOffsets('billing')).length).toBe(1);
  });
});

describe('resetting offsets', () => {
  async function reset(target: ResetTarget, options: ResetOptions = {}) {
    const scene = setUp();
    scene.muster.topics.declare([orders]);
    scene.store(0, 1, 2);
    scene.streams.timestampMs = scene.wallNow() - 60_000;
    scene.store(0, 3, 4);
    scene.coordinator.offsets.set('orders/0', 3);
    const resetting = scene.admin.resetOffsets('billing', target, options);
    resetting.catch(() => {});
    await scene.clock.advance(500);
    return { ...scene, result: await resetting };
  }

  it('to latest means the end of the partition, which other partitions may have left behind', async () => {
    const scene = setUp();
    scene.muster.topics.declare([orders]);
    scene.store(0, 1, 2);
    scene.store(1, 3, 4, 5);
    const resetting = scene.admin.resetOffsets('billing', { to: 'latest' }, { topics: ['orders'] });
    await scene.clock.advance(500);
    // The last two have no message: there is nothing but the end of the stream.
    expect((await resetting).map(({ after }) => after)).toEqual([3, 6, 6, 6]);
  });

  it.each<[ResetTarget, number, boolean]>([
    [{ to: 'earliest' }, 1, false],
    [{ to: 'latest' }, 5, false],
    [{ to: 'current' }, 3, false],
    [{ to: 'offset', offset: 2 }, 2, false],
    [{ to: 'offset', offset: 99 }, 5, true],
    [{ to: 'shift', by: -1 }, 2, false],
    [{ to: 'shift', by: -50 }, 1, true],
    [{ to: 'time', timeMs: 1 }, 3, false],
    [{ to: 'duration', durationMs: 120_000 }, 3, false],
    [{ to: 'group', group: 'other' }, 3, false],
    [{ to: 'offsets', offsets: [{ ...place(0), offset: 4 }] }, 4, false],
  ])('to %j means offset %i, and a dry run writes nothing', async (target, after, isClamped) => {
    const { result, coordinator } = await reset(target);
    expect(result).toEqual([{ ...place(0), before: 3, after, isClamped, error: 'NONE' }]);
    expect(coordinator.of('commit')).toHaveLength(0);
  });

  it('writes when told so, and says for each partition what was and what is', async () => {
    const { result, coordinator } = await reset({ to: 'earliest' }, { topics: ['orders', 'nowhere'], dryRun: false });
    expect(result).toEqual([
      { ...place(0), before: 3, after: 1, isClamped: false, error: 'NONE' },
      ...[1, 2, 3].map((p) => ({ ...place(p), before: undefined, after: 1, isClamped: false, error: 'NONE' })),
      { topic: 'nowhere', partition: 0, before: undefined, after: undefined, isClamped: false, error: 'UNKNOWN_TOPIC' },
    ]);
    expect(coordinator.offsets.get('orders/0')).toBe(1);
  });

  it('says what the coordinator refused', async () => {
    const scene = setUp();
    scene.muster.topics.declare([orders]);
    scene.coordinator.offsets.set('orders/0', 1);
    scene.coordinator.script.commit = ({ body }) => refuseCommit(body, 'UNKNOWN_MEMBER_ID');
    const resetting = scene.admin.resetOffsets('billing', { to: 'latest' }, { dryRun: false });
    await scene.clock.advance(500);
    expect(await resetting).toMatchObject([{ before: 1, after: undefined, error: 'UNKNOWN_MEMBER_ID' }]);
  });

  it('refuses a group that is active', async () => {
    const { admin, clock, coordinator } = setUp();
    coordinator.script.describe = () => ({ fields: { ...emptyGroup('billing'), state: 'Stable' } });
    const resetting = admin.resetOffsets('billing', { to: 'earliest' }).catch((error: unknown) => error);
    await clock.advance(500);
    expect(await resetting).toMatchObject({ code: 'NON_EMPTY_GROUP' });
    expect(coordinator.of('commit')).toHaveLength(0);
  });

  it('shifts by messages of the partition, though the partitions share one sequence, and tells how far it is', async () => {
    const scene = setUp();
    scene.muster.topics.declare([orders]);
    // Offsets of partition 0: 1, 5, 9, 13.
    for (let turn = 0; turn < 4; turn += 1) for (const partition of [0, 1, 2, 3]) scene.store(partition, turn);
    for (const partition of [0, 1]) scene.coordinator.offsets.set(`orders/${partition}`, 10);
    const progress: string[] = [];
    const onProgress = (done: number, total: number) => void progress.push(`${done}/${total}`);
    const options = { topics: ['orders'], onProgress };
    const resetting = scene.admin.resetOffsets('billing', { to: 'shift', by: -2 }, options);
    await scene.clock.advance(500);
    expect(await resetting).toMatchObject([
      { partition: 0, before: 10, after: 5, isClamped: false },
      { partition: 1, before: 10, after: 2, isClamped: false },
      { partition: 2, before: undefined, error: 'NO_COMMITTED_OFFSET' },
      { partition: 3, before: undefined, error: 'NO_COMMITTED_OFFSET' },
    ]);
    expect(progress).toEqual(['1/4', '2/4', '3/4', '4/4']);
  });
});

describe('what JetStream says of partitions', () => {
  it('is where each ends and how many messages it has, with an error of its own', async () => {
    const { admin, muster, store } = setUp();
    muster.topics.declare([orders]);
    store(0, 1, 2);
    store(1, 3);
    const places = [place(0), place(1), place(2), place(9), { topic: 'nowhere', partition: 0 }];
    expect(await admin.endOffsets(places)).toEqual([
      { ...place(0), endOffset: 3, error: 'NONE' },
      { ...place(1), endOffset: 4, error: 'NONE' },
      { ...place(2), endOffset: undefined, error: 'NONE' },
      { ...place(9), endOffset: undefined, error: 'UNKNOWN_TOPIC_OR_PARTITION' },
      { topic: 'nowhere', partition: 0, endOffset: undefined, error: 'UNKNOWN_TOPIC' },
    ]);
    const from = [place(0), { ...place(0), fromOffset: 2 }, place(2), place(9)];
    expect((await admin.countMessages(from)).map(({ messages }) => messages)).toEqual([2, 1, 0, 0]);
  });
});

describe('lag', () => {
  it('is not nothing for a group that there is none of', async () => {
    const { admin, clock, coordinator } = setUp();
    coordinator.script.describe = () => ({ fields: { ...emptyGroup('biling'), state: 'Dead' } });
    const lagging = admin.lag('biling').catch((error: unknown) => error);
    await clock.advance(500);
    expect(await lagging).toMatchObject({ code: 'GROUP_ID_NOT_FOUND', message: expect.stringContaining('biling') });
  });

  it('counts every partition of the topics of the group in messages and in time, consumed or not', async () => {
    const { admin, clock, store, streams, muster, coordinator, wallNow } = setUp();
    muster.topics.declare([orders]);
    streams.timestampMs = wallNow() - 60_000;
    store(0, 1, 2, 3);
    store(3, 31);
    coordinator.offsets.set('orders/0', 2);
    coordinator.offsets.set('gone/1', 9);
    const lagging = admin.lag('billing');
    await clock.advance(500);
    const lags = await lagging;
    expect(lags.map(({ topic, partition, offset, lag, error }) => [topic, partition, offset, lag, error])).toEqual([
      ['gone', 1, 9, 0, 'UNKNOWN_TOPIC'],
      ['orders', 0, 2, 2, 'NONE'],
      ['orders', 1, -1, 0, 'NONE'],
      ['orders', 2, -1, 0, 'NONE'],
      ['orders', 3, -1, 1, 'NONE'],
    ]);
    expect(lags[1]?.lagMs).toBeGreaterThanOrEqual(60_000);
    expect(lags[2]?.lagMs).toBe(0);
  });

  it('says who owns a partition, and covers topics that are only subscribed', async () => {
    const { consume, clock, coordinator, muster } = consumerScene();
    await consume();
    const [join] = coordinator.of('join').slice(-1);
    const member = {
      memberId: 'member-1',
      groupInstanceId: null,
      clientId: '',
      clientHost: '',
      metadata: join!.body.protocols[0]!.metadata,
      assignment: encodeAssignment({ partitions: partitions(1) }),
    };
    coordinator.script.describe = () => ({ fields: { ...emptyGroup('billing'), state: 'Stable', members: [member] } });
    const lagging = muster.admin().lag('billing');
    await clock.advance(500);
    const owners = (await lagging).map(({ partition, memberId }) => [partition, memberId]);
    expect(owners).toEqual([
      [0, undefined],
      [1, 'member-1'],
      [2, undefined],
      [3, undefined],
    ]);
  });
});

describe('the cluster', () => {
  it('shows each node with its partitions, and those that nobody owns', async () => {
    const { admin, transport, clock } = setUp();
    for (const [node, covers] of [
      ['n2', all.slice(30, 49)],
      ['n1', all.slice(0, 30)],
    ] as const) {
      transport.nats.subscribe(new Subjects('default').all, ({ payload, replyTo }) => {
        const request = parseRequest(clusterApis.list, payload);
        if (replyTo === undefined || request.kind === 'refused') return;
        const fields = { groups: [], partitions: covers };
        transport.nats.publish(
          replyTo,
          encodeReply(request.head.id, { node: nodeId(node) }, { error: 'NONE' }, fields),
        );
      });
    }
    const describing = admin.describeCluster();
    await clock.advance(6_000);
    expect(await describing).toEqual({
      partitionCount: 50,
      nodes: [
        { nodeId: 'n1', partitions: all.slice(0, 30) },
        { nodeId: 'n2', partitions: all.slice(30, 49) },
      ],
      unowned: [49],
    });
  });

  it('finds the coordinator of a group', async () => {
    const { admin, clock } = setUp();
    const finding = admin.findCoordinator('billing');
    await clock.advance(500);
    expect(await finding).toEqual({ partition: 0, partitionCount: 50, nodeId: 'node1', epoch: 1 });
  });

  it('says so when nobody coordinates it', async () => {
    const { admin, clock, coordinator } = setUp();
    coordinator.answersFind = false;
    const finding = admin.findCoordinator('billing').catch((error: unknown) => error);
    await clock.advance(6_000);
    expect(await finding).toMatchObject({ code: 'COORDINATOR_NOT_AVAILABLE', retriable: true });
  });
});

describe('topics, several at a time', () => {
  it('tells for each whether it was created or deleted', async () => {
    const { admin } = setUp();
    const created = await admin.createTopics([
      { name: 'a', partitions: 2 },
      { name: 'b', partitions: 0 },
    ]);
    expect(created.map(({ error }) => error)).toEqual(['NONE', 'INVALID_ARGUMENT']);
    const deleted = await admin.deleteTopics(['b', 'a']);
    expect(deleted.map(({ item, error }) => [item, error])).toEqual([
      ['b', 'UNKNOWN_TOPIC'],
      ['a', 'NONE'],
    ]);
  });
});
