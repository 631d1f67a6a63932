import { logId, utf8Encode } from '@muster/protocol';
import { MemoryLeaseStore, MemoryNats, VirtualClock } from '@muster/testkit';
import { describe, expect, test } from 'vitest';
import { type ClusterRecord, ClusterRecordMismatch, obeyClusterRecord, type WantedRecord } from './cluster-record.js';
import { LeaseStoreUnavailable } from './ports.js';

const record: ClusterRecord = {
  format: 1,
  clusterId: 'c-1',
  logId: logId('log-1'),
  partitionCount: 50,
  streamCount: 8,
  replicas: 3,
  epochFloor: 0,
};
const anything: WantedRecord = { partitionCount: undefined, streamCount: undefined, replicas: undefined };

function scene() {
  const clock = new VirtualClock();
  const nats = new MemoryNats({ clock });
  const store = new MemoryLeaseStore({ nats });
  for (const name of ['a', 'b']) nats.connect(name);
  const obey = async (wanted = anything, proposed = record, name = 'a') => {
    const obeyed = obeyClusterRecord(store.storeOf(name), clock, wanted, proposed);
    let isSettled = false;
    obeyed.then(
      () => (isSettled = true),
      () => (isSettled = true),
    );
    await clock.advanceUntil(() => isSettled, 60_000);
    return obeyed;
  };
  const put = async (text: string) => {
    const written = store.storeOf('b').write('cluster', utf8Encode(text), 0);
    await clock.advance(0);
    await written;
  };
  return { clock, store, obey, put };
}

describe('the cluster record', () => {
  test('is what the first node proposes, and every other one takes it', async () => {
    const { obey } = scene();
    expect(await obey()).toEqual(record);
    expect(await obey(anything, { ...record, partitionCount: 7, logId: logId('other') }, 'b')).toEqual(record);
  });

  test('has one author where two nodes create it at once: the other obeys', async () => {
    const { clock, store } = scene();
    const other = { ...record, clusterId: 'c-2', partitionCount: 7 };
    const both = Promise.all([
      obeyClusterRecord(store.storeOf('a'), clock, anything, record),
      obeyClusterRecord(store.storeOf('b'), clock, anything, other),
    ]);
    await clock.advance(1_000);
    const [first, second] = await both;
    expect(first).toEqual(second);
  });

  test('refuses a node that is configured otherwise, naming every difference (O2)', async () => {
    const { obey } = scene();
    await obey();
    const wanted = { partitionCount: 12, streamCount: 8, replicas: 1 };
    const refusal = obey(wanted, record, 'b');
    await expect(refusal).rejects.toThrow(ClusterRecordMismatch);
    await expect(refusal).rejects.toThrow('partitionCount is 50 in this cluster, 12 in this node');
    await expect(refusal).rejects.toThrow('replicas is 3 in this cluster, 1 in this node');
    await expect(refusal).rejects.not.toThrow('streamCount');
  });

  test.for([
    ['not JSON', 'oops', 'not JSON'],
    ['of a format that this version does not know', JSON.stringify({ ...record, format: 2 }), 'format'],
    ['without a log id', JSON.stringify({ ...record, logId: undefined }), 'logId'],
    ['with a log id that is no subject token', JSON.stringify({ ...record, logId: 'a.b' }), 'logId'],
    ['without partitions', JSON.stringify({ ...record, partitionCount: 0 }), 'partitionCount'],
  ] as const)('refuses a record that is %s, saying so', async ([, text, names]) => {
    const { obey, put } = scene();
    await put(text);
    const refusal = obey();
    await expect(refusal).rejects.toThrow(ClusterRecordMismatch);
    await expect(refusal).rejects.toThrow(names);
  });

  test('finds its own write whose acknowledgement was lost', async () => {
    const { store, obey } = scene();
    store.failNextWrite({ kind: 'ack-lost' });
    expect(await obey()).toEqual(record);
  });

  test('waits for a store without a leader, and gives up after its patience', async () => {
    const { clock, store, obey } = scene();
    store.setOutage('no-leader');
    clock.after(5_000, () => store.setOutage(undefined));
    expect(await obey()).toEqual(record);
    store.setOutage('no-leader');
    const startedAt = clock.now();
    await expect(obey()).rejects.toThrow(LeaseStoreUnavailable);
    expect(clock.now() - startedAt).toBeLessThanOrEqual(15_000);
  });

  test('writes anew where the key was deleted', async () => {
    const { store, obey } = scene();
    await obey();
    store.remove('cluster');
    expect(await obey(anything, { ...record, clusterId: 'c-9' })).toMatchObject({ clusterId: 'c-9' });
  });
});
