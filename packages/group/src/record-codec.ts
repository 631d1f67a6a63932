/**
 * Records as they stand in the log: arrays of plain values for msgpack, `[kind, version, ...fields]`.
 *
 * Reading validates everything, because a log outlives the code that wrote it. A kind that is not known comes from a newer
 * version and is skipped with a warning; a known kind that is damaged or of a newer version is an error.
 */

import type { Generation, InstanceId, MemberId, RebalanceEntry, RequestId, WallMs } from '@muster/protocol';
import { assertNever, isGeneration, isInstanceId, isMemberId, isRequestId, wallMs } from '@muster/protocol';
import type { TopicPartition } from './commands.js';
import { rebalanceCauses } from './group.js';
import type { StoredOffset } from './offset-store.js';
import type {
  GroupRecord,
  MemberRecord,
  Protocol,
  RecordedState,
  Round,
  SnapshotDeltaRecord,
  SnapshotRecord,
  UnknownRecord,
} from './records.js';
import { RecordError } from './records.js';

/** Version of every kind that this code writes. */
const VERSION = 1;
const kindCodes = {
  snapshot: 1,
  'member-removed': 2,
  offsets: 3,
  'offset-tombstones': 4,
  'group-tombstone': 5,
  'staged-offsets': 6,
  'stage-end': 7,
  'snapshot-delta': 8,
} as const satisfies Record<GroupRecord['kind'], number>;
const recordedStates: readonly RecordedState[] = ['Empty', 'CompletingRebalance', 'Stable'];

type Values = readonly unknown[];

/** @returns the record as an array that msgpack can carry; byte strings are Uint8Array */
export function encodeRecord(record: GroupRecord): Values {
  return [kindCodes[record.kind], VERSION, ...fieldsOf(record)];
}

function fieldsOf(record: GroupRecord): Values {
  switch (record.kind) {
    case 'snapshot':
      return metadataFields(record, record.members);
    case 'snapshot-delta':
      return metadataFields(record, record.changed);
    case 'member-removed':
      return [record.memberId];
    case 'offsets':
      return [record.memberId, record.commitSeq, record.offsets.map(encodeOffset)];
    case 'offset-tombstones':
      return [record.partitions.map(({ topic, partition }) => [topic, partition])];
    case 'group-tombstone':
      return [];
    case 'staged-offsets':
      return [record.producerId, record.producerEpoch, record.at, record.offsets.map(encodeOffset)];
    case 'stage-end':
      return [record.producerId, record.producerEpoch, record.at, record.order, record.result === 'COMMIT'];
    default:
      return assertNever(record);
  }
}

function metadataFields(record: SnapshotRecord | SnapshotDeltaRecord, members: readonly MemberRecord[]): Values {
  const { generation, state, protocolType, protocol, leader, stateChangedAt, round, rebalanceDue } = record;
  return [
    generation,
    recordedStates.indexOf(state),
    protocolType,
    protocol,
    leader,
    stateChangedAt,
    round === null ? null : [round.cause, round.memberId, round.startedAt, round.reason],
    rebalanceDue,
    members.map(encodeMember),
    record.rebalances.map(encodeRebalance),
  ];
}

function encodeMember(member: MemberRecord): Values {
  return [
    member.memberId,
    member.groupInstanceId,
    member.clientId,
    member.clientHost,
    member.createdBy,
    member.sessionTimeoutMs,
    member.rebalanceTimeoutMs,
    member.protocols.map(({ name, metadata }) => [name, metadata]),
    member.assignment,
    member.commitSeq,
    member.replacedJoins,
  ];
}

function encodeRebalance(entry: RebalanceEntry): Values {
  const { generationId, cause, memberId, startedAtMs, durationMs, members, moved, reason } = entry;
  return [generationId, cause, memberId, startedAtMs, durationMs, members, moved, reason];
}

function encodeOffset(stored: StoredOffset): Values {
  const { topic, partition, offset, leaderEpoch, metadata, commitTimestamp, expireTimestamp, order } = stored;
  return [topic, partition, offset, leaderEpoch, metadata, commitTimestamp, expireTimestamp, order];
}

/**
 * @returns the record, or a warning for a kind that a newer version wrote
 * @throws RecordError where a known kind is damaged, or of a version that this code does not know
 */
