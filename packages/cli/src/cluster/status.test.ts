import { type Heartbeat, parseClusterRecord, parseHeartbeat } from '@muster/cluster';
import { encode, utf8Encode } from '@muster/protocol';
import type { ClusterDescription } from '@muster/worker';
import { describe, expect, it } from 'vitest';
import { Denied } from '../denial.js';
import type { Row } from '../output.js';
import type { LeaseFacts, NodeLease } from './leases.js';
import { compose } from './status.js';
import { nodesReport } from './views.js';

// Whatever else is in a record has a default.
const inRecord = { clusterId: 'c', logId: 'L', partitionCount: 4, streamCount: 2, replicas: 3, epochFloor: 0 };
const record = parseClusterRecord(utf8Encode(JSON.stringify({ format: 1, ...inRecord })));
const lease = (node: string, more: Partial<NodeLease> = {}): NodeLease => {
  return { node, incarnation: `${node}-incarnation`, state: 'alive', ageMs: 300, markedBy: '', ...more };
};
const facts = (...leases: NodeLease[]): LeaseFacts => ({ record, leases, problem: undefined });
function beat(node: string, owned: readonly (readonly [number, number])[], view = 'v'): [string, Heartbeat] {
  const heartbeat = parseHeartbeat(encode({ v: 1, node, incarnation: `${node}-incarnation`, view, owned }));
  if (heartbeat === undefined) throw new Error('no heartbeat');
  return [node, heartbeat];
}
const answer = (nodes: Record<string, number[]>, unowned: number[] = []): ClusterDescription => ({
  partitionCount: 4,
  nodes: Object.entries(nodes).map(([nodeId, partitions]) => ({ nodeId, partitions })),
  unowned,
});
const status = (
  known: LeaseFacts | 'deleted' | undefined,
  cluster: ClusterDescription | undefined,
  beats: readonly [string, Heartbeat][],
  streams: readonly Row[] = [],
) =>
  compose(
    'c',
    known,
    { cluster, failure: cluster === undefined ? new Error('silence') : undefined },
    new Map(beats),
    streams,
  );

