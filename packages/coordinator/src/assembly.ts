/**
 * The composition of a node over its ports: turn engine, partitions, membership, requests. The same for real NATS and for
 * the in-memory world of tests; it holds no rule of its own.
 */

import type { Bus, Clock, ClusterReport, ClusterSettings, LeaseStore, Random } from '@muster/cluster';
import { ClusterNode, clusterSettingsDefaults } from '@muster/cluster';
import type { GroupConfig, TurnContext } from '@muster/group';
import type { LogStore } from '@muster/log';
import type { Incarnation, LogId, NodeId, Subjects } from '@muster/protocol';
import { encodeNotice, wallMs } from '@muster/protocol';
import type { Logger } from 'pino';
import { serveClusterRequests } from './cluster-requests.js';
import { makeIngress } from './ingress.js';
import { nodeLimits } from './limits.js';
import { NodePartitions } from './partition-host.js';
import type { NodeParts } from './partition-runtime.js';
import { TurnEngine } from './turn-engine.js';

export type NodePorts = {
  readonly bus: Bus;
  readonly store: LogStore;
  readonly leases: LeaseStore;
  readonly clock: Clock;
  readonly random: Random;
  /** Runs later, after pending input: `setImmediate` in a process. */
  readonly defer: (run: () => void) => void;
};

export type NodeIdentity = {
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  readonly subjects: Subjects;
  readonly logId: LogId;
  readonly partitionCount: number;
  readonly epochFloor: number;
};

export type AssembledNode = {
  /** Nothing runs before `cluster.start()`. */
  readonly cluster: ClusterNode;
  readonly partitions: NodePartitions;
  /** Settles when the incarnation is over by itself: its lease was lost. */
  readonly over: Promise<string>;
  /** Ends all activity at once; nothing is given away. */
  readonly stop: () => void;
};

/** Puts a node together. */
export function assembleNode(
  identity: NodeIdentity,
  ports: NodePorts,
  groupConfig: GroupConfig,
  log: Logger,
  settings: ClusterSettings = clusterSettingsDefaults,
): AssembledNode {
  const { node, incarnation, subjects, logId, partitionCount, epochFloor } = identity;
  const { bus, store, leases, clock, random, defer } = ports;
  const context = (): TurnContext => ({
    now: clock.now(),
    wallNow: wallMs(clock.wallNow()),
    newUuid: () => random.uuid(),
    config: groupConfig,
  });
  const engine = new TurnEngine({
    clock,
    defer,
    onSliceEnd: () => {
      for (const runtime of partitions.all()) runtime.flush();
    },
    onThrow: (error) => log.error({ err: error }, 'a visit of the turn loop threw'),
    onStall: (stalledMs, since) => {
      log.warn({ stalledMs: Math.round(stalledMs) }, 'the process stood still');
      cluster.stalled(`the process stood still for ${Math.round(stalledMs)} ms`, since);
    },
  });
  const onRefused = (refusal: object) => log.warn(refusal, 'request refused');
  const parts: NodeParts = {
    node,
    logId,
    subjects,
    bus,
    loop: engine.loop,
    wheel: engine.wheel,
    context,
    mayServe: (partition) => cluster.ownership.mayServe(partition),
    onRequest: makeIngress({
      subjects,
      partitionCount,
      logId,
      onRefused,
      onLaterEpoch: (partition, epoch) => cluster.ownership.suspend(partition, `a client has seen epoch ${epoch}`),
    }),
    onUndeliverable: (returnAddress, cause) => log.warn({ returnAddress, err: cause }, 'reply undeliverable'),
    onQuarantine: (group, command, error) =>
      log.error({ group, command, err: error }, 'group quarantined: its turn threw'),
  };
  const partitions = new NodePartitions({
    node,
    incarnation,
    store,
    clock,
    parts,
    context,
    newNonce: () => random.id(),
    epochFloor,
    graceMs: settings.observerWaitMs + 1_000,
    onLost: (partition, reason, detail) => {
      partitions.drop(partition);
      cluster.ownership.lost(partition, `${reason}: ${detail}`);
    },
    onStalled: (partition) => cluster.ownership.suspend(partition, 'an append has had no answer for too long'),
    onFull: (partition) => log.error({ partition }, 'the log stream is full: nothing can be recorded'),
    onLoaded: (loaded) => log.debug(loaded, 'partition loaded'),
  });
  let endOver: (detail: string) => void = () => {};
  const over = new Promise<string>((resolve) => {
    endOver = resolve;
  });
  const cluster = new ClusterNode({
    node,
    incarnation,
    partitionCount,
    subjects,
    bus,
    leases,
    clock,
    settings,
    host: partitions,
    report: (report) => logReport(log, report),
    onOver: endOver,
    onServing: (partition, epoch) => {
      const notice = { kind: 'coordinator', generationId: -1, epoch, log: logId, node } as const;
      bus.publish(subjects.partitionEvents(partition), encodeNotice(notice));
    },
  });
  const stopRequests = serveClusterRequests({
    bus,
    subjects,
    node,
    logId,
    partitionCount,
    cluster,
    runtimes: () => partitions.all(),
    mayServe: parts.mayServe,
    onRefused,
  });
  const stopSweep = every(clock, nodeLimits.sweepIntervalMs, () => {
    for (const runtime of partitions.all()) runtime.sweep();
  });
  const stop = () => {
    stopRequests();
    stopSweep();
    cluster.stop();
    engine.stop();
  };
  return { cluster, partitions, over, stop };
}

function every(clock: Clock, ms: number, run: () => void): () => void {
  let cancel = () => {};
  const again = () => {
    cancel = clock.after(ms, () => {
      again();
      run();
    });
  };
  again();
  return () => cancel();
}

/** One log line per event of the cluster; what happens fifty times at a start is for whoever debugs. */
function logReport(log: Logger, report: ClusterReport): void {
  switch (report.kind) {
    case 'claimed':
    case 'resumed':
    case 'handed-over':
    case 'not-claimed':
      return log.debug(report, `partition ${report.kind}`);
    case 'lives':
      return log.debug(report, 'a suspected node lives');
    case 'suspended':
    case 'lost':
      return log.warn(report, `partition ${report.kind}`);
    case 'quarantined':
      return log.error(report, 'partition quarantined: its log cannot be trusted');
    case 'suspected':
      return log.info(report, 'a node is suspected to be dead');
    case 'marked':
      return log.warn(report, 'a node is marked dead: its partitions are taken over');
    case 'view-changed':
      return log.info(report, 'the nodes of the cluster are');
    case 'lease-failed':
      return log.warn(report, 'the lease could not be renewed');
    case 'lease-lost':
      return log.error(report, 'the lease is lost: another node has marked this one dead');
  }
}
