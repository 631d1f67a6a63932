import { epoch, incarnation, monotonicMs, nodeId, type Partition, partition, Subjects } from '@muster/protocol';
import { MemoryLeaseStore, MemoryNats, SeededRandom, VirtualClock } from '@muster/testkit/internals';
import { describe, expect, test } from 'vitest';
import { ClusterNode, type ClusterReport } from './cluster-node.js';
import { probeSubject } from './detector.js';
import { decodeLease, encodeLease, leaseKey } from './lease-entry.js';
import { encodeHeartbeat } from './messages.js';
import type { PartitionHost } from './partition-host.js';
import { clusterSettingsDefaults } from './settings.js';

const subjects = new Subjects('test');
const key = leaseKey(nodeId('a'));

/** One node over a host that says yes to everything, and a second connection that the test speaks through. */
function scene(resumed: Promise<'resumed'> = Promise.resolve('resumed')) {
  const clock = new VirtualClock();
  const nats = new MemoryNats({ clock });
  const leases = new MemoryLeaseStore({ nats });
  const bus = nats.connect('a');
  const store = leases.storeOf('a');
  const other = nats.connect('other');
  const calls: string[] = [];
  const reports: ClusterReport[] = [];
  const over: string[] = [];
  let reigns = 0;
  const host: PartitionHost = {
    claim: () => {
      reigns += 1;
      return Promise.resolve({ kind: 'claimed', epoch: epoch(reigns) });
    },
    prepare: async (index) => void calls.push(`prepare ${index}`),
    suspend: () => void calls.push('suspend'),
    resume: () => {
      calls.push('resume');
      return resumed;
    },
    release: () => Promise.resolve(),
    drop: () => void calls.push('drop'),
    prove: () => {},
    proofSentAt: () => undefined,
  };
  const node = new ClusterNode({
    node: nodeId('a'),
    incarnation: incarnation('a-1'),
    partitionCount: 1,
    subjects,
    bus,
    leases: store,
    clock: nats.clockOf('a'),
    random: new SeededRandom(1),
    settings: clusterSettingsDefaults,
    host,
    report: (report) => reports.push(report),
    onOver: (detail) => over.push(detail),
    onServing: () => {},
  });
  const start = async () => {
    const started = node.start();
    await clock.advance(10);
    await started;
  };
  const serving = async () => {
    await start();
    await clock.advance(1_500);
    expect(node.ownership.mayServe(partition(0))).toBe(true);
  };
  const beat = (life: string, owned: [Partition, ReturnType<typeof epoch>][]) =>
    other.publish(
      subjects.heartbeats,
      encodeHeartbeat({ node: nodeId('b'), incarnation: incarnation(life), view: '', owned }),
    );
  const putLease = async (name: string, life: string) => {
    const target = leaseKey(nodeId(name));
    const value = encodeLease({
      node: nodeId(name),
      incarnation: incarnation(life),
      state: 'alive',
      renewal: 1,
      markedBy: '',
    });
    void leases.storeOf('other').write(target, value, leases.entryOf(target)?.revision ?? 0);
    await clock.advance(1);
  };
  return { clock, nats, leases, store, bus, other, node, calls, reports, over, start, serving, beat, putLease };
}

describe('a node in its cluster', () => {
  test('is ready when it holds its lease and knows the others, not before', async () => {
    const { node, start, leases } = scene();
    expect(node.isReady).toBe(false);
    await start();
    expect(node.isReady).toBe(true);
    expect(node.nodes).toEqual(['a']);
    expect(decodeLease(leases.entryOf(key)?.value ?? new Uint8Array())).toMatchObject({ state: 'alive' });
    node.stop();
    expect(node.isReady).toBe(false);
  });

  test('answers probes of this incarnation only (O1)', async () => {
    const { start, other, clock } = scene();
    await start();
    const ask = async (life: string) => {
      const asked = other.request(probeSubject(subjects, nodeId('a'), incarnation(life)), new Uint8Array(), 100);
      await clock.advance(150);
      return (await asked).kind;
    };
    expect(await ask('a-1')).toBe('reply');
    expect(await ask('a-0')).toBe('no-responders');
  });

  test('keeps its lease while its watch does not begin', async () => {
    const { clock, store, node, leases } = scene();
    let begin = () => {};
    const { watch } = store;
    store.watch = (onEntry, onReady) =>
      new Promise((resolve) => {
        begin = () => void watch(onEntry, onReady).then(resolve);
      });
    const started = node.start();
    await clock.advance(4_100);
    expect(decodeLease(leases.entryOf(key)?.value ?? new Uint8Array())?.renewal).toBe(5);
    expect(node.isReady).toBe(false);
    begin();
    await clock.advance(10);
    await started;
    expect(node.isReady).toBe(true);
  });

  test('ignores heartbeats of an earlier process of an id: the one that holds the lease speaks for it (O1)', async () => {
    const { clock, node, serving, beat, putLease } = scene();
    await serving();
    await putLease('b', 'b-2');
    beat('b-2', [[partition(0), epoch(1)]]);
    await clock.advance(1);
    const known = node.ownerOf(partition(0));
    beat('b-1', [[partition(0), epoch(9)]]);
    await clock.advance(1);
    expect(node.ownerOf(partition(0))).toEqual(known);
  });
});

