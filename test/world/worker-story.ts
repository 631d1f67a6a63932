/**
 * A worker in a process of its own that tells its parent everything it does: what it owns, every message it begins and has handled.
 *
 * Arguments: servers, cluster, group, topic, milliseconds per message, `each` or `auto`, instance id (may be missing). Ends in order with
 * SIGTERM or with its parent. With `each` it commits every message by itself and tells what is refused; with `auto` the next message begins
 * in the same turn in which the one before ends.
 */

import { connect, MusterError } from '@muster/worker';

export type Told =
  | { readonly kind: 'assigned' | 'revoked' | 'lost'; readonly partitions: readonly number[] }
  | { readonly kind: 'joined'; readonly generation: number; readonly memberId: string }
  | Handling;

/** `begun` before the handler works, `handled` at its end, with `each` after its commit was acknowledged; `refused` where it was not. */
export type Handling = {
  readonly kind: 'begun' | 'handled' | 'refused';
  readonly partition: number;
  readonly value: number;
  readonly generation: number;
  /** Beside `refused`. */
  readonly code?: string;
};

const [servers = '', cluster = '', group = '', topic = '', handlingMs = '0', commits = 'each', instanceId] =
  process.argv.slice(2);

function tell(what: Told): void {
  process.send?.(what);
}

const muster = await connect({ cluster, servers: servers.split(','), clientId: `worker-${process.pid}` });
const end = () => void muster.close({ timeoutMs: 5_000 });
process.once('SIGTERM', end);
process.once('disconnect', end);

const numbers = (places: readonly { readonly partition: number }[]) => places.map(({ partition }) => partition);
// The shortest session that a cluster allows: the parent waits for its end.
const consumer = await muster.consumer<number>({
  group,
  topics: [topic],
  sessionTimeoutMs: 6_000,
  heartbeatIntervalMs: 1_000,
  rebalanceTimeoutMs: 20_000,
  commit: commits === 'each' ? { kind: 'manual' } : { kind: 'auto', intervalMs: 500 },
  ...(instanceId === undefined ? {} : { instanceId }),
  onAssigned: (given) => tell({ kind: 'assigned', partitions: numbers(given) }),
  onRevoked: (taken) => tell({ kind: 'revoked', partitions: numbers(taken) }),
  onLost: (gone) => tell({ kind: 'lost', partitions: numbers(gone) }),
});
const { generation, memberId } = consumer.health();
tell({ kind: 'joined', generation, memberId });
await consumer.run({
  concurrency: 8,
  eachMessage: async (message) => {
    const { partition, value } = message;
    const what = { partition, value, generation: message.generation };
    tell({ kind: 'begun', ...what });
    if (handlingMs !== '0') await new Promise((resolve) => setTimeout(resolve, Number(handlingMs)));
    try {
      if (commits === 'each') await message.commit();
      tell({ kind: 'handled', ...what });
    } catch (thrown) {
      tell({ kind: 'refused', ...what, code: thrown instanceof MusterError ? thrown.code : String(thrown) });
    }
  },
});
// All is closed; the channel to the parent is the last thing that keeps this process alive.
process.disconnect?.();
