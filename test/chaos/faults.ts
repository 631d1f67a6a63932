/**
 * Carries out one fault of the schedule from its beginning to its end, and says so in the history.
 */

import { type Fleet, pause } from './fleet.js';
import { type HistoryWriter, nowMs } from './history.js';
import { type Fault, type RouteTrouble, SHELTER_MS } from './schedule.js';
import { fleetStreams, stepDown } from './streams.js';

export type FaultContext = {
  readonly fleet: Fleet;
  readonly history: HistoryWriter;
  readonly say: (line: string) => void;
};

/** Settles when the fault is over and what was ended has been started again. */
export async function carryOut(fault: Fault, { fleet, history, say }: FaultContext): Promise<void> {
  const { target, detail } = describe(fault, fleet);
  say(`fault ${fault.id}: ${fault.kind} ${target} ${detail}`.trimEnd());
  history.write({ kind: 'fault', at: nowMs(), id: fault.id, fault: fault.kind, target, detail });
  await play(fault, fleet);
  history.write({ kind: 'healed', at: nowMs(), id: fault.id });
}

function describe(fault: Fault, fleet: Fleet): { readonly target: string; readonly detail: string } {
  const forTime = `for ${(fault.forMs / 1_000).toFixed(1)} s`;
  switch (fault.kind) {
    case 'kill':
    case 'pause':
      return { target: fleet.nodeNames[fault.node] ?? '', detail: forTime };
    case 'partition': {
      if (fault.role === 'routes') {
        const name = (server: number) => fleet.nats.servers[server]?.name ?? '';
        const from = fault.other === undefined ? 'all others' : name(fault.other);
        const direction = fault.how !== 'stalled-one-way' ? '' : fault.hears ? ' (it hears)' : ' (it is heard)';
        const detail = `${fault.how}${direction} ${forTime}, then ${fault.heal}`;
        return { target: 'routes', detail: `${name(fault.server)} from ${from}: ${detail}` };
      }
      const target = fault.role === 'node' ? (fleet.nodeNames[fault.node] ?? '') : fault.role;
      return { target, detail: `${fault.state} ${forTime}, then ${fault.heal}` };
    }
    case 'nats-kill':
      return { target: fleet.nats.servers[fault.server]?.name ?? '', detail: forTime };
    case 'nats-leader':
      return { target: `${fault.streams} streams`, detail: '' };
    case 'drain':
      return { target: fault.scope, detail: '' };
    case 'worker-kill':
    case 'worker-pause':
      return { target: fleet.workerNames[fault.worker] ?? '', detail: forTime };
  }
}

async function play(fault: Fault, fleet: Fleet): Promise<void> {
  switch (fault.kind) {
    case 'kill':
      await fleet.killNode(fault.node);
      await pause(fault.forMs);
      return fleet.startNode(fault.node);
    case 'pause':
      fleet.signalNode(fault.node, 'SIGSTOP');
      await pause(fault.forMs);
      return fleet.signalNode(fault.node, 'SIGCONT');
    case 'partition': {
      if (fault.role === 'routes') return partRoutes(fault, fault.forMs, fault.heal, fleet);
      const { role, node, state, heal } = fault;
      const proxy = role === 'node' ? fleet.proxyOf(node) : role === 'light' ? fleet.light : fleet.workersProxy;
      proxy.set(state);
      await pause(fault.forMs);
      return proxy.heal(heal);
    }
    case 'nats-kill': {
      const server = fleet.nats.servers[fault.server];
      await server?.kill();
      await pause(fault.forMs);
      return server?.restart({ until: 'healthy' });
    }
    case 'nats-leader': {
      const streams = await fleetStreams(fleet.connection);
      await Promise.all(streams.slice(0, fault.streams).map((stream) => stepDown(fleet.connection, stream)));
      return;
    }
    case 'drain':
      return rollingRestart(fault.scope, fleet);
    case 'worker-kill':
      await fleet.killWorker(fault.worker);
      await pause(fault.forMs);
      return fleet.againWorker(fault.worker);
    case 'worker-pause':
      fleet.signalWorker(fault.worker, 'SIGSTOP');
      await pause(fault.forMs);
      return fleet.signalWorker(fault.worker, 'SIGCONT');
  }
}

async function partRoutes(
  trouble: RouteTrouble,
  forMs: number,
  heal: 'deliver' | 'reset',
  { nats, routes, light, workersProxy }: Fleet,
): Promise<void> {
  const { server, other, how, hears, shelters } = trouble;
  const others = nats.servers.map((_, index) => index).filter((index) => index !== server);
  if (shelters) {
    // A server that is alone serves nobody, and of two that are parted neither serves what the other leads.
    for (const role of [light, workersProxy]) role.avoid(other === undefined ? [server] : [server, other]);
    await pause(SHELTER_MS);
  }
  for (const parted of other === undefined ? others : [other]) {
    if (hears) routes.part(server, parted, how);
    else routes.part(parted, server, how);
  }
  await pause(forMs);
  routes.heal(heal);
  for (const role of [light, workersProxy]) role.avoid([]);
}

async function rollingRestart(scope: Extract<Fault, { kind: 'drain' }>['scope'], fleet: Fleet): Promise<void> {
  for (let node = 0; node < fleet.nodeNames.length; node += 1) await fleet.restartNode(node);
  if (scope === 'coordinators') return;
  for (let worker = 0; worker < fleet.workerNames.length; worker += 1) await fleet.restartWorker(worker);
  if (scope === 'coordinators and workers') return;
  for (const server of fleet.nats.servers) await server.restart({ until: 'healthy' });
}
