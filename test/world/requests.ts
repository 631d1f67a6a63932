/**
 * Requests with the fields that most tests do not care about filled in.
 */

import type { GroupId, MemberId, RequestOf } from '@muster/protocol';
import { generation, memberId } from '@muster/protocol';

export function joinRequest(groupId: GroupId, fields: Partial<RequestOf['join']> = {}): RequestOf['join'] {
  return {
    groupId,
    memberId: memberId(''),
    groupInstanceId: null,
    clientId: 'c',
    clientHost: 'h',
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 10_000,
    protocolType: 'test',
    protocols: [{ name: 'p', metadata: new Uint8Array([1]) }],
    requireKnownMemberId: false,
    supportSkippingAssignment: true,
    reason: null,
    ...fields,
  };
}

export function syncRequest(
  groupId: GroupId,
  member: MemberId,
  generationId: number,
  assignments: RequestOf['sync']['assignments'] = [],
): RequestOf['sync'] {
  return {
    groupId,
    memberId: member,
    groupInstanceId: null,
    generationId: generation(generationId),
    protocolType: null,
    protocolName: null,
    assignments,
  };
}

export function heartbeatRequest(groupId: GroupId, member: MemberId, generationId: number): RequestOf['heartbeat'] {
  return { groupId, memberId: member, groupInstanceId: null, generationId: generation(generationId) };
}

export function commitRequest(
  groupId: GroupId,
  member: MemberId,
  generationId: number,
  offset: number,
): RequestOf['commit'] {
  return {
    ...heartbeatRequest(groupId, member, generationId),
    commitSeq: null,
    retentionTimeMs: null,
    offsets: [{ topic: 'orders', partition: 0, offset, leaderEpoch: -1, metadata: '', commitTimestamp: null }],
  };
}

export function fetchRequest(groupId: GroupId): RequestOf['fetch'] {
  return { groupId, requireStable: false, partitions: null };
}

export function describeRequest(groupId: GroupId): RequestOf['describe'] {
  return { groupId };
}
