/**
 * Where each partition's offset would go. Reads only; what is done with the plan is up to reset.ts.
 *
 * M1 an offset outside of the stream is moved to its nearer end, as in Kafka.
 * M2 a shift counts messages of the partition, not sequence numbers: the partitions of a topic share those of their stream.
 */

import type { TopicPartition } from '@muster/protocol';
import type { PartitionOffset, TopicSpec } from '@muster/worker';
import type { JetStreamManager } from 'nats';
import { exitCodes } from '../exit-codes.js';
import { CliError } from '../failure.js';
import type { Session } from '../session.js';
import { eachAtOnce, manager, messageCount, offsetAtTime, registered, subjectOf } from '../stream-facts.js';
import type { TopicChoice } from '../values.js';
import { byPlace, placeOf } from './describe.js';

export type Target =
  | { readonly kind: 'earliest' | 'latest' | 'current' }
  | { readonly kind: 'offset'; readonly offset: number }
  | { readonly kind: 'shift'; readonly messages: number }
  | { readonly kind: 'time'; readonly atMs: number }
  | { readonly kind: 'group'; readonly group: string }
  | { readonly kind: 'file'; readonly path: string };

export interface Move extends TopicPartition {
  /** Undefined where nothing is committed. */
  readonly before: number | undefined;
  readonly after: number;
}

export interface ResetRequest {
  readonly group: string;
  readonly target: Target;
  /** Undefined: all that there are offsets of. */
  readonly choices: readonly TopicChoice[] | undefined;
  /** The offsets of a file. */
  readonly given: readonly PartitionOffset[] | undefined;
}

type Bounds = { readonly first: number; readonly next: number };

/**
 * @param onProgress hears of each partition
 * @returns the moves in order; throws CliError notFound for topics and partitions that are not there
 */
export async function planMoves(
  session: Session,
  request: ResetRequest,
  onProgress: (done: number, total: number) => void,
): Promise<Move[]> {
  const { group, target } = request;
  const committed = await session.admin.fetchOffsets(group);
  const source = target.kind === 'group' ? await session.admin.fetchOffsets(target.group) : request.given;
  if (target.kind === 'group' && source?.length === 0) {
    throw new CliError(exitCodes.notFound, `the group ${JSON.stringify(target.group)} has no committed offsets`);
  }
  const topics = await topicsOf(session, request, source ?? committed);
  const places = placesOf(request, topics, source ?? committed);
  const jetstream = await manager(session);
  const bounds = new Map<string, Bounds>();
  for (const { stream } of topics.values()) bounds.set(stream, await boundsOf(jetstream, stream));
  const before = new Map(committed.map((offset) => [placeOf(offset), offset.offset]));
  const wanted = new Map((source ?? []).map((offset) => [placeOf(offset), offset.offset]));
  const moves: Move[] = [];
  await eachAtOnce(places, async ({ topic, partition }) => {
    const spec = topics.get(topic);
    const ends = bounds.get(spec?.stream ?? '');
    if (spec === undefined || ends === undefined) return;
    const current = before.get(placeOf({ topic, partition }));
    const lookup = { jetstream, stream: spec.stream, subject: subjectOf(spec, partition), ends };
    const offset = wanted.get(placeOf({ topic, partition })) ?? (await offsetFor(target, current, lookup));
    // M1
    const after = Math.min(Math.max(offset, ends.first), ends.next);
    moves.push({ topic, partition, before: current, after });
    onProgress(moves.length, places.length);
  });
  return moves.sort(byPlace);
}

async function topicsOf(
  session: Session,
  { choices }: ResetRequest,
  offsets: readonly PartitionOffset[],
): Promise<ReadonlyMap<string, TopicSpec>> {
  const names = [...new Set(choices?.map(({ topic }) => topic) ?? offsets.map(({ topic }) => topic))];
  const topics = await registered(session, names);
  const missing = names.filter((name) => !topics.has(name));
  if (missing.length > 0) {
    throw new CliError(
      exitCodes.notFound,
      `not in the registry: ${missing.map((name) => JSON.stringify(name)).join(', ')}`,
      '"muster topics list" shows the topics; name those to reset with --topic',
    );
  }
  if (names.length === 0) {
    throw new CliError(exitCodes.notFound, 'the group has no committed offsets', 'name topics with --topic');
  }
  return topics;
}

function placesOf(
  { choices, target }: ResetRequest,
  topics: ReadonlyMap<string, TopicSpec>,
  offsets: readonly PartitionOffset[],
): TopicPartition[] {
  const places: TopicPartition[] = [];
  const isOnlyWhatIsGiven = target.kind === 'group' || target.kind === 'file';
  const chosen = choices ?? [...topics.keys()].map((topic) => ({ topic, partitions: undefined }));
  for (const { topic, partitions } of chosen) {
    const count = topics.get(topic)?.partitions ?? 0;
    const missing = partitions?.find((partition) => partition >= count);
    if (missing !== undefined) {
      throw new CliError(exitCodes.notFound, `topic ${topic} has ${count} partitions, no partition ${missing}`);
    }
    const numbers = partitions ?? Array.from({ length: count }, (_, partition) => partition);
    places.push(...numbers.map((partition) => ({ topic, partition })));
  }
  const given = new Set(offsets.map(placeOf));
  return isOnlyWhatIsGiven || choices === undefined ? places.filter((place) => given.has(placeOf(place))) : places;
}

async function boundsOf(jetstream: JetStreamManager, stream: string): Promise<Bounds> {
  const { state } = await jetstream.streams.info(stream);
  return { first: Math.max(1, state.first_seq), next: state.last_seq + 1 };
}

interface Lookup {
  readonly jetstream: JetStreamManager;
  readonly stream: string;
  readonly subject: string;
  readonly ends: Bounds;
}

async function offsetFor(target: Target, current: number | undefined, lookup: Lookup): Promise<number> {
  const { ends } = lookup;
  switch (target.kind) {
    case 'earliest':
      return ends.first;
    case 'latest':
      return ends.next;
    // kafka: a partition without an offset goes to the end.
    case 'current':
      return current ?? ends.next;
    case 'offset':
      return target.offset;
    case 'shift':
      return await shifted(current ?? ends.next, target.messages, lookup);
    case 'time':
      return await offsetAtTime(lookup.jetstream, lookup.stream, lookup.subject, target.atMs);
    case 'group':
    case 'file':
      return current ?? ends.next;
    default:
      return unknownTarget(target);
  }
}

function unknownTarget(target: never): never {
  throw new Error(`unhandled target ${JSON.stringify(target)}`);
}

/**
 * M2 JetStream counts what is left from a sequence on; the offset with the wanted count is found by halving. A plan for one
 * partition takes about as many questions as the sequence has binary digits.
 */
async function shifted(
  current: number,
  messages: number,
  { jetstream, stream, subject, ends }: Lookup,
): Promise<number> {
  const countFrom = (offset: number) => messageCount(jetstream, stream, subject, offset);
  const left = (await countFrom(Math.min(Math.max(current, ends.first), ends.next))) - messages;
  if (messages === 0) return current;
  if (left <= 0) return ends.next;
  return await lastOffsetWith(left, ends, countFrom);
}

/** @returns the highest offset with at least `wanted` messages at or after it; the lowest there is where none has so many */
export async function lastOffsetWith(
  wanted: number,
  ends: Bounds,
  countFrom: (offset: number) => Promise<number>,
): Promise<number> {
  let low = ends.first;
  let high = ends.next;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if ((await countFrom(middle)) >= wanted) low = middle;
    else high = middle;
  }
  return low;
}
