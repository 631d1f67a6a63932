/**
 * The streams that hold the coordinators' memory: who leads them, whether the replicas follow, how full they are.
 */

import type { ClusterRecord } from '@muster/cluster';
import { logStreamName } from '@muster/nats';
import { Subjects } from '@muster/protocol';
import type { JetStreamAccountStats, JetStreamManager, StreamInfo } from 'nats';
import type { Row } from '../output.js';

/** @returns one row for each log stream; a stream that is not there or cannot be looked at says so in `problem` */
export async function logStreamRows(
  jetstream: JetStreamManager,
  cluster: string,
  record: ClusterRecord,
): Promise<Row[]> {
  const account = await jetstream.getAccountInfo().catch(() => undefined);
  const placement = { ...record, cluster, subjects: new Subjects(cluster) };
  const numbers = Array.from({ length: record.streamCount }, (_, number) => number);
  return await Promise.all(
    numbers.map(async (number) => {
      const stream = logStreamName(placement, number);
      try {
        return rowOf(await jetstream.streams.info(stream), account);
      } catch (thrown) {
        const problem = thrown instanceof Error ? thrown.message : String(thrown);
        return { stream, leader: null, replicas: null, inSync: null, messages: null, bytes: null, problem };
      }
    }),
  );
}

function rowOf({ config, state, cluster }: StreamInfo, account: JetStreamAccountStats | undefined): Row {
  const followers = cluster?.replicas ?? [];
  const inSync = followers.filter(({ current, offline }) => current && offline !== true).length + 1;
  const maxBytes = config.max_bytes > 0 ? config.max_bytes : null;
  const ofAccount = account === undefined || !(account.limits.max_storage > 0) ? null : account.limits.max_storage;
  const fill =
    maxBytes !== null
      ? state.bytes / maxBytes
      : ofAccount === null || account === undefined
        ? null
        : account.storage / ofAccount;
  return {
    stream: config.name,
    leader: cluster === undefined ? null : (cluster.leader ?? null),
    replicas: config.num_replicas,
    inSync,
    messages: state.messages,
    bytes: state.bytes,
    maxBytes,
    fill: fill === null ? null : Math.round(fill * 1_000) / 1_000,
    fillOf: fill === null ? null : maxBytes === null ? 'account' : 'stream',
    problem: problemOf(config.num_replicas, inSync, cluster === undefined ? undefined : (cluster.leader ?? '')),
  };
}

function problemOf(replicas: number, inSync: number, leader: string | undefined): string | null {
  if (leader === '') return 'no leader: nothing can be stored';
  return inSync < replicas ? `${replicas - inSync} of ${replicas} replicas do not follow` : null;
}
