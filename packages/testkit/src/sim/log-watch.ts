/**
 * Reads every frame as it lands, independently of the code that wrote it: checks the chain, and keeps what the log says.
 *
 * Checkpoints are left aside: what the live records of the whole history come to is what every load has to bring back.
 */

import { decodeRecord, type GroupRecord } from '@muster/group';
import { decodeFrame, type Frame, type Piece, unpackRecord } from '@muster/log';
import type { GroupId, Partition } from '@muster/protocol';
import type { History } from './history.js';
import type { LandedFrame } from './log-server.js';
import { LEFT_TOPIC } from './topics.js';
import type { Verdicts } from './verdicts.js';

/** What the log says of a group. */
export type LoggedGroup = {
  generation: number;
  /** Members of the newest snapshot, less those removed since. */
  members: Set<string>;
  /** Static members by their ids, replaced ones too, with the instance id that makes them one to the group. */
  readonly instanceOf: Map<string, string>;
  /** When each generation was recorded first, and with whom: a static member by its instance id. */
  readonly generations: Map<number, { readonly at: number; readonly members: ReadonlySet<string> }>;
  /** When a member was taken out. */
  readonly removedAt: Map<string, number>;
  /** `topic/partition` -> newest durable offset. */
  readonly offsets: Map<string, number>;
  /** `topic/partition/offset` -> when it was recorded first. */
  readonly offsetAt: Map<string, number>;
  hasBeenEmptySince: number | undefined;
};

type LoggedPartition = {
  readonly partition: Partition;
  last: { readonly seq: number; readonly frame: Frame; readonly at: number; readonly by: string } | undefined;
  readonly claims: { readonly epoch: number; readonly at: number }[];
  readonly groups: Map<GroupId, LoggedGroup>;
  readonly openSets: Map<string, Uint8Array[]>;
  isCheckpointOpen: boolean;
};

export type ClaimSeen = {
  readonly partition: Partition;
  readonly claim: Frame;
  /** The process that has written it. */
  readonly by: string;
  /** The frame that it stands on, and the process that has written that. */
  readonly base: Frame | undefined;
  readonly baseBy: string | undefined;
};

/** Who hears what the log says. */
type SnapshotRecord = Extract<GroupRecord, { kind: 'snapshot' }>;

export type LogHearer = {
  claimed(claim: ClaimSeen): void;
  /** The group was deleted, or its offsets expired. */
  forgotten(group: GroupId, at: number): void;
  appeared(partition: Partition, group: GroupId): void;
  committed(group: GroupId, offset: CommittedSeen): void;
};

export type CommittedSeen = {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly generation: number;
};

export class LogWatch {
  readonly #verdicts: Verdicts;
  readonly #history: History;
  readonly #hearer: LogHearer;
  readonly #partitions = new Map<Partition, LoggedPartition>();

  constructor(verdicts: Verdicts, history: History, hearer: LogHearer) {
    this.#verdicts = verdicts;
    this.#history = history;
    this.#hearer = hearer;
  }

  /** What the log says of a group, undefined where it says nothing. */
  group(partition: Partition, group: GroupId): LoggedGroup | undefined {
    return this.#partitions.get(partition)?.groups.get(group);
  }

  /** When a reign later than `epoch` began, undefined where there is none. */
  supersededAt(partition: Partition, epoch: number): number | undefined {
    return this.#partitions.get(partition)?.claims.find((claim) => claim.epoch > epoch)?.at;
  }

  landed(landed: LandedFrame): void {
    const { partition, seq, bytes, at, by } = landed;
    const about = `log ${partition}`;
    const logged = this.#of(partition);
    const decoded = decodeFrame(bytes);
    if (!decoded.ok) return this.#verdicts.check('one-writer-per-log', false, about, () => `${seq}: ${decoded.reason}`);
    const { frame } = decoded;
    const problem = chainProblem(logged.last, frame);
    this.#verdicts.check('one-writer-per-log', problem === undefined, about, () => `frame ${seq}: ${problem}`);
    const base = logged.last;
    this.#history.note(about, () => `${seq} epoch ${frame.epoch} ${frame.node}: ${frame.body.kind}`);
    logged.last = { seq, frame, at, by };
    if (frame.body.kind === 'claim')
      this.#claimed(logged, { partition, claim: frame, by, base: base?.frame, baseBy: base?.by }, at);
    else this.#apply(logged, frame, at);
  }

