/**
 * Which stream holds which partition's log, and under which names (O2). Follows from the cluster record alone.
 */

import type { LogId, Partition, Subjects } from '@muster/protocol';
import { partition as toPartition } from '@muster/protocol';

/** Most log streams of a cluster. */
export const LOG_STREAMS_MAX = 64;

export type LogPlacement = {
  /** Name of the cluster: letters, digits, `_` and `-`. */
  readonly cluster: string;
  readonly subjects: Subjects;
  readonly logId: LogId;
  readonly partitionCount: number;
  readonly streamCount: number;
};

/** @returns the stream of a partition: partition p lives in stream p mod streamCount */
export function logStreamOf(placement: Pick<LogPlacement, 'cluster' | 'streamCount'>, partition: Partition): string {
  return logStreamName(placement, partition % placement.streamCount);
}

/** @returns the name of log stream number `index` */
export function logStreamName({ cluster }: Pick<LogPlacement, 'cluster'>, index: number): string {
  return `MUSTER_${cluster}_LOG_${index}`;
}

/** @returns the subjects of the partitions that live in log stream number `index` */
export function logStreamSubjects(placement: LogPlacement, index: number): string[] {
  const subjects: string[] = [];
  for (let partition = index; partition < placement.partitionCount; partition += placement.streamCount) {
    subjects.push(placement.subjects.log(placement.logId, toPartition(partition)));
  }
  return subjects;
}
