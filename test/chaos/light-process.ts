/**
 * The process that drives all light groups of a run, so that their timing does not depend on what else the run does.
 */

import { connectNats, NatsBus } from '@muster/nats';
import { groupId, Subjects } from '@muster/protocol';
import { ChaosClient } from './chaos-client.js';
import { HistoryWriter, nowMs } from './history.js';
import { LightGroup } from './light-group.js';
import { type Order, readLightSettings, tell } from './messages.js';
import { watchOwnStalls } from './own-stalls.js';

/** Groups that form side by side. */
const FORMING_MAX = 64;

const settings = readLightSettings(process.argv[2]);
const history = new HistoryWriter(settings.historyFolder, 'light');
const connection = await connectNats({ servers: settings.servers, name: 'chaos-light', waitOnFirstConnectMs: 15_000 });
const bus = new NatsBus(connection);
const client = new ChaosClient(bus, new Subjects(settings.cluster), settings.partitionCount, history);
const groups = new Map(
  settings.groups.map((name) => [name, new LightGroup(groupId(name), client, history, settings)] as const),
);
let watching:
  | { readonly longestMs: Record<string, number>; readonly done: Promise<unknown>; isOver: boolean }
  | undefined;

watchOwnStalls('light', (stall) => history.write(stall));
process.once('disconnect', () => process.exit(0));
process.on('message', (order: Order) => void obey(order));
const waiting = [...groups.values()];
await Promise.all(Array.from({ length: FORMING_MAX }, formSome));
for (const group of groups.values()) group.keepGoing();
await history.flush();
tell({ kind: 'ready' });

async function formSome(): Promise<void> {
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) await next.form();
}

async function obey(order: Order): Promise<void> {
  switch (order.kind) {
    case 'probe': {
      const answers = [...groups.values()].map(async (group) => ({ ...(await group.probe()), at: nowMs() }));
      const probes = await Promise.all(answers);
      const errors = [...new Set(probes.map(({ error }) => error))];
      return tell({ kind: 'probed', answeredAt: probes.map(({ at }) => at), errors });
    }
    case 'watch':
      return watch(order.groups, order.everyMs);
    case 'unwatch': {
      const ended = watching;
      if (ended === undefined) return;
      ended.isOver = true;
      await ended.done;
      watching = undefined;
      return tell({ kind: 'watched', longestMs: ended.longestMs });
    }
    case 'finish':
      await Promise.all([...groups.values()].map((group) => group.end()));
      await history.close();
      tell({ kind: 'finished' });
  }
}

function watch(names: readonly string[], everyMs: number): void {
  const longestMs: Record<string, number> = {};
  const state = { longestMs, isOver: false, done: Promise.resolve() as Promise<unknown> };
  const follow = async (name: string): Promise<void> => {
    const group = groups.get(name);
    while (group !== undefined && !state.isOver) {
      const { waitMs } = await group.probe();
      longestMs[name] = Math.max(longestMs[name] ?? 0, waitMs);
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
  };
  state.done = Promise.all(names.map(follow));
  watching = state;
}