  #claimed(logged: LoggedPartition, seen: ClaimSeen, at: number): void {
    if (logged.isCheckpointOpen) this.#history.mark('a checkpoint was cut in the middle');
    logged.isCheckpointOpen = false;
    logged.openSets.clear();
    logged.claims.push({ epoch: seen.claim.epoch, at });
    this.#hearer.claimed(seen);
  }

  #apply(logged: LoggedPartition, frame: Frame, at: number): void {
    switch (frame.body.kind) {
      case 'checkpoint':
        logged.isCheckpointOpen = true;
        for (const { group, pieces } of frame.body.live) {
          this.#history.mark('a checkpoint waited for live records');
          for (const piece of pieces) this.#piece(logged, group, piece, at);
        }
        for (const { group, pieces } of frame.body.entries) {
          for (const piece of pieces) this.#checkpointPiece(logged, group, piece);
        }
        return;
      case 'checkpoint-end':
        logged.isCheckpointOpen = false;
        this.#history.mark('a checkpoint was completed');
        return;
      case 'release':
        this.#history.mark('a release');
        return;
      case 'barrier':
      case 'claim':
        return;
      case 'records':
        for (const { group, pieces } of frame.body.entries) {
          for (const piece of pieces) this.#piece(logged, group, piece, at);
        }
    }
  }

  /** K1: it says of a group what the live records before it say, no more and no less. */
  #checkpointPiece(logged: LoggedPartition, group: GroupId, piece: Piece): void {
    const bytes = this.#assemble(logged, piece);
    const raw = bytes === undefined ? undefined : unpackRecord(bytes);
    const record = raw === undefined ? undefined : decodeRecord(raw);
    const known = logged.groups.get(group);
    const check = (holds: boolean, text: () => string) =>
      this.#verdicts.check('checkpoint-is-not-ahead', holds, group, text);
    if (record?.kind === 'snapshot') {
      const { generation, members } = record;
      const isSame = generation === known?.generation && members.every(({ memberId }) => known.members.has(memberId));
      const text = () => `generation ${generation} in a checkpoint, ${known?.generation ?? 'none'} in the log`;
      check(isSame && members.length === known.members.size, text);
    }
    if (record?.kind !== 'offsets') return;
    for (const { topic, partition, offset } of record.offsets) {
      const recorded = known?.offsets.get(`${topic}/${partition}`);
      const text = () => `${topic}/${partition} is ${offset} in a checkpoint, ${recorded ?? 'nothing'} in the log`;
      check(offset === recorded, text);
    }
  }

  #piece(logged: LoggedPartition, group: GroupId, piece: Piece, at: number): void {
    const bytes = this.#assemble(logged, piece);
    const raw = bytes === undefined ? undefined : unpackRecord(bytes);
    const record = raw === undefined ? undefined : decodeRecord(raw);
    if (record === undefined || record.kind === 'unknown') return;
    if (record.kind === 'group-tombstone') {
      this.#history.mark('a group was deleted');
      this.#history.note(group, () => 'log: deleted');
      logged.groups.delete(group);
      this.#hearer.forgotten(group, at);
      return;
    }
    let known = logged.groups.get(group);
    if (known === undefined) {
      known = emptyGroup();
      logged.groups.set(group, known);
      this.#hearer.appeared(logged.partition, group);
    }
    this.#record(known, group, record, at);
  }

  #record(known: LoggedGroup, group: GroupId, record: GroupRecord, at: number): void {
    switch (record.kind) {
      case 'snapshot':
        return this.#snapshot(known, group, record, at);
      case 'member-removed':
        known.members.delete(record.memberId);
        known.removedAt.set(record.memberId, at);
        this.#history.note(group, () => `log: ${record.memberId} removed`);
        if (known.members.size === 0) known.hasBeenEmptySince ??= at;
        return;
      case 'offsets':
        for (const { topic, partition, offset } of record.offsets) {
          const key = `${topic}/${partition}`;
          const before = known.offsets.get(key) ?? -1;
          this.#verdicts.check(
            'offsets-never-move-back',
            offset >= before,
            group,
            () => `${key}: ${offset} after ${before}`,
          );
          known.offsets.set(key, offset);
          this.#hearer.committed(group, { topic, partition, offset, generation: known.generation });
          const each = `${key}/${offset}`;
          if (!known.offsetAt.has(each)) known.offsetAt.set(each, at);
        }
        return;
      case 'offset-tombstones': {
        for (const { topic, partition } of record.partitions) {
          known.offsets.delete(`${topic}/${partition}`);
        }
        this.#history.mark('offsets expired');
        if (record.partitions.every(({ topic }) => topic === LEFT_TOPIC)) return;
        const isActive = known.members.size > 0;
        this.#verdicts.check(
          'active-offsets-never-expire',
          !isActive,
          group,
          () => 'offsets of a group with members expired',
        );
        this.#hearer.forgotten(group, at);
        return;
      }
      default:
    }
  }

  #snapshot(known: LoggedGroup, group: GroupId, record: SnapshotRecord, at: number): void {
    const members = new Set<string>(record.members.map(({ memberId }) => memberId));
    const { generation } = record;
    for (const { memberId, groupInstanceId } of record.members) {
      if (groupInstanceId === null || known.instanceOf.has(memberId)) continue;
      if ([...known.instanceOf.values()].includes(groupInstanceId)) this.#history.mark('a static member was replaced');
      known.instanceOf.set(memberId, groupInstanceId);
    }
    const identities = new Set([...members].map((member) => known.instanceOf.get(member) ?? member));
    this.#history.note(group, () => {
      const cause = record.round?.cause ?? record.rebalances.at(-1)?.cause;
      return `log: generation ${generation} ${record.state} (${cause}) [${[...members].join(' ')}]`;
    });
    const first = known.generations.get(generation);
    const isSame = first === undefined || [...identities].every((member) => first.members.has(member));
    const holds = generation >= known.generation && isSame;
    this.#verdicts.check('generation-never-repeats', holds, group, () =>
      generation < known.generation
        ? `generation ${generation} recorded after ${known.generation}`
        : `generation ${generation} recorded again with other members`,
    );
    known.generation = Math.max(known.generation, generation);
    if (first === undefined) known.generations.set(generation, { at, members: identities });
    for (const member of known.members) if (!members.has(member)) known.removedAt.set(member, at);
    known.members = members;
    if (members.size === 0) known.hasBeenEmptySince ??= at;
    else known.hasBeenEmptySince = undefined;
  }

  #assemble(logged: LoggedPartition, piece: Piece): Uint8Array | undefined {
    if (piece.kind === 'whole') return piece.bytes;
    this.#history.mark('a record in parts');
    const parts = logged.openSets.get(piece.set) ?? [];
    logged.openSets.set(piece.set, parts);
    parts.push(piece.bytes);
    return parts.length === piece.count ? new Uint8Array(Buffer.concat(parts)) : undefined;
  }

  #of(partition: Partition): LoggedPartition {
    let logged = this.#partitions.get(partition);
    if (logged === undefined) {
      logged = {
        partition,
        last: undefined,
        claims: [],
        groups: new Map(),
        openSets: new Map(),
        isCheckpointOpen: false,
      };
      this.#partitions.set(partition, logged);
    }
    return logged;
  }
}

function emptyGroup(): LoggedGroup {
  return {
    generation: 0,
    members: new Set(),
    instanceOf: new Map(),
    generations: new Map(),
    removedAt: new Map(),
    offsets: new Map(),
    offsetAt: new Map(),
    hasBeenEmptySince: undefined,
  };
}

function chainProblem(last: LoggedPartition['last'], frame: Frame): string | undefined {
  const { seq, nonce } = last === undefined ? { seq: 0, nonce: '' } : { seq: last.seq, nonce: last.frame.nonce };
  if (frame.previousSeq !== seq) return `names ${frame.previousSeq} as predecessor, it is ${seq}`;
  if (frame.previousNonce !== nonce) return 'its predecessor has another nonce';
  if (frame.body.kind === 'claim') {
    return frame.epoch > (last?.frame.epoch ?? 0) ? undefined : `claims epoch ${frame.epoch} again`;
  }
  if (last === undefined || frame.epoch !== last.frame.epoch || frame.incarnation !== last.frame.incarnation) {
    return `${frame.node} writes in the reign of another`;
  }
  return last.frame.body.kind === 'release' ? 'follows a release' : undefined;
}
