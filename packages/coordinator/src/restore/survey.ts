/**
 * What a cluster was, from what is left of it: its record where there is one, the subjects of its log streams. Pure.
 *
 * S1: nothing is guessed. Where record, streams and options leave more than one answer, or contradict each other, it refuses.
 */

import type { ClusterRecord } from '@muster/cluster';
import { type FoundLogStream, LOG_STREAMS_MAX } from '@muster/nats';
import { isLogId, isPartition, type LogId, type Partition, type Subjects } from '@muster/protocol';
import { RestoreRefused } from './refusal.js';

/** How the cluster is laid out. */
export type LogLayout = { readonly partitionCount: number; readonly streamCount: number; readonly replicas: number };
/** What the operator says, for where nothing else tells. */
export type WantedLayout = { readonly [Key in keyof LogLayout]: number | undefined };

/** The log streams, and whose frames lie in them. */
export type Survey = {
  readonly streams: readonly FoundLogStream[];
  /** For each stream the partitions that it takes, in order. */
  readonly taken: ReadonlyMap<number, readonly number[]>;
  /** For each partition how many frames there are of which log. */
  readonly frames: ReadonlyMap<number, ReadonlyMap<LogId, number>>;
};

/** Reads the subjects of the streams. Subjects of others are not looked at. */
export function surveyStreams(subjects: Subjects, streams: readonly FoundLogStream[]): Survey {
  const taken = new Map<number, readonly number[]>();
  const frames = new Map<number, Map<LogId, number>>();
  for (const stream of streams) {
    const partitions = new Set(stream.subjects.flatMap((subject) => parseSubject(subjects, subject)?.partition ?? []));
    taken.set(
      stream.index,
      [...partitions].sort((left, right) => left - right),
    );
    for (const [subject, count] of stream.messages) {
      const parsed = parseSubject(subjects, subject);
      if (parsed === undefined || count === 0) continue;
      const logs = frames.get(parsed.partition) ?? new Map<LogId, number>();
      frames.set(parsed.partition, logs.set(parsed.log, count));
    }
  }
  return { streams, taken, frames };
}

function parseSubject(
  subjects: Subjects,
  subject: string,
): { readonly log: LogId; readonly partition: Partition } | undefined {
  const [log, number] = subject.split('.').slice(-2);
  const partition = Number(number);
  if (!isLogId(log) || !isPartition(partition)) return undefined;
  return subjects.log(log, partition) === subject ? { log, partition } : undefined;
}

/** @returns every log that has frames */
export function logsIn({ frames }: Survey): LogId[] {
  return [...new Set([...frames.values()].flatMap((logs) => [...logs.keys()]))];
}

/** @throws RestoreRefused where a log was named that no frame is of: nothing of it could be copied */
export function requireKnown(survey: Survey, { chosen, ignored }: Sources): void {
  const known = logsIn(survey).filter((log) => !ignored.has(log));
  const unknown = chosen.find((log) => !known.includes(log));
  if (unknown === undefined) return;
  const there = known.length === 0 ? 'no log at all' : known.join(', ');
  throw new RestoreRefused('LOG_UNKNOWN', `no frame is of the log ${unknown}: there are frames of ${there}`);
}

/** @throws RestoreRefused (S1) */
export function layoutOf(survey: Survey, record: ClusterRecord | undefined, wanted: WantedLayout): LogLayout {
  if (record !== undefined) return recordedLayout(survey, record, wanted);
  if (survey.streams.length === 0) {
    throw new RestoreRefused('NOTHING_THERE', 'there is neither a cluster record nor a log stream: nothing to restore');
  }
  const { partitionCount, streamCount } = layoutOfStreams(survey, wanted);
  return { partitionCount, streamCount, replicas: wanted.replicas ?? replicasOf(survey) };
}

