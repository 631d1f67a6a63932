/**
 * One rebalance round on the wire: JoinGroup until there is a generation, SyncGroup until there is an assignment.
 *
 * Holds no state and decides nothing about the membership: refusals go back with their reaction (reactions.ts).
 *
 * J1 (C4) the protocols are encoded once per round; the same JoinGroup is sent again until it is answered.
 * J2 a round is given up a little after the rebalance must have ended, never later.
 */

import type { JoinMember } from '@muster/assignors';
import type { ErrorName, GroupId, InstanceId, JoinReply, JoinRequest, MemberId } from '@muster/protocol';
import { memberId, REASON_LENGTH_MAX } from '@muster/protocol';
import type { Environment } from './clock.js';
import type { CoordinatorClient } from './coordinator-client.js';
import { MusterError } from './errors.js';
import type { Logger } from './logger.js';
import type { MemberIdentity, NewAssignment, OfferedProtocol } from './member-handler.js';
import { type Reaction, reactionTo } from './reactions.js';
import type { RequestOutcome } from './request.js';
import { pause } from './waiting.js';

/** What stays the same from round to round. */
export interface RoundOptions {
  readonly client: CoordinatorClient;
  readonly environment: Environment;
  readonly logger: Logger;
  readonly groupId: GroupId;
  readonly groupInstanceId: InstanceId | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly protocolType: string;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
}

/** The coordinator said no, in a way that ends the round. */
export interface RoundRefusal {
  readonly kind: 'refused';
  readonly api: 'JoinGroup' | 'SyncGroup';
  readonly reaction: Reaction;
  readonly error: ErrorName;
  readonly detail: string | undefined;
}
/** Nothing came of it: aborted, or no answer in time. */
export type RoundEnd = RoundRefusal | { readonly kind: 'aborted' };
export type JoinResult = { readonly kind: 'joined'; readonly reply: JoinReply } | RoundEnd;
export type SyncResult = { readonly kind: 'assigned'; readonly assigned: NewAssignment } | RoundEnd;

/** kafka: a JoinGroup or SyncGroup is given up this long after the rebalance must have ended. */
const PARKED_GRACE_MS = 5_000;
const RETRY_MS = 1_000;

/** @returns how long a JoinGroup or SyncGroup may be parked, in milliseconds */
export function parkedMsMax(options: Pick<RoundOptions, 'rebalanceTimeoutMs'>): number {
  return options.rebalanceTimeoutMs + PARKED_GRACE_MS;
}

/** Sends JoinGroup until the group has a new generation. `onMemberId` hears of an id that was handed out on the way. */
export async function joinGroup(
  options: RoundOptions,
  joining: {
    readonly memberId: MemberId;
    readonly protocols: readonly OfferedProtocol[];
    readonly reason: string | undefined;
    readonly signal: AbortSignal;
    onMemberId(id: MemberId): void;
  },
): Promise<JoinResult> {
  const { client, environment, logger, heartbeatIntervalMs } = options;
  const { signal } = joining;
  let request = joinRequest(options, joining);
  while (!signal.aborted) {
    const times = { deadlineMs: parkedMsMax(options), resendMs: heartbeatIntervalMs, signal };
    const outcome = await answerOf(client.request('join', request, times));
    if (outcome.kind === 'aborted') return outcome;
    if (outcome.kind === 'expired') {
      logger.warn('still trying to join the group', { problem: outcome.lastProblem });
      continue;
    }
    const { error, detail, fields } = outcome;
    const reaction = reactionTo.join(error);
    if (reaction === 'proceed' && fields !== undefined) return { kind: 'joined', reply: fields };
    if (reaction === 'keep-id' && fields !== undefined && fields.memberId !== '') {
      joining.onMemberId(fields.memberId);
      request = { ...request, memberId: fields.memberId };
    } else if (reaction === 'retry') await pause(environment.clock, RETRY_MS, signal);
    else return { kind: 'refused', api: 'JoinGroup', reaction, error, detail };
  }
  return { kind: 'aborted' };
}

/** Sends SyncGroup until there is an assignment; the leader's carries everybody's, which `assign` makes. */
export async function syncGroup(
  options: RoundOptions,
  identity: MemberIdentity,
  joined: JoinReply,
  signal: AbortSignal,
  assign: (
    protocolName: string,
    members: readonly JoinMember[],
  ) => Promise<ReadonlyMap<string, Uint8Array> | undefined>,
): Promise<SyncResult> {
  const { client, groupId, protocolType, heartbeatIntervalMs } = options;
  const isLeader = joined.memberId === joined.leader;
  const protocolName = joined.protocolName ?? '';
  // kafka: a static leader that comes back to a stable group is told to leave the assignment as it is.
  const made = isLeader && !joined.skipAssignment ? await assign(protocolName, joined.members) : new Map();
  if (made === undefined || signal.aborted) return { kind: 'aborted' };
  const assignments = [...made].map(([member, assignment]) => ({ memberId: memberId(member), assignment }));
  const request = { groupId, ...identity, protocolType, protocolName: joined.protocolName, assignments };
  const times = { deadlineMs: parkedMsMax(options), resendMs: heartbeatIntervalMs, signal };
  const outcome = await answerOf(client.request('sync', request, times));
  if (outcome.kind !== 'answered') return { kind: 'aborted' };
  const { error, detail, fields } = outcome;
  const reaction = reactionTo.sync(error);
  if (reaction !== 'proceed' || fields === undefined) {
    return { kind: 'refused', api: 'SyncGroup', reaction, error, detail };
  }
  return { kind: 'assigned', assigned: { identity, protocolName, isLeader, assignment: fields.assignment } };
}

/** A client that has too many requests open refuses this one: nothing comes of the round, and the next is tried later. */
async function answerOf<Fields>(asking: Promise<RequestOutcome<Fields>>): Promise<RequestOutcome<Fields>> {
  return await asking.catch((thrown: unknown) => {
    if (thrown instanceof MusterError && thrown.retriable) return { kind: 'aborted' } as const;
    throw thrown;
  });
}

function joinRequest(
  options: RoundOptions,
  joining: {
    readonly memberId: MemberId;
    readonly protocols: readonly OfferedProtocol[];
    readonly reason: string | undefined;
  },
): JoinRequest {
  const { groupId, groupInstanceId, clientId, clientHost, sessionTimeoutMs, rebalanceTimeoutMs, protocolType } =
    options;
  return {
    groupId,
    memberId: joining.memberId,
    groupInstanceId,
    clientId,
    clientHost,
    sessionTimeoutMs,
    rebalanceTimeoutMs,
    protocolType,
    protocols: joining.protocols.map(({ name, metadata }) => ({ name, metadata })),
    requireKnownMemberId: groupInstanceId === null,
    supportSkippingAssignment: true,
    reason: joining.reason?.slice(0, REASON_LENGTH_MAX) ?? null,
  };
}
