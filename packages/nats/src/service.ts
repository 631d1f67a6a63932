/**
 * The node as a NATS service, so that `nats micro ls`, `info` and `stats` show which coordinators there are.
 *
 * Only discovery: requests about groups travel on the cluster's own subjects.
 */

import type { NatsConnection } from 'nats';

export type ServiceIdentity = { readonly cluster: string; readonly node: string; readonly incarnation: string };

/**
 * Registers the node. A server or account that forbids `$SRV` costs the listing, not the node.
 * @returns how to take the registration back
 */
export async function startService(nc: NatsConnection, identity: ServiceIdentity): Promise<() => Promise<void>> {
  const service = await nc.services.add({
    name: 'muster-coordinator',
    version: '0.1.0',
    description: `Coordinator node ${identity.node} of the Muster cluster ${identity.cluster}`,
    metadata: { ...identity },
  });
  return async () => {
    await service.stop();
  };
}
