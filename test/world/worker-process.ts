/**
 * A worker in a process of its own, for tests that kill it: it tells its parent each message that it has handled, and commits it.
 *
 * Arguments: servers, cluster, group, topic. Ends in order with SIGTERM or with its parent.
 */

import { connect } from '@muster/worker';

/** Worker to parent: it has handled and committed the message. */
export type Committed = { readonly partition: number; readonly offset: number };

const [servers = '', cluster = '', group = '', topic = ''] = process.argv.slice(2);

const muster = await connect({ cluster, servers: servers.split(',') });
const end = () => void muster.close({ timeoutMs: 5_000 });
process.once('SIGTERM', end);
process.once('disconnect', end);
// The shortest session that a cluster allows: the parent waits for its end.
const consumer = await muster.consumer({ group, topics: [topic], sessionTimeoutMs: 6_000, heartbeatIntervalMs: 1_000 });
for await (const message of consumer) {
  await message.commit();
  const { partition, offset } = message;
  process.send?.({ partition, offset } satisfies Committed);
}
