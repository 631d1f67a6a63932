/**
 * Requests that any node answers: FindCoordinator, and this node's share of ListGroups.
 */

import type { Bus, BusMessage, ClusterNode } from '@muster/cluster';
import type { Answer, ErrorName, ListRequest, LogId, NodeId, Partition, RequestHead, Subjects } from '@muster/protocol';
import { clusterApis, encodeReply, epoch, parseRequest, partitionOf } from '@muster/protocol';
import type { NodeMeter } from './observe/meter.js';
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
  /** Who counts; nobody by default. */
  readonly meter?: Pick<NodeMeter, 'answered'>;
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
  const { partitionCount, cluster } = options;
  const parsed = parseRequest(clusterApis.find, message.payload);
  if (parsed.kind === 'refused') return refuse(options, message, parsed);
  const { groupId, suspectEpoch } = parsed.body;
  const partition = partitionOf(groupId, partitionCount);
  // C5: a hint only triggers probes.
  if (suspectEpoch !== null) cluster.hint(partition, epoch(suspectEpoch));
  const owner = cluster.ownerOf(partition);
  const fields = { partition, partitionCount, nodeId: owner?.node ?? '', ownerEpoch: owner?.epoch ?? 0 };
  const error = owner === undefined ? 'COORDINATOR_NOT_AVAILABLE' : 'NONE';
  options.meter?.answered('find', error);
  reply(options, message, encode(options, parsed.head.id, { error }, fields));
}

function answerList(options: ClusterRequestsOptions, message: BusMessage): void {
  const { runtimes, mayServe, meter } = options;
  const parsed = parseRequest(clusterApis.list, message.payload);
  if (parsed.kind === 'refused') return refuse(options, message, parsed);
  meter?.answered('list', 'NONE');
  const served = [...runtimes()].filter((runtime) => mayServe(runtime.partition));
  if (parsed.body.stable !== true) return listSome(options, message, parsed, served);
  // O7: each partition answers for itself as soon as it is proven, so that a stalled one holds up no other.
  for (const runtime of served) runtime.prove(() => listSome(options, message, parsed, [runtime]));
}

/** Answers for some partitions: in one reply, or in several where one would be too large. Whoever asked puts them together. */
function listSome(
  options: ClusterRequestsOptions,
  message: BusMessage,
  request: { readonly head: RequestHead; readonly body: ListRequest },
  runtimes: readonly PartitionRuntime[],
): void {
  const { payloadBytesMax } = options.bus;
  const { id } = request.head;
  const partitions = runtimes.map((runtime) => runtime.partition);
  const groups = runtimes.flatMap((runtime) => runtime.list(request.body));
  const payload = encode(options, id, { error: 'NONE' }, { groups, partitions });
  if (payload.byteLength <= payloadBytesMax) return reply(options, message, payload);
  if (runtimes.length > 1) {
    const half = Math.ceil(runtimes.length / 2);
    listSome(options, message, request, runtimes.slice(0, half));
    return listSome(options, message, request, runtimes.slice(half));
  }
  const detail = `the ${groups.length} groups of partition ${partitions[0]} exceed the server's max_payload of ${payloadBytesMax}`;
  reply(options, message, encode(options, id, { error: 'MESSAGE_TOO_LARGE', detail }, {}));
}

function refuse(
  options: ClusterRequestsOptions,
  message: BusMessage,
  refusal: { readonly id: string; readonly error: ErrorName; readonly detail: string },
): void {
  const { id, error, detail } = refusal;
  options.meter?.answered('unreadable', error);
  options.onRefused({ subject: message.subject, error, detail });
  reply(options, message, encode(options, id, { error, detail }, {}));
}

function encode({ node, logId }: ClusterRequestsOptions, id: string, answer: Answer, fields: object): Uint8Array {
  return encodeReply(id, { node, log: logId }, answer, fields);
}

/** A question without a reply subject is nobody's. */
function reply({ bus }: ClusterRequestsOptions, message: BusMessage, payload: Uint8Array): void {
  if (message.reply !== '') bus.publish(message.reply, payload);
}
