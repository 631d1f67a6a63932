/**
 * Complete replies of requests that are refused as a whole: the fields that every API shows beside its error.
 *
 * Used inside turns for parked requests, and by a host that answers also for what never reaches a group: the partition loads, is
 * owned elsewhere, or the node cannot serve (classic-protocol.md section 3.0). A coordinator node does not: whoever is not the owner
 * says nothing (rule O9), and the client asks again.
 */

import type { ApiName, ErrorName, JoinReply, MemberId, RequestId, SyncReply } from '@muster/protocol';
import { assertNever, errorCode, generation, memberId } from '@muster/protocol';
import type { GroupRequest } from './commands.js';
import type { GroupReply } from './effects.js';
import type { Turn } from './turn.js';

/** Any error but NONE. */
export type Refusal = Exclude<ErrorName, 'NONE'>;

export const NO_GENERATION = generation(-1);
export const NO_MEMBER = memberId('');
export const NO_BYTES = new Uint8Array(0);
const blankSync: SyncReply = { protocolType: null, protocolName: null, assignment: NO_BYTES };
const noFields = {};

function blankJoin(member: MemberId): JoinReply {
  return {
    memberId: member,
    generationId: NO_GENERATION,
    protocolType: null,
    protocolName: null,
    leader: NO_MEMBER,
    skipAssignment: false,
    members: [],
  };
}

/** Answers a JoinGroup with an error; `member` is the id that the reply shows. */
export function refuseJoin(turn: Turn, ref: RequestId, error: Refusal, member: MemberId, detail?: string): void {
  const said = detail === undefined ? {} : { detail };
  turn.effects.replies.push({ api: 'join', ref, error, ...said, fields: blankJoin(member) });
}

/** Answers a SyncGroup with an error. */
export function refuseSync(turn: Turn, ref: RequestId, error: Refusal, detail?: string): void {
  const said = detail === undefined ? {} : { detail };
  turn.effects.replies.push({ api: 'sync', ref, error, ...said, fields: blankSync });
}

/** kafka: the APIs for which the empty group id is legal. */
const apisOfEmptyGroupId: ReadonlySet<ApiName> = new Set(['commit', 'fetch', 'describe', 'delete']);

/**
 * @returns the complete reply to a request that is refused as a whole. kafka (Scala): the group id is judged before anything else
 * @param refusal NOT_COORDINATOR, COORDINATOR_NOT_AVAILABLE, THROTTLING_QUOTA_EXCEEDED and so on
 */
export function unloadedReply(request: GroupRequest, refusal: Refusal): GroupReply {
  const { ref } = request;
  const error = isGroupIdLegal(request) ? refusal : 'INVALID_GROUP_ID';
  switch (request.api) {
    case 'join':
      return { api: 'join', ref, error, fields: blankJoin(request.body.memberId) };
    case 'sync':
      return { api: 'sync', ref, error, fields: blankSync };
    case 'leave':
      return { api: 'leave', ref, error, fields: { members: [] } };
    case 'commit':
    case 'stage-offsets': {
      // kafka: OffsetCommit has no error of its own, so the group's error stands on every partition too.
      const code = errorCode(error);
      const partitions = request.body.offsets.map(({ topic, partition }) => ({ topic, partition, error: code }));
      return { api: request.api, ref, error, fields: { partitions } };
    }
    case 'fetch':
      return { api: 'fetch', ref, error, fields: { partitions: [] } };
    case 'delete-offsets':
      return { api: 'delete-offsets', ref, error, fields: { partitions: [] } };
    case 'describe':
      return {
        api: 'describe',
        ref,
        error,
        fields: {
          groupId: request.body.groupId,
          state: '',
          protocolType: '',
          protocol: '',
          generationId: NO_GENERATION,
          leader: NO_MEMBER,
          members: [],
          rebalances: [],
        },
      };
    case 'heartbeat':
    case 'end-stage':
    case 'delete':
      return { api: request.api, ref, error, fields: noFields };
    default:
      return assertNever(request);
  }
}

/** @returns the complete reply to a request while its partition loads */
export function loadingReply(request: GroupRequest): GroupReply {
  if (!isGroupIdLegal(request)) return unloadedReply(request, 'INVALID_GROUP_ID');
  switch (request.api) {
    case 'heartbeat':
      // kafka: a heartbeat succeeds blindly, or every load would send all members back to join.
      return { api: 'heartbeat', ref: request.ref, error: 'NONE', fields: noFields };
    case 'sync':
      // differs from kafka (Java): clients treat COORDINATOR_LOAD_IN_PROGRESS as fatal here; rejoining is harmless.
      return unloadedReply(request, 'REBALANCE_IN_PROGRESS');
    default:
      return unloadedReply(request, 'COORDINATOR_LOAD_IN_PROGRESS');
  }
}

function isGroupIdLegal({ api, body }: GroupRequest): boolean {
  return body.groupId !== '' || apisOfEmptyGroupId.has(api);
}
