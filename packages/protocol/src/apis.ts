/**
 * The APIs on the wire: for each its versions, the schema of its request and of its reply.
 *
 * A schema is written once and gives the type, the validator and the documentation. Unknown fields are ignored (and
 * dropped). Shapes follow Kafka's messages (classic-protocol.md section 3), without the fields that only old versions had
 * a reason for; two of those remain, because replaying Kafka's behaviour needs them (`retentionTimeMs`, `commitTimestamp`).
 */

import { z } from 'zod';
import type { Generation, GroupId, InstanceId, MemberId } from './ids.js';
import { isGeneration, isGroupId, isInstanceId, isMemberId } from './ids.js';
import {
  ASSIGNMENT_BYTES_MAX,
  ASSIGNMENTS_MAX,
  FILTERS_MAX,
  LEAVE_MEMBERS_MAX,
  METADATA_BYTES_MAX,
  OFFSET_METADATA_LENGTH_MAX,
  OFFSETS_MAX,
  PROTOCOLS_MAX,
  REASON_LENGTH_MAX,
  TOPIC_LENGTH_MAX,
} from './limits.js';

const bytes = (bytesMax: number) =>
  z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.byteLength <= bytesMax, {
    error: `binary of at most ${bytesMax} bytes`,
  });
const group = z.custom<GroupId>(isGroupId, { error: 'text of at most 255 bytes of UTF-8' });
const memberId = z.custom<MemberId>(isMemberId, { error: 'text of at most 512 characters' });
const instance = z.custom<InstanceId>(isInstanceId, { error: 'text of at most 512 characters' });
const generationId = z.custom<Generation>(isGeneration, { error: 'an integer from -1' });
const instanceOrNull = instance.nullable().default(null);
const shortText = z.string().max(512);
const topic = z.string().min(1).max(TOPIC_LENGTH_MAX);
const partitionIndex = z.int32().min(0);
const code = z.int32();

const memberIdentity = { memberId, groupInstanceId: instanceOrNull };
const topicPartition = z.tuple([topic, partitionIndex]);

const protocols = z.array(z.object({ name: shortText, metadata: bytes(METADATA_BYTES_MAX) })).max(PROTOCOLS_MAX);

/** JoinGroup. A join without member id is a newcomer; `requireKnownMemberId` is what version 4 and later do in Kafka. */
export const joinRequest = z.object({
  ...memberIdentity,
  groupId: group,
  clientId: shortText.default(''),
  clientHost: shortText.default(''),
  sessionTimeoutMs: z.int32(),
  rebalanceTimeoutMs: z.int32(),
  protocolType: shortText,
  protocols,
  requireKnownMemberId: z.boolean().default(true),
  supportSkippingAssignment: z.boolean().default(true),
  reason: z.string().max(REASON_LENGTH_MAX).nullable().default(null),
});
export const joinReply = z.object({
  memberId,
  generationId,
  protocolType: z.string().nullable(),
  protocolName: z.string().nullable(),
  leader: memberId,
  skipAssignment: z.boolean(),
  members: z.array(z.object({ ...memberIdentity, metadata: bytes(METADATA_BYTES_MAX) })),
});

/** SyncGroup: the leader brings all assignments, everybody takes its own. */
export const syncRequest = z.object({
  ...memberIdentity,
  groupId: group,
  generationId,
  protocolType: shortText.nullable().default(null),
  protocolName: shortText.nullable().default(null),
  assignments: z
    .array(z.object({ memberId, assignment: bytes(ASSIGNMENT_BYTES_MAX) }))
    .max(ASSIGNMENTS_MAX)
    .default([]),
});
export const syncReply = z.object({
  protocolType: z.string().nullable(),
  protocolName: z.string().nullable(),
  assignment: bytes(ASSIGNMENT_BYTES_MAX),
});

export const heartbeatRequest = z.object({ ...memberIdentity, groupId: group, generationId });
export const heartbeatReply = z.object({});

export const leaveRequest = z.object({
  groupId: group,
  members: z
    .array(z.object({ ...memberIdentity, reason: z.string().max(REASON_LENGTH_MAX).nullable().default(null) }))
    .max(LEAVE_MEMBERS_MAX),
});
export const leaveReply = z.object({ members: z.array(z.object({ ...memberIdentity, error: code })) });

