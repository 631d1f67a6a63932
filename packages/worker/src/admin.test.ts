import { clusterApis, encodeReply, groupId, nodeId, parseRequest, Subjects } from '@muster/protocol';
import { describe, expect, it } from 'vitest';
import { consumerScene, orders, partitions } from '../test/consumer-scene.js';
import type { FakeNats } from '../test/fake-transport.js';

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

  it('says so when a partition has no owner until the deadline', async () => {
    const { admin, transport, clock } = setUp();
    lister(transport.nats, 'b', all.slice(1));
    const listing = admin.listGroups().catch((error: unknown) => error);
    await clock.advance(6_000);
    expect(await listing).toMatchObject({ code: 'INCOMPLETE_ANSWER', message: expect.stringContaining('49 of 50') });
  });
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
    expect(await admin.lag('billing')).toEqual([{ topic: 'orders', partition: 0, offset: 2, lag: 2 }]);
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
    expect(await deleting).toEqual([
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
