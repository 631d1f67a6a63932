/**
 * Work that is no stream: 8 shards of a cron job shared among whoever is there, each shard with one owner at a time; and one leader.
 * Three workers, one of which leaves.
 *
 *   node docs/examples/sharded-cron.mjs [servers] [cluster]
 */

import { connect } from '@muster/worker';

const SHARDS = 8;
const [servers = 'nats://127.0.0.1:4222', cluster = 'default'] = process.argv.slice(2);
const group = `cron-${Date.now()}`;

/** Joins; `shards` says what this worker has to do now, `isLeader` whether it is the one. */
async function cronWorker(name) {
  const muster = await connect({ servers: servers.split(','), cluster });
  const state = { name, shards: [], isLeader: false, close: () => muster.close() };
  await muster.member({
    group,
    protocolType: 'cron',
    protocols: [{ name: 'round-robin', metadata: new Uint8Array(0) }],
    // Runs on the leader only: one assignment for each member, whatever it means.
    assign: (_, members) => {
      const ids = members.map(({ memberId }) => memberId).sort();
      const shardsOf = (at) => Array.from({ length: SHARDS }, (_, shard) => shard).filter((n) => n % ids.length === at);
      return new Map(ids.map((id, at) => [id, Uint8Array.from(shardsOf(at))]));
    },
    onAssigned: (holding) => {
      state.shards = [...holding.assignment];
      // "One of us does it": who has shard 0.
      state.isLeader = state.shards.includes(0);
    },
    onRevoked: () => Object.assign(state, { shards: [], isLeader: false }),
    onLost: () => Object.assign(state, { shards: [], isLeader: false }),
  });
  return state;
}

/** Waits until all shards have exactly one owner each among these workers. */
async function shared(workers) {
  const giveUpAt = Date.now() + 20_000;
  const owned = () => workers.flatMap(({ shards }) => shards).sort((a, b) => a - b);
  while (
    owned().join() !== Array.from({ length: SHARDS }, (_, n) => n).join() ||
    workers.some((w) => w.shards.length === 0)
  ) {
    if (Date.now() > giveUpAt) throw new Error(`not shared: ${JSON.stringify(workers)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const leaders = workers.filter(({ isLeader }) => isLeader).length;
  console.log(
    JSON.stringify({ leaders, shards: Object.fromEntries(workers.map(({ name, shards }) => [name, shards])) }),
  );
  if (leaders !== 1) throw new Error(`${leaders} leaders`);
}

const workers = [await cronWorker('a'), await cronWorker('b'), await cronWorker('c')];
await shared(workers);
await workers[1].close();
await shared([workers[0], workers[2]]);
for (const { close } of workers) await close();