/** One offset to commit: always the offset of the next message to read. */
const offsetToCommit = z.object({
  topic,
  partition: partitionIndex,
  offset: z.int(),
  leaderEpoch: z.int32().default(-1),
  metadata: z.string().max(OFFSET_METADATA_LENGTH_MAX).nullable().default(''),
  commitTimestamp: z.int().nullable().default(null),
});
const partitionErrors = z.array(z.object({ topic: z.string(), partition: z.int32(), error: code }));

/** OffsetCommit. `commitSeq` numbers the commits of one member (rule C3); null switches the check off. */
export const commitRequest = z.object({
  ...memberIdentity,
  groupId: group,
  generationId,
  commitSeq: z.int().min(0).nullable().default(null),
  retentionTimeMs: z.int().nullable().default(null),
  offsets: z.array(offsetToCommit).max(OFFSETS_MAX),
});
export const commitReply = z.object({ partitions: partitionErrors });

/** OffsetFetch. `partitions` null asks for every offset of the group. */
export const fetchRequest = z.object({
  groupId: group,
  requireStable: z.boolean().default(false),
  partitions: z.array(topicPartition).max(OFFSETS_MAX).nullable().default(null),
});
export const fetchReply = z.object({
  partitions: z.array(
    z.object({
      topic: z.string(),
      partition: z.int32(),
      offset: z.int(),
      leaderEpoch: z.int32(),
      metadata: z.string(),
      error: code,
    }),
  ),
});

export const deleteOffsetsRequest = z.object({ groupId: group, partitions: z.array(topicPartition).max(OFFSETS_MAX) });
export const deleteOffsetsReply = z.object({ partitions: partitionErrors });

/** Staged commits: Kafka's TxnOffsetCommit without Kafka's transactions. */
export const stageOffsetsRequest = z.object({
  ...memberIdentity,
  groupId: group,
  generationId,
  transactionalId: shortText,
  producerId: z.int().min(0),
  producerEpoch: z.int32().min(0),
  offsets: z.array(offsetToCommit.omit({ commitTimestamp: true })).max(OFFSETS_MAX),
});
export const stageOffsetsReply = z.object({ partitions: partitionErrors });

export const endStageRequest = z.object({
  groupId: group,
  producerId: z.int().min(0),
  producerEpoch: z.int32().min(0),
  result: z.enum(['COMMIT', 'ABORT']),
});
export const endStageReply = z.object({});

/** DescribeGroups. `stable` asks for what no failover takes back: the answer waits for an append (rule O7). */
export const describeRequest = z.object({ groupId: group, stable: z.boolean().optional() });

/** One rebalance of the group's history: why it began, how long it took, what moved. */
export const rebalanceEntry = z.object({
  generationId,
  cause: z.string(),
  memberId: z.string(),
  startedAtMs: z.number(),
  durationMs: z.number(),
  members: z.int(),
  /** Topic partitions that changed hands; null where the assignments are not readable. */
  moved: z.int().nullable(),
  /** What was said with the first removal of the round (LeaveGroup); null where nothing was, or by an older node. */
  reason: z.string().nullable().default(null),
});
export const describeReply = z.object({
  groupId: group,
  /** Empty beside an error. */
  state: z.enum(['Empty', 'PreparingRebalance', 'CompletingRebalance', 'Stable', 'Dead', '']),
  protocolType: z.string(),
  protocol: z.string(),
  generationId,
  leader: memberId,
  members: z.array(
    z.object({
      ...memberIdentity,
      clientId: z.string(),
      clientHost: z.string(),
      metadata: bytes(METADATA_BYTES_MAX),
      assignment: bytes(ASSIGNMENT_BYTES_MAX),
    }),
  ),
  rebalances: z.array(rebalanceEntry),
});

export const deleteGroupRequest = z.object({ groupId: group });
export const deleteGroupReply = z.object({});

/** ListGroups: every node answers for the partitions it owns, in one answer or in several. `stable` as in describe. */
export const listRequest = z.object({
  stable: z.boolean().optional(),
  statesFilter: z.array(shortText).max(FILTERS_MAX).default([]),
  typesFilter: z.array(shortText).max(FILTERS_MAX).default([]),
});
export const listReply = z.object({
  groups: z.array(
    z.object({ groupId: group, protocolType: z.string(), state: z.string(), groupType: z.literal('classic') }),
  ),
  /** Partitions that this answer covers: together the nodes' answers must cover them all. */
  partitions: z.array(z.int32()),
});