export function decodeRecord(value: unknown): GroupRecord | UnknownRecord {
  if (!Array.isArray(value)) throw damaged('record', 'an array', value);
  const fields = new Fields('record', value);
  const code = fields.integer('kind');
  const version = fields.integer('version');
  const decoder = decoders.get(code);
  if (decoder === undefined) {
    return { kind: 'unknown', warning: `skipped a record of the unknown kind ${code}, version ${version}` };
  }
  if (version !== VERSION) {
    const message = `a record of kind ${code} has version ${version}, this code reads ${VERSION}`;
    throw new RecordError('RECORD_VERSION_UNSUPPORTED', message);
  }
  return decoder(fields);
}

const decoders = new Map<number, (fields: Fields) => GroupRecord>([
  [kindCodes.snapshot, decodeSnapshot],
  [kindCodes['snapshot-delta'], decodeDelta],
  [kindCodes['member-removed'], (fields) => ({ kind: 'member-removed', memberId: fields.memberId('member id') })],
  [
    kindCodes.offsets,
    (fields) => ({
      kind: 'offsets',
      memberId: fields.orNull('member id', isMemberId),
      commitSeq: fields.integer('commit number'),
      offsets: fields.list('offsets', decodeOffset),
    }),
  ],
  [
    kindCodes['offset-tombstones'],
    (fields) => ({ kind: 'offset-tombstones', partitions: fields.list('partitions', decodePartition) }),
  ],
  [kindCodes['group-tombstone'], () => ({ kind: 'group-tombstone' })],
  [
    kindCodes['staged-offsets'],
    (fields) => ({
      kind: 'staged-offsets',
      producerId: fields.integer('producer id'),
      producerEpoch: fields.integer('producer epoch'),
      at: fields.wallMs('time'),
      offsets: fields.list('offsets', decodeOffset),
    }),
  ],
  [
    kindCodes['stage-end'],
    (fields) => ({
      kind: 'stage-end',
      producerId: fields.integer('producer id'),
      producerEpoch: fields.integer('producer epoch'),
      at: fields.wallMs('time'),
      order: fields.integer('order'),
      result: fields.flag('committed') ? 'COMMIT' : 'ABORT',
    }),
  ],
]);

function decodeDelta(fields: Fields): SnapshotDeltaRecord {
  const { kind: _, members: changed, ...metadata } = decodeSnapshot(fields);
  return { kind: 'snapshot-delta', changed, ...metadata };
}

function decodeSnapshot(fields: Fields): SnapshotRecord {
  const generation = fields.generation('generation');
  const state = recordedStates[fields.integer('state')];
  if (state === undefined) throw damaged('snapshot state', 'one of 0, 1, 2', state);
  const protocolType = fields.orNull('protocol type', isText);
  const protocol = fields.orNull('protocol', isText);
  const leader = fields.orNull('leader', isMemberId);
  const stateChangedAt = fields.wallMs('time of the state');
  const round = fields.tupleOrNull('round', decodeRound);
  const rebalanceDue = fields.flag('rebalance due');
  const members = fields.list('members', decodeMember);
  const rebalances = fields.list('rebalances', decodeRebalance);
  for (const member of members) {
    const choice = member.protocols.some(({ name }) => name === protocol);
    if (!choice) throw damaged('protocol', `one that member ${member.memberId} offers`, protocol);
  }
  return {
    kind: 'snapshot',
    generation,
    state,
    protocolType,
    protocol,
    leader,
    members,
    stateChangedAt,
    round,
    rebalanceDue,
    rebalances,
  };
}

function decodeRound(fields: Fields): Round {
  return {
    cause: fields.text('cause'),
    memberId: fields.memberId('member id'),
    startedAt: fields.wallMs('start'),
    reason: fields.textIfThere('reason'),
  };
}

function decodeMember(fields: Fields): MemberRecord {
  return {
    memberId: fields.memberId('member id'),
    groupInstanceId: fields.orNull('instance id', isInstanceId),
    clientId: fields.text('client id'),
    clientHost: fields.text('client host'),
    createdBy: fields.requestId('request id'),
    sessionTimeoutMs: fields.integer('session timeout'),
    rebalanceTimeoutMs: fields.integer('rebalance timeout'),
    protocols: fields.list('protocols', decodeProtocol),
    assignment: fields.bytes('assignment'),
    commitSeq: fields.integer('commit number'),
    replacedJoins: fields.requestIdsIfThere('replaced joins'),
  };
}

function decodeProtocol(fields: Fields): Protocol {
  return { name: fields.text('name'), metadata: fields.bytes('metadata') };
}