describe('after a gap (M2)', () => {
  test('a node that stood still serves nothing before a round trip with the server, and resumes after it', async () => {
    const { clock, bus, node, calls, serving } = scene();
    await serving();
    let answer: (isThere: boolean) => void = () => {};
    bus.roundTrip = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    node.stalled('it stood still', monotonicMs(clock.now() - 2_000));
    expect(calls).toEqual(['suspend']);
    await clock.advance(2_000);
    expect(calls).toEqual(['suspend']);
    expect(node.ownership.mayServe(partition(0))).toBe(false);
    answer(false);
    await clock.advance(200);
    expect(calls).toEqual(['suspend']);
    answer(true);
    await clock.advance(200);
    expect(calls).toEqual(['suspend', 'resume']);
    expect(node.ownership.mayServe(partition(0))).toBe(true);
  });

  test('a connection that comes back is asked first, too', async () => {
    const { clock, nats, bus, calls, serving } = scene();
    await serving();
    nats.cut('a');
    await clock.advance(100);
    expect(calls).toEqual(['suspend']);
    let asked = 0;
    bus.roundTrip = () => {
      asked += 1;
      return Promise.resolve(asked > 3);
    };
    nats.heal('a');
    await clock.advance(100);
    expect(calls).toEqual(['suspend']);
    await clock.advance(500);
    expect(asked).toBe(4);
    expect(calls).toEqual(['suspend', 'resume']);
  });
});

describe('a short loss of the connection', () => {
  test('is followed by a heartbeat at once: the next one would come when the others have marked the node dead', async () => {
    // The streams are without a leader just then: nothing can be resumed.
    const { clock, nats, other, serving } = scene(new Promise(() => {}));
    await serving();
    let heard = 0;
    other.subscribe(subjects.heartbeats, () => {
      heard += 1;
    });
    await clock.advance(clusterSettingsDefaults.heartbeatIntervalMs);
    nats.cut('a');
    await clock.advance(10);
    heard = 0;
    nats.heal('a');
    await clock.advance(100);
    expect(heard).toBeGreaterThanOrEqual(1);
  });
});

describe('the end of an incarnation (M1)', () => {
  test('comes with its lease: everything is dropped, nothing is sent or claimed any more', async () => {
    const { clock, node, leases, other, calls, over, serving } = scene();
    await serving();
    leases.remove(key);
    await clock.advance(1_100);
    expect(over).toHaveLength(1);
    expect(calls).toEqual(['suspend', 'drop']);
    const heard: string[] = [];
    other.subscribe('>', ({ subject }) => void heard.push(subject));
    await clock.advance(10_000);
    expect(heard).toEqual([]);
    expect(node.ownership.owned()).toEqual([]);
    expect(leases.entryOf(key)?.value).toBeUndefined();
  });

  test('by a drain leaves the lease as that of a node that has left', async () => {
    const { clock, node, leases, serving } = scene();
    await serving();
    let isDrained = false;
    void node.drain(monotonicMs(clock.now() + 3_000)).then(() => {
      isDrained = true;
    });
    await clock.advance(3_500);
    expect(isDrained).toBe(true);
    expect(decodeLease(leases.entryOf(key)?.value ?? new Uint8Array())?.state).toBe('left');
    await clock.advance(5_000);
    expect(decodeLease(leases.entryOf(key)?.value ?? new Uint8Array())?.state).toBe('left');
  });

  test('before its start was through leaves nothing running', async () => {
    const { clock, node, leases } = scene();
    const started = node.start();
    node.stop();
    await clock.advance(20);
    await started;
    const revision = leases.entryOf(key)?.revision;
    await clock.advance(5_000);
    expect(leases.entryOf(key)?.revision).toBe(revision);
    expect(node.isReady).toBe(false);
  });
});
