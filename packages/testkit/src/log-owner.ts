/**
 * An owner of one partition, reduced to what its log needs: groups that are maps of keys to numbered values.
 *
 * Keeps the durable state apart from what waits, writes both in a checkpoint (K1), and loads it again as a coordinator does (K2).
 * Every value gets a number of its own, so that a checker can tell which record it is.
 */

import {
  type CheckpointGroup,
  type ClaimOptions,
  type ClaimOutcome,
  claimPartition,
  type LogClock,
  type LogLimits,
  type LogListener,
  type LogRecord,
  type LogReplaySink,
  type LogStore,
  type LostReason,
  logLimitsDefaults,
  type PartitionLog,
  type Replay,
  readAhead,
} from '@muster/log';
import { type GroupId, incarnation, nodeId, type Partition } from '@muster/protocol';

/** A durable value: its number, the sequence it was loaded from (0 = written by this owner), and the whole record. */
export type OwnedValue = { readonly id: number; readonly seq: number; readonly record: LogRecord };
/** The durable state of a partition: group -> key -> value. */
export type OwnedState = ReadonlyMap<GroupId, ReadonlyMap<string, OwnedValue>>;

export type LogOwnerOptions = {
  readonly store: LogStore;
  readonly clock: LogClock;
  readonly partition: Partition;
  readonly name: string;
  readonly newNonce: () => string;
  /** Numbers the records of all owners. */
  readonly newId: () => number;
  readonly limits?: Partial<LogLimits>;
};

export class LogOwner implements LogListener, LogReplaySink {
  readonly name: string;
  /** Numbers of the records that were reported durable to this owner, in order. */
  readonly acknowledged: number[] = [];
  /** What the log told, but for `durable`: `stalled`, `full`, `lost <reason>`. */
  readonly events: string[] = [];
  /** The log while this owner has one. */
  log: PartitionLog | undefined;
  readonly #options: LogOwnerOptions;
  readonly #state = new Map<GroupId, Map<string, OwnedValue>>();
  readonly #waiting = new Map<GroupId, LogRecord[]>();
  #incarnations = 0;

  constructor(options: LogOwnerOptions) {
    this.#options = options;
    this.name = options.name;
  }

  get state(): OwnedState {
    return this.#state;
  }
  get lostReason(): LostReason | undefined {
    const event = this.events.findLast((text) => text.startsWith('lost '));
    return event?.slice('lost '.length) as LostReason | undefined;
  }

  /** Claims as a fresh incarnation of this node. */
  async claim(
    options: Partial<Pick<ClaimOptions, 'deadlineMs' | 'epochFloor' | 'mayClaim' | 'ahead'>> = {},
  ): Promise<ClaimOutcome> {
    const { store, clock, partition, newNonce, limits } = this.#options;
    if (options.ahead === undefined) this.#drop();
    this.#incarnations += 1;
    const outcome = await claimPartition({
      store,
      clock,
      partition,
      node: nodeId(this.name),
      incarnation: incarnation(`${this.name}-${this.#incarnations}`),
      newNonce,
      sink: this,
      listener: this,
      limits: { ...logLimitsDefaults, ...limits },
      deadlineMs: 10_000,
      ...options,
    });
    if (outcome.kind === 'claimed') this.log = outcome.log;
    else this.#drop();
    return outcome;
  }

  /** Reads the log ahead of a claim, which takes the result as `ahead`. */
  readAhead(): Promise<Replay | undefined> {
    const { store, clock, partition, newNonce, limits } = this.#options;
    this.#drop();
    return readAhead({ store, clock, partition, newNonce, limits: { ...logLimitsDefaults, ...limits } }, this);
  }

  /** Appends a value; `bytes` of padding make it as large as wanted. @returns its number */
  put(group: GroupId, key: string, bytes = 0): number {
    const id = this.#options.newId();
    this.#append(group, ['put', id, key, 'x'.repeat(bytes)]);
    return id;
  }

  /** Appends the end of a group. @returns the number of the record */
  deleteGroup(group: GroupId): number {
    const id = this.#options.newId();
    this.#append(group, ['delete', id]);
    return id;
  }

  /** The state as a checkpoint writes it: with what was appended and waits. */
  *snapshot(): Iterable<CheckpointGroup> {
    for (const group of new Set([...this.#state.keys(), ...this.#waiting.keys()])) {
      yield { group, records: () => this.#appended(group) };
    }
  }

  #appended(group: GroupId): LogRecord[] {
    const state = new Map([[group, new Map(this.#state.get(group) ?? [])]]);
    for (const record of this.#waiting.get(group) ?? []) applyRecord(state, group, record, 0);
    return [...(state.get(group)?.values() ?? [])].map((value) => value.record);
  }

  #append(group: GroupId, record: LogRecord): void {
    if (this.log === undefined) throw new Error(`${this.name} owns no log`);
    this.log.append(group, [record]);
    const waiting = this.#waiting.get(group);
    if (waiting === undefined) this.#waiting.set(group, [record]);
    else waiting.push(record);
  }

  durable(group: GroupId, count: number): void {
    const records = this.#waiting.get(group)?.splice(0, count) ?? [];
    if (records.length !== count) throw new Error(`${count} records of ${group} durable, ${records.length} waited`);
    for (const record of records) {
      this.acknowledged.push(Number(record[1]));
      this.#apply(0, group, record);
    }
  }
  stalled(): void {
    this.events.push('stalled');
  }
  full(): void {
    this.events.push('full');
  }
  lost(reason: LostReason): void {
    this.events.push(`lost ${reason}`);
    this.#drop();
  }

  record(seq: number, group: GroupId, record: LogRecord): void {
    this.#apply(seq, group, record);
  }
  forgetBelow(seq: number): void {
    for (const [group, values] of this.#state) {
      for (const [key, value] of values) if (value.seq < seq) values.delete(key);
      if (values.size === 0) this.#state.delete(group);
    }
  }

  #apply(seq: number, group: GroupId, record: LogRecord): void {
    applyRecord(this.#state, group, record, seq);
  }

  #drop(): void {
    this.log = undefined;
    this.#state.clear();
    this.#waiting.clear();
  }
}

/** Applies one record of `LogOwner` to a state. */
export function applyRecord(
  state: Map<GroupId, Map<string, OwnedValue>>,
  group: GroupId,
  record: LogRecord,
  seq: number,
): void {
  const [kind, id, key] = record;
  if (kind === 'delete') {
    state.delete(group);
    return;
  }
  let values = state.get(group);
  if (values === undefined) {
    values = new Map();
    state.set(group, values);
  }
  values.set(String(key), { id: Number(id), seq, record });
}