function decodeRebalance(fields: Fields): RebalanceEntry {
  const generationId = fields.generation('generation');
  const cause = fields.text('cause');
  return {
    generationId,
    // A group keeps many of them: they share the text. One that is not known comes from a newer version.
    cause: rebalanceCauses.find((known) => known === cause) ?? cause,
    memberId: fields.text('member id'),
    startedAtMs: fields.number('start'),
    durationMs: fields.number('duration'),
    members: fields.integer('members'),
    moved: fields.orNull('moved', isInteger),
    reason: fields.textIfThere('reason'),
  };
}

function decodeOffset(fields: Fields, before: StoredOffset | undefined): StoredOffset {
  const topic = fields.text('topic');
  return {
    // Offsets of one topic stand together and share its text.
    topic: topic === before?.topic ? before.topic : topic,
    partition: fields.integer('partition'),
    offset: fields.integer('offset'),
    leaderEpoch: fields.integer('leader epoch'),
    metadata: fields.text('metadata'),
    commitTimestamp: fields.wallMs('commit time'),
    expireTimestamp: fields.orNull('expiry', isNumber),
    order: fields.integer('order'),
  };
}

function decodePartition(fields: Fields): TopicPartition {
  return { topic: fields.text('topic'), partition: fields.integer('partition') };
}

/** Reads the values of one array in order, each checked. Values after the last one read are ignored. */
class Fields {
  readonly #what: string;
  readonly #values: Values;
  #next = 0;

  constructor(what: string, values: Values) {
    this.#what = what;
    this.#values = values;
  }

  #take<T>(name: string, allowed: string, guard: (value: unknown) => value is T): T {
    const value = this.#values[this.#next++];
    if (!guard(value)) throw damaged(`${this.#what}: ${name}`, allowed, value);
    return value;
  }

  integer(name: string): number {
    return this.#take(name, 'an integer', isInteger);
  }
  number(name: string): number {
    return this.#take(name, 'a number', isNumber);
  }
  wallMs(name: string): WallMs {
    return wallMs(this.number(name));
  }
  text(name: string): string {
    return this.#take(name, 'text', isText);
  }
  flag(name: string): boolean {
    return this.#take(name, 'a boolean', isBoolean);
  }
  bytes(name: string): Uint8Array {
    // Copied: a slice would keep the larger buffer that it was cut from in memory.
    return new Uint8Array(this.#take(name, 'bytes', isBytes));
  }
  memberId(name: string): MemberId {
    return this.#take(name, 'a member id', isMemberId);
  }
  requestId(name: string): RequestId {
    return this.#take(name, 'a request id', isRequestId);
  }
  generation(name: string): Generation {
    return this.#take(name, 'a generation', isGeneration);
  }

  /** A value of the guard's type, or null. */
  orNull<T extends string | number | InstanceId>(name: string, guard: (value: unknown) => value is T): T | null {
    return this.#take(name, 'a value or null', (value): value is T | null => value === null || guard(value));
  }

  /** A text or null that records of an earlier version end before. */
  textIfThere(name: string): string | null {
    return this.#next < this.#values.length ? this.orNull(name, isText) : null;
  }

  /** Request ids that records of an earlier version end before. */
  requestIdsIfThere(name: string): readonly RequestId[] {
    return this.#next < this.#values.length ? this.#take(name, 'a list of request ids', isRequestIds) : [];
  }

  list<T>(name: string, decodeEach: (fields: Fields, before: T | undefined) => T): readonly T[] {
    let before: T | undefined;
    return this.#take(name, 'a list of arrays', isListOfLists).map((each) => {
      before = decodeEach(new Fields(name, each), before);
      return before;
    });
  }

  tupleOrNull<T>(name: string, decode: (fields: Fields) => T): T | null {
    const values = this.#take(name, 'an array or null', isListOrNull);
    return values === null ? null : decode(new Fields(name, values));
  }
}

function isInteger(value: unknown): value is number {
  return Number.isSafeInteger(value);
}
function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}
function isText(value: unknown): value is string {
  return typeof value === 'string';
}
function isBoolean(value: unknown): value is boolean {
  return typeof value === 'boolean';
}
function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array;
}
function isRequestIds(value: unknown): value is readonly RequestId[] {
  return Array.isArray(value) && value.every(isRequestId);
}
function isListOfLists(value: unknown): value is readonly Values[] {
  return Array.isArray(value) && value.every((each) => Array.isArray(each));
}
function isListOrNull(value: unknown): value is Values | null {
  return value === null || Array.isArray(value);
}

function damaged(where: string, allowed: string, value: unknown): RecordError {
  const shown = typeof value === 'string' ? JSON.stringify(value.slice(0, 64)) : typeof value;
  return new RecordError('RECORD_DAMAGED', `${where} must be ${allowed}, not ${shown}`);
}
