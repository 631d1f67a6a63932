import { connectNats, ensureLogStreams, JetStreamLogStore, LogStreamError, logStreamName } from '@muster/nats';
import { type NatsServerHandle, startNatsCluster, startNatsServer } from '@muster/nats-server';
import { partition } from '@muster/protocol';
import { connect } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { logStoreContract } from './log-store.js';
import { freshPlacement, natsLogWorld } from './nats-log-world.js';
import { CLUSTER_VERSIONS, SINGLE_VERSIONS } from './versions.js';

const servers = [
  ...SINGLE_VERSIONS.map((version) => [`nats-server ${version}`, () => startNatsServer({ version })] as const),
  ...CLUSTER_VERSIONS.map((version) => [`3 nats-servers ${version}`, () => startNatsCluster({ version })] as const),
];

describe.each(servers)('%s', (name, start) => {
  let handle: NatsServerHandle;
  beforeAll(async () => {
    handle = await start();
  });
  afterAll(async () => {
    await handle?.stop();
  });

  logStoreContract(name, () => natsLogWorld(handle));

  describe('the log streams', () => {
    const nodes = () => Promise.all([1, 2, 3].map(() => connectNats({ servers: [...handle.urls] })));

    test('are made by many nodes at once, and found good again', async () => {
      const replicas = handle.servers.length;
      const connections = await nodes();
      for (let round = 0; round < 5; round += 1) {
        const placement = freshPlacement();
        await Promise.all(connections.map((nc) => ensureLogStreams(nc, { ...placement, replicas })));
        for (const nc of connections) await ensureLogStreams(nc, { ...placement, replicas, provision: 'verify' });
      }
      for (const nc of connections) await nc.close();
    });

    const changes: [string, object, string][] = [
      ['expire frames', { max_age: 3_600_000_000_000 }, 'max_age is 3600000000000 and must be 0'],
      ['drop old frames when full', { discard: 'old' }, 'discard is "old" and must be "new"'],
      ['keep one frame per subject', { max_msgs_per_subject: 1 }, 'max_msgs_per_subject is 1 and must be -1'],
      ['let anybody delete a frame', { deny_delete: false }, 'deny_delete is false and must be true'],
      ['let a message replace all others', { allow_rollup_hdrs: true }, 'allow_rollup_hdrs is true and must be false'],
      ['answer reads from any replica', { allow_direct: true }, 'allow_direct is true and must be false'],
      ['keep frames in memory', { storage: 'memory' }, 'storage is "memory" and must be "file"'],
      ['hold other subjects', { subjects: ['other.log'] }, 'subjects is ["other.log"] and must be'],
    ];
    test.each(changes)(
      'are refused where they would %s, naming what was found and what is allowed',
      async (_, change, line) => {
        const placement = { ...freshPlacement(), streamCount: 1, partitionCount: 2 };
        const replicas = handle.servers.length;
        const nc = await connect({ servers: [...handle.urls] });
        const manager = await nc.jetstreamManager();
        await manager.streams.add({
          name: logStreamName(placement, 0),
          subjects: [0, 1].map((index) => `muster.${placement.cluster}.log.abc.${index}`),
          num_replicas: replicas,
          discard: 'new' as never,
          deny_delete: true,
          allow_direct: false,
          ...change,
        });
        const refusal = await ensureLogStreams(nc, { ...placement, replicas }).catch((error: unknown) => error);
        expect(refusal).toBeInstanceOf(LogStreamError);
        expect(refusal).toMatchObject({ code: 'LOG_STREAM_DIFFERS', retriable: false });
        expect((refusal as LogStreamError).differences).toEqual([expect.stringContaining(line)]);
        await manager.streams.delete(logStreamName(placement, 0));
        await nc.close();
      },
    );

    test('are refused where another stream holds their subjects', async () => {
      const placement = freshPlacement();
      const nc = await connectNats({ servers: [...handle.urls] });
      const manager = await nc.jetstreamManager();
      await manager.streams.add({
        name: `OTHER_${placement.cluster}`,
        subjects: [`muster.${placement.cluster}.log.>`],
      });
      await expect(ensureLogStreams(nc, { ...placement, replicas: 1 })).rejects.toMatchObject({
        code: 'LOG_STREAM_REFUSED',
        message: expect.stringContaining('overlap'),
      });
      await manager.streams.delete(`OTHER_${placement.cluster}`);
      await nc.close();
    });

    test('are not made where somebody else shall make them', async () => {
      const nc = await connectNats({ servers: [...handle.urls] });
      const options = { ...freshPlacement(), replicas: 1, provision: 'verify' as const };
      await expect(ensureLogStreams(nc, options)).rejects.toMatchObject({ code: 'LOG_STREAM_MISSING' });
      await nc.close();
    });
  });
});

describe('a log store without consumers', () => {
  /** Nobody answers what this user asks for: as if the consumer had been put on a server that was cut off. */
  const extraConfig = `authorization { users: [
    { user: all, password: all },
    { user: none, password: none, permissions: { publish: { deny: ["$JS.API.CONSUMER.>"] } } }
  ] }`;

  test('reads a long log frame by frame from the leader of the stream', async () => {
    const [version = ''] = CLUSTER_VERSIONS;
    const handle = await startNatsServer({ version, extraConfig });
    const open = (user: string) => connectNats({ servers: [handle.url], user, pass: user });
    const placement = freshPlacement();
    const [writing, reading] = await Promise.all([open('all'), open('none')]);
    try {
      await ensureLogStreams(writing, { ...placement, replicas: 1 });
      const writer = new JetStreamLogStore(writing, placement);
      const log = partition(0);
      let last = 0;
      for (let frame = 0; frame < 300; frame += 1) {
        const outcome = await writer.append(log, new Uint8Array([frame % 256]), last);
        if (outcome.kind !== 'stored') throw new Error(outcome.kind);
        last = outcome.seq;
      }
      const seqs: number[] = [];
      await new JetStreamLogStore(reading, placement).read(log, 1, last, ({ seq }) => void seqs.push(seq));
      expect(seqs).toEqual(Array.from({ length: 300 }, (_, index) => index + 1));
    } finally {
      await Promise.all([writing.close(), reading.close()]);
      await handle.stop();
    }
  });
});

describe.runIf(SINGLE_VERSIONS.some((version) => version.startsWith('2.9.')))('an old server', () => {
  test('is refused for replicated streams, naming both versions', async () => {
    const handle = await startNatsServer({ version: '2.9.10' });
    const nc = await connectNats({ servers: [handle.url] });
    await expect(ensureLogStreams(nc, { ...freshPlacement(), replicas: 3 })).rejects.toMatchObject({
      code: 'SERVER_TOO_OLD',
      message: expect.stringMatching(/2\.9\.10.*2\.10\.27/),
    });
    await nc.close();
    await handle.stop();
  });
});
