import { logId, utf8Encode } from '@muster/protocol';
import { MemoryLeaseStore, MemoryNats, VirtualClock } from '@muster/testkit/internals';
import { describe, expect, test } from 'vitest';
import {
  type ClusterRecord,
  ClusterRecordLost,
  ClusterRecordMismatch,
  encodeClusterRecord,
  LogRestoring,
  type ObeyOptions,
  obeyClusterRecord,
  parseClusterRecord,
  type WantedRecord,
} from './cluster-record.js';
import { hashSecret } from './cluster-record-secret.js';
import { noteStreamsMade, readClusterRecord, replaceClusterRecord } from './cluster-record-writes.js';
import { LeaseStoreUnavailable } from './ports.js';

const record: ClusterRecord = {
  format: 1,
  clusterId: 'c-1',
  logId: logId('log-1'),
  partitionCount: 50,
  streamCount: 8,
  replicas: 3,
  epochFloor: 0,
  generationFloor: 0,
  streamsMade: false,
  oldLogs: [],
};
/** As versions wrote it that knew of no restoration. */
const older = {
  format: 1,
  clusterId: 'c-1',
  logId: 'log-1',
  partitionCount: 50,
  streamCount: 8,
  replicas: 3,
  epochFloor: 0,
};
const restoring: ClusterRecord = {
  ...record,
  format: 2,
  logId: logId('log-2'),
  restoring: { from: logId('log-1'), abandoned: [] },
};
const anything: WantedRecord = { partitionCount: undefined, streamCount: undefined, replicas: undefined };

