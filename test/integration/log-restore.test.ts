/**
 * Loss of what a cluster stands on, and its restoration (O2): streams that are gone, an older backup, a lost bucket, damage; on a real
 * server, with nodes inside this process. Each test has a cluster of its own on the shared server.
 */

import { findLogStreams, JetStreamLeaseStore, leaseBucket } from '@muster/nats';
import { groupId, type LogId, partition, partitionOf, Subjects } from '@muster/protocol';
import { connect as connectWorker } from '@muster/worker';
import { describe, expect, it } from 'vitest';
import { FakeIo, run } from '../../packages/cli/test/fake-io.js';
import { newestVersion } from '../contract/versions.js';
import {
  bucket,
  cluster,
  described,
  environment,
  expectGone,
  expectRestored,
  interruptedAfter,
  logsThere,
  nats,
  newGroup,
  newGroups,
  open,
  PARTITIONS,
  RAISED,
  recordOf,
  restore,
  STREAMS,
  server,
  start,
  stopNodes,
  streamOf,
  streams,
  useServers,
} from '../world/lost-log.js';

import { until } from '../world/processes.js';
import { backUpStream, restoreStream } from '../world/stream-backup.js';

const command = (...args: string[]) => run(['cluster', 'restore-log', ...args], new FakeIo({ env: environment() }));

/** What docs/operations.md names, and no more: who runs the command must get by with it. */
const permissions = `
authorization {
  users = [
    { user: all, password: all }
    { user: restorer, password: restorer, permissions: {
        publish: [ "$KV.*.cluster", "muster.*.log.*.*", "$JS.API.INFO", "$JS.API.STREAM.INFO.*", "$JS.API.STREAM.CREATE.*",
          "$JS.API.STREAM.UPDATE.*", "$JS.API.STREAM.MSG.GET.*", "$JS.API.STREAM.PURGE.*", "$JS.API.CONSUMER.CREATE.>",
          "$JS.API.CONSUMER.MSG.NEXT.*.*", "$JS.API.CONSUMER.DELETE.*.*" ]
        subscribe: [ "_INBOX.>", "muster.*.hb" ]
    } }
    { user: unfit, password: unfit, permissions: {
        publish: [ "$JS.API.INFO", "$JS.API.STREAM.INFO.*", "$JS.API.CONSUMER.>", "$JS.API.STREAM.MSG.GET.*" ]
        subscribe: [ "_INBOX.>" ]
    } }
  ]
}
no_auth_user: all
`;

