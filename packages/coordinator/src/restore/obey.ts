/**
 * The start of a node on what the cluster has fixed: its record and its log streams, which must be there together (O2).
 *
 * It makes both where neither is there, and nothing where only one is: then something was lost, and `muster cluster restore-log`
 * brings them together again.
 */

import {
  type Clock,
  type ClusterRecord,
  hashSecret,
  type LeaseStore,
  noteStreamsMade,
  obeyClusterRecord,
  type Random,
  RESTORE_COMMAND,
} from '@muster/cluster';
import { ensureLogStreams, findLogStreams, type LogPlacement, LogStreamError } from '@muster/nats';
import { logId, type Subjects } from '@muster/protocol';
import type { NatsConnection } from 'nats';
import type { NodeConfig } from '../config.js';

const PARTITIONS_DEFAULT = 50;
const LOG_STREAMS_DEFAULT = 8;

type RecordConfig = Pick<NodeConfig, 'cluster' | 'partitions' | 'logStreams' | 'replicas' | 'clusterSecret'>;

/**
 * @param replicas of a new cluster, where the configuration names none
 * @returns the record that this node obeys: one that is there, or the first one
 * @throws ClusterRecordMismatch, ClusterRecordLost, LogRestoring, LeaseStoreUnavailable, LogStreamError
 */
export function obeyRecord(
  connection: NatsConnection,
  leases: LeaseStore,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
  config: RecordConfig,
  replicas: number,
): Promise<ClusterRecord> {
  const { cluster, partitions, logStreams, clusterSecret: secret } = config;
  const partitionCount = partitions ?? PARTITIONS_DEFAULT;
  return obeyClusterRecord(
    leases,
    clock,
    { partitionCount: partitions, streamCount: logStreams, replicas: config.replicas, secret },
    {
      format: 1,
      clusterId: random.id(),
      logId: logId(random.id()),
      partitionCount,
      streamCount: Math.min(logStreams ?? (replicas > 1 ? LOG_STREAMS_DEFAULT : 1), partitionCount),
      replicas,
      epochFloor: 0,
      generationFloor: 0,
      streamsMade: false,
      oldLogs: [],
      ...(secret === undefined ? {} : { secret: hashSecret(secret, random.id()) }),
    },
    { findStreams: async () => (await findLogStreams(connection, cluster)).map(({ name }) => name) },
  );
}

/**
 * Makes the log streams of a new cluster; of one that has had them it only checks them.
 * @returns where the logs lie
 * @throws LogStreamError; LOG_STREAM_MISSING where one was made and is gone
 */
export async function obeyStreams(
  connection: NatsConnection,
  leases: LeaseStore,
  clock: Clock,
  { cluster, subjects }: { readonly cluster: string; readonly subjects: Subjects },
  record: ClusterRecord,
): Promise<LogPlacement> {
  const { logId: log, partitionCount, streamCount, replicas, streamsMade } = record;
  const placement = { cluster, subjects, logId: log, partitionCount, streamCount };
  try {
    await ensureLogStreams(connection, { ...placement, replicas, provision: streamsMade ? 'verify' : 'create' });
  } catch (cause) {
    if (cause instanceof LogStreamError) throw withAdvice(cause);
    throw cause;
  }
  await noteStreamsMade(leases, clock, record);
  return placement;
}

function withAdvice(error: LogStreamError): LogStreamError {
  const { code, message, differences } = error;
  if (code === 'LOG_STREAM_MISSING') {
    return new LogStreamError(
      code,
      `${message}, although the nodes of this cluster had made it: what it held is lost, or waits to be restored. An empty one in its place would lose offsets without a word. Restore it from a backup if there is one, then run "${RESTORE_COMMAND}", which also makes what is missing`,
    );
  }
  if (code === 'LOG_STREAM_DIFFERS' && differences.some((difference) => difference.startsWith('subjects '))) {
    return new LogStreamError(
      code,
      `${message}. A stream that was restored from a backup is put to use with "${RESTORE_COMMAND}"`,
      differences,
    );
  }
  return error;
}
