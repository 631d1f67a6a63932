import { type NatsServerHandle, startNatsCluster, startNatsServer } from '@muster/nats-server';
import { afterAll, beforeAll, describe } from 'vitest';
import { leaseStoreContract } from './lease-store.js';
import { natsLeaseWorld } from './nats-world.js';
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
  leaseStoreContract(name, () => natsLeaseWorld(handle));
});
