import {
  clusterApis,
  encodeRequest,
  epoch,
  groupId,
  incarnation,
  logId,
  nodeId,
  type Partition,
  parseReply,
  partition,
  partitionOf,
  requestId,
  Subjects,
} from '@muster/protocol';
import { MemoryNats, VirtualClock } from '@muster/testkit/internals';
import { describe, expect, test } from 'vitest';
import { serveClusterRequests } from './cluster-requests.js';
import type { PartitionRuntime } from './partition-runtime.js';

const subjects = new Subjects('test');
const group = groupId('billing');
const PARTITIONS = 12;
const own = partitionOf(group, PARTITIONS);

function scene(payloadBytesMax?: number) {
  const clock = new VirtualClock();
  const nats = new MemoryNats({ clock, ...(payloadBytesMax === undefined ? {} : { payloadBytesMax }) });
  const hints: [number, number][] = [];
  const owners = new Map<Partition, { node: ReturnType<typeof nodeId>; epoch: ReturnType<typeof epoch> }>();
  const groups = new Map<number, string[]>();
  const proven = new Set<number>();
  /** Proves a partition that was asked to be proven. */
  const proofs = new Map<number, () => void>();
  const refused: string[] = [];
  const stop = serveClusterRequests({
    bus: nats.connect('a'),
    subjects,
    node: nodeId('a'),
    logId: logId('log-1'),
    partitionCount: PARTITIONS,
    cluster: {
      ownerOf: (index) => {
        const owner = owners.get(index);
        return owner === undefined ? undefined : { ...owner, incarnation: incarnation('i') };
      },
      hint: (index, reign) => void hints.push([index, reign]),
    },
    runtimes: () =>
      [...groups].map(([index, names]) => {
        const list: PartitionRuntime['list'] = () =>
          names.map((name) => ({ groupId: groupId(name), protocolType: 't', state: 'Stable', groupType: 'classic' }));
        const prove: PartitionRuntime['prove'] = (onProven) => void proofs.set(index, onProven ?? (() => {}));
        return { partition: partition(index), list, prove } as PartitionRuntime;
      }),
    mayServe: (index) => proven.has(index),
    onRefused: ({ error }) => refused.push(error),
  });
  const client = nats.connect('client');
  const ask = async (api: 'find' | 'list', body: object, reply = 'inbox') => {
    const replies: Uint8Array[] = [];
    const subscription = client.subscribe('inbox', ({ payload }) => void replies.push(payload));
    const payload = encodeRequest({ id: requestId('r1'), deadlineMs: 1_000 }, body);
    client.publish(api === 'find' ? subjects.find : subjects.all, payload, reply);
    await clock.advance(10);
    subscription.unsubscribe();
    return replies.map((bytes) => parseReply<object>(clusterApis[api], bytes));
  };
  return { clock, nats, client, hints, owners, groups, proven, proofs, refused, ask, stop };
}

describe('FindCoordinator', () => {
  test('names partition, owner and reign', async () => {
    const { ask, owners } = scene();
    owners.set(own, { node: nodeId('b'), epoch: epoch(7) });
    expect(await ask('find', { groupId: group })).toMatchObject([
      { error: 'NONE', fields: { partition: own, partitionCount: PARTITIONS, nodeId: 'b', ownerEpoch: 7 } },
    ]);
  });

  test('says COORDINATOR_NOT_AVAILABLE where nobody is known to own the partition', async () => {
    const { ask, hints } = scene();
    expect(await ask('find', { groupId: group })).toMatchObject([
      { error: 'COORDINATOR_NOT_AVAILABLE', fields: { nodeId: '', partition: own } },
    ]);
    expect(hints).toEqual([]);
  });

  test('passes a hint on that an owner did not answer (C5)', async () => {
    const { ask, hints } = scene();
    await ask('find', { groupId: group, suspectEpoch: 7 });
    expect(hints).toEqual([[own, 7]]);
  });
});

describe('ListGroups', () => {
  test('answers for the partitions that this node may serve now, and names them (O3)', async () => {
    const { ask, groups, proven } = scene();
    groups.set(1, ['one']);
    groups.set(2, ['two']);
    proven.add(2);
    expect(await ask('list', {})).toMatchObject([
      { error: 'NONE', fields: { partitions: [2], groups: [{ groupId: 'two' }] } },
    ]);
  });

  test('comes in parts where one reply would be too large, and with a typed error where a partition alone is', async () => {
    const { ask, groups, proven } = scene(1_024);
    const many = Array.from({ length: 8 }, (_, index) => `group-with-a-name-${index}`);
    for (const index of [1, 2, 3]) {
      groups.set(index, many);
      proven.add(index);
    }
    groups.set(4, [...many, ...many, ...many]);
    proven.add(4);
    const parts = await ask('list', {});
    const errors = parts.map((part) => (part.kind === 'reply' ? part.error : part.kind));
    expect(errors.filter((error) => error === 'MESSAGE_TOO_LARGE')).toHaveLength(1);
    const named = parts.flatMap((part) =>
      part.kind === 'reply' ? ((part.fields as { partitions?: number[] })?.partitions ?? []) : [],
    );
    expect(named.sort()).toEqual([1, 2, 3]);
  });
});

describe('ListGroups of what no failover takes back (O7)', () => {
  test('is answered partition by partition, each behind its proof', async () => {
    const { ask, groups, proven, proofs, client, clock } = scene();
    for (const [index, name] of [
      [1, 'one'],
      [2, 'two'],
    ] as const) {
      groups.set(index, [name]);
      proven.add(index);
    }
    expect(await ask('list', { stable: true })).toEqual([]);
    const partitions: unknown[] = [];
    client.subscribe('inbox', ({ payload }) => {
      const reply = parseReply<{ partitions: number[] }>(clusterApis.list, payload);
      if (reply.kind === 'reply') partitions.push(reply.fields?.partitions);
    });
    proofs.get(2)?.();
    await clock.advance(10);
    expect(partitions).toEqual([[2]]);
    proofs.get(1)?.();
    await clock.advance(10);
    expect(partitions).toEqual([[2], [1]]);
  });
});

describe('requests to any node', () => {
  test('that cannot be read get a typed error', async () => {
    const { ask, refused } = scene();
    expect(await ask('find', { groupId: 5 })).toMatchObject([{ error: 'INVALID_REQUEST' }]);
    expect(await ask('list', { statesFilter: 'x' })).toMatchObject([{ error: 'INVALID_REQUEST' }]);
    expect(refused).toEqual(['INVALID_REQUEST', 'INVALID_REQUEST']);
  });

  test('without a reply subject throw nothing and are answered to nobody', async () => {
    const { ask } = scene();
    expect(await ask('find', { groupId: group }, '')).toEqual([]);
    expect(await ask('find', { groupId: 5 }, '')).toEqual([]);
    expect(await ask('list', {}, '')).toEqual([]);
  });

  test('are heard no more after the stop', async () => {
    const { ask, stop } = scene();
    stop();
    expect(await ask('find', { groupId: group })).toEqual([]);
  });
});