function scene() {
  const clock = new VirtualClock();
  const nats = new MemoryNats({ clock });
  const store = new MemoryLeaseStore({ nats });
  for (const name of ['a', 'b']) nats.connect(name);
  const settled = async <Result>(promise: Promise<Result>): Promise<Result> => {
    let isSettled = false;
    promise.then(
      () => (isSettled = true),
      () => (isSettled = true),
    );
    await clock.advanceUntil(() => isSettled, 60_000);
    return promise;
  };
  const obey = async (wanted = anything, proposed = record, name = 'a', options: ObeyOptions = {}) =>
    settled(obeyClusterRecord(store.storeOf(name), clock, wanted, proposed, options));
  const put = async (text: string) => {
    const written = store.storeOf('b').write('cluster', utf8Encode(text), 0);
    await clock.advance(0);
    await written;
  };
  const stored = () => settled(readClusterRecord(store.storeOf('a'), clock));
  return { clock, store, obey, put, settled, stored };
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
    ['of a format that this version does not know', JSON.stringify({ ...record, format: 3 }), 'format'],
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

describe('a record and the streams that are made from it (O2)', () => {
  test('an older record, which does not say that they were made, is accepted and gets it', async () => {
    const { clock, store, obey, put, settled, stored } = scene();
    await put(JSON.stringify(older));
    const obeyed = await obey();
    expect(obeyed).toEqual(record);
    await settled(noteStreamsMade(store.storeOf('a'), clock, obeyed));
    expect(await obey()).toEqual({ ...record, streamsMade: true });
    const { revision } = (await stored())!;
    // Whoever comes later has nothing to write.
    await settled(noteStreamsMade(store.storeOf('b'), clock, obeyed));
    expect((await stored())?.revision).toBe(revision);
  });

  test('two nodes that note it at once agree', async () => {
    const { clock, store, obey, settled, stored } = scene();
    await obey();
    await settled(
      Promise.all([
        noteStreamsMade(store.storeOf('a'), clock, record),
        noteStreamsMade(store.storeOf('b'), clock, record),
      ]),
    );
    expect((await stored())?.record.streamsMade).toBe(true);
  });

  test('is not noted in a record of another log', async () => {
    const { clock, store, obey, settled } = scene();
    await obey(anything, { ...record, logId: logId('log-9') });
    await expect(settled(noteStreamsMade(store.storeOf('a'), clock, record))).rejects.toThrow('replaced');
  });

  test('streams without a record refuse the start, name the command, and nothing is written', async () => {
    const { obey, stored } = scene();
    const refusal = obey(anything, record, 'a', { findStreams: async () => ['MUSTER_c_LOG_3'] });
    await expect(refusal).rejects.toThrow(ClusterRecordLost);
    await expect(refusal).rejects.toThrow(/MUSTER_c_LOG_3.*"muster cluster restore-log"/);
    expect(await stored()).toBeUndefined();
  });

  test('streams that another node makes just now are no loss: its record came before them', async () => {
    const { obey, put } = scene();
    const findStreams = async () => {
      await put(JSON.stringify(record));
      return ['MUSTER_c_LOG_0'];
    };
    expect(await obey(anything, { ...record, logId: logId('mine') }, 'a', { findStreams })).toEqual(record);
  });

  test('streams are not looked for where there is a record', async () => {
    const { obey } = scene();
    await obey();
    const findStreams = () => Promise.reject(new Error('looked'));
    expect(await obey(anything, record, 'a', { findStreams })).toEqual(record);
  });
});

describe('a record while its log is being restored (O2)', () => {
  test('lets no node start, and says why', async () => {
    const { obey, put } = scene();
    await put(JSON.stringify(restoring));
    const refusal = obey();
    await expect(refusal).rejects.toThrow(LogRestoring);
    await expect(refusal).rejects.toThrow(/being restored \(new log log-2\).*"muster cluster restore-log"/);
  });

  test('is of a format that an older version refuses', () => {
    expect(parseClusterRecord(encodeClusterRecord(restoring))).toEqual(restoring);
    const disguised = encodeClusterRecord({ ...restoring, format: 1 });
    expect(() => parseClusterRecord(disguised)).toThrow(/format 2 says/);
    const { restoring: _, ...rest } = restoring;
    expect(() => parseClusterRecord(encodeClusterRecord(rest))).toThrow(/format 2 says/);
  });

  test('is not noted as made by a node that had read it before', async () => {
    const { clock, store, put, settled } = scene();
    await put(JSON.stringify({ ...restoring, logId: record.logId }));
    await expect(settled(noteStreamsMade(store.storeOf('a'), clock, record))).rejects.toThrow(LogRestoring);
  });
});

describe('replacing a record', () => {
  const next = { ...record, epochFloor: 9 };

  test('works only on the one that was read', async () => {
    const { clock, store, obey, settled, stored } = scene();
    await obey();
    const before = (await stored())!;
    const replace = (name: string, what: ClusterRecord) =>
      settled(replaceClusterRecord(store.storeOf(name), clock, before, what));
    expect(await replace('a', next)).toMatchObject({ record: next });
    expect(await replace('b', { ...record, epochFloor: 7 })).toBeUndefined();
    expect((await stored())?.record).toEqual(next);
  });

  test('finds its own write whose acknowledgement was lost', async () => {
    const { clock, store, obey, settled, stored } = scene();
    await obey();
    const before = await stored();
    store.failNextWrite({ kind: 'ack-lost' });
    const after = await settled(replaceClusterRecord(store.storeOf('a'), clock, before, next));
    expect(after).toEqual(await stored());
    expect(after?.record).toEqual(next);
  });

  test('creates it only where there is none', async () => {
    const { clock, store, settled, stored } = scene();
    const create = (what: ClusterRecord) => settled(replaceClusterRecord(store.storeOf('a'), clock, undefined, what));
    expect(await create(record)).toMatchObject({ record });
    expect(await create(next)).toBeUndefined();
    expect((await stored())?.record).toEqual(record);
  });
});

describe('the secret of a cluster (O2)', () => {
  const guarded = { ...record, secret: hashSecret('open sesame', 'salt-1') };

  test('lets in who has it', async () => {
    const { obey } = scene();
    expect(await obey({ ...anything, secret: 'open sesame' }, guarded)).toEqual(guarded);
    expect(await obey({ ...anything, secret: 'open sesame' }, record, 'b')).toEqual(guarded);
  });

  test.for([
    ['none', undefined, guarded, /has a secret, and this node has none: set clusterSecret, or MUSTER_CLUSTER_SECRET/],
    ['another', 'open barley', guarded, /has another secret than this node/],
    ['one where the cluster has none', 'open sesame', record, /has no secret, but this node has one/],
  ] as const)('refuses a node with %s, and tells no secret', async ([, secret, stored, says]) => {
    const { obey, put } = scene();
    await put(JSON.stringify(stored));
    const refusal = obey({ ...anything, secret });
    await expect(refusal).rejects.toThrow(ClusterRecordMismatch);
    await expect(refusal).rejects.toThrow(says);
    await expect(refusal).rejects.not.toThrow(/sesame|barley/);
  });

  test('stands in the record only as a hash, another one for another salt', () => {
    expect(new TextDecoder().decode(encodeClusterRecord(guarded))).not.toContain('sesame');
    expect(hashSecret('open sesame', 'salt-2').sha256).not.toBe(guarded.secret.sha256);
  });
});
