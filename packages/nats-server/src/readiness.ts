/**
 * Whether servers are ready, judged from what their monitoring endpoints say.
 *
 * Does not wait or retry.
 *
 * Y1: a server counts only if it is the one that was started: another process may have got hold of its port.
 * Y2: a cluster is ready when each server has routes to all others, all name the same JetStream meta leader, and that
 *     leader sees all others as current. A stream create right after an earlier moment fails with 10005.
 */

import { askMonitor, field, list } from './monitor.js';
import type { ServerPlan } from './server-config.js';

const ASK_TIMEOUT_MS = 1_000;

export interface MonitoredServer {
  readonly plan: ServerPlan;
  readonly monitorUrl: string;
}

export type Readiness =
  | { readonly kind: 'ready' }
  | { readonly kind: 'waiting'; readonly reason: string }
  /**
   * There is a leader, but its group lacks servers. Ordinary for some milliseconds. If it stays so it stays for good:
   * when the first votes collide, 2.10.27 founds the group without the server that did not vote for the leader, shrinks
   * the expected size to match, and never lets that server in (stream creates fail with 10005).
   */
  | { readonly kind: 'misfounded'; readonly reason: string };

const READY: Readiness = { kind: 'ready' };

/** It is our server and answers: it may not have recovered its streams or met its peers yet. */
export async function isListening(server: MonitoredServer): Promise<Readiness> {
  // `/jsz` first: a `/varz` asked for before JetStream is up is kept by the server and lacks JetStream from then on.
  const jsz = await askMonitor(server.monitorUrl, '/jsz', ASK_TIMEOUT_MS);
  if (jsz === undefined) return waiting(`${server.plan.name} does not answer on its monitor port`);
  const storeDir = field(field(jsz.body, 'config'), 'store_dir');
  if (typeof storeDir !== 'string' || storeDir === '') return waiting(`JetStream of ${server.plan.name} is not up`);
  if (storeDir !== server.plan.storeDir && !storeDir.startsWith(`${server.plan.storeDir}/`)) {
    return waiting(`the monitor port of ${server.plan.name} is answered by a server with store ${storeDir} (Y1)`);
  }
  const varz = await askMonitor(server.monitorUrl, '/varz', ASK_TIMEOUT_MS);
  const name = field(varz?.body, 'server_name');
  if (name !== server.plan.name) {
    return waiting(`the monitor port of ${server.plan.name} is answered by server "${String(name)}" (Y1)`);
  }
  return READY;
}

/** It answers, and its own health check finds nothing to complain about. */
export async function isHealthy(server: MonitoredServer): Promise<Readiness> {
  const listening = await isListening(server);
  if (listening.kind !== 'ready') return listening;
  const healthz = await askMonitor(server.monitorUrl, '/healthz', ASK_TIMEOUT_MS);
  if (healthz?.status !== 200) {
    return waiting(`${server.plan.name} is not healthy: ${String(field(healthz?.body, 'error') ?? 'no answer')}`);
  }
  return READY;
}

/** Y2 */
export async function isClusterFormed(servers: readonly MonitoredServer[]): Promise<Readiness> {
  const leaders = new Set<string>();
  for (const server of servers) {
    const healthy = await isHealthy(server);
    if (healthy.kind !== 'ready') return healthy;
    const routez = await askMonitor(server.monitorUrl, '/routez', ASK_TIMEOUT_MS);
    // Several pooled connections may go to one peer.
    const peers = new Set(list(field(routez?.body, 'routes')).map((route) => field(route, 'remote_id')));
    if (peers.size < servers.length - 1) {
      return waiting(`${server.plan.name} has routes to ${peers.size} of ${servers.length - 1} servers`);
    }
    const jsz = await askMonitor(server.monitorUrl, '/jsz', ASK_TIMEOUT_MS);
    const leader = field(field(jsz?.body, 'meta_cluster'), 'leader');
    if (typeof leader !== 'string' || leader === '') return waiting(`${server.plan.name} knows no JetStream leader`);
    leaders.add(leader);
    const size = field(field(jsz?.body, 'meta_cluster'), 'cluster_size');
    if (size !== servers.length) {
      const reason = `${server.plan.name} counts ${String(size)} of ${servers.length} servers in JetStream's meta group`;
      return { kind: 'misfounded', reason };
    }
    if (leader === server.plan.name) {
      const replicas = list(field(field(jsz?.body, 'meta_cluster'), 'replicas'));
      const current = replicas.filter((replica) => field(replica, 'current') === true).length;
      if (current < servers.length - 1) {
        return waiting(`the JetStream leader ${leader} sees ${current} of ${servers.length - 1} peers as current`);
      }
    }
  }
  const stranger = [...leaders].find((leader) => servers.every((server) => server.plan.name !== leader));
  if (stranger !== undefined) return waiting(`the JetStream leader "${stranger}" is none of these servers (Y1)`);
  if (leaders.size !== 1) return waiting(`the servers name different JetStream leaders: ${[...leaders].join(', ')}`);
  return READY;
}

function waiting(reason: string): Readiness {
  return { kind: 'waiting', reason };
}
