/**
 * Restorations that are interrupted, run twice, or meet somebody (O2): whatever happens, the next run finishes the work, and nothing is
 * lost that the old log held.
 */

import type { OnRestoreStep, RestoreStep } from '@muster/coordinator';
import { JetStreamLeaseStore, JetStreamLogStore } from '@muster/nats';
import { partition, partitionOf, Subjects } from '@muster/protocol';
import { describe, expect, it } from 'vitest';
import { FakeIo, run } from '../../packages/cli/test/fake-io.js';
import { CLUSTER_VERSIONS, newestVersion, SINGLE_VERSIONS } from '../contract/versions.js';
import {
  bucket,
  cluster,
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
  start,
  stopNodes,
  streamOf,
  streams,
  useServers,
} from '../world/lost-log.js';

import { until } from '../world/processes.js';
import { backUpStream, restoreStream } from '../world/stream-backup.js';

const command = (...args: string[]) => run(['cluster', 'restore-log', ...args], new FakeIo({ env: environment() }));

describe('on one server', () => {
  useServers({ servers: 1, version: newestVersion });

  it.each<RestoreStep>(['record-restoring', 'streams-taken', 'partition-written', 'record-ready'])(
    'finishes what another run has left after %s',
    async (interrupted) => {
      await start();
      const groups = await newGroups();
      await stopNodes();
      const [before] = await logsThere();
      const interrupt = interruptedAfter(interrupted);
      await expect(restore({}, interrupt)).rejects.toThrow('interrupted');
      const half = await recordOf();
      if (interrupted === 'record-ready') expect(half.oldLogs).toEqual([before]);
      else await expect(start()).rejects.toMatchObject({ name: 'LogRestoring' });

      if (interrupted === 'partition-written' || interrupted === 'record-ready') {
        const { code, stderr } = await command('--execute', '--force');
        expect(stderr).toMatch(interrupted === 'record-ready' ? /old frames are purged/ : /finishes its work/);
        expect(code).toBe(0);
      } else await restore();
      const record = await recordOf();
      expect(record).toMatchObject({ format: 1, streamsMade: true, oldLogs: [], epochFloor: half.epochFloor });
      expect(await logsThere()).toEqual([record.logId]);
      await start();
      for (const group of groups) await expectRestored(group);
    },
  );

  it('does not purge a backup that was restored after the run that was interrupted: it is the log to read then', async () => {
    await start();
    const group = await newGroup(0);
    const backups = [await backUpStream(nats, streamOf(0)), await backUpStream(nats, streamOf(1))];
    await stopNodes();
    const interrupt = interruptedAfter('record-ready');
    await expect(restore({}, interrupt)).rejects.toThrow('interrupted');
    for (const [index, backup] of backups.entries()) {
      await streams.streams.delete(streamOf(index));
      await restoreStream(nats, streamOf(index), backup);
    }
    await restore();
    await start();
    await expectRestored(group);
  });

  it('ends before it lets nodes start where one has appeared meanwhile', async () => {
    await start();
    const groups = await newGroups();
    await stopNodes();
    const leases = new JetStreamLeaseStore(nats, { cluster });
    const restoration = await open();
    let isRenewed = false;
    const renew: OnRestoreStep = async (step) => {
      if (step !== 'partition-written' || isRenewed) return;
      isRenewed = true;
      const lease = (await leases.read('node.n1')) ?? expect.fail('no lease');
      await leases.write('node.n1', lease.value ?? new Uint8Array(), lease.revision);
      await until('it is seen', async () => (await restoration.nodes()).length > 0);
    };
    await expect(restoration.execute(renew)).rejects.toMatchObject({ code: 'NODES_RUNNING' });
    restoration.close();
    expect((await recordOf()).restoring).toBeDefined();
    await restore();
    await start();
    for (const group of groups) await expectRestored(group);
  });

  it('runs twice at once: one of them counts, and it is whole', async () => {
    await start();
    const groups = await newGroups();
    await stopNodes();
    let other: Promise<unknown> | undefined;
    const meanwhile = async (step: RestoreStep) => {
      if (step !== 'partition-written') return;
      other ??= restore();
      await other;
    };
    // Its frames go to a log that no stream takes any more, or its record is not the one that stands.
    await expect(restore({}, meanwhile)).rejects.toMatchObject({
      code: expect.stringMatching(/INTERF|UNAVAIL|DIFFERS/),
    });
    await other;
    await start();
    for (const group of groups) await expectRestored(group);
  });

  it('leaves an owner that stood still through all of it without an acknowledgement', async () => {
    await start();
    await newGroup(0);
    await stopNodes();
    const { logId } = await recordOf();
    const place = { cluster, subjects: new Subjects(cluster), partitionCount: PARTITIONS, streamCount: STREAMS };
    const old = new JetStreamLogStore(nats, { ...place, logId, timeoutMs: 500 });
    const last = (await old.last(partition(0))) ?? expect.fail('no frame');
    await restore({}, async (step) => {
      if (step !== 'streams-taken') return;
      expect(await old.append(partition(0), last.bytes, last.seq)).toMatchObject({ kind: 'unknown' });
    });
  });

  it('finds out from the frames how high to begin where the record is lost, also when it is interrupted', async () => {
    await start();
    const groups = await newGroups();
    await stopNodes();
    await restore();
    const { epochFloor } = await recordOf();
    await streams.streams.delete(bucket());
    const interrupt = interruptedAfter('partition-written');
    await expect(restore({}, interrupt)).rejects.toThrow('interrupted');
    await restore();
    const record = await recordOf();
    expect(record.epochFloor).toBeGreaterThan(epochFloor + RAISED);
    expect(record.generationFloor).toBe(1 + RAISED + RAISED);
    await start();
    for (const group of groups) await expectRestored(group, 1 + RAISED);
  });
});

describe.each([
  ...SINGLE_VERSIONS.filter((version) => version !== newestVersion).map((version) => ({ servers: 1, version })),
  ...CLUSTER_VERSIONS.map((version) => ({ servers: 3, version })),
])('on $servers servers $version', ({ servers, version }) => {
  useServers({ servers, version });

  it('a run that was interrupted, and a stream that is gone: the rest is there after the next run', async () => {
    await start();
    const groups = await newGroups();
    await stopNodes();
    await streams.streams.delete(streamOf(1));
    const interrupt = interruptedAfter('partition-written');
    await expect(restore({}, interrupt)).rejects.toThrow('interrupted');
    await restore();
    expect(await logsThere()).toEqual([(await recordOf()).logId]);
    await start();
    for (const group of groups) {
      if (partitionOf(group.groupId, PARTITIONS) % STREAMS === 0) await expectRestored(group);
      else await expectGone(group);
    }
  });
});
