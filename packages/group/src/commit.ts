/**
 * OffsetCommit: members and administrators store offsets. Rules: classic-protocol.md section 3.7.
 *
 * It does not judge offsets: not whether they exist, advance, or belong to the member's assignment (kafka: section 3.7).
 */

import type { CommitRequest, RequestId } from '@muster/protocol';
import { errorCode, wallMs } from '@muster/protocol';
import type { Refusal } from './answers.js';
import { NO_GENERATION } from './answers.js';
import { OFFSETS_PER_GROUP_MAX } from './bounds.js';
import type { Group, Member } from './group.js';
import { createGroup } from './group.js';
import type { StoredOffset } from './offset-store.js';
import { nextOrder, putCommitted, storedCount } from './offset-store.js';
import { signOfLife } from './session.js';
import type { Turn } from './turn.js';
import { record } from './turn.js';
import type { Identity } from './validation.js';
import { validateMember } from './validation.js';

const NONE = errorCode('NONE');
const METADATA_TOO_LARGE = errorCode('OFFSET_METADATA_TOO_LARGE');
const TOO_MANY_OFFSETS = errorCode('INVALID_COMMIT_OFFSET_SIZE');

type PartitionError = { topic: string; partition: number; error: number };
type OffsetToCommit = Omit<CommitRequest['offsets'][number], 'commitTimestamp'> & {
  readonly commitTimestamp?: number | null;
};

/** Whether a commit may be applied, and by whom. `member` is null for a commit without membership. */
export type Admission =
  | { readonly kind: 'admitted'; readonly group: Group; readonly member: Member | null }
  | { readonly kind: 'refused'; readonly error: Refusal };

export function handleCommit(turn: Turn, ref: RequestId, request: CommitRequest): void {
  const admission = admit(turn, request);
  if (admission.kind === 'refused') return refuse(turn, ref, request, admission.error);
  const { group, member } = admission;
  if (group.phase.kind === 'CompletingRebalance') return refuse(turn, ref, request, 'REBALANCE_IN_PROGRESS');
  // kafka: a commit counts as a heartbeat.
  if (member !== null) signOfLife(turn, group, member);
  const partitions = isDuplicate(member, request.commitSeq)
    ? request.offsets.map(({ topic, partition }) => ({ topic, partition, error: NONE }))
    : apply(turn, group, member, request);
  turn.effects.replies.push({ api: 'commit', ref, error: 'NONE', fields: { partitions } });
}

/** The commit's own rules before the shared ones: a plain commit needs an identity in a group with members. */
function admit(turn: Turn, request: CommitRequest): Admission {
  // kafka: staged commits differ here (Scala): they find no such member in the group that they make.
  if (turn.slot.group === undefined && request.generationId >= 0)
    return { kind: 'refused', error: 'ILLEGAL_GENERATION' };
  const admission = admitCommit(turn, request);
  if (admission.kind === 'refused' || admission.member !== null) return admission;
  if (admission.group.phase.kind === 'Empty') return admission;
  return { kind: 'refused', error: 'UNKNOWN_MEMBER_ID' };
}

/** The checks that plain and staged commits share. Creates a group that exists only to hold offsets. */
export function admitCommit(turn: Turn, request: Identity & { readonly generationId: number }): Admission {
  const { slot, context } = turn;
  const { generationId, memberId, groupInstanceId } = request;
  slot.group ??= createGroup(slot.groupId, context.wallNow, context.config.generationFloor);
  const { group } = slot;
  if (group.phase.kind === 'Dead') return { kind: 'refused', error: 'COORDINATOR_NOT_AVAILABLE' };
  // kafka: an administrator may set the offsets of a group without members, whatever ids it names (KAFKA-14201).
  if (generationId < 0 && group.phase.kind === 'Empty') return { kind: 'admitted', group, member: null };
  if (generationId === NO_GENERATION && memberId === '' && groupInstanceId === null) {
    return { kind: 'admitted', group, member: null };
  }
  const validated = validateMember(group, request);
  if (validated.kind === 'refused') return validated;
  if (generationId !== group.generation) return { kind: 'refused', error: 'ILLEGAL_GENERATION' };
  return { kind: 'admitted', group, member: validated.member };
}

/**
 * Whether a numbered commit was applied already: a delayed copy must not move an offset back (rule C3). The same number
 * is the same commit; a lower one is older than what is stored, so that its offsets are superseded.
 */
function isDuplicate(member: Member | null, commitSeq: number | null): boolean {
  return member !== null && commitSeq !== null && commitSeq <= member.commitSeq;
}

function apply(turn: Turn, group: Group, member: Member | null, request: CommitRequest): PartitionError[] {
  const { retentionTimeMs, commitSeq } = request;
  const expireTimestamp =
    retentionTimeMs === null || retentionTimeMs < 0 ? null : turn.context.wallNow + retentionTimeMs;
  const { errors, accepted } = checkOffsets(turn, group, request.offsets, expireTimestamp);
  // Without offsets, a numbered commit still says that all lower numbers are over (rule C3).
  const isSeal = request.offsets.length === 0 && member !== null && commitSeq !== null;
  if (accepted.length === 0 && !isSeal) return errors;
  for (const stored of accepted) putCommitted(group.offsets, stored);
  if (member !== null && commitSeq !== null) member.commitSeq = commitSeq;
  const memberId = commitSeq === null ? null : (member?.memberId ?? null);
  record(turn, { kind: 'offsets', memberId, commitSeq: commitSeq ?? -1, offsets: accepted });
  return errors;
}

/** Judges each partition on its own: what is refused does not hold up the rest. */
export function checkOffsets(
  turn: Turn,
  group: Group,
  offsets: readonly OffsetToCommit[],
  expireTimestamp: number | null,
): { readonly errors: PartitionError[]; readonly accepted: readonly StoredOffset[] } {
  const { wallNow, config } = turn.context;
  const store = group.offsets;
  const errors: PartitionError[] = [];
  const accepted: StoredOffset[] = [];
  let room = OFFSETS_PER_GROUP_MAX - storedCount(store);
  let sharedTopic = '';
  for (const { topic, partition, offset, leaderEpoch, metadata, commitTimestamp } of offsets) {
    // kafka: a missing metadata text is kept as the empty one.
    const text = metadata ?? '';
    let error = NONE;
    if (text.length > config.offsetMetadataMaxLength) error = METADATA_TOO_LARGE;
    else if (!store.committed.has(topic, partition) && room-- <= 0) error = TOO_MANY_OFFSETS;
    errors.push({ topic, partition, error });
    if (error !== NONE) continue;
    const stated = commitTimestamp ?? -1;
    const committedAt = stated < 0 ? wallNow : wallMs(stated);
    // Offsets of one topic stand together and share its text.
    if (topic !== sharedTopic) sharedTopic = topic;
    accepted.push({
      topic: sharedTopic,
      partition,
      offset,
      leaderEpoch,
      metadata: text,
      commitTimestamp: committedAt,
      expireTimestamp,
      order: nextOrder(store),
    });
  }
  return { errors, accepted };
}

function refuse(turn: Turn, ref: RequestId, { offsets }: CommitRequest, error: Refusal): void {
  const code = errorCode(error);
  const partitions = offsets.map(({ topic, partition }) => ({ topic, partition, error: code }));
  turn.effects.replies.push({ api: 'commit', ref, error, fields: { partitions } });
}