describe('on one server', () => {
  useServers({ servers: 1, version: newestVersion, extraConfig: permissions });

  describe('a node refuses to start', () => {
    it('where a log stream was deleted, names the command, and makes nothing in its place', async () => {
      await start();
      await stopNodes();
      await streams.streams.delete(streamOf(1));
      await expect(start()).rejects.toMatchObject({
        name: 'LogStreamError',
        code: 'LOG_STREAM_MISSING',
        message: expect.stringMatching(/_LOG_1 does not exist, although.*"muster cluster restore-log"/),
      });
      expect((await findLogStreams(nats, cluster)).map(({ name }) => name)).toEqual([streamOf(0)]);
    });

    it('where the bucket with the record was lost, and writes no new one', async () => {
      await start();
      await stopNodes();
      await streams.streams.delete(bucket());
      await expect(start()).rejects.toMatchObject({
        name: 'ClusterRecordLost',
        message: expect.stringMatching(/_LOG_0, .*_LOG_1.*"muster cluster restore-log"/),
      });
      expect((await streams.streams.info(bucket())).state.messages).toBe(0);
    });

    it('where its secret is another than that of the cluster', async () => {
      await start({ clusterSecret: 'open sesame' });
      for (const [secret, says] of [
        [{}, /has a secret, and this node has none/],
        [{ clusterSecret: 'open barley' }, /has another secret/],
      ] as const) {
        await expect(start({ id: 'n2', ...secret })).rejects.toMatchObject({
          name: 'ClusterRecordMismatch',
          message: expect.stringMatching(says),
        });
      }
      await stopNodes();
      await start({ clusterSecret: 'open sesame' });
    });
  });

  it('a node of an older version has not noted that it made the streams: the next one does', async () => {
    await start();
    await stopNodes();
    const record = await recordOf();
    expect(record.streamsMade).toBe(true);
    const { streamsMade: _, generationFloor: __, oldLogs: ___, ...older } = record;
    await nats.jetstream().publish(`$KV.${leaseBucket(cluster)}.cluster`, JSON.stringify(older));
    await start();
    expect(await recordOf()).toEqual(record);
  });

  describe('a restored backup', () => {
    it('is put to use by the command: what it holds is there, and a worker that stayed connected goes on by itself', async () => {
      await start();
      const muster = await connectWorker({ servers: server.url, cluster });
      try {
        await muster.topics.create({ name: 'orders', partitions: 2 });
        const producer = await muster.producer<number>({ topic: 'orders' });
        const handled: number[] = [];
        const consumer = await muster.consumer<number>({ group: 'billing', topics: ['orders'] });
        const running = consumer.run({ eachMessage: ({ value }) => void handled.push(value) });
        await producer.send({ key: 'a', value: 1 });
        const admin = muster.admin();
        const committed = async (offset: number) =>
          (await admin.fetchOffsets('billing')).some((each) => each.offset === offset);
        await until('the first is committed', () => committed(2));
        const before = await described(groupId('billing'));

        const group = await newGroup(1);
        const backups = [await backUpStream(nats, streamOf(0)), await backUpStream(nats, streamOf(1))];
        await producer.send({ key: 'a', value: 2 });
        await until('the second is handled and committed', () => committed(3));
        const lost = await newGroup(1, 'later');
        await stopNodes();
        for (const [index, backup] of backups.entries()) {
          await streams.streams.delete(streamOf(index));
          await restoreStream(nats, streamOf(index), backup);
        }

        const shown = await command('-o', 'json');
        expect(shown).toMatchObject({ code: 0, stderr: expect.stringContaining('nothing was changed') });
        expect(JSON.parse(shown.stdout)).toHaveLength(PARTITIONS);
        expect((await recordOf()).restoring).toBeUndefined();
        const done = await command('--execute', '--force', '-o', 'json');
        expect(done.stderr).toMatch(/2 groups, 4 offsets copied\ndone/);
        expect(done.code).toBe(0);
        const rows: { partition: number; groups: number; result: string }[] = JSON.parse(done.stdout);
        expect(rows.map(({ groups }) => groups).reduce((sum, count) => sum + count, 0)).toBe(2);

        await start();
        await expectRestored(group);
        await expectGone(lost);
        await producer.send({ key: 'a', value: 3 });
        await until('the worker goes on', () => handled.includes(3));
        const after = await described(groupId('billing'));
        expect(after.generationId).toBeGreaterThan(before.generationId + RAISED);
        // What was committed after the backup is not known any more: the second comes again.
        expect(handled).toEqual([1, 2, 2, 3]);
        await consumer.close();
        await running;
      } finally {
        await muster.close({ timeoutMs: 5_000 });
      }
    });

    it('is of no use to a node before the command was run: its streams are those of another log', async () => {
      await start();
      const group = await newGroup(0);
      const backup = await backUpStream(nats, streamOf(0));
      await stopNodes();
      // A first restoration, and then the backup from before it.
      await restore();
      await streams.streams.delete(streamOf(0));
      await restoreStream(nats, streamOf(0), backup);
      await expect(start()).rejects.toMatchObject({
        code: 'LOG_STREAM_DIFFERS',
        message: expect.stringContaining('"muster cluster restore-log"'),
      });
      await restore();
      await start();
      // Its own frames are as old as the backup, so they were raised once.
      await expectRestored(group);
      expect((await recordOf()).generationFloor).toBeGreaterThanOrEqual(2 * RAISED);
    });
  });

  describe('the command', () => {
    it('refuses while a node runs, names it, and changes nothing', async () => {
      await start({ id: 'still-there' });
      const record = await recordOf();
      const { code, stderr } = await command('--execute', '--force');
      expect(stderr).toMatch(/coordinator nodes run: still-there/);
      expect(code).toBe(4);
      const shown = await command();
      expect(shown).toMatchObject({ code: 4, stderr: expect.stringMatching(/nodes run: still-there.*refused/) });
      expect(await recordOf()).toEqual(record);
    });

    it('refuses where a node runs that only its lease shows', async () => {
      await start();
      await stopNodes();
      const leases = new JetStreamLeaseStore(nats, { cluster });
      const restoration = await open();
      const lease = (await leases.read('node.n1')) ?? expect.fail('no lease');
      await leases.write('node.n1', lease.value ?? new Uint8Array(), lease.revision);
      await until('it is seen', async () => (await restoration.nodes()).length > 0);
      await expect(restoration.execute()).rejects.toMatchObject({ code: 'NODES_RUNNING', message: /n1/ });
      restoration.close();
      expect((await recordOf()).restoring).toBeUndefined();
    });

    it('says at once what a user may not do, before anything is changed', async () => {
      await start();
      await stopNodes();
      const record = await recordOf();
      const { code, stderr } = await command('--user', 'unfit', '--password', 'unfit', '--execute', '--force');
      expect(stderr).toMatch(/deny this user to subscribe to muster\.c\d+\.hb/);
      expect(stderr).toContain('docs/operations.md');
      expect(code).toBe(1);
      expect(await recordOf()).toEqual(record);
    });

    it('refuses where there is nothing', async () => {
      const { code, stderr } = await command('--execute', '--force');
      expect(stderr).toMatch(/neither a cluster record nor a log stream/);
      expect(code).toBe(3);
      expect(await streams.streams.names().next()).not.toContain(bucket());
    });

    it('needs --force where nobody can be asked, and has changed nothing then', async () => {
      await start();
      await stopNodes();
      const record = await recordOf();
      const { code, stderr } = await command('--execute');
      expect(stderr).toMatch(/Make a new log for cluster .*--force/s);
      expect(code).toBe(2);
      expect(await recordOf()).toEqual(record);
    });

    it('makes an empty log on demand: no group is left, and none gets a generation that was there', async () => {
      await start();
      const group = await newGroup(2);
      await stopNodes();
      const { code } = await command('--empty', '--execute', '--force');
      expect(code).toBe(0);
      await start();
      await expectGone(group);
      const again = await newGroup(2);
      expect(again.generationId).toBeGreaterThan(RAISED);
      expect((await recordOf()).epochFloor).toBeGreaterThan(RAISED);
    });

    it('takes the layout from the streams where the record is lost, and the secret from the environment', async () => {
      await start({ clusterSecret: 'open sesame' });
      const groups = await newGroups();
      const { clusterId, logId } = await recordOf();
      await stopNodes();
      await streams.streams.delete(bucket());
      const io = new FakeIo({
        env: { NATS_URL: server.url, MUSTER_CLUSTER: cluster, MUSTER_CLUSTER_SECRET: 'open sesame' },
      });
      const { code, stdout, stderr } = await run(['cluster', 'restore-log', '--execute', '--force', '-o', 'json'], io);
      expect(stderr).toMatch(/4 groups, 8 offsets copied/);
      expect(code).toBe(0);
      expect(stdout + stderr).not.toContain('sesame');
      const record = await recordOf();
      expect(record).toMatchObject({ partitionCount: PARTITIONS, streamCount: STREAMS, replicas: 1 });
      expect(record.clusterId).not.toBe(clusterId);
      expect(record.logId).not.toBe(logId);
      await expect(start()).rejects.toThrow(/this node has none/);
      await start({ clusterSecret: 'open sesame' });
      for (const group of groups) await expectRestored(group);
    });

    it('asks for the layout where record and a stream are lost', async () => {
      await start();
      const groups = await newGroups();
      await stopNodes();
      await streams.streams.delete(bucket());
      await streams.streams.delete(streamOf(1));
      const refused = await command();
      expect(refused).toMatchObject({ code: 2, stderr: expect.stringMatching(/3 in 2, 4 in 2.*--partitions/s) });
      expect((await command('--partitions', '4', '--execute', '--force')).code).toBe(0);
      await start();
      for (const group of groups) {
        if (partitionOf(group.groupId, PARTITIONS) % STREAMS === 0) await expectRestored(group);
        else await expectGone(group);
      }
    });

    it('refuses a cluster with another secret', async () => {
      await start({ clusterSecret: 'open sesame' });
      await stopNodes();
      const { code, stderr } = await command('--execute', '--force', '--cluster-secret', 'open barley');
      expect(stderr).toMatch(/another secret/);
      expect(code).toBe(4);
    });

    it('reports a partition that is damaged, and copies the others only on demand', async () => {
      await start();
      const groups = await newGroups();
      const { logId } = await recordOf();
      await stopNodes();
      await nats.jetstream().publish(new Subjects(cluster).log(logId, partition(3)), 'no frame at all');
      const refused = await command('--execute', '--force');
      expect(refused.stderr).toMatch(/the log of partition 3 is damaged .*nothing was changed/);
      expect(refused.code).toBe(1);
      expect((await recordOf()).logId).toBe(logId);

      const done = await command('--execute', '--force', '--skip-damaged', '-o', 'json');
      expect(done.code).toBe(6);
      expect(JSON.parse(done.stdout)[3]).toMatchObject({ partition: 3, result: 'damaged', groups: null });
      await start();
      for (const group of groups) {
        if (partitionOf(group.groupId, PARTITIONS) === 3) await expectGone(group);
        else await expectRestored(group);
      }
    });

    it('says so where a stream is too full for both logs, and goes on when there is room', async () => {
      await start();
      const groups = await newGroups();
      await stopNodes();
      const { config, state } = await streams.streams.info(streamOf(0));
      await streams.streams.update(streamOf(0), { ...config, max_bytes: state.bytes + 100 });
      const full = await command('--execute', '--force');
      expect(full.stderr).toMatch(/is full.*raise its max_bytes/);
      expect(full.code).toBe(1);
      const now = await streams.streams.info(streamOf(0));
      await streams.streams.update(streamOf(0), { ...now.config, max_bytes: 10_000_000 });
      await restore();
      expect((await streams.streams.info(streamOf(0))).config.max_bytes).toBe(10_000_000);
      await start();
      for (const group of groups) await expectRestored(group);
    });

    it('needs no more of NATS than the documentation says', async () => {
      await start();
      const groups = await newGroups();
      await stopNodes();
      await streams.streams.delete(bucket());
      const done = await command('--user', 'restorer', '--password', 'restorer', '--execute', '--force');
      expect(done.stderr).toMatch(/4 groups, 8 offsets copied/);
      expect(done.code).toBe(0);
      await start();
      for (const group of groups) await expectRestored(group);
    });

    it('loses nothing by a slip: not by a log id that no frame is of, nor where there is nothing to copy', async () => {
      await start();
      const groups = await newGroups();
      await stopNodes();
      const [there = ''] = await logsThere();
      const slip = await command('--from-log', 'xx', '--execute', '--force');
      expect(slip).toMatchObject({ code: 3, stderr: expect.stringContaining(there) });
      await start();
      for (const group of groups) expect(await group.lostCommits()).toEqual([]);
      await stopNodes();
      for (let index = 0; index < STREAMS; index += 1) await streams.streams.purge(streamOf(index));
      expect(await command('--execute', '--force')).toMatchObject({
        code: 3,
        stderr: expect.stringMatching(/no partition has a frame to copy: nothing was changed.*--empty/s),
      });
      expect((await command('--empty', '--execute', '--force')).code).toBe(0);
    });

    it('asks which log counts where frames of several are there and no record says', async () => {
      await start();
      const groups = await newGroups();
      await stopNodes();
      const [old] = (await logsThere()) as LogId[];
      const interrupt = interruptedAfter('partition-written');
      await expect(restore({}, interrupt)).rejects.toThrow('interrupted');
      await streams.streams.delete(bucket());
      const refused = await command();
      expect(refused).toMatchObject({ code: 2, stderr: expect.stringMatching(/frames of several logs.*--from-log/s) });
      expect((await command('--from-log', old ?? '', '--execute', '--force')).code).toBe(0);
      await start();
      for (const group of groups) await expectRestored(group);
    });
  });
});
