/**
 * Requests that any node answers: FindCoordinator, and this node's share of ListGroups.
 */

import type { Bus, BusMessage, ClusterNode } from '@muster/cluster';
import type { ErrorName, LogId, NodeId, Partition, Subjects } from '@muster/protocol';
import { clusterApis, encodeReply, epoch, parseRequest, partitionOf } from '@muster/protocol';
import type { PartitionRuntime } from './partition-runtime.js';

export type ClusterRequestsOptions = {
  readonly bus: Bus;
  readonly subjects: Subjects;
  readonly node: NodeId;
  readonly logId: LogId;
  readonly partitionCount: number;
  readonly cluster: Pick<ClusterNode, 'ownerOf' | 'hint'>;
  readonly runtimes: () => Iterable<PartitionRuntime>;
  readonly mayServe: (partition: Partition) => boolean;
  readonly onRefused: (refusal: {
    readonly subject: string;
    readonly error: ErrorName;
    readonly detail: string;
  }) => void;
};

/** Listens for the requests. @returns how to stop */
export function serveClusterRequests(options: ClusterRequestsOptions): () => void {
  const { bus, subjects } = options;
  const subscriptions = [
    bus.subscribe(subjects.find, (message) => answerFind(options, message), { queue: 'find' }),
    bus.subscribe(subjects.all, (message) => answerList(options, message)),
  ];
  return () => {
    for (const subscription of subscriptions) subscription.unsubscribe();
  };
}

function answerFind(options: ClusterRequestsOptions, message: BusMessage): void {
  const { bus, node, logId, partitionCount, cluster } = options;
  const parsed = parseRequest(clusterApis.find, message.payload);
  if (parsed.kind === 'refused') return refuse(options, message, parsed);
  const { groupId, suspectEpoch } = parsed.body;
  const partition = partitionOf(groupId, partitionCount);
  // C5: a hint only triggers probes.
  if (suspectEpoch !== null) cluster.hint(partition, epoch(suspectEpoch));
  const owner = cluster.ownerOf(partition);
  const fields = { partition, partitionCount, nodeId: owner?.node ?? '', ownerEpoch: owner?.epoch ?? 0 };
  const error = owner === undefined ? 'COORDINATOR_NOT_AVAILABLE' : 'NONE';
  bus.publish(message.reply, encodeReply(parsed.head.id, { node, log: logId }, { error }, fields));
}

function answerList(options: ClusterRequestsOptions, message: BusMessage): void {
  const { bus, node, logId, runtimes, mayServe } = options;
  const parsed = parseRequest(clusterApis.list, message.payload);
  if (parsed.kind === 'refused') return refuse(options, message, parsed);
  const served = [...runtimes()].filter((runtime) => mayServe(runtime.partition));
  const fields = {
    groups: served.flatMap((runtime) => runtime.list(parsed.body)),
    partitions: served.map((runtime) => runtime.partition),
  };
  bus.publish(message.reply, encodeReply(parsed.head.id, { node, log: logId }, { error: 'NONE' }, fields));
}

function refuse(
  { bus, node, logId, onRefused }: ClusterRequestsOptions,
  message: BusMessage,
  refusal: { readonly id: string; readonly error: ErrorName; readonly detail: string },
): void {
  const { id, error, detail } = refusal;
  onRefused({ subject: message.subject, error, detail });
  if (message.reply !== '') bus.publish(message.reply, encodeReply(id, { node, log: logId }, { error, detail }, {}));
}
