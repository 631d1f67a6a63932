/**
 * From the words of the cases to requests of the wire, and from replies of the wire back.
 */

import type { GroupConfig, GroupReply, GroupRequest } from '@muster/group';
import type { ErrorName, RequestId } from '@muster/protocol';
import { errorName, groupApis } from '@muster/protocol';
import type { CaseConfig, CaseRequest } from './cases.js';
import type { CaseReply } from './driver.js';

/** @returns the settings of a case as those of a group */
export function toGroupConfig(config: CaseConfig): GroupConfig {
  return {
    minSessionTimeoutMs: config.groupMinSessionTimeoutMs,
    maxSessionTimeoutMs: config.groupMaxSessionTimeoutMs,
    initialRebalanceDelayMs: config.groupInitialRebalanceDelayMs,
    maxSize: config.groupMaxSize,
    offsetsRetentionMs: config.offsetsRetentionMs,
    offsetMetadataMaxLength: config.offsetMetadataMaxBytes,
    generationFloor: 0,
  };
}

/** Requests that concern one group. `list` and `deleteGroups` are put together by the driver. */
export type OneGroupRequest = Exclude<CaseRequest, { op: 'list' | 'deleteGroups' }>;

/** @returns the request as the coordinator gets it, validated by the wire's schema. @throws ZodError where that refuses it */
export function toGroupRequest(ref: RequestId, { op, args }: OneGroupRequest): GroupRequest {
  switch (op) {
    case 'join': {
      const protocols = args.protocols.map(([name, metadata]) => ({ name, metadata: toBytes(metadata) }));
      return { kind: 'request', api: 'join', ref, body: groupApis.join.request.parse({ ...args, protocols }) };
    }
    case 'sync': {
      const assignments = Object.entries(args.assignments).map(([memberId, bytes]) => ({
        memberId,
        assignment: toBytes(bytes),
      }));
      return { kind: 'request', api: 'sync', ref, body: groupApis.sync.request.parse({ ...args, assignments }) };
    }
    case 'heartbeat':
      return { kind: 'request', api: 'heartbeat', ref, body: groupApis.heartbeat.request.parse(args) };
    case 'leave':
      return { kind: 'request', api: 'leave', ref, body: groupApis.leave.request.parse(args) };
    case 'commit':
      return { kind: 'request', api: 'commit', ref, body: groupApis.commit.request.parse(args) };
    case 'txnCommit':
      return { kind: 'request', api: 'stage-offsets', ref, body: groupApis['stage-offsets'].request.parse(args) };
    case 'fetch':
      return { kind: 'request', api: 'fetch', ref, body: groupApis.fetch.request.parse(args) };
    case 'deleteOffsets':
      return { kind: 'request', api: 'delete-offsets', ref, body: groupApis['delete-offsets'].request.parse(args) };
    case 'describe':
      return { kind: 'request', api: 'describe', ref, body: groupApis.describe.request.parse(args) };
  }
}

/** @returns the reply in the words of the cases, with the fields that they compute */
export function toCaseReply({ api, error, fields }: GroupReply): CaseReply {
  switch (api) {
    case 'join': {
      const members = fields.members.map((member) => ({ ...member, metadata: toBase64(member.metadata) }));
      return {
        ...fields,
        error,
        members,
        isLeader: fields.memberId !== '' && fields.leader === fields.memberId,
        memberIds: members.map(({ memberId }) => memberId),
        groupInstanceIds: members.map(({ groupInstanceId }) => groupInstanceId),
      };
    }
    case 'sync':
      return { ...fields, error, assignment: toBase64(fields.assignment) };
    case 'leave':
      return { error, members: fields.members.map((each) => ({ ...each, error: errorName(each.error) })) };
    case 'commit':
    case 'stage-offsets': {
      const partitions = fields.partitions.map((each) => ({ ...each, error: errorName(each.error) }));
      return { error: commonError(partitions, error), partitions };
    }
    case 'fetch':
    case 'delete-offsets':
      return { error, partitions: fields.partitions.map((each) => ({ ...each, error: errorName(each.error) })) };
    case 'describe': {
      const members = fields.members.map((member) => ({
        ...member,
        metadata: toBase64(member.metadata),
        assignment: toBase64(member.assignment),
      }));
      return { ...fields, error, members };
    }
    case 'heartbeat':
    case 'end-stage':
    case 'delete':
      return { error };
  }
}

/** @returns the error that all parts share, MIXED where they differ, `whole` where there are no parts */
export function commonError(parts: readonly { readonly error: ErrorName }[], whole: ErrorName): string {
  const [first] = parts;
  if (first === undefined) return whole;
  return parts.every(({ error }) => error === first.error) ? first.error : 'MIXED';
}

export function toBytes(base64: string): Uint8Array {
  return new Uint8Array(Buffer.from(base64, 'base64'));
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