/** FindCoordinator. `suspectEpoch` hints that the owner of that epoch did not answer (rule C5). */
export const findRequest = z.object({ groupId: group, suspectEpoch: z.int().min(0).nullable().default(null) });
export const findReply = z.object({
  partition: z.int32(),
  partitionCount: z.int32(),
  /** Empty where nobody is known to own the partition at this moment. */
  nodeId: z.string(),
  ownerEpoch: z.int(),
});

/** APIs about one group, by their subject token. */
export const groupApis = {
  join: { versions: { min: 1, max: 1 }, request: joinRequest, reply: joinReply },
  sync: { versions: { min: 1, max: 1 }, request: syncRequest, reply: syncReply },
  heartbeat: { versions: { min: 1, max: 1 }, request: heartbeatRequest, reply: heartbeatReply },
  leave: { versions: { min: 1, max: 1 }, request: leaveRequest, reply: leaveReply },
  commit: { versions: { min: 1, max: 1 }, request: commitRequest, reply: commitReply },
  fetch: { versions: { min: 1, max: 1 }, request: fetchRequest, reply: fetchReply },
  'delete-offsets': { versions: { min: 1, max: 1 }, request: deleteOffsetsRequest, reply: deleteOffsetsReply },
  'stage-offsets': { versions: { min: 1, max: 1 }, request: stageOffsetsRequest, reply: stageOffsetsReply },
  'end-stage': { versions: { min: 1, max: 1 }, request: endStageRequest, reply: endStageReply },
  describe: { versions: { min: 1, max: 1 }, request: describeRequest, reply: describeReply },
  delete: { versions: { min: 1, max: 1 }, request: deleteGroupRequest, reply: deleteGroupReply },
} as const;

/** APIs that any node answers. */
export const clusterApis = {
  find: { versions: { min: 1, max: 1 }, request: findRequest, reply: findReply },
  list: { versions: { min: 1, max: 1 }, request: listRequest, reply: listReply },
} as const;

/** Subject token of an API about one group. */
export type ApiName = keyof typeof groupApis;

/** Name of an API that any node answers. */
export type ClusterApiName = keyof typeof clusterApis;

/** @returns whether the token names an API about one group */
export function isApiName(token: string): token is ApiName {
  return Object.hasOwn(groupApis, token);
}

export type JoinRequest = z.output<typeof joinRequest>;
export type JoinReply = z.output<typeof joinReply>;
export type SyncRequest = z.output<typeof syncRequest>;
export type SyncReply = z.output<typeof syncReply>;
export type HeartbeatRequest = z.output<typeof heartbeatRequest>;
export type HeartbeatReply = z.output<typeof heartbeatReply>;
export type LeaveRequest = z.output<typeof leaveRequest>;
export type LeaveReply = z.output<typeof leaveReply>;
export type CommitRequest = z.output<typeof commitRequest>;
export type CommitReply = z.output<typeof commitReply>;
export type FetchRequest = z.output<typeof fetchRequest>;
export type FetchReply = z.output<typeof fetchReply>;
export type DeleteOffsetsRequest = z.output<typeof deleteOffsetsRequest>;
export type DeleteOffsetsReply = z.output<typeof deleteOffsetsReply>;
export type StageOffsetsRequest = z.output<typeof stageOffsetsRequest>;
export type StageOffsetsReply = z.output<typeof stageOffsetsReply>;
export type EndStageRequest = z.output<typeof endStageRequest>;
export type EndStageReply = z.output<typeof endStageReply>;
export type DescribeRequest = z.output<typeof describeRequest>;
export type DescribeReply = z.output<typeof describeReply>;
export type DeleteGroupRequest = z.output<typeof deleteGroupRequest>;
export type DeleteGroupReply = z.output<typeof deleteGroupReply>;
export type ListRequest = z.output<typeof listRequest>;
export type ListReply = z.output<typeof listReply>;
export type FindRequest = z.output<typeof findRequest>;
export type FindReply = z.output<typeof findReply>;
export type RebalanceEntry = z.output<typeof rebalanceEntry>;

/** Request type by API. */
export type RequestOf = { [Api in ApiName]: z.output<(typeof groupApis)[Api]['request']> };
/** Reply fields by API. */
export type ReplyOf = { [Api in ApiName]: z.output<(typeof groupApis)[Api]['reply']> };
