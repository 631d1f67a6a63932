/**
 * The composition of a node over its ports: the serving part, and the membership that gives it partitions. The same for real NATS
 * and for the in-memory world of tests; it holds no rule of its own.
 */

import type { ClusterSettings, LeaseStore } from '@muster/cluster';
import { ClusterNode, clusterSettingsDefaults, silenceMsMax } from '@muster/cluster';
import type { GroupConfig } from '@muster/group';
import type { Epoch, Partition } from '@muster/protocol';
import { encodeNotice } from '@muster/protocol';
import type { Logger } from 'pino';
import { makeClusterLog } from './cluster-log.js';
import { serveClusterRequests } from './cluster-requests.js';
import { noMeter } from './observe/meter.js';
import type { NodePartitions } from './partition-host.js';
import { makeRefusalLog } from './refusal-log.js';
import type { NodeIdentity, ServingPorts } from './serving.js';
import { assembleServing } from './serving.js';

export type NodePorts = ServingPorts & { readonly leases: LeaseStore };

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
  const { node, incarnation, subjects, logId, partitionCount } = identity;
  const { bus, leases, clock, random, meter = noMeter } = ports;
  const mayServe = (partition: Partition) => cluster.ownership.admit(partition);
  const serving = assembleServing(
    identity,
    ports,
    groupConfig,
    {
      mayServe,
      onLaterEpoch: (partition, epoch) => cluster.ownership.doubt(partition, epoch),
      onLost: (partition, detail) => cluster.ownership.lost(partition, detail),
      onStalled: (partition) => cluster.ownership.suspend(partition, 'an append has had no answer for too long'),
      onStall: (stalledMs, since) => {
        const detail = `the process stood still for ${Math.round(stalledMs)} ms`;
        log.warn(detail);
        meter.stoodStill(stalledMs);
        cluster.stalled(detail, since);
      },
      graceMs: silenceMsMax(settings),
    },
    log,
  );
  const { partitions } = serving;
  let endOver: (detail: string) => void = () => {};
  const over = new Promise<string>((resolve) => {
    endOver = resolve;
  });
  const writeLine = makeClusterLog(log, clock);
  const cluster = new ClusterNode({
    node,
    incarnation,
    partitionCount,
    subjects,
    bus,
    leases,
    clock,
    random,
    settings,
    host: partitions,
    report: (report) => {
      meter.reported(report.kind);
      writeLine(report);
    },
    onOver: endOver,
    onServing: (partition: Partition, epoch: Epoch) => {
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
    mayServe,
    meter,
    onRefused: makeRefusalLog(log, clock),
  });
  const stop = () => {
    stopRequests();
    cluster.stop();
    serving.stop();
  };
  return { cluster, partitions, over, stop };
}