describe('the status of a cluster', () => {
  it('has every node of the lease store, also one that owns nothing', () => {
    const found = status(facts(lease('a'), lease('idle')), answer({ a: [0, 1, 2, 3] }), [
      beat('a', [
        [0, 1],
        [1, 1],
        [2, 1],
        [3, 5],
      ]),
      beat('idle', []),
    ]);
    expect(found.nodes.map(({ node, owned }) => [node, owned.length])).toEqual([
      ['a', 4],
      ['idle', 0],
    ]);
    expect(found.partitions[3]).toEqual({ partition: 3, owner: 'a', epoch: 5, stream: 'MUSTER_c_LOG_1' });
    expect(found.warnings).toEqual([]);
    const [first] = nodesReport(found, false).rows;
    expect(first).toMatchObject({ node: 'a', share: 1, epochs: '1-5', incarnation: 'a-incarnation' });
  });
  it('believes the higher epoch of two that claim the same partition', () => {
    const beats = [
      beat('a', [
        [0, 3],
        [1, 1],
      ]),
      beat('b', [
        [0, 2],
        [2, 1],
        [3, 1],
      ]),
    ];
    const known = facts(lease('a'), lease('b'));
    // Whichever is heard first.
    for (const heard of [beats, beats.toReversed()]) {
      const { partitions } = status(known, answer({ b: [0, 2, 3], a: [1] }), heard);
      expect(partitions[0]).toMatchObject({ owner: 'a', epoch: 3 });
    }
  });
  it('shows what the nodes answer where neither leases nor heartbeats can be seen', () => {
    const found = status(undefined, answer({ a: [0, 1, 2] }, [3]), []);
    expect(found.nodes).toEqual([expect.objectContaining({ node: 'a', lease: null, incarnation: null })]);
    expect(found.unowned).toEqual([3]);
    expect(found.warnings).toEqual([expect.stringContaining('not visible to this NATS user')]);
    expect(nodesReport(found, false).rows[0]).toMatchObject({ state: null, leaseAgeMs: null, epochs: null });
  });
  it('shows what the store holds where no node answers', () => {
    const found = status(facts(lease('a', { state: 'dead', markedBy: 'b: no responders' })), undefined, []);
    expect(found.unanswered).toMatchObject({ message: 'silence' });
    expect(found.unowned).toEqual([0, 1, 2, 3]);
    expect(nodesReport(found, false).rows).toEqual([expect.objectContaining({ node: 'a', state: 'dead' })]);
  });
  it('is known from leases and heartbeats where the nodes may not be asked', () => {
    const denied = { cluster: undefined, failure: new Denied(1, 'not for you') };
    const beats = new Map([
      beat(
        'a',
        [0, 1, 2].map((partition) => [partition, 1] as const),
      ),
    ]);
    const seen = compose('c', facts(lease('a')), denied, beats, []);
    expect(seen).toMatchObject({ hidden: [], unanswered: undefined, unowned: [3] });
    const unseen = compose('c', facts(lease('a')), denied, new Map(), []);
    expect(unseen).toMatchObject({ hidden: ['owners of partitions'], unanswered: undefined, unowned: [] });
    expect(unseen.warnings).toEqual([expect.stringContaining('not for you')]);
    const dead = compose('c', facts(lease('a', { state: 'dead' })), denied, new Map(), []);
    expect(dead.unanswered).toMatchObject({ code: 'COORDINATOR_NOT_AVAILABLE' });
    expect(compose('c', undefined, denied, new Map(), []).unanswered).toBe(denied.failure);
  });
  it('tells of the record what nodes have to agree on, and nothing else', () => {
    const secret = { ...record, secret: { salt: 's', sha256: 'f'.repeat(64) } };
    const known: LeaseFacts = { record: secret, leases: [], problem: undefined };
    const { document } = nodesReport(status(known, answer({ a: [0] }), []), false);
    expect(document).toMatchObject({ record: inRecord });
    expect(JSON.stringify(document)).not.toMatch(/secret|ffff/);
  });
  it('says what is wrong with a record', () => {
    const known: LeaseFacts = { record: undefined, leases: [], problem: 'the cluster record is not JSON' };
    expect(status(known, answer({ a: [0] }), []).warnings).toEqual(['the cluster record is not JSON']);
  });
  it('says which node is silent, that members differ, and what is wrong with a stream', () => {
    const beats = [beat('a', [[0, 1]], 'one'), beat('b', [], 'two')];
    const streams = [{ stream: 'S', problem: 'no leader: nothing can be stored' }];
    const { warnings, problems } = status(
      facts(lease('a', { ageMs: 9_000 }), lease('b')),
      answer({ a: [0] }),
      beats,
      streams,
    );
    const mended = [
      expect.stringMatching(/^a has not renewed its lease for 9 s/),
      'S: no leader: nothing can be stored',
    ];
    expect(problems).toEqual(mended);
    expect(warnings).toEqual([...mended, expect.stringMatching(/do not all see the same members/)]);
  });
  it('counts what a dead node owned as unowned, whoever still names it', () => {
    const found = status(facts(lease('a'), lease('b', { state: 'dead' })), answer({ a: [0, 1], b: [2, 3] }), []);
    expect(found.unowned).toEqual([2, 3]);
  });
  it('says that the store was deleted where only the log is left', () => {
    const { problems } = status('deleted', undefined, []);
    expect(problems).toEqual([expect.stringMatching(/^the store KV_MUSTER_c does not exist any more/)]);
  });
  it('leaves out those that are long gone, unless all are asked for', () => {
    const hour = 3_600_000;
    const gone = [lease('left', { state: 'left', ageMs: hour }), lease('dead', { state: 'dead', ageMs: hour })];
    const found = status(
      facts(lease('a'), lease('fresh', { state: 'left' }), ...gone),
      answer({ a: [0, 1, 2, 3] }),
      [],
    );
    expect(nodesReport(found, false).rows.map(({ node }) => node)).toEqual(['a', 'fresh']);
    expect(nodesReport(found, true).rows.map(({ node }) => node)).toEqual(['a', 'dead', 'fresh', 'left']);
  });
});