function recordedLayout(survey: Survey, record: ClusterRecord, wanted: WantedLayout): LogLayout {
  const { partitionCount, streamCount, replicas } = record;
  const layout = { partitionCount, streamCount, replicas };
  for (const key of ['partitionCount', 'streamCount', 'replicas'] as const) {
    if (wanted[key] !== undefined && wanted[key] !== layout[key]) {
      throw new RestoreRefused('FACTS_DIFFER', `${key} is ${layout[key]} by the cluster record, not ${wanted[key]}`);
    }
  }
  const strange = survey.streams.find(({ index }) => !fits(survey, index, layout));
  if (strange === undefined) return layout;
  const found = (survey.taken.get(strange.index) ?? []).join(', ') || 'none';
  throw new RestoreRefused(
    'FACTS_DIFFER',
    `the stream ${strange.name} takes the partitions ${found}, which is not what the cluster record says (${partitionCount} partitions in ${streamCount} log streams): it belongs to another cluster`,
  );
}

type Shape = Pick<LogLayout, 'partitionCount' | 'streamCount'>;

/** Partition p lives in stream p mod streamCount: what is left of that may allow only one answer. */
function layoutOfStreams(survey: Survey, wanted: WantedLayout): Shape {
  const highest = Math.max(0, ...[...survey.taken.values()].flat());
  const shapes: Shape[] = [];
  for (let streamCount = 1; streamCount <= LOG_STREAMS_MAX; streamCount += 1) {
    for (let more = 1; more <= streamCount; more += 1) {
      const shape = { partitionCount: highest + more, streamCount };
      const isWanted =
        (wanted.partitionCount ?? shape.partitionCount) === shape.partitionCount &&
        (wanted.streamCount ?? streamCount) === streamCount;
      if (isWanted && survey.streams.every(({ index }) => fits(survey, index, shape))) shapes.push(shape);
    }
  }
  const [only, ...others] = shapes;
  if (only !== undefined && others.length === 0) return only;
  if (only === undefined) {
    throw new RestoreRefused('FACTS_DIFFER', 'no number of partitions and log streams fits the streams that there are');
  }
  const some = shapes.slice(0, 5).map(({ partitionCount: p, streamCount: s }) => `${p} in ${s}`);
  throw new RestoreRefused(
    'FACTS_UNKNOWN',
    `there is no cluster record, and the streams that are left do not tell how many partitions and log streams there were (such as ${some.join(', ')}): say so`,
  );
}

function fits({ taken }: Survey, index: number, { partitionCount, streamCount }: Shape): boolean {
  const partitions = taken.get(index) ?? [];
  if (index >= streamCount || streamCount > partitionCount) return false;
  if (partitions.length !== Math.ceil((partitionCount - index) / streamCount)) return false;
  return partitions.every((partition, at) => partition === index + at * streamCount);
}

function replicasOf({ streams }: Survey): number {
  const [first, ...others] = new Set(streams.map(({ config }) => config['num_replicas']));
  if (typeof first === 'number' && others.length === 0) return first;
  throw new RestoreRefused('FACTS_UNKNOWN', 'the log streams have different numbers of replicas: say how many');
}

/** Which logs count as the old one. */
export type Sources = {
  /** The log that the record names, or named before the restoration began. */
  readonly preferred: LogId | undefined;
  /** What earlier tries have begun to write. */
  readonly ignored: ReadonlySet<LogId>;
  /** The operator's choice where a partition has frames of several; empty = none. */
  readonly chosen: readonly LogId[];
};

/**
 * @returns the log that a partition is read from; undefined where it has no frames
 * @throws RestoreRefused where several have (S1)
 */
export function sourceOf({ frames }: Survey, partition: Partition, sources: Sources): LogId | undefined {
  const { preferred, ignored, chosen } = sources;
  const there = [...(frames.get(partition)?.keys() ?? [])].filter((log) => !ignored.has(log));
  if (there.length <= 1) return there[0];
  const found = chosen.length === 0 ? there : there.filter((log) => chosen.includes(log));
  if (found.length === 1) return found[0];
  if (preferred !== undefined && found.includes(preferred)) return preferred;
  throw new RestoreRefused(
    'LOG_AMBIGUOUS',
    `partition ${partition} has frames of several logs (${there.join(', ')}), and nothing says which of them counts: name it`,
  );
}
